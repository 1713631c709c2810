//! Chains of a made-up program in which every function is 0x100 bytes long.

use super::walk::Code;
use super::*;
use crate::analyse::Images;
use crate::analyse::files::{Files, ImageId};
use crate::analyse::maps::Spaces;
use crate::gobin::{Cfa, CfaBase, GoUnwind, NativeUnwind, Saved, Special};
use crate::perfdata::PerfData;

const SP: u64 = 0x7000;
const TEXT: u64 = 0x1000;

/// Bytes pushed, by function: a leaf without a frame, functions with frames, one that sets its stack pointer, the root.
const FUNCTIONS: [(u64, Option<u32>); 5] = [(0, Some(0)), (1, Some(0x20)), (2, Some(0x30)), (3, None), (4, Some(0))];

struct NoFiles;

impl Images for NoFiles {
    fn image(&self, _path: &str, _build_id: Option<&str>) -> Result<crate::analyse::ImageBytes, String> {
        Err("no such file".into())
    }
}

impl Registers {
    /// Those of a thread whose stack pointer and frame pointer are these, with a goroutine register.
    pub(in crate::analyse) fn for_tests(sp: u64, bp: u64, goroutine: Option<u64>) -> Self {
        Self { ip: 0, sp, bp, link: None, goroutine }
    }
}

/// An address in the middle of a function.
fn at(function: u64) -> u64 {
    TEXT + function * 0x100 + 0x40
}

/// Asks an unwinder that knows the functions and what `tell` makes known.
fn asked<T>(tell: impl FnOnce(&mut Unwinder<'_, '_>), ask: impl FnOnce(&mut Unwinder<'_, '_>, &Space) -> T) -> T {
    let data = empty_recording();
    let data = PerfData::parse(&data).expect("a recording");
    let files = Files::of(&data, &[], &NoFiles);
    let binaries = Binaries::of(&files);
    let mut unwinder = Unwinder::new(&binaries);
    for (function, pushed) in FUNCTIONS {
        for offset in 0..0x100 {
            let go = GoUnwind {
                entry: TEXT + function * 0x100,
                end: TEXT + (function + 1) * 0x100,
                sp_delta: Ok(pushed.unwrap_or(0)),
                sp_write: pushed.is_none(),
                top_frame: function == 4,
                assembly: false,
                special: None,
            };
            unwinder.walk.tell(ImageId(0), TEXT + function * 0x100 + offset, Code::Go(go));
        }
    }
    tell(&mut unwinder);
    let mut spaces = Spaces::default();
    spaces.map(1, TEXT, 0x1000, TEXT, ImageId(0));
    ask(&mut unwinder, spaces.of(1).expect("a space"))
}

