//! `--fix`, `--persist`, `--undo` and `--print-script` on real kernel settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Doctor, Machine, Project, ROOT, Ran, USER, find_tool};

const STATE: &str = "/var/lib/goflame/doctor.json";
const SCRIPT: &str = "/var/lib/goflame/script";
const PERSIST: &str = "/etc/sysctl.d/99-goflame.conf";

/// A machine with two wrong settings and without state of earlier repairs. Dropping it removes the state, also after a
/// failure.
struct WrongSettings {
    machine: Machine,
}

impl WrongSettings {
    fn new() -> Self {
        let machine = Machine::lock();
        for file in [STATE, SCRIPT, PERSIST] {
            assert!(!Path::new(file).exists(), "{file} exists: run `goflame doctor --undo` first");
        }
        let mut wrong = Self { machine };
        wrong.machine.set("kptr_restrict", "2").set("perf_cpu_time_max_percent", "20");
        wrong
    }

    /// The current values of the two settings.
    fn values() -> [String; 2] {
        ["kptr_restrict", "perf_cpu_time_max_percent"].map(Machine::get)
    }
}

impl Drop for WrongSettings {
    fn drop(&mut self) {
        for file in [STATE, PERSIST] {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir_all(SCRIPT);
        let _ = fs::remove_dir("/var/lib/goflame");
    }
}

#[test]
fn undo_restores_what_fix_has_changed() {
    let _settings = WrongSettings::new();
    let project = Project::empty();
    let before = project.doctor(ROOT, &[]);
    assert_eq!([before.status("kptr-restrict"), before.status("perf-cpu-time")], ["warning", "warning"]);

    let asked = project.goflame(ROOT, &["doctor", "--fix"]).ends_with(2);
    assert!(asked.stderr.contains("standard input is not a terminal"), "{}", asked.stderr);
    assert_eq!(WrongSettings::values(), ["2", "20"], "nobody said yes");

    let fixed = project.goflame(ROOT, &["doctor", "--fix", "--yes", "--json"]);
    for line in ["Plan kernel.kptr_restrict: 2 -> 0", "Fixed kernel.perf_cpu_time_max_percent: 20 -> 25", STATE] {
        assert!(fixed.stderr.contains(line), "{line}: {}", fixed.stderr);
    }
    assert_eq!(WrongSettings::values(), ["0", "25"]);
    let after = Doctor::parse(&fixed);
    assert_eq!([after.status("kptr-restrict"), after.status("perf-cpu-time")], ["ok", "ok"], "it checked again");
    assert!(!Path::new(PERSIST).exists());

    let again = project.goflame(ROOT, &["doctor", "--fix", "--yes"]);
    assert!(again.stderr.contains("Fixed nothing"), "{}", again.stderr);

    let undone = project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(0);
    assert!(undone.stderr.contains("Undone kernel.kptr_restrict: 0 -> 2"), "{}", undone.stderr);
    assert_eq!(WrongSettings::values(), ["2", "20"]);
    assert!(!Path::new(STATE).exists());
    let nothing = project.goflame(ROOT, &["doctor", "--undo"]).ends_with(0);
    assert!(nothing.stderr.contains("Undone nothing"), "{}", nothing.stderr);
}

#[test]
fn persist_writes_one_file_and_undo_removes_it() {
    let _settings = WrongSettings::new();
    let project = Project::empty();
    project.goflame(ROOT, &["doctor", "--fix", "--persist", "--yes"]);
    let text = fs::read_to_string(PERSIST).unwrap();
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(settings, ["kernel.kptr_restrict = 0", "kernel.perf_cpu_time_max_percent = 25"]);
    // Runs the command that applies the file at boot.
    let applied = Command::new(find_tool("sysctl")).args(["-p", PERSIST]).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(0);
    assert!(!Path::new(PERSIST).exists());
    assert_eq!(WrongSettings::values(), ["2", "20"]);
}

/// In an earlier version, the umask decided the mode: 0600, which other users cannot read, or 0666, so that they could
/// change root's kernel settings.
#[test]
fn files_of_the_machine_have_the_same_mode_with_any_umask() {
    let _settings = WrongSettings::new();
    let project = Project::empty();
    for umask in ["077", "000"] {
        let mut shell = project.command(ROOT, &["doctor", "--fix", "--persist", "--yes"]);
        let words: Vec<_> = [shell.get_program()].into_iter().chain(shell.get_args()).map(ToOwned::to_owned).collect();
        shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask} && exec \"$@\"")).arg("sh").args(words);
        let fixed = shell.output().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for file in [STATE, PERSIST] {
            assert!(Path::new(file).exists(), "{}", String::from_utf8_lossy(&fixed.stderr));
            assert_eq!(mode(Path::new(file)), 0o644, "{file} at umask {umask}");
            let dir = Path::new(file).parent().unwrap();
            assert_eq!(mode(dir), 0o755, "{}", dir.display());
            let others = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let others: Vec<_> = others.filter(|name| name.contains(".tmp-") || name.contains(".new")).collect();
            assert_eq!(others, [""; 0]);
        }
        project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(0);
        fs::remove_dir("/var/lib/goflame").unwrap();
    }
}

