//! Repair of callchains of an artificial program in which every function has 0x100 bytes.

use super::walk::UnwindInfo;
use super::*;
use crate::analyse::address_space::AddressSpaces;
use crate::analyse::files::{Files, ImageId};
use crate::analyse::generated::GeneratedCode;
use crate::analyse::tests::NoFiles;
use crate::gobin::{Cfa, CfaBase, GoUnwind, NativeUnwind, SavedRegister, SpecialFunction};
use crate::perfdata::PerfData;

const SP: u64 = 0x7000;
const TEXT: u64 = 0x1000;

/// Functions with the number of bytes below their return address: a leaf without a frame, two functions with frames, a
/// function that sets its stack pointer (`None`), and the root.
const FUNCTIONS: [(u64, Option<u32>); 5] = [(0, Some(0)), (1, Some(0x20)), (2, Some(0x30)), (3, None), (4, Some(0))];

impl Registers {
    pub(in crate::analyse) fn from_test_values(sp: u64, bp: u64, goroutine: Option<u64>) -> Self {
        Self { ip: 0, sp, bp, link: None, goroutine }
    }
}

/// An address inside the function with this number, after its entry.
fn address_in(function: u64) -> u64 {
    TEXT + function * 0x100 + 0x40
}

/// Calls `run` with an unwinder that knows [`FUNCTIONS`] and the functions that `add_more` adds.
fn with_unwinder<T>(
    add_more: impl FnOnce(&mut Unwinder<'_, '_>),
    run: impl FnOnce(&mut Unwinder<'_, '_>, &AddressSpace) -> T,
) -> T {
    let data = empty_recording();
    let data = PerfData::parse(&data).expect("a recording");
    let files = Files::new(&data, &[], &NoFiles);
    let binaries = Binaries::new(&files);
    let mut unwinder = Unwinder::new(&binaries);
    for (function, pushed) in FUNCTIONS {
        for offset in 0..0x100 {
            let go = GoUnwind {
                entry: TEXT + function * 0x100,
                end: TEXT + (function + 1) * 0x100,
                sp_delta: Ok(pushed.unwrap_or(0)),
                writes_sp: pushed.is_none(),
                is_top_frame: function == 4,
                is_assembly: false,
                special: None,
            };
            add(&mut unwinder, TEXT + function * 0x100 + offset, UnwindInfo::Go(go));
        }
    }
    add_more(&mut unwinder);
    let code = GeneratedCode::default();
    let mut spaces = AddressSpaces::new(&code);
    spaces.map(1, TEXT, 0x1000, TEXT, ImageId(0));
    run(&mut unwinder, spaces.get(1).expect("an address space"))
}

fn add(unwinder: &mut Unwinder<'_, '_>, address: u64, info: UnwindInfo) {
    unwinder.walker.cache.insert((ImageId(0), address), Some(info));
}