fn bytes(stack: &[u64]) -> Vec<u8> {
    stack.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Repairs a chain; `stack` is the copy from `SP` upwards, `bp` the frame pointer. Repaired frames are negative.
fn repaired(ip: u64, bp: u64, stack: &[u64], chain: &[u64]) -> (Vec<i64>, Outcome) {
    repaired_by(native, ip, bp, stack, chain)
}

/// The same with what `tell` makes known.
fn repaired_by(
    tell: impl FnOnce(&mut Unwinder<'_, '_>),
    ip: u64,
    bp: u64,
    stack: &[u64],
    chain: &[u64],
) -> (Vec<i64>, Outcome) {
    let registers = Registers { ip, ..Registers::for_tests(SP, bp, None) };
    let mut out = Vec::new();
    let outcome = asked(tell, |unwinder, space| unwinder.repair(chain, &registers, &bytes(stack), space, &mut out));
    let shown = out.iter().map(|frame| frame.address.cast_signed() * if frame.repaired { -1 } else { 1 });
    (shown.collect(), outcome)
}

fn empty_recording() -> Vec<u8> {
    use crate::perfdata::{Attr, Event, Features, Writer};
    let event = Event { name: "cpu-clock".into(), attr: Attr::default(), ids: vec![1] };
    let file = std::io::Cursor::new(Vec::new());
    let writer = Writer::create(file, &[event]).expect("a recording");
    writer.finish(&Features::default()).expect("a recording").into_inner()
}

fn signed(frames: &[(u64, bool)]) -> Vec<i64> {
    frames.iter().map(|(address, repaired)| address.cast_signed() * if *repaired { -1 } else { 1 }).collect()
}

#[test]
fn a_leaf_without_a_frame_gets_its_caller_back() {
    // The frame pointer is the caller's: its return address is at SP + 8 + 0x20, beyond the copy.
    let (frames, outcome) = repaired(at(0), SP + 0x20, &[at(1)], &[at(0), at(2), at(4)]);
    assert_eq!(frames, signed(&[(at(0), false), (at(1), true), (at(2), false), (at(4), false)]));
    assert_eq!(outcome, Outcome::Repaired);
}

#[test]
fn a_function_whose_frame_is_set_up_is_left_as_it_is() {
    let (frames, outcome) = repaired(at(1), SP + 0x18, &[0, 0, 0, SP + 0x50, at(2)], &[at(1), at(2), at(4)]);
    assert_eq!(frames, signed(&[(at(1), false), (at(2), false), (at(4), false)]));
    assert_eq!(outcome, Outcome::Untouched);
}

#[test]
fn the_whole_stack_in_the_copy_needs_no_chain() {
    let stack = [at(1), 0, 0, 0, 0, at(4)];
    for chain in [&[][..], &[at(0)], &[at(0), 0xdead_beef]] {
        let (frames, outcome) = repaired(at(0), 0x1234_5678, &stack, chain);
        assert_eq!(frames, signed(&[(at(0), false), (at(1), true), (at(4), true)]));
        assert_eq!(outcome, Outcome::Repaired, "{chain:x?}");
    }
}

#[test]
fn what_does_not_fit_on_the_copy_is_cut() {
    // The frame pointer holds something else, below where the next return address must be.
    let (frames, outcome) = repaired(at(0), SP - 0x100, &[at(1)], &[at(0), 0xbad, 0xbad]);
    assert_eq!(frames, signed(&[(at(0), false), (at(1), true)]));
    assert_eq!(outcome, Outcome::Cut);
}

#[test]
fn where_the_stack_pointer_was_set_the_chain_stands() {
    let chain = [at(3), at(2), at(4)];
    assert_eq!(repaired(at(3), SP, &[at(1)], &chain), (signed(&chain.map(|frame| (frame, false))), Outcome::Untouched));
    // Also beyond a frame that the copy has.
    let (frames, outcome) = repaired(at(0), 0x9000, &[at(3), 7, 7], &[at(0), at(2), at(4)]);
    assert_eq!(frames, signed(&[(at(0), false), (at(3), true), (at(2), false), (at(4), false)]));
    assert_eq!(outcome, Outcome::Repaired);
}

#[test]
fn what_is_not_code_ends_the_walk() {
    let chain = [at(0), at(2)];
    for word in [0, 1, 0x40, u64::MAX] {
        assert_eq!(repaired(at(0), SP + 0x20, &[word], &chain).0, signed(&chain.map(|frame| (frame, false))));
    }
    assert_eq!(repaired(at(1), u64::MAX - 7, &[1; 200], &[at(1)]).0, signed(&[(at(1), false)]));
}

#[test]
fn the_frame_pointer_from_the_stack_that_was_left_is_found() {
    let came_from = |ip, bp, stack: &[u64]| {
        let registers = Registers { ip, ..Registers::for_tests(SP, bp, None) };
        asked(|_| (), |unwinder, space| unwinder.came_from(&registers, &bytes(stack), space))
    };
    let left = 0x9000;
    // Called by the function that switched: before its frame is set up, and with it.
    assert_eq!(came_from(at(0), left, &[at(3)]), Some(left));
    assert_eq!(came_from(at(1), SP + 0x18, &[0, 0, 0, left, at(3)]), Some(left));
    // Deeper, below code that has the register for itself.
    assert_eq!(came_from(at(0), 0x1234, &[at(1), 0, 0, 0, left, at(3)]), Some(left));
    // In the function that switches, and in code of which the table knows nothing, by its frame pointers.
    assert_eq!(came_from(at(3), left, &[]), Some(left));
    assert_eq!(came_from(at(9), SP + 8, &[0, left, at(3)]), Some(left));
    // The copy ends too early; there is nobody to come from.
    assert_eq!(came_from(at(1), SP + 0x18, &[0, 0, 0, left]), None);
    assert_eq!(came_from(at(9), SP + 8, &[0, left]), None);
    assert_eq!(came_from(at(1), SP + 0x18, &[0, 0, 0, left, at(4)]), None);
    assert_eq!(came_from(at(9), SP + 8, &[0, left, at(4)]), None);
    // Pointers that lead nowhere.
    assert_eq!(came_from(at(9), SP, &[SP, at(1)]), None);
    assert_eq!(came_from(at(9), u64::MAX - 7, &[1]), Some(u64::MAX - 7));
    assert_eq!(came_from(at(9), 0x9001, &[]), None);
}

/// Code of the made-up program beside its functions: C code, and the Go code that calls it or is called by it.
fn native(unwinder: &mut Unwinder<'_, '_>) {
    let plain = |offset, frame_pointer| NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::StackPointer, offset, loaded: None },
        frame_pointer,
        goroutine: Saved::Same,
    };
    let go = |sp_delta, special| GoUnwind {
        entry: TEXT,
        end: TEXT,
        sp_delta: Ok(sp_delta),
        sp_write: true,
        top_frame: false,
        assembly: true,
        special: Some(special),
    };
    let framed = NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::FramePointer, offset: 16, loaded: None },
        frame_pointer: Saved::AtCfa(-16),
        goroutine: Saved::Same,
    };
    for (function, code) in [
        (LEAF, Code::Native(plain(8, Saved::Same))),
        (SAVES, Code::Native(plain(0x20, Saved::AtCfa(-0x10)))),
        (FRAMED, Code::Native(framed)),
        (START, Code::Native(NativeUnwind::Root)),
        (ASMCGOCALL, Code::Go(go(8, Special::Asmcgocall))),
        (CGOCALLBACK, Code::Go(go(0x20, Special::Cgocallback))),
    ] {
        for offset in 0..0x100 {
            unwinder.walk.tell(ImageId(0), TEXT + function * 0x100 + offset, code);
        }
    }
}

