//! Checks for causes of different run times of the same program.

use super::fixture::{Machine, ROOT, USER, tools};
use crate::build::GoMod;
use crate::doctor::Status;
use crate::doctor::Status::{Info, Ok, Warning};

const CPU: &str = "sys/devices/system/cpu";

#[test]
fn any_governor_other_than_performance_is_a_warning() {
    let machine = Machine::new(ROOT);
    machine.write_file(&format!("{CPU}/cpu1/cpufreq/scaling_governor"), "powersave\n");
    let mixed = machine.finding("cpu-governor", |_| {});
    assert_eq!((mixed.status, mixed.found.as_str()), (Warning, "performance, powersave"));
    assert_eq!(mixed.fix.unwrap().command_now(), "cpupower frequency-set -g performance");
    assert_eq!(machine.make_unreadable(&format!("{CPU}/cpu1/cpufreq/scaling_governor")).status("cpu-governor"), Info);
    machine.remove(&format!("{CPU}/cpu0/cpufreq")).remove(&format!("{CPU}/cpu1"));
    assert_eq!(machine.status("cpu-governor"), Info, "a virtual machine has no governor");
    machine.write_file(&format!("{CPU}/cpufreq/scaling_governor"), "powersave\n");
    assert_eq!(machine.status("cpu-governor"), Info, "the directory `cpufreq` is not a CPU");
}

#[test]
fn turbo_is_read_from_either_file() {
    let machine = Machine::new(USER);
    let file = format!("{CPU}/intel_pstate/no_turbo");
    assert_eq!(machine.statuses("turbo", &file, ["1", "0", "x"]), [Ok, Warning, Info]);
    machine.write_file(&file, "0");
    let fix = machine.finding("turbo", |_| {}).fix.unwrap();
    assert_eq!(fix.command_now(), "sudo sh -c 'echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo'");
    machine.remove(&format!("{CPU}/intel_pstate"));
    assert_eq!(machine.status("turbo"), Info);
    let file = format!("{CPU}/cpufreq/boost");
    assert_eq!(machine.statuses("turbo", &file, ["0", "1"]), [Ok, Warning]);
}

#[test]
fn smt_aslr_huge_pages_clock_and_throttling_have_their_statuses() {
    let machine = Machine::new(USER);
    assert_eq!(machine.statuses("smt", &format!("{CPU}/smt/active"), ["0", "1", "?"]), [Ok, Warning, Info]);
    assert_eq!(machine.remove(&format!("{CPU}/smt")).status("smt"), Info);
    let aslr = "proc/sys/kernel/randomize_va_space";
    assert_eq!(machine.statuses("aslr", aslr, ["0", "1", "2", ""]), [Ok, Info, Info, Info]);
    let pages = "sys/kernel/mm/transparent_hugepage/enabled";
    let modes = ["[always] madvise never", "always [madvise] never", "always madvise [never]", "always"];
    assert_eq!(machine.statuses("huge-pages", pages, modes), [Warning, Ok, Ok, Info]);
    let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    assert_eq!(machine.statuses("clock-source", clock, ["tsc", "hpet", "kvm-clock", ""]), [Ok, Warning, Ok, Info]);
    let heat = format!("{CPU}/cpu0/thermal_throttle/core_throttle_count");
    assert_eq!(machine.statuses("heat", &heat, ["0", "7", "hot"]), [Ok, Warning, Info]);
}

#[test]
fn load_steal_time_and_swap_are_warnings() {
    let machine = Machine::new(USER);
    let load = ["0.00 0 0", "2.00 0 0", "2.01 0 0", "much"];
    assert_eq!(machine.statuses("cpu-load", "proc/loadavg", load), [Ok, Ok, Warning, Info]);
    assert_eq!(machine.write_file("proc/loadavg", "12.34 0 0").finding("cpu-load", |_| {}).found, "12.34 on 4 CPUs");
    let stat = ["cpu  0 0 0 991 0 0 0 9 500 0", "cpu  0 0 0 990 0 0 0 10 0 0", "cpu  1 2", "nothing"];
    assert_eq!(machine.statuses("steal-time", "proc/stat", stat), [Ok, Warning, Info, Info]);
    let swap = |free: &str| format!("SwapTotal: 1024 kB\nSwapFree: {free} kB\n");
    assert_eq!(machine.write_file("proc/meminfo", &swap("1024")).status("swap"), Ok);
    let used = machine.write_file("proc/meminfo", &swap("24")).finding("swap", |_| {});
    assert_eq!((used.status, used.found.as_str()), (Warning, "1000 KiB of 1.0 MiB in use"));
    assert_eq!(machine.write_file("proc/meminfo", "SwapTotal: 1024\n").status("swap"), Info);
    assert_eq!(machine.remove("proc/meminfo").status("swap"), Info);
}

#[test]
fn a_quota_below_gomaxprocs_is_a_warning() {
    let machine = Machine::new(USER);
    let status = |quota: &str, gomaxprocs: Option<&'static str>, go_mod: &str| {
        machine.write_file("proc/self/cgroup", "0::/app\n").write_file("sys/fs/cgroup/app/cpu.max", quota);
        let mut tools = tools();
        tools.go.as_mut().unwrap().go_mod = Some(GoMod { go: go_mod.into(), ..GoMod::default() });
        let finding = machine.finding("cpu-quota", |inputs| {
            inputs.gomaxprocs = gomaxprocs;
            inputs.tools = Some(&tools);
        });
        (finding.status, finding.fix.map(|fix| fix.command_now()))
    };
    let plain = |status: Status| (status, None);
    assert_eq!(status("max 100000", None, "1.21"), plain(Ok));
    assert_eq!(status("400000 100000", None, "1.21"), plain(Ok), "a quota of all CPUs");
    assert_eq!(status("150000 100000", None, "1.21"), (Warning, Some("export GOMAXPROCS=2".into())));
    assert_eq!(status("150000 100000", None, "1.25"), plain(Info), "Go follows it");
    assert_eq!(status("150000 100000", Some("2"), "1.21"), plain(Ok));
    assert_eq!(status("150000 100000", Some("3"), "1.21"), plain(Warning));
    assert_eq!(status("150000 100000", Some("many"), "1.25"), plain(Info), "Go ignores a value that is not a number");
    assert_eq!(status("half", None, "1.21"), plain(Info));
}