fn stack_bytes(stack: &[u64]) -> Vec<u8> {
    stack.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Repairs the callchain `chain`. `stack` is the copy from `SP` upwards. `bp` is the frame pointer.
fn repaired(ip: u64, bp: u64, stack: &[u64], chain: &[u64]) -> (Vec<u64>, RepairOutcome) {
    repaired_with(add_native, ip, bp, stack, chain)
}

/// Like [`repaired`], with further functions that `add_more` adds.
fn repaired_with(
    add_more: impl FnOnce(&mut Unwinder<'_, '_>),
    ip: u64,
    bp: u64,
    stack: &[u64],
    chain: &[u64],
) -> (Vec<u64>, RepairOutcome) {
    let registers = Registers { ip, ..Registers::from_test_values(SP, bp, None) };
    let mut out = Vec::new();
    let repair = |unwinder: &mut Unwinder<'_, '_>, space: &AddressSpace| {
        unwinder.repair(chain, &registers, &stack_bytes(stack), space, &mut out)
    };
    let outcome = with_unwinder(add_more, repair);
    (out, outcome)
}

fn empty_recording() -> Vec<u8> {
    use crate::perfdata::{Attr, Event, Features, Writer};
    let event = Event { name: "cpu-clock".into(), attr: Attr::default(), ids: vec![1] };
    let file = std::io::Cursor::new(Vec::new());
    let writer = Writer::create(file, &[event]).expect("a recording");
    writer.finish(&Features::default()).expect("a recording").into_inner()
}

#[test]
fn the_missing_caller_of_a_leaf_without_a_frame_is_restored() {
    // The register has the frame pointer of the caller. The caller's return address is at SP + 8 + 0x20, beyond the copy.
    let (frames, outcome) =
        repaired(address_in(0), SP + 0x20, &[address_in(1)], &[address_in(0), address_in(2), address_in(4)]);
    assert_eq!(frames, vec![address_in(0), address_in(1), address_in(2), address_in(4)]);
    assert_eq!(outcome, RepairOutcome::Repaired);
}

#[test]
fn a_callchain_without_errors_is_not_changed() {
    let (frames, outcome) = repaired(
        address_in(1),
        SP + 0x18,
        &[0, 0, 0, SP + 0x50, address_in(2)],
        &[address_in(1), address_in(2), address_in(4)],
    );
    assert_eq!(frames, vec![address_in(1), address_in(2), address_in(4)]);
    assert_eq!(outcome, RepairOutcome::Untouched);
}

#[test]
fn a_copy_of_the_whole_stack_needs_no_callchain() {
    let stack = [address_in(1), 0, 0, 0, 0, address_in(4)];
    for chain in [&[][..], &[address_in(0)], &[address_in(0), 0xdead_beef]] {
        let (frames, outcome) = repaired(address_in(0), 0x1234_5678, &stack, chain);
        assert_eq!(frames, vec![address_in(0), address_in(1), address_in(4)]);
        assert_eq!(outcome, RepairOutcome::Repaired, "{chain:x?}");
    }
}

#[test]
fn callers_that_do_not_continue_the_copy_are_cut() {
    // The frame pointer register has another value, which is below the slot of the next return address.
    let (frames, outcome) = repaired(address_in(0), SP - 0x100, &[address_in(1)], &[address_in(0), 0xbad, 0xbad]);
    assert_eq!(frames, vec![address_in(0), address_in(1)]);
    assert_eq!(outcome, RepairOutcome::Cut);
}

#[test]
fn the_callchain_is_kept_where_a_function_has_set_the_stack_pointer() {
    let chain = [address_in(3), address_in(2), address_in(4)];
    assert_eq!(repaired(address_in(3), SP, &[address_in(1)], &chain), (chain.to_vec(), RepairOutcome::Untouched));
    // The result is the same if the function that sets its stack pointer is not the leaf.
    let (frames, outcome) =
        repaired(address_in(0), 0x9000, &[address_in(3), 7, 7], &[address_in(0), address_in(2), address_in(4)]);
    assert_eq!(frames, vec![address_in(0), address_in(3), address_in(2), address_in(4)]);
    assert_eq!(outcome, RepairOutcome::Repaired);
}

#[test]
fn the_walk_ends_at_a_word_that_is_not_a_code_address() {
    let chain = [address_in(0), address_in(2)];
    for word in [0, 1, 0x40, u64::MAX] {
        assert_eq!(repaired(address_in(0), SP + 0x20, &[word], &chain).0, chain.to_vec());
    }
    assert_eq!(repaired(address_in(1), u64::MAX - 7, &[1; 200], &[address_in(1)]).0, vec![address_in(1)]);
}

#[test]
fn the_frame_pointer_into_the_stack_that_the_thread_left_is_found() {
    let left_stack = |ip, bp, stack: &[u64]| {
        let registers = Registers { ip, ..Registers::from_test_values(SP, bp, None) };
        with_unwinder(|_| (), |unwinder, space| unwinder.left_frame_pointer(&registers, &stack_bytes(stack), space))
    };
    let left = 0x9000;
    // The leaf is a function that function 3 calls. Function 3 switches stacks. The leaf has not set up its frame in
    // the first case, and has in the second case.
    assert_eq!(left_stack(address_in(0), left, &[address_in(3)]), Some(left));
    assert_eq!(left_stack(address_in(1), SP + 0x18, &[0, 0, 0, left, address_in(3)]), Some(left));
    // The leaf is a deeper function, which uses the register for another value.
    assert_eq!(left_stack(address_in(0), 0x1234, &[address_in(1), 0, 0, 0, left, address_in(3)]), Some(left));
    // In the function that switches stacks. Then in code without tables, by frame pointers.
    assert_eq!(left_stack(address_in(3), left, &[]), Some(left));
    assert_eq!(left_stack(address_in(9), SP + 8, &[0, left, address_in(3)]), Some(left));
    // The copy ends too early, or there are no callers.
    assert_eq!(left_stack(address_in(1), SP + 0x18, &[0, 0, 0, left]), None);
    assert_eq!(left_stack(address_in(9), SP + 8, &[0, left]), None);
    assert_eq!(left_stack(address_in(1), SP + 0x18, &[0, 0, 0, left, address_in(4)]), None);
    assert_eq!(left_stack(address_in(9), SP + 8, &[0, left, address_in(4)]), None);
    // Invalid pointers.
    assert_eq!(left_stack(address_in(9), SP, &[SP, address_in(1)]), None);
    assert_eq!(left_stack(address_in(9), u64::MAX - 7, &[1]), Some(u64::MAX - 7));
    assert_eq!(left_stack(address_in(9), 0x9001, &[]), None);
}

/// Adds functions to the artificial program: C code, the Go code that calls it, and the Go code that it calls.
fn add_native(unwinder: &mut Unwinder<'_, '_>) {
    let plain = |offset, frame_pointer| NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::StackPointer, offset, offset_after_load: None },
        frame_pointer,
        goroutine: SavedRegister::Same,
    };
    let go = |sp_delta, special| GoUnwind {
        entry: TEXT,
        end: TEXT,
        sp_delta: Ok(sp_delta),
        writes_sp: true,
        is_top_frame: false,
        is_assembly: true,
        special: Some(special),
    };
    let framed = NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::FramePointer, offset: 16, offset_after_load: None },
        frame_pointer: SavedRegister::AtCfa(-16),
        goroutine: SavedRegister::Same,
    };
    for (function, code) in [
        (LEAF, UnwindInfo::Native(plain(8, SavedRegister::Same))),
        (SAVING, UnwindInfo::Native(plain(0x20, SavedRegister::AtCfa(-0x10)))),
        (FRAMED, UnwindInfo::Native(framed)),
        (START, UnwindInfo::Native(NativeUnwind::Root)),
        (ASMCGOCALL, UnwindInfo::Go(go(8, SpecialFunction::Asmcgocall))),
        (CGOCALLBACK, UnwindInfo::Go(go(0x20, SpecialFunction::Cgocallback))),
    ] {
        for offset in 0..0x100 {
            add(unwinder, TEXT + function * 0x100 + offset, code);
        }
    }
}

