//! Checks a program with 200 busy threads: no sample is lost, and goflame's memory does not grow with the recording.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::{Project, Run, print_figure, wait_for_turn};

const THREADS: usize = 200;

/// Samples per second and CPU.
const FREQUENCY: u32 = 997;

/// A measurement during a recording.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    /// Size of perf.data, in bytes.
    perf_data: u64,
    /// Resident memory of goflame itself, in bytes.
    resident: u64,
}

/// `VmRSS` of a process, in bytes. Not the peak, which includes memory that was freed before the recording.
fn resident_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The size of the perf.data file that is being written, anywhere below a directory.
fn size_of_recording(directory: &Path) -> Option<u64> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory {
            size_of_recording(&path)
        } else if entry.file_name() == "perf.data" {
            entry.metadata().ok().map(|metadata| metadata.len())
        } else {
            None
        }
    })
}

#[test]
fn two_hundred_busy_threads_lose_no_sample_and_need_no_more_memory() {
    let _alone = wait_for_turn();
    let settings = "[app]\npackage = '.'\nname = 'threads'\n[build]\nvariant = 'release'\n[archive]\nraw = true\n";
    let project = Project::from_workload("threads", settings);
    let mut command = project.goflame();
    command.args(["run", "--json", "-F", &FREQUENCY.to_string(), "--"]);
    command.args(["-n", &THREADS.to_string(), "-seconds", "4"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = read_in_thread(child.stdout.take().unwrap());
    let stderr = read_in_thread(child.stderr.take().unwrap());
    let mut measurements = Vec::new();
    let status = loop {
        if let (Some(perf_data), Some(resident)) =
            (size_of_recording(&project.path(".goflame")), resident_memory(child.id()))
        {
            measurements.push(Measurement { perf_data, resident });
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let output = Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = Run::from_output(&output);

    assert!(run.stdout_log().starts_with(&format!("threads {THREADS} ")), "{}", run.stdout_log());
    assert_eq!(run.quality("lost"), 0);
    let cpu = &run.summary()["quality"]["figures"]["cpu"];
    let (sampled, used) = (cpu["sampled_seconds"].as_f64().unwrap(), cpu["used_seconds"].as_f64().unwrap());
    let seen = sampled * 100.0 / used;
    // When a thread ends, its unfinished period on each CPU is not sampled. On average that is half a period for each CPU.
    let cpus = std::thread::available_parallelism().unwrap().get();
    let unfinished = (THREADS * cpus) as f64 * 0.5 / f64::from(FREQUENCY);
    assert!(
        sampled > used * 0.9 - unfinished && sampled < used * 1.1,
        "{seen:.1} % of {used:.2} CPU seconds were seen"
    );

    // Measures only while the file grows, before the analysis starts. In the first quarter, buffers still grow.
    let size = measurements.last().unwrap().perf_data;
    let middle = size / 4..size * 9 / 10;
    let recording = measurements.iter().filter(|moment| middle.contains(&moment.perf_data));
    let recording: Vec<Measurement> = recording.copied().collect();
    let (first, last) = (recording[0], recording[recording.len() - 1]);
    let most = recording.iter().map(|moment| moment.resident).max().unwrap();
    let (file, memory) = (last.perf_data - first.perf_data, most - first.resident);
    print_figure(&format!(
        "threads: {} samples of {THREADS} threads, 0 lost, {seen:.1} % of CPU time seen; while perf.data grew by {file} \
         bytes, goflame's memory grew by {memory} bytes from {}",
        run.quality("samples"),
        first.resident
    ));
    assert!(memory * 4 <= file, "perf.data grew by {file} bytes, and goflame's memory by {memory}");
}

/// Reads a pipe to its end in a thread, so that the writer never blocks.
fn read_in_thread(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}