/// A C leaf without a frame.
const LEAF: u64 = 5;
/// A C function of 24 bytes, with its caller's frame pointer in the last word.
const SAVES: u64 = 6;
/// A C function that keeps a frame pointer.
const FRAMED: u64 = 7;
/// Where a C stack begins.
const START: u64 = 8;
const ASMCGOCALL: u64 = 9;
const CGOCALLBACK: u64 = 10;
/// Of a file without tables.
const STRANGE: u64 = 12;

/// A frame pointer on the goroutine's stack.
const GOROUTINE: u64 = 0xc000_0800;

#[test]
fn c_frames_lead_to_the_goroutine() {
    // The register was never touched: the kernel went from the leaf to the goroutine, past the C code.
    let stack = [at(SAVES), 0, 0, GOROUTINE, at(ASMCGOCALL), 0, 0];
    let (frames, outcome) = repaired(at(LEAF), GOROUTINE, &stack[..1], &[at(LEAF), at(1), at(4)]);
    assert_eq!(frames, signed(&[(at(LEAF), false), (at(SAVES), true), (at(1), false), (at(4), false)]));
    assert_eq!(outcome, Outcome::Repaired, "the copy ends in C code, and the chain is Go's");
    let (frames, outcome) = repaired(at(LEAF), GOROUTINE, &stack, &[at(LEAF), at(1), at(4)]);
    let walked = [(at(LEAF), false), (at(SAVES), true), (at(ASMCGOCALL), true)];
    assert_eq!(frames, signed(&[&walked[..], &[(at(1), false), (at(4), false)]].concat()));
    assert_eq!(outcome, Outcome::Repaired);
    // C code has something else in it: a number, or a place on its own stack.
    for bp in [7, SP, SP + 0x80] {
        for chain in [&[at(LEAF)][..], &[at(LEAF), 0xbad], &[at(LEAF), at(1), at(4)]] {
            let (frames, outcome) = repaired(at(LEAF), bp, &stack, chain);
            assert_eq!((frames, outcome), (signed(&walked), Outcome::Cut), "{bp:x} {chain:x?}");
        }
    }
    // By chance it is the place where the goroutine's was saved.
    let (frames, outcome) = repaired(at(LEAF), SP + 0x18, &stack, &[at(LEAF), at(ASMCGOCALL), at(1), at(4)]);
    let confirmed = [(at(LEAF), false), (at(SAVES), true), (at(ASMCGOCALL), false), (at(1), false), (at(4), false)];
    assert_eq!((frames, outcome), (signed(&confirmed), Outcome::Repaired));
}

#[test]
fn c_frames_with_frame_pointers_are_confirmed() {
    let stack = [GOROUTINE, at(ASMCGOCALL), 0];
    let chain = [at(FRAMED), at(ASMCGOCALL), at(1), at(4)];
    let (frames, outcome) = repaired(at(FRAMED), SP, &stack, &chain);
    assert_eq!((frames, outcome), (signed(&chain.map(|frame| (frame, false))), Outcome::Untouched));
    // What follows the frame pointer is not Go code: it is no goroutine's.
    let (frames, outcome) = repaired(at(FRAMED), SP, &stack, &[at(FRAMED), at(ASMCGOCALL), at(STRANGE)]);
    assert_eq!((frames, outcome), (signed(&[(at(FRAMED), false), (at(ASMCGOCALL), false)]), Outcome::Cut));
}