/// A C leaf without a frame.
const LEAF: u64 = 5;
/// A C function with a frame of 24 bytes. The last word of the frame is the caller's frame pointer.
const SAVING: u64 = 6;
/// A C function that keeps a frame pointer.
const FRAMED: u64 = 7;
/// The root of a C stack.
const START: u64 = 8;
const ASMCGOCALL: u64 = 9;
const CGOCALLBACK: u64 = 10;
const CROSSCALL2: u64 = 11;
/// A function without tables.
const WITHOUT_TABLES: u64 = 12;

/// A frame pointer on the goroutine's stack.
const GOROUTINE: u64 = 0xc000_0800;

#[test]
fn c_frames_are_restored_up_to_the_goroutine() {
    // The C code kept the frame pointer register: the kernel went from the leaf to the goroutine and missed the C frames.
    let stack = [address_in(SAVING), 0, 0, GOROUTINE, address_in(ASMCGOCALL), 0, 0];
    let (frames, outcome) =
        repaired(address_in(LEAF), GOROUTINE, &stack[..1], &[address_in(LEAF), address_in(1), address_in(4)]);
    assert_eq!(frames, vec![address_in(LEAF), address_in(SAVING), address_in(1), address_in(4)]);
    assert_eq!(outcome, RepairOutcome::Repaired, "the copy ends in C code, and the callchain continues with Go code");
    let (frames, outcome) =
        repaired(address_in(LEAF), GOROUTINE, &stack, &[address_in(LEAF), address_in(1), address_in(4)]);
    let walked = [address_in(LEAF), address_in(SAVING), address_in(ASMCGOCALL)];
    assert_eq!(frames, [&walked[..], &[address_in(1), address_in(4)]].concat());
    assert_eq!(outcome, RepairOutcome::Repaired);
    // The C code uses the register for another value: a number, or an address on the C stack.
    for bp in [7, SP, SP + 0x80] {
        for chain in
            [&[address_in(LEAF)][..], &[address_in(LEAF), 0xbad], &[address_in(LEAF), address_in(1), address_in(4)]]
        {
            let (frames, outcome) = repaired(address_in(LEAF), bp, &stack, chain);
            assert_eq!((frames, outcome), (walked.to_vec(), RepairOutcome::Cut), "{bp:x} {chain:x?}");
        }
    }
    // By chance, the value is the address at which the goroutine's frame pointer was saved.
    let (frames, outcome) = repaired(
        address_in(LEAF),
        SP + 0x18,
        &stack,
        &[address_in(LEAF), address_in(ASMCGOCALL), address_in(1), address_in(4)],
    );
    let confirmed = [address_in(LEAF), address_in(SAVING), address_in(ASMCGOCALL), address_in(1), address_in(4)];
    assert_eq!((frames, outcome), (confirmed.to_vec(), RepairOutcome::Repaired));
}

