//! Writes the rewritten recording during the analysis: a sample gets its repaired stack in place of registers and stack copy.
//! Each shard writes its records to a temporary file. These parts are joined at the end.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use super::chain::SplitCallchain;
use super::last_stack::RawStack;
use super::needed::{NeededRecords, Tasks};
use super::unwind::{MissingCallers, RepairOutcome};
use crate::perfdata::abi::{RECORD_HEADER, context, record_type};
use crate::perfdata::{
    CpuMode, Error, Event, Features, KnownGoroutine, MAX_COMPRESSED_BYTES, PerfData, RawAddress, Record, RecordKind,
    Repairs, Rewriting, SampleFacts, Writer,
};
use crate::profile::Interner;
use crate::sources::LabelSet;

/// Size of the write buffer of a part, to save system calls.
const PART_BUFFER_BYTES: usize = 1 << 18;

const KERNEL_MARKER: RawAddress = context::KERNEL.to_le_bytes();
const USER_MARKER: RawAddress = context::USER.to_le_bytes();

/// Number of records in a round. After a round, readers can release its records.
const ROUND_RECORDS: usize = 1 << 14;

/// Opens an empty temporary file. Called for each shard, on any thread.
pub(super) type OpenTemporary<'o> = &'o (dyn Fn() -> io::Result<File> + Sync);

/// How records are rewritten, and where they are written.
#[derive(Clone, Copy)]
pub(super) struct Rewrite<'o> {
    pub(super) form: Rewriting,
    pub(super) open: OpenTemporary<'o>,
}

/// The rewritten records of a shard, in the order of time.
#[derive(Debug)]
pub(super) struct RepairedPart {
    form: Rewriting,
    /// The temporary file, or the first error of opening or writing it.
    out: io::Result<BufWriter<File>>,
    /// Number of bytes of all records in the temporary file.
    record_bytes: u64,
    /// Goroutines of the samples. The facts of a sample refer to a position in this list.
    goroutines: Interner<KnownGoroutine>,
    /// The smallest and the largest period of all samples. `None` without samples.
    periods: Option<(u64, u64)>,
    tasks: Tasks,
    record: Vec<u8>,
}

impl RepairedPart {
    pub(super) fn new(Rewrite { form, open }: Rewrite<'_>) -> Self {
        let out = open().map(|file| BufWriter::with_capacity(PART_BUFFER_BYTES, file));
        Self {
            form,
            out,
            record_bytes: 0,
            goroutines: Interner::default(),
            periods: None,
            tasks: Tasks::default(),
            record: Vec::new(),
        }
    }

    /// Adds a goroutine to this part, and returns the facts with a reference to it.
    pub(super) fn with_goroutine(&mut self, facts: SampleFacts, goroutine: Option<KnownGoroutine>) -> SampleFacts {
        let at = goroutine.map(|goroutine| self.goroutines.intern(goroutine) as usize);
        facts.with_goroutine(at).unwrap_or_else(|| {
            self.out = Err(io::Error::other("it has too many goroutines"));
            facts
        })
    }

