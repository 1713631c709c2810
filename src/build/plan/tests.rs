#![allow(clippy::unwrap_used)]

use super::super::fixture::{config, go_1_26_8};
use super::*;

const OUTPUT_DIR: &str = "/p/.goflame/build";

/// Plans a project in `/p` after `change`.
fn planned(change: impl FnOnce(&mut Config)) -> Result<BuildPlan, Error> {
    let mut config = config(Path::new("/p"));
    change(&mut config);
    plan_build(&config, Some(&go_1_26_8()))
}

/// Plans the variant `debug` after `change`.
fn with_variant(change: impl FnOnce(&mut Variant)) -> Result<BuildPlan, Error> {
    planned(|config| change(config.variants.get_mut("debug").unwrap()))
}

fn with_goflags(goflags: &str, change: impl FnOnce(&mut Variant)) -> Result<BuildPlan, Error> {
    let mut config = config(Path::new("/p"));
    change(config.variants.get_mut("debug").unwrap());
    plan_build(&config, Some(&GoTool { goflags: goflags.to_owned(), ..go_1_26_8() }))
}

#[test]
fn debug_turns_optimisation_and_inlining_off() {
    let plan = planned(|_| ()).unwrap();
    assert_eq!(plan.program, "go");
    let out = format!("{OUTPUT_DIR}/debug/app");
    assert_eq!(
        plan.argv,
        [
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-gcflags=all=-N -l",
            "-ldflags=-compressdwarf=false",
            "-o",
            &out,
            "./cmd/app"
        ]
    );
    assert_eq!((plan.output, plan.dir), (PathBuf::from(out), PathBuf::from("/p")));
    assert_eq!((plan.variant.as_str(), plan.kind, plan.package.as_str()), ("debug", Kind::Binary, "./cmd/app"));
    assert_eq!(plan.env, []);
    assert_eq!(plan.warnings, [""; 0]);
}

#[test]
fn release_passes_no_gcflags() {
    let plan = planned(|config| config.build.variant = "release".to_owned()).unwrap();
    let out = format!("{OUTPUT_DIR}/release/app");
    assert_eq!(
        plan.argv,
        ["build", "-trimpath", "-buildvcs=false", "-ldflags=-compressdwarf=false", "-o", &out, "./cmd/app"]
    );
}

#[test]
fn go_before_1_18_gets_no_buildvcs_which_it_does_not_know() {
    let stamps = |version: &str| {
        let go = GoTool { version: version.to_owned(), ..go_1_26_8() };
        let plan = plan_build(&config(Path::new("/p")), Some(&go)).unwrap();
        plan.argv.iter().any(|arg| arg.starts_with("-buildvcs"))
    };
    assert_eq!(["go1.16", "go1.17.13", "go1.17rc1"].map(stamps), [false; 3]);
    assert_eq!(["go1.18", "go1.27.3 X:nodwarf5", "devel +abc", ""].map(stamps), [true; 4]);
}

#[test]
fn benchmarks_are_built_by_go_test() {
    let plan = planned(|config| {
        config.app.kind = Kind::Bench;
        config.app.package = "./lib".to_owned();
        config.app.name = "lib".to_owned();
    })
    .unwrap();
    assert_eq!(plan.argv.first_chunk(), Some(&["test".to_owned(), "-c".to_owned()]));
    assert_eq!(plan.output, Path::new("/p/.goflame/build/debug/lib.test"));
    assert_eq!(plan.argv.last_chunk(), Some(&[format!("{OUTPUT_DIR}/debug/lib.test"), "./lib".to_owned()]));
}

#[test]
fn every_setting_of_a_variant_has_its_flag() {
    let plan = with_variant(|variant| {
        variant.gcflags.clear();
        variant.ldflags.clear();
        variant.trimpath = false;
        variant.buildvcs = true;
        variant.tags = vec!["a".to_owned(), "b".to_owned()];
        variant.pgo = "off".to_owned();
        variant.buildmode = "pie".to_owned();
        variant.race = true;
        variant.cgo = Some(true);
        variant.env.insert("CC".to_owned(), "gcc -m64".to_owned());
    })
    .unwrap();
    assert_eq!(
        plan.to_string(),
        format!(
            "cd /p && CC='gcc -m64' CGO_ENABLED=1 go build -buildvcs=true -tags=a,b -pgo=off -buildmode=pie -race \
             -o {OUTPUT_DIR}/debug/app ./cmd/app"
        )
    );
}