#[test]
fn c_frames_with_frame_pointers_are_confirmed() {
    let stack = [GOROUTINE, address_in(ASMCGOCALL), 0];
    let chain = [address_in(FRAMED), address_in(ASMCGOCALL), address_in(1), address_in(4)];
    let (frames, outcome) = repaired(address_in(FRAMED), SP, &stack, &chain);
    assert_eq!((frames, outcome), (chain.to_vec(), RepairOutcome::Untouched));
    // The frame pointer does not lead to Go code, so it does not belong to a goroutine.
    let (frames, outcome) = repaired(
        address_in(FRAMED),
        SP,
        &stack,
        &[address_in(FRAMED), address_in(ASMCGOCALL), address_in(WITHOUT_TABLES)],
    );
    assert_eq!((frames, outcome), (vec![address_in(FRAMED), address_in(ASMCGOCALL)], RepairOutcome::Cut));
}

#[test]
fn go_code_on_the_threads_own_stack_is_walked_to_its_root() {
    let stack = [address_in(ASMCGOCALL), 0, 0, SP + 0x40, address_in(2), 0, 0, 0, 0, 0, 0, address_in(4)];
    let (frames, outcome) = repaired(address_in(LEAF), SP + 0x18, &stack, &[address_in(LEAF), address_in(2)]);
    assert_eq!(
        frames,
        vec![address_in(LEAF), address_in(ASMCGOCALL), address_in(2), address_in(4)],
        "the frame pointer leads to a Go function, and its table to the root"
    );
    assert_eq!(outcome, RepairOutcome::Repaired);
}

#[test]
fn after_an_epilogue_the_frame_pointer_is_in_the_register() {
    let popped = NativeUnwind::Frame {
        cfa: Cfa { base: CfaBase::StackPointer, offset: 8, offset_after_load: None },
        frame_pointer: SavedRegister::AtCfa(-16),
        goroutine: SavedRegister::Same,
    };
    let add_more = |unwinder: &mut Unwinder<'_, '_>| {
        add_native(unwinder);
        add(unwinder, address_in(LEAF), UnwindInfo::Native(popped));
    };
    let chain = [address_in(LEAF), address_in(1), address_in(4)];
    let (frames, outcome) = repaired_with(add_more, address_in(LEAF), GOROUTINE, &[address_in(ASMCGOCALL), 0], &chain);
    let whole = [address_in(LEAF), address_in(ASMCGOCALL), address_in(1), address_in(4)];
    assert_eq!((frames, outcome), (whole.to_vec(), RepairOutcome::Repaired));
}

#[test]
fn c_code_ends_at_its_root_and_at_missing_tables() {
    let (frames, outcome) = repaired(address_in(LEAF), 3, &[address_in(START), 0], &[address_in(LEAF), 0xbad]);
    assert_eq!((frames, outcome), (vec![address_in(LEAF), address_in(START)], RepairOutcome::Repaired));
    // The tables do not give the caller of a function without tables, but the kernel can have found the caller.
    let chain = [address_in(LEAF), address_in(1), address_in(4)];
    let (frames, outcome) = repaired(address_in(LEAF), GOROUTINE, &[address_in(WITHOUT_TABLES), 0], &chain);
    let whole = [address_in(LEAF), address_in(WITHOUT_TABLES), address_in(1), address_in(4)];
    assert_eq!((frames, outcome), (whole.to_vec(), RepairOutcome::Repaired));
    // Beyond the copy, an address that is not in code is not a caller.
    let (frames, outcome) = repaired(address_in(LEAF), SP + 0x20, &[address_in(SAVING)], &[address_in(LEAF), 0xbad]);
    assert_eq!((frames, outcome), (vec![address_in(LEAF), address_in(SAVING)], RepairOutcome::Cut));
}