    /// Appends a record. For a sample of the analysed event, `analysed` is the repaired stack and the facts.
    pub(super) fn write(
        &mut self,
        data: &PerfData<'_>,
        record: &Record<'_>,
        analysed: Option<(RawStack<'_>, SampleFacts)>,
    ) {
        let Ok(out) = &mut self.out else { return };
        self.record.clear();
        self.tasks.note(&record.kind);
        let rewritten = if let RecordKind::Sample(sample) = &record.kind {
            let (least, most) = self.periods.unwrap_or((sample.period, sample.period));
            self.periods = Some((least.min(sample.period), most.max(sample.period)));
            let chain = SplitCallchain::from_sample(sample);
            let as_recorded = RawStack { kernel: &chain.kernel, user: &chain.user };
            let (RawStack { kernel, user }, facts) = analysed.unwrap_or((as_recorded, SampleFacts::default()));
            // Addresses without a marker are in user space if the sample was taken there. An empty stack needs a marker,
            // because an empty callchain means the instruction pointer.
            let is_marked = if user.is_empty() {
                kernel.is_empty()
            } else {
                sample.cpu_mode != CpuMode::User || !kernel.is_empty()
            };
            let user_marker = if is_marked { &[USER_MARKER][..] } else { &[] };
            let kernel_marker = if kernel.is_empty() { &[][..] } else { &[KERNEL_MARKER] };
            let callchain = [kernel_marker, kernel, user_marker, user];
            self.form.write_sample(record, sample, callchain, facts, &mut self.record)
        } else {
            self.form.write_other(data.record_bytes(record), &mut self.record)
        };
        let too_long = || io::Error::other("a record is too long");
        if let Err(error) = rewritten.ok_or_else(too_long).and_then(|()| out.write_all(&self.record)) {
            self.out = Err(error);
        }
        self.record_bytes = self.record_bytes.saturating_add(self.record.len() as u64);
    }
}

/// A rewritten recording, in temporary files. [`RepairedRecording::write`] writes the final file.
#[derive(Debug)]
pub struct RepairedRecording {
    parts: Vec<RepairedPart>,
    form: Rewriting,
    events: Vec<Event>,
    sections: Vec<(u32, Vec<u8>)>,
    /// The period of all samples, if all have the same period.
    common_period: Option<u64>,
    needed: NeededRecords,
    repairs: Repairs,
}

impl RepairedRecording {
    pub(super) fn new(
        parts: Vec<RepairedPart>,
        form: Rewriting,
        data: &PerfData<'_>,
        needed_copy_bytes: u64,
        label_sets: &[LabelSet],
        unused_files: HashSet<String>,
    ) -> Self {
        let needed = NeededRecords::new(parts.iter().map(|part| &part.tasks), unused_files);
        let periods = parts.iter().filter_map(|part| part.periods);
        let periods = periods.reduce(|(least, most), (low, high)| (least.min(low), most.max(high)));
        let common_period = periods.filter(|(least, most)| form.has_period() && least == most).map(|(least, _)| least);
        let frequency = data.events().first().map_or(0, |event| event.attr.frequency());
        Self {
            parts,
            form,
            events: data.events().iter().map(|event| Rewriting::rewritten_event(event, common_period)).collect(),
            sections: data.sections().iter().map(|(bit, section)| (*bit, section.to_vec())).collect(),
            common_period,
            needed,
            repairs: Repairs { frequency, needed_copy_bytes, goroutines: Vec::new(), label_sets: label_sets.to_vec() },
        }
    }

    /// Writes the final file, one record at a time. Compresses the records if `is_compressed`, unless they are too
    /// large for [`unpack`](crate::perfdata::unpack()).
    pub fn write<W: Write + Seek>(self, out: W, is_compressed: bool) -> Result<W, Error> {
        let mut writer = Writer::create(out, &self.events)?;
        let record_bytes = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.record_bytes));
        if is_compressed && record_bytes <= MAX_COMPRESSED_BYTES {
            writer = writer.with_compression();
        }
        let mut goroutines = Interner::default();
        let mut records = 0_usize;
        for part in self.parts {
            let own: Vec<u32> = part.goroutines.items().iter().map(|known| goroutines.intern(*known)).collect();
            let own = |facts: SampleFacts| {
                let known = facts.goroutine().map(|at| own.get(at).map(|at| *at as usize));
                facts.with_goroutine(known.flatten())
            };
            let mut file = part.out.and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error));
            let file = file.as_mut().map_err(|error| Error::Write(io::Error::new(error.kind(), error.to_string())))?;
            file.rewind().map_err(Error::Write)?;
            let mut file = BufReader::new(file);
            let mut body = Vec::new();
            while let Some((kind, misc)) = read_record(&mut file, &mut body).map_err(Error::Write)? {
                if kind == record_type::SAMPLE {
                    if self.form.change_facts(&mut body, own).is_none() {
                        return Err(Error::Write(io::Error::other("it has too many goroutines")));
                    }
                    if self.common_period.is_some() {
                        self.form.remove_period(&mut body);
                    }
                }
                if !self.needed.includes(kind, misc, &body) {
                    continue;
                }
                writer.record(kind, misc, &body)?;
                records += 1;
                if records.is_multiple_of(ROUND_RECORDS) {
                    writer.finished_round()?;
                }
            }
        }
        let repairs = Repairs { goroutines: goroutines.items().to_vec(), ..self.repairs };
        writer.finish_like(self.sections, &Features { repairs: Some(repairs), ..Features::default() })
    }
}

