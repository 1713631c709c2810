use std::fmt::Write as _;

use super::{is_folded, is_perf_script, read_folded, read_perf_script};
use crate::profile::{Origin, Profile, Sample};

/// Returns each sample as `process: root;…;leaf count weight`. An inlined frame begins with `i:`, a kernel frame with `k:`.
fn format_samples(profile: &Profile) -> Vec<String> {
    let row = |sample: &Sample| {
        let mut frames = Vec::new();
        for location in profile.stack(sample.stack) {
            for (at, frame) in profile.frames(location).iter().enumerate() {
                let function = profile.function(frame.function);
                let mark = if at > 0 { "i:" } else { "" };
                let mark = if function.origin == Origin::Kernel { "k:" } else { mark };
                let line = if frame.line > 0 { format!(":{}", frame.line) } else { String::new() };
                frames.push(format!("{mark}{}{line}", profile.str(function.display)));
            }
        }
        let process = profile.str(profile.task(sample.task).process);
        format!("{process}: {} {} {}", frames.join(";"), sample.count, sample.weight)
    };
    profile.samples().iter().map(row).collect()
}

const FOLDED: &str = "# made by a tool\r\n\
    my_app;runtime.goexit;main.main;main.step_[i];page_fault_[k] 12\r\n\
    \r\n\
    my_app;LInterpreter;_[j] 0\n\
    my_app;main.Map[go.shape.int: x];code made_[j]\t7\n\
    idle 3";

#[test]
fn folded_stacks_are_read_with_their_annotations() {
    assert!(is_folded(FOLDED.as_bytes()));
    let read = read_folded(FOLDED.as_bytes()).unwrap();
    assert_eq!(
        format_samples(&read.profile),
        [
            "my_app: runtime.goexit;main.main;i:main.step;k:page_fault 12 12",
            "my_app: main.Map[...];code made 7 7",
            "idle:  3 3",
        ]
    );
    assert_eq!(read.notes, [""; 0]);
    assert_eq!((read.quality.samples, read.quality.kernel_frames), (Some(22), 12));
}

#[test]
fn a_function_at_the_root_is_not_a_process() {
    let read = read_folded(b"runtime.goexit;main.main 1\nmain.main;main.f 2\n").unwrap();
    assert_eq!(format_samples(&read.profile), [": runtime.goexit;main.main 1 1", ": main.main;main.f 2 2"]);
    let read = read_folded(b"main.test;runtime.goexit 1\n").unwrap();
    assert_eq!(format_samples(&read.profile), ["main.test: runtime.goexit 1 1"]);
}

#[test]
fn fractions_of_weights_are_kept() {
    let read = read_folded(b"a;b 0.25\na;c 1.5\na;d 2.000\n").unwrap();
    assert_eq!(format_samples(&read.profile), ["a: b 25 25", "a: c 150 150", "a: d 200 200"]);
    assert_eq!(read.notes, ["the weights have fractions: they are shown multiplied by 100"]);
    assert!(!read.profile.event.is_sampled());
}

#[test]
fn lines_without_a_weight_are_counted() {
    let read = read_folded(b"a;b 1\nno weight here\na;c 2\na;d -3\n").unwrap();
    assert_eq!(format_samples(&read.profile), ["a: b 1 1", "a: c 2 2"]);
    assert_eq!(read.notes, ["2 lines have no weight at their end and are left out, the first is line 2"]);
}

#[test]
fn a_hash_with_a_number_is_not_a_comment() {
    let read = read_folded(b"# app;main.main\n#\n# 5\n").unwrap();
    assert_eq!(format_samples(&read.profile), ["#:  5 5"]);
}

#[test]
fn stacks_and_weights_beyond_the_limits_are_errors() {
    let deep = format!("a;{}f 1\n", "f;".repeat(4096));
    assert_eq!(read_folded(deep.as_bytes()).unwrap_err().to_string(), "the stack at line 1 has more than 4096 frames");
    let large = b"a;b 1\na;b 99999999999999999999\n";
    assert_eq!(read_folded(large).unwrap_err().to_string(), "the weight at line 2 is too large");
    let deep = format!("a 1 2.0: 1 cycles: \n{}", "\t 1 f (/a)\n".repeat(4097));
    let error = read_perf_script(deep.as_bytes(), None).unwrap_err();
    assert_eq!(error.to_string(), "the stack at line 4098 has more than 4096 frames");
}

const PERF_SCRIPT: &str = "\
# ========
# captured on    : Sun Nov 29 22:59:55 2026
# event : name = cpu-clock, , id = { 38, 39 }
#
my app  1234/1235 [001]   945.574731:     500250 cpu-clock:pppH: 
\tffffffff81442904 smp_call_function+0x144 ([kernel.kallsyms])
  [kernel.kallsyms][ffffffff81442904]