#[test]
fn the_walk_continues_through_a_callback_to_the_goroutines_frames() {
    // cgocallback calls the leaf. The frame of cgocallback is on the goroutine's stack, as if asmcgocall had called
    // cgocallback.
    let stack = [address_in(CGOCALLBACK), 0, 0, 0, 0, address_in(0), address_in(1), 0, 0, 0, 0, address_in(4)];
    let own = [address_in(0), address_in(CGOCALLBACK), address_in(0), address_in(1), address_in(4)];
    for chain in [&[address_in(0)][..], &[address_in(0), address_in(FRAMED), 0xbad]] {
        let (frames, outcome) = repaired(address_in(0), 0x1_0000, &stack, chain);
        assert_eq!((frames, outcome), (own.to_vec(), RepairOutcome::Repaired), "{chain:x?}");
    }
    // Frame pointers lead through the C code to the same frames. So the kernel's callchain has more frames.
    let chain =
        [address_in(0), address_in(FRAMED), address_in(FRAMED), address_in(ASMCGOCALL), address_in(1), address_in(4)];
    let (frames, outcome) = repaired(address_in(0), 0x1_0000, &stack, &chain);
    let whole = [&own[..2], &chain[1..]].concat();
    assert_eq!((frames, outcome), (whole.clone(), RepairOutcome::Repaired));
    // The copy ends with the callback: the kernel's callchain is kept.
    let (frames, outcome) = repaired(address_in(0), 0x1_0000, &stack[..3], &[address_in(0), address_in(FRAMED), 0xbad]);
    let whole = [address_in(0), address_in(CGOCALLBACK), address_in(FRAMED), 0xbad];
    assert_eq!((frames, outcome), (whole.to_vec(), RepairOutcome::Repaired));
}

#[test]
fn a_saved_register_in_crosscall2_is_not_a_caller() {
    // crosscall2 as the assembler of Go 1.17 and newer makes it.
    let crosscall2 = |sp_delta| GoUnwind {
        entry: TEXT,
        end: TEXT,
        sp_delta: Ok(sp_delta),
        writes_sp: false,
        is_top_frame: false,
        is_assembly: true,
        special: Some(SpecialFunction::Cgocallback),
    };
    let chain = [address_in(1), address_in(CROSSCALL2), 0x7ffd_0000_1000, address_in(2), address_in(4)];
    let repaired_in = |sp_delta| {
        let add_more = |unwinder: &mut Unwinder<'_, '_>| {
            add(unwinder, address_in(CROSSCALL2) - 1, UnwindInfo::Go(crosscall2(sp_delta)));
        };
        repaired_with(add_more, address_in(1), SP + 0x18, &[0, 0, 0, 0x9000], &chain).0
    };
    assert_eq!(repaired_in(80), [address_in(1), address_in(CROSSCALL2), address_in(2), address_in(4)]);
    assert_eq!(repaired_in(72), chain, "one frame: the next word is a return address");
}

#[test]
fn the_size_of_a_long_enough_copy_is_known() {
    let missing = |ip, bp, stack: &[u64], chain: &[u64]| {
        let registers = Registers { ip, ..Registers::from_test_values(SP, bp, None) };
        with_unwinder(add_native, |unwinder, space| {
            unwinder.repair(chain, &registers, &stack_bytes(stack), space, &mut Vec::new());
            unwinder.missing_callers
        })
    };
    // address_in(1) has 0x20 bytes below its return address, and the frame pointer register has another value.
    let short = Some(MissingCallers::ShortCopy(8 + 0x20 + 8));
    assert_eq!(missing(address_in(0), SP - 0x100, &[address_in(1)], &[address_in(0), 0xbad, 0xbad]), short);
    assert_eq!(missing(address_in(0), 7, &[address_in(1)], &[address_in(0)]), short);
    assert_eq!(
        missing(address_in(0), SP + 0x20, &[address_in(1)], &[address_in(0), address_in(2), address_in(4)]),
        None
    );
    let in_native = missing(
        address_in(LEAF),
        7,
        &[address_in(SAVING), 0, 0, GOROUTINE, address_in(ASMCGOCALL), 0, 0],
        &[address_in(LEAF)],
    );
    assert_eq!(in_native, Some(MissingCallers::NativeCode));
}