#[test]
fn cgo_setting_wins_over_the_variants_environment() {
    for (cgo, expected) in [(Some(false), "0"), (Some(true), "1"), (None, "7")] {
        let plan = with_variant(|variant| {
            variant.cgo = cgo;
            variant.env.insert("CGO_ENABLED".to_owned(), "7".to_owned());
        });
        assert_eq!(plan.unwrap().env, [("CGO_ENABLED".to_owned(), expected.to_owned())]);
    }
}

#[test]
fn c_code_keeps_the_frame_pointer_after_the_flags_of_go_and_user() {
    let flags = |change: &dyn Fn(&mut Variant)| {
        let plan = with_variant(|variant| {
            variant.c_frame_pointers = true;
            change(variant);
        });
        plan.unwrap().env.into_iter().find(|(name, _)| name == "CGO_CFLAGS").map(|(_, flags)| flags)
    };
    let with_env = |name: &'static str, value: &'static str| {
        flags(&move |variant| drop(variant.env.insert(name.to_owned(), value.to_owned())))
    };
    assert_eq!(flags(&|_| ()).unwrap(), "-O2 -g -fno-omit-frame-pointer");
    assert_eq!(with_env("CGO_CFLAGS", "-O3 -DX=1").unwrap(), "-O3 -DX=1 -fno-omit-frame-pointer");
    assert_eq!(with_env("CGO_CFLAGS", "").unwrap(), "-O2 -g -fno-omit-frame-pointer");
    for decided in ["-O2 -fomit-frame-pointer", "-fno-omit-frame-pointer -O1"] {
        assert_eq!(with_env("CGO_CFLAGS", decided).unwrap(), decided);
    }
    assert_eq!(with_env("CGO_ENABLED", "0"), None);
    assert_eq!(flags(&|variant| variant.cgo = Some(false)), None);
    assert_eq!(flags(&|variant| variant.c_frame_pointers = false), None);
}

#[test]
fn a_pin_becomes_gotoolchain() {
    let plan = planned(|config| config.toolchain.go = "1.27.3".to_owned()).unwrap();
    assert_eq!(
        plan.to_string(),
        format!(
            "cd /p && GOTOOLCHAIN=go1.27.3 go build -trimpath -buildvcs=false '-gcflags=all=-N -l' \
             -ldflags=-compressdwarf=false -o {OUTPUT_DIR}/debug/app ./cmd/app"
        )
    );
}

#[test]
fn a_pin_and_another_gotoolchain_conflict() {
    let with = |value: &str| {
        planned(|config| {
            config.toolchain.go = "1.27.3".to_owned();
            let variant = config.variants.get_mut("debug").unwrap();
            variant.env.insert("GOTOOLCHAIN".to_owned(), value.to_owned());
        })
    };
    assert_eq!(
        with("local").unwrap_err().to_string(),
        "[toolchain] pins go1.27.3, but [variant.debug] env sets GOTOOLCHAIN=local"
    );
    with("go1.27.3").unwrap();
}

#[test]
fn the_program_has_the_name_of_the_app() {
    let plan = planned(|config| config.app.name = "other".to_owned()).unwrap();
    assert_eq!(plan.output, Path::new("/p/.goflame/build/debug/other"));
}

#[test]
fn output_follows_the_archive_directory() {
    let plan = planned(|config| config.archive.dir = "/elsewhere".into()).unwrap();
    assert_eq!(plan.output, Path::new("/elsewhere/build/debug/app"));
    let error = planned(|config| {
        config.root = "rel".into();
        config.archive.dir = ".goflame".into();
    });
    assert_eq!(error.unwrap_err().to_string(), "the project directory rel is not an absolute path");
}

#[test]
fn names_cannot_leave_the_build_directory() {
    for name in ["..", "a/b", "/etc", ".", "a/"] {
        let error = planned(|config| config.app.name = name.to_owned()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{name}` cannot be used as a file name"));
    }
    let error = planned(|config| config.build.variant = "none".to_owned()).unwrap_err();
    assert!(matches!(error, Error::Name { .. }));
}

#[test]
fn only_one_package_can_be_built() {
    for (package, reason) in [
        ("", "it is empty"),
        ("-toolexec=x", "Go would take it for a flag"),
        ("./...", "`...` stands for many packages"),
    ] {
        let error = planned(|config| config.app.package = package.to_owned()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{package}` is not one package: {reason}"));
    }
}

#[test]
fn a_path_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let root = PathBuf::from(std::ffi::OsString::from_vec(b"/p\xff".to_vec()));
    let error = planned(|config| {
        config.archive.dir = root.join(".goflame");
        config.root = root;
    });
    assert!(matches!(error.unwrap_err(), Error::NotUtf8 { .. }));
}