/// Reads the next record of a part. Returns type and misc, and fills `body`. `None` at the end.
fn read_record(file: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<(u32, u16)>> {
    let mut header = [0; RECORD_HEADER];
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let [k0, k1, k2, k3, m0, m1, s0, s1] = header;
    body.resize(usize::from(u16::from_le_bytes([s0, s1])).saturating_sub(RECORD_HEADER), 0);
    file.read_exact(body)?;
    Ok(Some((u32::from_le_bytes([k0, k1, k2, k3]), u16::from_le_bytes([m0, m1]))))
}

/// Adds the outcome of a repair to the facts of its sample.
pub(super) fn add_outcome(facts: &mut SampleFacts, outcome: RepairOutcome, missing: Option<MissingCallers>) {
    facts.set(SampleFacts::COPIED, true);
    facts.set(SampleFacts::REPAIRED, outcome == RepairOutcome::Repaired);
    facts.set(SampleFacts::CUT, outcome == RepairOutcome::Cut);
    facts.set(SampleFacts::SHORT_COPY, matches!(missing, Some(MissingCallers::ShortCopy(_))));
    facts.set(SampleFacts::NATIVE_CODE, missing == Some(MissingCallers::NativeCode));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::io::{self, Cursor};

    use super::OpenTemporary;
    use crate::analyse::tests::NoFiles;
    use crate::analyse::{AnalyseOptions, Analysis, analyse};
    use crate::perfdata::abi::{context, flag, misc, record_type, sample_type};
    use crate::perfdata::{
        Attr, CpuMode, Error, Event, Features, MAX_COMPRESSED_BYTES, Mmap, PerfData, SampleId, Writer, unpack,
    };

    /// Records of several kinds, and samples with registers and stack copies. One sample has the second period.
    fn recording(periods: [u64; 2]) -> Vec<u8> {
        let sample_type = sample_type::IDENTIFIER
            | sample_type::IP
            | sample_type::TID
            | sample_type::TIME
            | sample_type::CPU
            | sample_type::PERIOD
            | sample_type::CALLCHAIN
            | sample_type::REGS_USER
            | sample_type::STACK_USER;
        let attr = Attr {
            kind: 1,
            sample_period_or_freq: 997,
            sample_type,
            flags: flag::SAMPLE_ID_ALL | flag::FREQ,
            sample_regs_user: 1 << 6 | 1 << 7 | 1 << 8,
            sample_stack_user: 8,
            ..Attr::default()
        };
        let event = Event { name: "cpu-clock".into(), attr, ids: vec![5] };
        let mut writer = Writer::create(Cursor::new(Vec::new()), &[event]).unwrap();
        let id = SampleId { id: 5, time: 1, ..SampleId::default() };
        writer.comm(7, 7, true, b"app", &id).unwrap();
        let map = Mmap { pid: 7, start: 0x1000, len: 0x1000, path: b"/app", is_executable: true, ..Mmap::default() };
        writer.mmap(CpuMode::User, &map, &id).unwrap();
        let kernel = 1_u64 << 63 | 0x1000;
        let chains: [&[u64]; 4] = [
            &[context::USER, 0x1010, 0x1020],
            &[context::KERNEL, kernel, kernel + 9, context::USER, 0x1010, 0x1030],
            &[context::KERNEL, kernel],
            &[],
        ];
        for (at, chain) in (0_u64..).zip(chains.repeat(3)) {
            let period = periods[usize::from(at == 3)];
            let mut words = vec![5, 0x1010, 7 | 7 << 32, 10 + at, 1, period, chain.len() as u64];
            words.extend(chain);
            // Registers (ABI, BP, SP, IP), and a stack copy of 8 bytes.
            words.extend([2, 0x7000, 0x8000, 0x1010, 8, 0x5ec2_e75e_c2e7_5ec2, 8]);
            let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            writer.record(record_type::SAMPLE, misc::USER, &body).unwrap();
        }
        let lost: Vec<u8> = [5_u64, 3, 7 | 7 << 32, 99, 1, 5].iter().flat_map(|word| word.to_le_bytes()).collect();
        writer.record(record_type::LOST, 0, &lost).unwrap();
        let features = Features { hostname: Some("box".into()), ..Features::default() };
        writer.finish(&features).unwrap().into_inner()
    }

    fn analysed(bytes: &[u8], rewrite: Option<OpenTemporary<'_>>) -> Analysis {
        let options = AnalyseOptions { rewrite, keep_times: true, ..AnalyseOptions::default() };
        analyse(PerfData::parse(bytes).unwrap(), &NoFiles, |_| Err("none".into()), &options).unwrap()
    }

    fn describe_analysis(analysis: &Analysis) -> String {
        let Analysis { profile, quality, notes, .. } = analysis;
        let samples: Vec<_> = profile.samples().iter().map(|sample| (profile.stack(sample.stack), sample)).collect();
        format!("{:?}", (samples, profile.timed_samples(), &profile.event, quality, notes))
    }

    #[test]
    fn a_rewritten_recording_gives_the_same_analysis_and_contains_no_stack_copy() {
        let copied = 0x5ec2_e75e_c2e7_5ec2_u64.to_le_bytes();
        let holds_copy = |bytes: &[u8]| bytes.windows(8).any(|word| word == copied);
        let mut sizes = Vec::new();
        for periods in [[1_003_009, 1_003_009], [1_003_009, 7]] {
            let bytes = recording(periods);
            let [first, second] = [(); 2].map(|()| analysed(&bytes, Some(&tempfile::tempfile)));
            let expected = describe_analysis(&first);
            assert_eq!((first.quality.lost, first.quality.stack_copies > 0), (Some(3), true));
            let rewritten = first.repaired.unwrap().write(Cursor::new(Vec::new()), false).unwrap().into_inner();
            assert!(holds_copy(&bytes) && !holds_copy(&rewritten));
            let again = analysed(&rewritten, Some(&tempfile::tempfile));
            assert_eq!(describe_analysis(&again), expected);
            assert!(!again.has_registers_or_copies && again.repaired.is_none());
            assert_eq!(PerfData::parse(&rewritten).unwrap().features().hostname.as_deref(), Some("box"));
            let compressed = second.repaired.unwrap().write(Cursor::new(Vec::new()), true).unwrap().into_inner();
            assert!(compressed.len() < rewritten.len());
            let unpacked = unpack(&compressed, &[]).unwrap().unwrap();
            assert_eq!(describe_analysis(&analysed(&unpacked, None)), expected);
            assert!(!holds_copy(&unpacked));
            sizes.push(rewritten.len());
        }
        assert_eq!(sizes[1] - sizes[0], 12 * 8, "a period that all samples have is in the file once");
    }

    #[test]
    fn a_recording_too_large_to_be_unpacked_is_not_compressed() {
        let bytes = recording([1, 1]);
        let is_compressed = |record_bytes: Option<u64>| {
            let mut repaired = analysed(&bytes, Some(&tempfile::tempfile)).repaired.unwrap();
            assert!(repaired.parts[0].record_bytes > 12 * 48);
            repaired.parts[0].record_bytes = record_bytes.unwrap_or(repaired.parts[0].record_bytes);
            let file = repaired.write(Cursor::new(Vec::new()), true).unwrap().into_inner();
            unpack(&file, &[]).unwrap().is_some()
        };
        assert_eq!([None, Some(MAX_COMPRESSED_BYTES + 1)].map(is_compressed), [true, false]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_of_the_rewritten_recording_only() {
        let bytes = recording([1, 1]);
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        let analysis = analysed(&bytes, Some(&full));
        assert_eq!(describe_analysis(&analysis), describe_analysis(&analysed(&bytes, None)));
        let error = analysis.repaired.unwrap().write(Cursor::new(Vec::new()), false).unwrap_err();
        assert!(matches!(error, Error::Write(error) if error.kind() == io::ErrorKind::StorageFull));
        // A recording that was cut off is not rewritten.
        assert!(analysed(&bytes[..bytes.len() - 400], Some(&tempfile::tempfile)).repaired.is_none());
    }
}
