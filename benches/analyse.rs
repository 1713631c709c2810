//! What turning a recording into a flame graph costs: `goflame report` against `perf script` with inferno behind it.
//!
//! `cargo bench --bench analyse [-- ROUNDS]`. The recording is a real one: `perf record -g` of a `go build` of
//! `net/http` and all that it needs, some 10^5 samples in dozens of processes.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod measure;

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options as FolderOptions};
use inferno::flamegraph;
use measure::gauge::{Used, as_gauge, gauge};
use measure::{Result, Series, describe_machine, need, rounds_asked, work_directory};

const ROUNDS: usize = 5;
/// Samples per second and CPU.
const FREQUENCY: &str = "4999";
/// Nanoseconds that a sample stands for: inferno adds these up, goflame counts samples.
const PERIOD: u64 = 1_000_000_000 / 4999;
/// The hidden first argument: `BENCH __inferno PERF FORMAT PERF.DATA`.
const INFERNO: &str = "__inferno";

fn main() -> std::result::Result<ExitCode, Box<dyn Error>> {
    if let Some(gauge) = as_gauge() {
        return gauge;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, perf, format, data] = arguments.as_slice()
        && first == INFERNO
    {
        perf_script_and_inferno(Path::new(perf), &format.to_string_lossy(), Path::new(data))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rounds = rounds_asked(ROUNDS)?;
    let (perf, go) = (need("perf")?, need("go")?);
    println!("\nAnalysis of a recording, medians of {rounds} interleaved rounds");
    println!("{}", describe_machine(&perf, &go)?);

    let directory = work_directory()?;
    let bench = Bench { perf, scratch: directory.path().to_owned() };
    let data = bench.record(&go)?;
    for format in ["folded", "svg"] {
        bench.compare(&data, format, rounds)?;
    }
    println!("{NOTES}");
    Ok(ExitCode::SUCCESS)
}

const NOTES: &str = "\
In brackets: the lowest and the highest ratio of a round.
perf + inferno: `perf script --no-inline` piped into inferno's collapse library (one thread; the two run side by side
  on two CPUs) and, for svg, its flame graph. goflame: one thread.
--no-inline: goflame does not expand inlined calls yet, so perf is not asked to either. Here it should change little: Go's
  own tools, which most of the samples are in, come without DWARF.
inferno leaves out samples for which perf script prints no stack, so the two counts may differ by a few.
Peak memory: of the largest process.";

/// The benchmark's surroundings.
struct Bench {
    perf: PathBuf,
    scratch: PathBuf,
}

/// One way to analyse, over all rounds.
#[derive(Default)]
struct Way {
    wall: Series,
    cpu: Series,
    peak_mib: Series,
}

impl Way {
    fn push(&mut self, used: Used) {
        self.wall.push(used.wall);
        self.cpu.push(used.cpu);
        self.peak_mib.push(used.peak_kib / 1024.0);
    }
}

impl Bench {
    /// Samples a build with an empty cache, so that there is something to compile.
    fn record(&self, go: &Path) -> Result<PathBuf> {
        let data = self.scratch.join("perf.data");
        let cache = self.scratch.join("go-build");
        let status = Command::new(&self.perf)
            .arg("--buildid-dir")
            .arg(self.scratch.join("buildid"))
            .args(["record", "--quiet", "-g", "-e", "cpu-clock", "-F", FREQUENCY, "-o"])
            .args([&data, Path::new("--"), go])
            .args(["build", "net/http"])
            .env("GOCACHE", &cache)
            .current_dir(&self.scratch)
            .status()?;
        if !status.success() {
            return Err(format!("perf record: {status}").into());
        }
        fs::remove_dir_all(&cache)?;
        let mebibytes = fs::metadata(&data)?.len() as f64 / f64::from(1 << 20);
        println!("recording: `go build net/http` with an empty cache at {FREQUENCY} Hz, {mebibytes:.1} MiB\n");
        Ok(data)
    }

    fn compare(&self, data: &Path, format: &str, rounds: usize) -> Result<()> {
        let mut goflame: Vec<OsString> = vec![env!("CARGO_BIN_EXE_goflame").into(), "-C".into()];
        goflame.extend([self.scratch.clone().into(), "report".into(), data.into()]);
        goflame.extend(["--quiet", "--format", format].map(Into::into));
        let perf: Vec<OsString> =
            vec![std::env::current_exe()?.into(), INFERNO.into(), self.perf.clone().into(), format.into(), data.into()];
        let outputs = ["goflame.out", "perf.out"].map(|name| self.scratch.join(name));
        let (mut goflame_way, mut perf_way) = (Way::default(), Way::default());
        // The first round warms the page cache and does not count.
        for round in 0..=rounds {
            for (command, output, way) in
                [(&goflame, &outputs[0], &mut goflame_way), (&perf, &outputs[1], &mut perf_way)]
            {
                let used = gauge(&self.scratch, command.clone(), File::create(output)?.into())?;
                if round > 0 {
                    way.push(used);
                }
            }
        }

        println!("{format:<24}{:>9}{:>16}  {:<20}", "goflame", "perf + inferno", "goflame/perf");
        for (what, figure) in [
            ("wall s", (|way| &way.wall) as fn(&Way) -> &Series),
            ("CPU s", |way| &way.cpu),
            ("peak memory MiB", |way| &way.peak_mib),
        ] {
            let (own, other) = (figure(&goflame_way), figure(&perf_way));
            println!("{what:<24}{:>9.2}{:>16.2}  {:<20}", own.median(), other.median(), own.over(other));
        }
        if format == "folded" {
            let [own, other] = outputs.map(|output| counts(&output));
            println!("samples in the output: goflame {}, perf + inferno {}", own?, other? / PERIOD);
        }
        println!();
        Ok(())
    }
}

/// The sum of a folded file's counts: both must have analysed the same samples.
fn counts(folded: &Path) -> Result<u64> {
    let text = fs::read(folded)?;
    let counts = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let count = |line: &[u8]| Some(String::from_utf8_lossy(line).rsplit(' ').next()?.parse::<u64>());
    counts.map(|line| Ok(count(line).ok_or("a line without a count")??)).sum()
}

/// The usual pipeline, with inferno as a library instead of as two more processes.
fn perf_script_and_inferno(perf: &Path, format: &str, data: &Path) -> Result<()> {
    let mut script = Command::new(perf)
        .args(["script", "--no-inline", "-i"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let text = BufReader::with_capacity(1 << 20, script.stdout.take().ok_or("no pipe")?);
    let mut options = FolderOptions::default();
    options.nthreads = 1;
    let mut folded = Vec::new();
    Folder::from(options).collapse(text, &mut folded)?;
    let status = script.wait()?;
    if !status.success() {
        return Err(format!("perf script: {status}").into());
    }
    let mut out = std::io::stdout().lock();
    if format == "svg" {
        flamegraph::from_reader(&mut flamegraph::Options::default(), folded.as_slice(), &mut out)?;
    } else {
        out.write_all(&folded)?;
    }
    Ok(out.flush()?)
}
