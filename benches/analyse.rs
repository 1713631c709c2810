//! Cost of turning a recording into a flame graph: compares `goflame report` with `perf script` piped into inferno.
//!
//! `cargo bench --bench analyse [-- ROUNDS]`. The recording is `perf record -g` of a `go build` of Go's standard
//! library, with about 3 · 10^5 samples (on two CPUs) in hundreds of processes. Inferno is measured twice: as commands
//! in a pipe, if they are installed, and as a library without pipes, which is its best case. samply and the Perl
//! scripts of flame graphs are measured if they are installed. The accuracy of the stacks is printed after the times.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod accuracy;
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
use measure::gauge::{ResourceUsage, run_as_gauge, run_gauged};
use measure::{Result, Series, describe_machine, find_tool, requested_rounds, work_directory};

const DEFAULT_ROUNDS: usize = 5;
/// Samples per second and CPU. On two CPUs, a build gives about 3 · 10^5 samples.
const FREQUENCY_HZ: u64 = 6499;
/// Weight of a sample in nanoseconds. inferno sums weights, goflame counts samples.
const PERIOD_NS: u64 = 1_000_000_000 / FREQUENCY_HZ;
/// The hidden first argument that runs inferno's library: `BENCH __inferno PERF FORMAT PERF.DATA`.
const INFERNO_ARGUMENT: &str = "__inferno";
/// Name of [`perf_script_and_inferno`] in the output.
const LIBRARY_NAME: &str = "inferno library";
/// The pipes that users type: a name, the command that folds the text of `perf script`, and the command that draws.
const PIPES: [(&str, &str, &str); 2] = [
    ("perf + inferno", "inferno-collapse-perf", "inferno-flamegraph"),
    ("perf + perl", "stackcollapse-perf.pl", "flamegraph.pl"),
];