#[test]
fn only_linux_is_built_for() {
    let error = with_variant(|variant| {
        variant.env.insert("GOOS".to_owned(), "windows".to_owned());
    });
    assert_eq!(error.unwrap_err().to_string(), "GOOS is windows, but goflame profiles Linux programs");
}

#[test]
fn stripping_flags_are_refused_from_every_source() {
    let own = with_variant(|variant| variant.ldflags = "-compressdwarf=false -s -w".to_owned()).unwrap_err();
    assert_eq!(own.to_string(), "`-s` in ldflags of [variant.debug] strips data that a profile needs");
    assert!(!own.hints().is_empty());

    let goflags = with_goflags("'-ldflags=-w -X a=b'", |variant| variant.ldflags.clear()).unwrap_err();
    assert_eq!(goflags.to_string(), "`-w` in GOFLAGS strips data that a profile needs");

    let env = with_goflags("", |variant| {
        variant.ldflags.clear();
        variant.env.insert("GOFLAGS".to_owned(), "-mod=mod -ldflags=-s".to_owned());
    });
    assert_eq!(env.unwrap_err().to_string(), "`-s` in GOFLAGS strips data that a profile needs");
}

/// In Go, the command line takes precedence over GOFLAGS. The tests of the whole stage confirm it with the real Go.
#[test]
fn goflags_without_effect_are_accepted() {
    assert_eq!(with_goflags("-ldflags=-s", |_| ()).unwrap().warnings, [""; 0]);
    let replaced = with_goflags("-ldflags=-s", |variant| {
        variant.ldflags.clear();
        variant.env.insert("GOFLAGS".to_owned(), "-mod=mod".to_owned());
    });
    assert_eq!(replaced.unwrap().warnings, [""; 0]);
}

#[test]
fn goflags_that_change_the_program_are_warnings() {
    let clear = |variant: &mut Variant| {
        variant.gcflags.clear();
        variant.ldflags.clear();
        variant.trimpath = false;
    };
    for (goflags, warning) in [
        ("'-gcflags=all=-N -l'", "-N -l in GOFLAGS turns optimisation off: this is not the program as shipped"),
        ("-ldflags=-compressdwarf=true", "-compressdwarf in GOFLAGS compresses DWARF, which some tools cannot read"),
        ("-ldflags=-buildid=", "-buildid= in GOFLAGS leaves the program without a build id to match profiles by"),
        ("-race", "-race in GOFLAGS makes the program several times slower"),
        ("-cover", "-cover in GOFLAGS counts every block that runs"),
        ("-trimpath", "-trimpath in GOFLAGS overrides trimpath = false of [variant.debug]"),
        ("-tags=x", "-tags=x in GOFLAGS changes what is built"),
        ("-pgo=off", "-pgo=off in GOFLAGS changes what is built"),
    ] {
        assert_eq!(with_goflags(goflags, clear).unwrap().warnings, [warning], "{goflags}");
    }
    for harmless in ["-mod=vendor -modcacherw", "-race=false", "-buildvcs=false", "-gcflags=-m", "-ldflags=-w=false"] {
        assert_eq!(with_goflags(harmless, clear).unwrap().warnings, [""; 0], "{harmless}");
    }
    let tags = with_goflags("-tags=x", |variant| variant.tags = vec!["y".to_owned()]).unwrap();
    assert_eq!(tags.warnings, ["-tags=x in GOFLAGS is replaced by that of [variant.debug]"]);
}

#[test]
fn unreadable_goflags_are_an_error() {
    let error = with_goflags("'-ldflags=-s", |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "GOFLAGS has a quote that is not closed: '-ldflags=-s");
}

#[test]
fn debug_flags_for_one_package_only_are_a_warning() {
    let plan = with_variant(|variant| variant.gcflags = "-N -l".to_owned()).unwrap();
    assert_eq!(
        plan.warnings,
        ["-N -l in gcflags of [variant.debug] reaches only the named package: write all=-N -l for every one"]
    );
}

#[test]
fn the_workload_of_benchmarks_skips_tests() {
    let argv = |kind, args: &[&str]| {
        let mut config = config(Path::new("/p"));
        config.app.kind = kind;
        config.workload.args = args.iter().map(|&arg| arg.to_owned()).collect();
        workload_argv(&config, Path::new("/o")).join(" ")
    };
    assert_eq!(argv(Kind::Binary, &["-n", "5"]), "/o -n 5");
    assert_eq!(
        argv(Kind::Bench, &["-benchtime=2s"]),
        "/o -test.run=^$ -test.bench=. -test.benchmem -test.benchtime=2s"
    );
}