#[test]
fn a_damaged_state_file_is_refused() {
    let _settings = WrongSettings::new();
    let project = Project::empty();
    project.goflame(ROOT, &["doctor", "--fix", "--yes"]);
    let good = fs::read_to_string(STATE).unwrap();
    fs::write(STATE, good.replace("\"before\": 2", "\"before\": 1")).unwrap();
    let refused = project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(7);
    assert!(refused.stderr.contains("doctor.json is damaged"), "{}", refused.stderr);
    assert_eq!(WrongSettings::values(), ["0", "25"], "nothing was changed");
    fs::write(STATE, good).unwrap();
    project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(0);
    assert_eq!(WrongSettings::values(), ["2", "20"]);
}

#[test]
fn a_user_without_privileges_gets_the_sudo_command() {
    let mut settings = WrongSettings::new();
    settings.machine.set("perf_event_paranoid", "2");
    let project = Project::empty();
    let refused = project.goflame(USER, &["doctor", "--fix", "--yes"]).ends_with(4);
    assert!(refused.stderr.contains("`sudo \"$(command -v goflame)\" doctor --fix`"), "{}", refused.stderr);
    assert_eq!(WrongSettings::values(), ["2", "20"]);
}

#[test]
fn sudo_repairs_for_the_user_who_called_it() {
    let mut settings = WrongSettings::new();
    settings.machine.set("perf_event_paranoid", "2");
    let project = Project::empty();
    let sudo = |args: &[&str]| {
        let mut sudo = project.command(ROOT, args);
        sudo.env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody");
        Ran::new(sudo.output().unwrap())
    };
    let fixed = sudo(&["doctor", "--fix", "--persist", "--yes"]);
    assert_eq!(WrongSettings::values(), ["0", "25"], "{}", fixed.stderr);
    assert_eq!(Machine::get("perf_event_paranoid"), "1", "needed by the user, not by root: {}", fixed.stderr);
    assert!(!fixed.stdout.contains("override"), "the second check is for the user too: {}", fixed.stdout);
    for file in [STATE, PERSIST] {
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), 0, "{file}");
    }
    let user = project.doctor(USER, &[]);
    assert_eq!([user.status("kernel-stacks"), user.status("kptr-restrict")], ["ok", "ok"], "{:#}", user.json);
    sudo(&["doctor", "--undo", "--yes"]).ends_with(0);
    assert_eq!(Machine::get("perf_event_paranoid"), "2");
    assert_eq!(WrongSettings::values(), ["2", "20"]);
}