fn main() -> std::result::Result<ExitCode, Box<dyn Error>> {
    if let Some(gauge) = run_as_gauge() {
        return gauge;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, perf, format, data] = arguments.as_slice()
        && first == INFERNO_ARGUMENT
    {
        perf_script_and_inferno(Path::new(perf), &format.to_string_lossy(), Path::new(data))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rounds = requested_rounds(DEFAULT_ROUNDS)?;
    let (perf, go) = (find_tool("perf")?, find_tool("go")?);
    println!("\nAnalysis of a recording, medians of {rounds} interleaved rounds");
    println!("{}", describe_machine(&perf, &go)?);

    let directory = work_directory()?;
    let bench = Bench { perf, scratch: directory.path().to_owned() };
    let data = bench.record_build(&go)?;
    let tenth = bench.write_first_tenth(&data)?;
    for format in ["folded", "svg"] {
        bench.compare(&data, format, rounds)?;
    }
    bench.compare_sizes(&data, &tenth, rounds)?;
    accuracy::compare(&bench.perf, &go, &bench.scratch)?;
    println!("{NOTES}");
    Ok(ExitCode::SUCCESS)
}

const NOTES: &str = "\
times as fast: the wall time of the other tool divided by goflame's. In brackets: the lowest and the highest round.
Each command runs twice in a row, and the second run counts: the files that it reads are then in memory, including the
  kernel symbols that goflame and perf cache.
perf + inferno: `perf script --no-inline` piped into inferno-collapse-perf and, for svg, inferno-flamegraph, as in
  inferno's documentation.
inferno library: the same without a pipe between the two: one program reads from perf script and calls inferno's
  library to collapse (one thread; in parallel with perf script) and to draw. Users do not do this.
--no-inline: perf does not expand inlined calls of Go, and would only take longer.
perf + perl: `perf script --no-inline` piped into stackcollapse-perf.pl and, for svg, flamegraph.pl.
samply: `samply import --save-only`, which does not symbolise.
inferno leaves out samples for which perf script prints no stack, so the two counts can differ slightly.
Peak memory: of the largest process.";

/// Tools and working directory of the benchmark.
struct Bench {
    perf: PathBuf,
    scratch: PathBuf,
}

/// The figures of one tool in all rounds.
#[derive(Default)]
struct ToolFigures {
    wall_seconds: Series,
    cpu_seconds: Series,
    peak_mib: Series,
}

impl ToolFigures {
    fn push(&mut self, used: ResourceUsage) {
        self.wall_seconds.push(used.wall_seconds);
        self.cpu_seconds.push(used.cpu_seconds);
        self.peak_mib.push(used.peak_kib / 1024.0);
    }
}

impl Bench {
    /// Records a build with an empty cache, so that the build has work.
    fn record_build(&self, go: &Path) -> Result<PathBuf> {
        let data = self.scratch.join("perf.data");
        let cache = self.scratch.join("go-build");
        let status = Command::new(&self.perf)
            .arg("--buildid-dir")
            .arg(self.scratch.join("buildid"))
            .args(["record", "--quiet", "-g", "-e", "cpu-clock", "-F", &FREQUENCY_HZ.to_string(), "-o"])
            .args([&data, Path::new("--"), go])
            .args(["build", "std"])
            .env("GOCACHE", &cache)
            .current_dir(&self.scratch)
            .status()?;
        if !status.success() {
            return Err(format!("perf record: {status}").into());
        }
        fs::remove_dir_all(&cache)?;
        let mebibytes = fs::metadata(&data)?.len() as f64 / f64::from(1 << 20);
        println!("recording: `go build std` with an empty cache at {FREQUENCY_HZ} Hz, {mebibytes:.1} MiB\n");
        Ok(data)
    }

    /// Writes the first tenth of a recording to a new file, as if perf had been killed then. Returns the path.
    fn write_first_tenth(&self, data: &Path) -> Result<PathBuf> {
        /// Position of the data size in the header. The size 0 means that perf was killed.
        const DATA_SIZE: std::ops::Range<usize> = 48..56;
        let mut bytes = fs::read(data)?;
        bytes.truncate(bytes.len() / 10);
        bytes.get_mut(DATA_SIZE).ok_or("the recording is empty")?.fill(0);
        let tenth = self.scratch.join("tenth.data");
        fs::write(&tenth, bytes)?;
        Ok(tenth)
    }

    fn goflame_command(&self, data: &Path, format: &str) -> Vec<OsString> {
        let mut goflame: Vec<OsString> = vec![env!("CARGO_BIN_EXE_goflame").into(), "-C".into()];
        goflame.extend([self.scratch.clone().into(), "report".into(), data.into()]);
        goflame.extend(["--quiet", "--format", format].map(Into::into));
        goflame
    }

    /// Returns the commands of the other tools, each with its name.
    fn other_commands(&self, data: &Path, format: &str) -> Result<Vec<(&'static str, Vec<OsString>)>> {
        let mut library: Vec<OsString> = vec![std::env::current_exe()?.into(), INFERNO_ARGUMENT.into()];
        library.extend([self.perf.clone().into(), format.into(), data.into()]);
        let mut others = vec![(LIBRARY_NAME, library)];
        for (name, collapse, draw) in PIPES {
            let (Ok(collapse), Ok(draw)) = (which::which(collapse), which::which(draw)) else {
                println!("{collapse} and {draw} are not installed: left out");
                continue;
            };
            let draw = if format == "svg" { format!(" | {}", draw.display()) } else { String::new() };
            let pipe = format!(
                "{} script --no-inline -i {} 2>/dev/null | {}{draw}",
                self.perf.display(),
                data.display(),
                collapse.display()
            );
            others.push((name, ["sh", "-c", &pipe].map(Into::into).to_vec()));
        }
        match which::which("samply") {
            Ok(samply) => {
                let mut import: Vec<OsString> = vec![samply.into(), "import".into(), data.into()];
                let output = self.scratch.join("samply.json");
                import.extend(["--save-only".into(), "--output".into(), output.into_os_string()]);
                others.push(("samply", import));
            }
            Err(_) => println!("samply is not installed: left out"),
        }
        Ok(others)
    }

    /// Runs a command twice and measures the second run. Then all files that the command reads are in memory: the recording
    /// and the programs in it, the tool itself, and its caches.
    fn measure_second_run(&self, command: &[OsString], output: &Path) -> Result<ResourceUsage> {
        run_gauged(&self.scratch, command.to_vec(), File::create(output)?.into())?;
        run_gauged(&self.scratch, command.to_vec(), File::create(output)?.into())
    }

    fn compare(&self, data: &Path, format: &str, rounds: usize) -> Result<()> {
        let mut commands = vec![("goflame", self.goflame_command(data, format))];
        commands.extend(self.other_commands(data, format)?);
        let output = |name: &str| self.scratch.join(name.replace(' ', "-")).with_extension("out");
        let mut tools: Vec<ToolFigures> = commands.iter().map(|_| ToolFigures::default()).collect();
        for _ in 0..rounds {
            for ((name, command), tool) in commands.iter().zip(&mut tools) {
                tool.push(self.measure_second_run(command, &output(name))?);
            }
        }

        println!("{format:<16}{:>9}{:>9}{:>17}  goflame is … times as fast", "wall s", "CPU s", "peak memory MiB");
        let own = &tools[0];
        for ((name, _), tool) in commands.iter().zip(&tools) {
            let (wall, cpu, peak) = (tool.wall_seconds.median(), tool.cpu_seconds.median(), tool.peak_mib.median());
            let times = if *name == "goflame" {
                String::new()
            } else {
                tool.wall_seconds.ratio_to(&own.wall_seconds).to_string()
            };
            println!("{name:<16}{wall:>9.2}{cpu:>9.2}{peak:>17.1}  {times}");
        }
        let size = fs::metadata(data)?.len() as f64 / f64::from(1 << 20);
        println!("goflame's peak memory: {:.2} of the file's size", own.peak_mib.median() / size);
        if format == "folded" {
            let (own, other) = (sum_counts(&output("goflame"))?, sum_counts(&output(LIBRARY_NAME))? / PERIOD_NS);
            println!("samples in the output: goflame {own}, inferno {other}");
        }
        println!();
        Ok(())
    }

    /// Compares time and memory for the whole recording with time and memory for a tenth of it.
    fn compare_sizes(&self, data: &Path, tenth: &Path, rounds: usize) -> Result<()> {
        let (mut all, mut part) = (ToolFigures::default(), ToolFigures::default());
        let mut samples = [0; 2];
        for _ in 0..rounds {
            for ((file, figures), samples) in [(data, &mut all), (tenth, &mut part)].into_iter().zip(&mut samples) {
                let output = self.scratch.join("scaling.out");
                figures.push(self.measure_second_run(&self.goflame_command(file, "folded"), &output)?);
                *samples = sum_counts(&output)?;
            }
        }
        println!(
            "{:.1} times the samples: {} times the time, {} times the peak memory\n",
            samples[0] as f64 / samples[1] as f64,
            all.wall_seconds.ratio_to(&part.wall_seconds),
            all.peak_mib.ratio_to(&part.peak_mib)
        );
        Ok(())
    }
}

/// Sums the counts of a folded file.
fn sum_counts(folded: &Path) -> Result<u64> {
    let text = fs::read(folded)?;
    let counts = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let count = |line: &[u8]| Some(String::from_utf8_lossy(line).rsplit(' ').next()?.parse::<u64>());
    counts.map(|line| Ok(count(line).ok_or("a line without a count")??)).sum()
}

/// Does the same as the first of [`PIPES`], with inferno as a library in this process. Writes the result to stdout.
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