\t           c9bb5 main.step (inlined)
  step.go:7
\t           c9bb5 main.(*T).work+0x135 (/bin/my app (deleted))
  main.go:12
\t           83741 runtime.goexit.abi0+0x1 (/bin/my app (deleted))
  asm.s:0

kworker/0:1 9   945.574732:     500251 cpu-clock: 
\t              10 [unknown] ([unknown])
\t              20 [unknown] (/usr/lib/libc.so.6)

my app 1236   945.574730:    sched:sched_switch: prev_comm=a prev_pid=1 ==> next_comm=b

            app  77   945.574733123:          1 cpu-clock:          401000 std::map<a, b>::find(int)+0x10 (/bin/c)
app  77 [000] 945.6: PERF_RECORD_MMAP2 77/77: [0x1(0x2) @ 0 00:00 0 0]: r-xp /bin/app
";

#[test]
fn output_of_perf_script_is_read() {
    assert!(is_perf_script(PERF_SCRIPT.as_bytes()));
    let read = read_perf_script(PERF_SCRIPT.as_bytes(), None).unwrap();
    let profile = &read.profile;
    assert_eq!(
        format_samples(profile),
        [
            "my app: runtime.goexit;main.(*T).work:12;i:main.step:7;k:smp_call_function 1 500250",
            "kworker/0:1: [libc.so.6];[unknown] 1 500251",
            "app: std::map<a, b>::find(int) 1 1",
        ]
    );
    assert_eq!((profile.event.name.as_str(), read.other_events), ("cpu-clock", vec!["sched:sched_switch".to_owned()]));
    let times: Vec<u64> = profile.timed_samples().unwrap().iter().map(|sample| sample.time).collect();
    assert_eq!(times, [945_574_731_000, 945_574_732_000, 945_574_733_123]);
    let task = profile.task(profile.samples()[0].task);
    assert_eq!((task.pid, task.tid, task.cpu), (1234, 1235, Some(1)));
    let files: Vec<_> = profile.mappings().map(|(_, mapping)| profile.str(mapping.file)).collect();
    assert_eq!(files, ["/bin/my app (deleted)", "[kernel.kallsyms]", "/usr/lib/libc.so.6", "/bin/c"]);
    let figures = (read.quality.other_events, read.quality.unnamed_user_frames, read.quality.kernel_frames);
    assert_eq!(figures, (1, 2, 1));

    let switches = read_perf_script(PERF_SCRIPT.as_bytes(), Some("sched:sched_switch")).unwrap();
    assert_eq!(format_samples(&switches.profile), ["my app:  1 1"]);
    let error = read_perf_script(PERF_SCRIPT.as_bytes(), Some("cycles")).unwrap_err();
    assert_eq!(
        (error.to_string(), error.hints()),
        ("it has no event `cycles`".to_owned(), vec!["it has cpu-clock, sched:sched_switch".to_owned()])
    );
}

#[test]
fn a_text_that_is_cut_off_anywhere_is_read() {
    let whole = read_perf_script(PERF_SCRIPT.as_bytes(), None).unwrap().profile.total_count();
    for end in 0..PERF_SCRIPT.len() {
        let cut = &PERF_SCRIPT.as_bytes()[..end];
        let read = read_perf_script(cut, None).unwrap();
        assert!(read.profile.total_count() <= whole, "{end}");
        assert_eq!(read.quality.complete_file, cut.ends_with(b"\n"), "{end}");
        let _ = (is_perf_script(cut), is_folded(cut));
    }
    for end in 0..FOLDED.len() {
        let cut = &FOLDED.as_bytes()[..end];
        assert!(read_folded(cut).unwrap().profile.total_count() <= 22, "{end}");
        let _ = (is_perf_script(cut), is_folded(cut));
    }
}

#[test]
fn other_files_are_not_detected_as_texts_with_stacks() {
    let zeros = vec![0; 1 << 17];
    let mut log = String::new();
    for at in 0..100 {
        let _ = writeln!(log, "2026-11-30 request {at} took some time");
    }
    let texts: [&[u8]; 7] = [b"", b"\n\n", &zeros, log.as_bytes(), b"{\"a\": 1}\n", b"a\0b;c 1\n", b"PERFILE2 1"];
    for text in texts {
        assert!(!is_perf_script(text), "{:?}", String::from_utf8_lossy(text));
    }
    for text in &texts[..6] {
        assert!(!is_folded(text), "{:?}", String::from_utf8_lossy(text));
    }
}