#[test]
fn root_can_check_for_a_user_without_privileges() {
    let mut settings = WrongSettings::new();
    settings.machine.set("perf_event_paranoid", "2");
    let project = Project::empty();
    let only = "perf-event-paranoid,kptr-restrict";
    let root = project.doctor(ROOT, &["--only", only]);
    assert_eq!([root.status("perf-event-paranoid"), root.status("kptr-restrict")], ["ok", "warning"]);
    let user = project.doctor(ROOT, &["--only", only, "--unprivileged"]);
    assert_eq!([user.status("perf-event-paranoid"), user.status("kptr-restrict")], ["warning", "info"]);
    let script = project.goflame(ROOT, &["doctor", "--unprivileged", "--print-script"]).stdout;
    assert!(script.contains("\nat_most kernel.perf_event_paranoid 1\nat_most kernel.kptr_restrict 0\n"), "{script}");
    let as_user = project.doctor(USER, &["--only", only]);
    assert_eq!([as_user.status("perf-event-paranoid"), as_user.status("kptr-restrict")], ["warning", "info"]);
}

#[test]
fn the_script_does_what_fix_does() {
    let mut settings = WrongSettings::new();
    let project = Project::empty();
    let script = project.goflame(ROOT, &["doctor", "--print-script", "--persist"]).ends_with(0).stdout;
    assert_eq!(WrongSettings::values(), ["2", "20"], "printing changes nothing");
    project.write("onboard.sh", &script);
    let mut lint = Command::new(find_tool("shellcheck"));
    let lint = lint.args(["--shell=sh", "--severity=style"]).arg(project.path("onboard.sh")).output().unwrap();
    assert!(lint.status.success(), "{}\n{script}", String::from_utf8_lossy(&lint.stdout));

    let run = || {
        let ran = Command::new("sh").arg("-e").arg(project.path("onboard.sh")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let first = run();
    assert!(first.contains("goflame: kernel.kptr_restrict: 2 -> 0\n"), "{first}");
    assert_eq!(WrongSettings::values(), ["0", "25"]);
    assert!(fs::read_to_string(PERSIST).unwrap().contains("kernel.kptr_restrict = 0\n"));
    let second = run();
    assert!(second.lines().all(|expected| expected.ends_with(" already")), "{second}");
    // A value that is better than the needed value is kept.
    settings.machine.set("perf_cpu_time_max_percent", "30");
    run();
    assert_eq!(WrongSettings::values(), ["0", "30"]);
    // In an earlier version, `--undo` reverted only the changes of `--fix`.
    settings.machine.set("perf_cpu_time_max_percent", "25");
    let undone = project.goflame(ROOT, &["doctor", "--undo", "--yes"]).ends_with(0);
    assert_eq!(WrongSettings::values(), ["2", "20"], "{}", undone.stderr);
    assert!(undone.stderr.contains("Undone /etc/sysctl.d/99-goflame.conf removed\n"), "{}", undone.stderr);
    assert!(!Path::new(PERSIST).exists() && !Path::new(SCRIPT).exists());
    // A user without privileges cannot run the script.
    let mut user = Command::new(find_tool("setpriv"));
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-e"]).arg(project.path("onboard.sh"));
    let user = user.output().unwrap();
    assert!(!user.status.success());
    let expected =
        format!("only root can change kernel settings: sudo sh '{}'\n", project.path("onboard.sh").display());
    assert!(String::from_utf8_lossy(&user.stderr).ends_with(&expected), "{user:?}");
    // An earlier version printed `sudo sh sh`.
    let piped = "setpriv --reuid=65534 --regid=65534 --clear-groups sh";
    let piped =
        Command::new("sh").args(["-c", &format!("{piped} < onboard.sh")]).current_dir(project.path("")).output();
    let expected = "only root can change kernel settings: goflame doctor --print-script --persist | sudo sh\n";
    assert!(String::from_utf8_lossy(&piped.unwrap().stderr).ends_with(expected));
}
