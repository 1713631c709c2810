//! Fuzzes unwinding: one sample with registers and a stack copy, in a C program with an arbitrary `.eh_frame`. No input
//! causes a panic, and the sample is always in the profile.
//!
//! Input: the size of `.eh_frame` (16 bits, little-endian) and its bytes; the offset of the sample in the code (16 bits);
//! the frame pointer; the number of the callchain's words (8 bits) and the words; the words of the stack. A word has three
//! bytes: a kind (address in the code, address on the stack, or number), and 16 bits.
#![no_main]

#[path = "../image/mod.rs"]
mod image;

use std::io::Cursor;
use std::sync::Arc;

use goflame::analyse::{AnalyseOptions, analyse};
use goflame::perfdata::abi::{event_type, record_type, sample_type};
use goflame::perfdata::{Attr, CpuMode, Event, Features, Mmap, PerfData, SampleId, Writer};
use goflame::sources::{ImageAbsence, ImageBytes, Images, MappedId};
use image::{DATA, ElfKind, Section, TEXT, TEXT_SIZE, elf};
use libfuzzer_sys::fuzz_target;

const STACK: u64 = 0x7000_0000;
/// Offset of the code in the file (tests/fuzz/image).
const TEXT_OFFSET: u64 = 64 + 2 * 56;
/// Bits of frame pointer, stack pointer and instruction pointer (`asm/perf_regs.h`).
const REGISTERS: u64 = 1 << 6 | 1 << 7 | 1 << 8;

struct Program(Vec<u8>);

impl Images for Program {
    fn image(&self, _file: &MappedId) -> Result<ImageBytes, ImageAbsence> {
        Ok(Arc::new(self.0.clone()))
    }
}

fn decode_word(bytes: &[u8]) -> u64 {
    let number = u64::from(bytes[1]) | u64::from(bytes[2]) << 8;
    match bytes[0] % 3 {
        0 => TEXT + number % TEXT_SIZE,
        1 => STACK + number % 0x400,
        _ => number.wrapping_mul(0x1_0001_0001_0001),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (frames, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*size))));
    let Some((head, rest)) = rest.split_first_chunk::<6>() else { return };
    let ip = TEXT + u64::from(u16::from_le_bytes([head[0], head[1]])) % TEXT_SIZE;
    let (chain, stack) = rest.split_at(rest.len().min(3 * usize::from(head[5])));
    let chain: Vec<u64> = [ip].into_iter().chain(chain.chunks_exact(3).map(decode_word)).collect();
    let stack: Vec<u64> = stack.chunks_exact(3).map(decode_word).take(4096).collect();

    let section = Section { name: ".eh_frame", compressed: false, address: DATA, bytes: frames };
    let program = Program(elf(ElfKind { big_endian: false, is_64_bit: true }, &[], &[section]));
    let fields = [
        sample_type::IP,
        sample_type::TID,
        sample_type::TIME,
        sample_type::CALLCHAIN,
        sample_type::REGS_USER,
        sample_type::STACK_USER,
    ];
    let attr = Attr {
        kind: event_type::SOFTWARE,
        sample_type: fields.into_iter().sum(),
        sample_period_or_freq: 1,
        sample_regs_user: REGISTERS,
        sample_stack_user: 8,
        ..Attr::default()
    };
    let event = Event { name: "cpu-clock".into(), attr, ids: vec![1] };
    let mut writer = Writer::create(Cursor::new(Vec::new()), &[event]).unwrap();
    let (start, len, path) = (TEXT, TEXT_SIZE, b"/c".as_slice());
    let map = Mmap { pid: 1, tid: 1, start, len, pgoff: TEXT_OFFSET, path, is_executable: true, ..Mmap::default() };
    writer.mmap(CpuMode::User, &map, &SampleId::default()).unwrap();
    let size = stack.len() as u64 * 8;
    let mut body = vec![ip, 1 << 32 | 1, 1, chain.len() as u64];
    body.extend(chain);
    body.extend([2, decode_word(&head[2..]), STACK, ip, size]);
    body.extend(stack);
    body.extend((size > 0).then_some(size));
    let body: Vec<u8> = body.into_iter().flat_map(u64::to_le_bytes).collect();
    writer.record(record_type::SAMPLE, CpuMode::User.to_misc(), &body).unwrap();
    let recording = writer.finish(&Features::default()).unwrap().into_inner();

    let data = PerfData::parse(&recording).expect("the recording is valid");
    let analysis =
        analyse(data, &program, |_| Err("no symbols".into()), &AnalyseOptions::default()).expect("an analysis");
    assert_eq!((analysis.profile.total_count(), analysis.quality.stack_copies), (1, u64::from(size > 0)));
});
