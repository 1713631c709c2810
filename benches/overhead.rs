//! Cost of sampling for the sampled program: compares goflame and `perf record` with the program without sampling.
//!
//! `cargo bench --bench overhead [-- ROUNDS]`. Each round runs the same binary without a sampler, under `goflame run` and
//! under `perf record -g`, one after the other, so that other load affects all three.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod measure;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use goflame::perfdata::{PerfData, RecordKind, unpack};
use measure::gauge::{ResourceUsage, gauge_command, run_as_gauge, run_gauged};
use measure::{Result, Series, describe_machine, find_tool, requested_rounds, work_directory};
use serde_json::Value;

const DEFAULT_ROUNDS: usize = 7;
/// Samples per second and CPU: goflame's default, and a higher frequency whose cost is larger than the noise.
const FREQUENCIES_HZ: [u32; 2] = [997, 9973];
/// The event of both samplers. Not every machine has a cycle counter.
const EVENT: &str = "cpu-clock";

fn main() -> std::result::Result<ExitCode, Box<dyn Error>> {
    if let Some(gauge) = run_as_gauge() {
        return gauge;
    }
    let rounds = requested_rounds(DEFAULT_ROUNDS)?;
    let (perf, go) = (find_tool("perf")?, find_tool("go")?);
    println!("\nOverhead of sampling on {EVENT}, medians of {rounds} interleaved rounds");
    println!("{}\n", describe_machine(&perf, &go)?);

    let directory = work_directory()?;
    let bench = Bench { perf, scratch: directory.path().to_owned() };
    let permitted: u32 = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate")?.trim().parse()?;
    for frequency in FREQUENCIES_HZ {
        if frequency > permitted {
            println!("{frequency} Hz: left out, kernel.perf_event_max_sample_rate is {permitted}\n");
            continue;
        }
        for work in ["mixed", "threads"] {
            let program = bench.create_project("work", work)?;
            bench.measure(&program, frequency, rounds)?.print(&format!("{work}, {frequency} Hz"));
        }
    }
    let noop = bench.measure(&bench.create_project("noop", "")?, FREQUENCIES_HZ[0], rounds)?;
    noop.print_fixed_cost();
    println!("{NOTES}");
    Ok(ExitCode::SUCCESS)
}

const NOTES: &str = "\
In brackets: the lowest and the highest ratio of all rounds.
workload: the program from its start to its end, as the kernel accounts it (getrusage of the process tree; for goflame,
  the figures in manifest.json). Sampling interrupts the program, and this time counts as the program's.
whole command: `goflame run --release`, which finds Go, builds (nothing to do), checks, runs, samples, analyses, draws
  and archives; and `perf record -g`, which only samples. CPU includes the CPU time of the workload.";

/// Tools and working directory of the benchmark.
struct Bench {
    perf: PathBuf,
    scratch: PathBuf,
}

/// A program to sample, as a goflame project.
struct Program {
    project: PathBuf,
    binary: PathBuf,
    argument: Option<String>,
}

/// The figures of one way to run the program, in all rounds.
#[derive(Default)]
struct RunFigures {
    workload_cpu: Series,
    workload_wall: Series,
    whole_cpu: Series,
    whole_wall: Series,
    /// Samples per second of the workload's CPU time.
    samples_per_second: Series,
    /// Number of lost records in all rounds.
    lost_records: u64,
}

/// The figures of all three ways to run the program.
#[derive(Default)]
struct ProgramFigures {
    bare: RunFigures,
    goflame: RunFigures,
    perf: RunFigures,
    /// Wall time of `goflame run` without its `go build`.
    wall_without_build: Series,
}