#[test]
fn go_code_on_the_threads_own_stack_stays_there() {
    let stack = [at(ASMCGOCALL), 0, 0, SP + 0x40, at(2), 0, 0, 0, 0, 0, 0, at(4)];
    let (frames, outcome) = repaired(at(LEAF), SP + 0x18, &stack, &[at(LEAF), at(2)]);
    assert_eq!(
        frames,
        signed(&[(at(LEAF), false), (at(ASMCGOCALL), true), (at(2), false), (at(4), true)]),
        "by the frame pointer to a Go function, and by its table to the root"
    );
    assert_eq!(outcome, Outcome::Repaired);
}

#[test]
fn an_epilogue_has_popped_the_frame_pointer() {
    let popped = NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::StackPointer, offset: 8, loaded: None },
        frame_pointer: Saved::AtCfa(-16),
        goroutine: Saved::Same,
    };
    let known = |unwinder: &mut Unwinder<'_, '_>| {
        native(unwinder);
        unwinder.walk.tell(ImageId(0), at(LEAF), Code::Native(popped));
    };
    let (frames, outcome) = repaired_by(known, at(LEAF), GOROUTINE, &[at(ASMCGOCALL), 0], &[at(LEAF), at(1), at(4)]);
    let whole = [(at(LEAF), false), (at(ASMCGOCALL), true), (at(1), false), (at(4), false)];
    assert_eq!((frames, outcome), (signed(&whole), Outcome::Repaired));
}

#[test]
fn roots_and_gaps_of_c_code() {
    let (frames, outcome) = repaired(at(LEAF), 3, &[at(START), 0], &[at(LEAF), 0xbad]);
    assert_eq!((frames, outcome), (signed(&[(at(LEAF), false), (at(START), true)]), Outcome::Repaired));
    // Nothing tells of the caller of a function without tables; the kernel may know.
    let chain = [at(LEAF), at(1), at(4)];
    let (frames, outcome) = repaired(at(LEAF), GOROUTINE, &[at(STRANGE), 0], &chain);
    let whole = [(at(LEAF), false), (at(STRANGE), true), (at(1), false), (at(4), false)];
    assert_eq!((frames, outcome), (signed(&whole), Outcome::Repaired));
    // Beyond the copy, what is not code is nobody's caller.
    let (frames, outcome) = repaired(at(LEAF), SP + 0x20, &[at(SAVES)], &[at(LEAF), 0xbad]);
    assert_eq!((frames, outcome), (signed(&[(at(LEAF), false), (at(SAVES), true)]), Outcome::Cut));
}

#[test]
fn a_callback_leads_to_the_goroutines_own_frames() {
    // A leaf that is called by cgocallback, which stands on the goroutine's stack as if asmcgocall had called it there.
    let stack = [at(CGOCALLBACK), 0, 0, 0, 0, at(0), at(1), 0, 0, 0, 0, at(4)];
    let own = [(at(0), false), (at(CGOCALLBACK), true), (at(0), true), (at(1), true), (at(4), true)];
    for chain in [&[at(0)][..], &[at(0), at(FRAMED), 0xbad]] {
        let (frames, outcome) = repaired(at(0), 0x1_0000, &stack, chain);
        assert_eq!((frames, outcome), (signed(&own), Outcome::Repaired), "{chain:x?}");
    }
    // Frame pointers lead through C code and arrive at the same frames: they know more.
    let chain = [at(0), at(FRAMED), at(FRAMED), at(ASMCGOCALL), at(1), at(4)];
    let (frames, outcome) = repaired(at(0), 0x1_0000, &stack, &chain);
    let through: Vec<(u64, bool)> = chain[1..].iter().map(|frame| (*frame, false)).collect();
    let whole = [&own[..2], &through].concat();
    assert_eq!((frames, outcome), (signed(&whole), Outcome::Repaired));
    // The copy ends with the callback: the kernel's chain stands.
    let (frames, outcome) = repaired(at(0), 0x1_0000, &stack[..3], &[at(0), at(FRAMED), 0xbad]);
    let whole = [(at(0), false), (at(CGOCALLBACK), true), (at(FRAMED), false), (0xbad, false)];
    assert_eq!((frames, outcome), (signed(&whole), Outcome::Repaired));
}
