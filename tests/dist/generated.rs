//! Man pages and completions, compared with `--help`.

use std::collections::BTreeSet;
use std::fs;

use crate::goflame;

/// Names of the commands in a help text.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // Names are indented by two spaces. Continued descriptions are indented further.
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Long flags in a help text.
fn flags(help: &str) -> BTreeSet<String> {
    let words = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = words.flat_map(|line| line.split([' ', ',', '[', '=']).take(3)).filter(|word| word.starts_with("--"));
    words.map(str::to_owned).collect()
}

/// Every command: its words after `goflame`, and its help text.
fn commands_with_help() -> Vec<(Vec<String>, String)> {
    let mut found = vec![(Vec::new(), goflame(&["--help"]))];
    let mut next = 0;
    while let Some((words, help)) = found.get(next).cloned() {
        for name in commands(&help) {
            let words = [words.clone(), vec![name]].concat();
            let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
            args.push("--help");
            let help = goflame(&args);
            found.push((words, help));
        }
        next += 1;
    }
    found
}

#[test]
fn man_pages_and_completions_know_every_command_and_flag_of_the_help() {
    let dir = tempfile::tempdir().unwrap();
    goflame(&["man", dir.path().join("man").to_str().unwrap()]);
    let scripts = ["bash", "zsh", "fish"].map(|shell| goflame(&["completions", shell]));
    let all = commands_with_help();
    assert!(all.len() > 10, "{all:?}");
    for (words, help) in &all {
        let page = [vec!["goflame".to_owned()], words.clone()].concat().join("-");
        let text = fs::read_to_string(dir.path().join(format!("man/{page}.1")))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        // roff writes a hyphen as \-.
        let text = text.replace("\\-", "-");
        let flags = flags(help);
        assert!(flags.contains("--help"), "{help}");
        for flag in flags {
            assert!(text.contains(&flag), "{page}.1 lacks {flag}");
            for script in &scripts {
                assert!(script.contains(flag.trim_start_matches('-')), "{flag} in\n{script}");
            }
        }
        for script in &scripts {
            assert!(words.iter().all(|word| script.contains(word)), "{words:?}");
        }
    }
    let pages = fs::read_dir(dir.path().join("man")).unwrap().count();
    assert_eq!(pages, all.len(), "one for each command");
}

#[test]
fn bash_completes_commands_and_flags() {
    let complete = |line: &str| {
        let script = "source <($0 completions bash); COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                      _goflame goflame \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; echo \"${COMPREPLY[@]}\"";
        crate::stdout(std::process::Command::new("bash").args(["-c", script, crate::GOFLAME, line]))
    };
    assert_eq!(complete("goflame doc"), "doctor\n");
    assert_eq!(complete("goflame doctor --print"), "--print-script\n");
    assert_eq!(complete("goflame runs pr"), "prune\n");
}