impl Bench {
    /// Copies the Go module of the workloads into a new project. The first run builds the binary.
    fn create_project(&self, name: &str, argument: &str) -> Result<Program> {
        let project = self.scratch.join(format!("{name}{argument}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/work");
        fs::create_dir_all(project.join("noop"))?;
        for file in ["go.mod", "main.go", "noop/main.go"] {
            fs::copy(source.join(file), project.join(file))?;
        }
        let package = if name == "noop" { "./noop" } else { "." };
        fs::write(project.join("goflame.toml"), format!("[app]\npackage = \"{package}\"\nname = \"{name}\"\n"))?;
        let binary = project.join(".goflame/build/release").join(name);
        let argument = Some(argument.to_owned()).filter(|argument| !argument.is_empty());
        Ok(Program { project, binary, argument })
    }

    fn measure(&self, program: &Program, frequency: u32, rounds: usize) -> Result<ProgramFigures> {
        let frequency = frequency.to_string();
        // Not measured: builds the binary and fills the caches of Go and perf.
        let mut warm_up = ProgramFigures::default();
        self.run_goflame(program, &frequency, &mut warm_up)?;
        self.run_perf(program, &frequency, &mut warm_up.perf)?;
        let mut measured = ProgramFigures::default();
        for _ in 0..rounds {
            let bare = run_gauged(&self.scratch, program.command(), Stdio::null())?;
            measured.bare.push(bare, bare);
            self.run_goflame(program, &frequency, &mut measured)?;
            self.run_perf(program, &frequency, &mut measured.perf)?;
        }
        Ok(measured)
    }

    fn run_goflame(&self, program: &Program, frequency: &str, measured: &mut ProgramFigures) -> Result<()> {
        let mut command: Vec<OsString> = vec![env!("CARGO_BIN_EXE_goflame").into(), "-C".into()];
        command.push(program.project.clone().into());
        command
            .extend(["run", "--release", "--quiet", "--json", "--event", EVENT, "--freq", frequency].map(Into::into));
        if let Some(argument) = &program.argument {
            command.extend(["--".into(), argument.into()]);
        }
        let answer = self.scratch.join("goflame.json");
        let whole = run_gauged(&self.scratch, command, fs::File::create(&answer)?.into())?;
        let answer: Value = serde_json::from_slice(&fs::read(&answer)?)?;
        let run = PathBuf::from(answer["dir"].as_str().ok_or("goflame names no directory")?);
        let manifest: Value = serde_json::from_slice(&fs::read(run.join("manifest.json"))?)?;
        let seconds = |section: &str, key: &str| {
            manifest[section][key].as_f64().ok_or_else(|| format!("no {section}.{key} in the manifest"))
        };
        let workload = ResourceUsage {
            wall_seconds: seconds("workload", "wall_seconds")?,
            cpu_seconds: seconds("workload", "user_seconds")? + seconds("workload", "system_seconds")?,
            ..whole
        };
        measured.wall_without_build.push(whole.wall_seconds - seconds("build", "seconds")?);
        measured.goflame.push(workload, whole);
        measured.goflame.count_records(&run.join("perf.data"), workload)
    }

    fn run_perf(&self, program: &Program, frequency: &str, figures: &mut RunFigures) -> Result<()> {
        let (data, inner) = (self.scratch.join("perf.data"), self.scratch.join("inner.json"));
        // perf's cache of binaries is part of its cost, but must not be in the user's home directory.
        let cache = self.scratch.join("buildid");
        let mut command: Vec<OsString> = vec![self.perf.clone().into(), "--buildid-dir".into(), cache.into()];
        command.extend(["record", "--quiet", "-g", "-e", EVENT, "-F", frequency, "-o"].map(Into::into));
        command.extend([data.clone().into(), "--".into()]);
        command.extend(gauge_command(&inner, program.command())?);
        let whole = run_gauged(&self.scratch, command, Stdio::null())?;
        let workload = ResourceUsage::read(&inner)?;
        figures.push(workload, whole);
        figures.count_records(&data, workload)
    }
}

impl Program {
    fn command(&self) -> Vec<OsString> {
        let mut command = vec![self.binary.clone().into()];
        command.extend(self.argument.iter().map(OsString::from));
        command
    }
}

impl RunFigures {
    fn push(&mut self, workload: ResourceUsage, whole: ResourceUsage) {
        self.workload_cpu.push(workload.cpu_seconds);
        self.workload_wall.push(workload.wall_seconds);
        self.whole_cpu.push(whole.cpu_seconds);
        self.whole_wall.push(whole.wall_seconds);
    }

    /// Counts samples and lost records, because a sampler that takes fewer samples costs less.
    fn count_records(&mut self, perf_data: &Path, workload: ResourceUsage) -> Result<()> {
        let mut samples = 0_u32;
        let bytes = fs::read(perf_data)?;
        let bytes = unpack(&bytes, &[])?.unwrap_or(bytes);
        for record in PerfData::parse(&bytes)?.records() {
            match record?.kind {
                RecordKind::Sample(_) => samples += 1,
                RecordKind::Lost { lost, .. } | RecordKind::LostSamples { lost } => self.lost_records += lost,
                _ => {}
            }
        }
        self.samples_per_second.push(f64::from(samples) / workload.cpu_seconds);
        Ok(())
    }
}

impl ProgramFigures {
    fn print(&self, title: &str) {
        let Self { bare, goflame, perf, .. } = self;
        print_header(title);
        let row = |label: &str, figure: fn(&RunFigures) -> &Series| {
            print_row(label, figure(bare), figure(goflame), figure(perf));
        };
        row("workload, CPU s", |figures| &figures.workload_cpu);
        row("workload, wall s", |figures| &figures.workload_wall);
        row("whole command, CPU s", |figures| &figures.whole_cpu);
        row("whole command, wall s", |figures| &figures.whole_wall);
        println!(
            "samples per CPU second of the workload: goflame {:.0} ({} lost), perf {:.0} ({} lost)\n",
            goflame.samples_per_second.median(),
            goflame.lost_records,
            perf.samples_per_second.median(),
            perf.lost_records
        );
    }

    /// Prints the fixed cost of the commands, measured with a program that does nothing.
    fn print_fixed_cost(&self) {
        let Self { goflame, perf, wall_without_build, .. } = self;
        println!("{:<24}{:>8}{:>9}{:>9}  {:<20}", "no-op", "", "goflame", "perf", "goflame/perf");
        for (label, own, other) in [
            ("whole command, wall ms", &goflame.whole_wall, &perf.whole_wall),
            ("  without its go build", wall_without_build, &perf.whole_wall),
            ("whole command, CPU ms", &goflame.whole_cpu, &perf.whole_cpu),
        ] {
            let milliseconds = |series: &Series| series.median() * 1e3;
            println!("{label:<32}{:>9.0}{:>9.0}  {:<20}", milliseconds(own), milliseconds(other), own.ratio_to(other));
        }
        println!();
    }
}

fn print_header(title: &str) {
    println!(
        "{title:<24}{:>8}{:>9}{:>9}  {:<20}{:<20}{:<20}",
        "bare", "goflame", "perf", "goflame/bare", "perf/bare", "goflame/perf"
    );
}

fn print_row(label: &str, bare: &Series, goflame: &Series, perf: &Series) {
    println!(
        "{label:<24}{:>8.3}{:>9.3}{:>9.3}  {:<20}{:<20}{:<20}",
        bare.median(),
        goflame.median(),
        perf.median(),
        goflame.ratio_to(bare),
        perf.ratio_to(bare),
        goflame.ratio_to(perf)
    );
}
