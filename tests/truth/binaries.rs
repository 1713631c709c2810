//! A run keeps every file with sampled code. A report shows the same names after the files are gone, and never the names of
//! another build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Project, Run, run_successfully, text, tool, wait_for_turn};

const SETTINGS: &str = "[app]\npackage = '.'\nname = 'main'\n[build]\nvariant = 'release'\n";

/// Go source of a function that computes for 400 ms, for a program or a plugin.
const BURN: &str = "
//go:noinline
func NAME() (sum int) {
	for start := time.Now(); time.Since(start) < 400*time.Millisecond; {
		for i := range 100_000 {
			sum += i % 7
		}
	}
	return
}
";

/// A project with a Go module.
fn project(main: &str, settings: &str) -> Project {
    let project = Project::from_settings(settings);
    project.write("go.mod", "module example.com/main\n\ngo 1.22\n");
    project.write("main.go", main);
    project
}

fn source_with_burn(package: &str, name: &str, rest: &str) -> String {
    format!("package {package}\n\nimport \"time\"\n{}\n{rest}\n", BURN.replace("NAME", name))
}

fn folded(run: &Run) -> String {
    fs::read_to_string(run.file("profile.folded")).unwrap()
}

/// The paths of the kept files, without their directories.
fn kept_files(run: &Run) -> Vec<String> {
    let manifest = run.manifest();
    let paths = manifest["binaries"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    paths.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn a_child_whose_program_is_deleted_before_the_analysis_has_names() {
    let _alone = wait_for_turn();
    let main = r#"package main

import (
	"os"
	"os/exec"
	"path/filepath"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	dir, err := os.MkdirTemp("", "child")
	must(err)
	child := filepath.Join(dir, "child")
	bytes, err := os.ReadFile("built-child")
	must(err)
	must(os.WriteFile(child, bytes, 0o755))
	must(exec.Command(child).Run())
	must(os.RemoveAll(dir))
}
"#;
    let project = project(main, SETTINGS);
    fs::create_dir(project.path("child")).unwrap();
    project.write("child/main.go", &source_with_burn("main", "burnInChild", "func main() { burnInChild() }"));
    text(tool("go").args(["build", "-o", "built-child", "./child"]).current_dir(project.path("")));
    let run = project.run(&[]);
    assert!(folded(&run).contains("main.main;main.burnInChild"), "{}\n{}", run.stderr, folded(&run));
    assert!(kept_files(&run).contains(&"child".to_owned()), "{:?}", kept_files(&run));
    assert_eq!(project.report(&run.dir, "folded"), folded(&run));
    // A copy of the run's directory is enough for a report.
    let copy = project.path("elsewhere").join(run.dir.file_name().unwrap());
    fs::create_dir(project.path("elsewhere")).unwrap();
    run_successfully(tool("cp").arg("-r").arg(&run.dir).arg(&copy));
    run_successfully(project.goflame().args(["runs", "verify", "latest"]));
    run_successfully(project.goflame().args(["runs", "rm", "latest"]));
    assert_eq!(fs::read_dir(project.path(".goflame/bin")).unwrap().count(), 0);
    let before = fs::read_to_string(copy.join("profile.folded")).unwrap();
    assert_eq!(project.report(&copy.join("perf.data"), "folded"), before);
}

#[test]
fn a_file_that_is_too_large_to_be_kept_is_named_in_a_warning() {
    let _alone = wait_for_turn();
    let main = "package main\n\nimport \"os/exec\"\n\nfunc main() {\n\tif err := exec.Command(\"./large\").Run(); err != nil {\n\t\t\
                panic(err)\n\t}\n}\n";
    let project = project(main, SETTINGS);
    fs::create_dir(project.path("child")).unwrap();
    project.write("child/main.go", &source_with_burn("main", "burnInChild", "func main() { burnInChild() }"));
    text(tool("go").args(["build", "-o", "large", "./child"]).current_dir(project.path("")));
    fs::File::options().write(true).open(project.path("large")).unwrap().set_len(600 << 20).unwrap();
    let run = project.run(&[]);
    let warning = "the run does not keep these sampled files, which have more than 512 MiB together: ";
    assert!(run.stderr.contains(&format!("{warning}{}; ", project.path("large").display())), "{}", run.stderr);
    assert!(run.manifest()["notes"].to_string().contains(warning));
    assert!(kept_files(&run).is_empty() && !run.file("mapped").exists());
    assert!(folded(&run).contains("main.burnInChild"), "{}", folded(&run));
    assert_eq!(project.report(&run.dir, "folded"), folded(&run), "the file is in place");
    fs::remove_file(project.path("large")).unwrap();
    assert!(project.report(&run.dir, "folded").contains("[large]"));
}

#[test]
fn a_program_that_runs_from_memory_has_names() {
    let _alone = wait_for_turn();
    let main = source_with_burn(
        "main",
        "burnInMemory",
        r#"
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) > 1 {
		burnInMemory()
		return
	}
	name := []byte("a name\x00")
	fd, _, errno := syscall.Syscall(319, uintptr(unsafe.Pointer(&name[0])), 0, 0) // memfd_create
	if errno != 0 {
		panic(errno)
	}
	file := os.NewFile(fd, "memory")
	own, err := os.ReadFile("/proc/self/exe")
	must(err)
	// The file must differ from the program that goflame started.
	_, err = file.Write(append(own, 0))
	must(err)
	child := exec.Command("/proc/self/fd/3", "burn")
	child.ExtraFiles = []*os.File{file}
	must(child.Run())
}
"#,
    );
    let main = main.replace("import \"time\"", "import (\n\"os\"\n\"os/exec\"\n\"syscall\"\n\"time\"\n\"unsafe\"\n)");
    let project = project(&main, SETTINGS);
    let run = project.run(&[]);
    assert!(folded(&run).contains("main.main;main.burnInMemory"), "{}\n{}", run.stderr, folded(&run));
    assert_eq!(kept_files(&run), ["memfd:a name (deleted)"]);
    assert_eq!(project.report(&run.dir, "folded"), folded(&run));
}

/// Settings with which goflame builds the program with the same flags as [`build_plugin`]. A program opens a plugin
/// only if both have the same builds of their common packages.
const FOR_PLUGINS: &str = "[app]\npackage = '.'\nname = 'main'\n[build]\nvariant = 'release'\n\
                           [variant.release]\nc_frame_pointers = false\n[workload]\nargs = ['first.so']\n";

const OPEN_PLUGIN: &str = r#"package main

import (
	"os"
	"plugin"
)

func main() {
	opened, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	work, err := opened.Lookup("Work")
	if err != nil {
		panic(err)
	}
	work.(func() int)()
}
"#;

fn build_plugin(project: &Project, name: &str, function: &str) {
    fs::create_dir_all(project.path(name)).unwrap();
    let rest = format!("func Work() int {{ return {function}() + 1 }}\n\nfunc main() {{}}");
    project.write(&format!("{name}/plugin.go"), &source_with_burn("main", function, &rest));
    let mut build = tool("go");
    build.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-compressdwarf=false", "-buildmode=plugin", "-o"]);
    text(build.args([&format!("{name}.so"), &format!("./{name}")]).current_dir(project.path("")));
}

/// A directory that has goflame, its libraries and the archive of a project, and nothing else.
fn root_with_archive(project: &Project) -> PathBuf {
    let root = project.path("root");
    let goflame = Path::new(env!("CARGO_BIN_EXE_goflame"));
    let libraries = text(tool("ldd").arg(goflame));
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.map(Path::new).chain([goflame]) {
        let copy = root.join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    fs::create_dir(root.join("project")).unwrap();
    run_successfully(tool("cp").arg("-r").arg(project.path(".goflame")).arg(root.join("project/archive")));
    root
}

#[test]
fn a_run_with_a_plugin_has_the_same_names_in_a_root_without_any_of_its_files() {
    let _alone = wait_for_turn();
    let project = project(OPEN_PLUGIN, FOR_PLUGINS);
    build_plugin(&project, "first", "burnInPlugin");
    build_plugin(&project, "second", "somethingElse");
    let run = project.run(&[]);
    assert!(folded(&run).contains(".Work;example.com/main/first.burnInPlugin"), "{}\n{}", run.stderr, folded(&run));

    fs::rename(project.path("second.so"), project.path("first.so")).unwrap();
    assert_eq!(project.report(&run.dir, "folded"), folded(&run), "another plugin is at the path");
    fs::remove_file(project.path("first.so")).unwrap();

    let root = root_with_archive(&project);
    let run_in_root = Path::new("/project/archive/runs").join(run.dir.file_name().unwrap());
    let mut report = tool("chroot");
    report.arg(&root).arg(env!("CARGO_BIN_EXE_goflame")).arg("report").arg(&run_in_root).args(["-f", "folded"]);
    assert_eq!(text(&mut report), folded(&run));

    // Without the kept copies, the names of the other plugin are not shown.
    build_plugin(&project, "second", "somethingElse");
    fs::rename(project.path("second.so"), project.path("first.so")).unwrap();
    fs::remove_dir_all(run.file("mapped")).unwrap();
    let report = run_successfully(project.goflame().arg("report").arg(&run.dir).args(["-f", "folded"]));
    let (stdout, stderr) = (String::from_utf8(report.stdout).unwrap(), String::from_utf8(report.stderr).unwrap());
    assert!(stdout.contains("[first.so]") && !stdout.contains("somethingElse"), "{stdout}");
    let warning = "first.so: the file has changed since it was sampled, so its functions have no names; put the sampled file \
                   back, or record again";
    assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
}

#[test]
fn a_library_that_is_deleted_while_it_runs_has_names() {
    let _alone = wait_for_turn();
    let main = r#"package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <unistd.h>

static int work(void) {
	void *library = dlopen("./libburn.so", RTLD_NOW);
	if (!library || unlink("./libburn.so")) return 1;
	int (*burn)(void) = (int (*)(void))dlsym(library, "burn_in_library");
	return !burn || burn() == 42;
}
*/
import "C"

func main() {
	if C.work() != 0 {
		panic("no library")
	}
}
"#;
    let library = "#include <time.h>\nint burn_in_library(void) {\n  unsigned sum = 0;\n  clock_t end = clock() + CLOCKS_PER_SEC / 2;\n  \
                   while (clock() < end) for (int i = 0; i < 100000; i++) __asm__ volatile(\"\" : \"+r\"(sum));\n  return sum + 1;\n}\n";
    let project = project(main, SETTINGS);
    project.write("burn.txt", library);
    text(
        tool("cc")
            // -fno-plt: a sample in a stub for `clock` would have no name.
            .args([
                "-x",
                "c",
                "-O1",
                "-shared",
                "-fPIC",
                "-fno-plt",
                "-fno-omit-frame-pointer",
                "-o",
                "libburn.so",
                "burn.txt",
            ])
            .current_dir(project.path("")),
    );
    let run = project.run(&[]);
    assert!(folded(&run).contains(";burn_in_library"), "{}\n{}", run.stderr, folded(&run));
    assert!(!folded(&run).contains("libburn.so"), "{}", folded(&run));
    assert_eq!(project.report(&run.dir, "folded"), folded(&run));
}

#[test]
fn names_of_a_changed_file_are_not_shown_even_if_it_has_no_build_id() {
    let _alone = wait_for_turn();
    let rest = "func main() { burnFirst() }";
    let project = project(&source_with_burn("main", "burnFirst", rest), SETTINGS);
    let build = || project.go_build("program", &["-ldflags=-B=none"]);
    let program = build();
    let file = project.perf_record(&[program.as_os_str()]);
    let report = || {
        let output = run_successfully(project.goflame().arg("report").arg(&file).args(["-f", "folded"]));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (before, warnings) = report();
    assert!(before.contains("main.main;main.burnFirst"), "{before}");
    assert!(!warnings.contains("has changed") && !warnings.contains("modified"), "{warnings}");

    // The file is changed in place: the inode is the same, the modification time is not.
    let bytes = fs::read(&program).unwrap();
    fs::write(&program, &bytes).unwrap();
    let (now, warnings) = report();
    assert!(now.contains("[program]") && !now.contains("main.burnFirst"), "{now}");
    let warning = "program: the file was modified after it was sampled, so its functions have no names; put the sampled file \
                   back with its old modification time, which `cp -p` and `scp -p` keep, or record again";
    assert_eq!(warnings.matches(warning).count(), 1, "{warnings}");
    run_successfully(tool("touch").args(["-d", "2 hours ago"]).arg(&program));
    assert_eq!(report().0, before);

    // Another file with an old modification time.
    project
        .write("main.go", &source_with_burn("main", "pad", &format!("{}\n{rest}", BURN.replace("NAME", "burnFirst"))));
    fs::rename(&program, project.path("sampled")).unwrap();
    let other = build();
    run_successfully(tool("touch").args(["-d", "2 hours ago"]).arg(&other));
    let (now, warnings) = report();
    assert!(now.contains("[program]") && !now.contains("main."), "{now}");
    assert_eq!(warnings.matches("program: the file has changed since it was sampled").count(), 1, "{warnings}");
    fs::rename(project.path("sampled"), &program).unwrap();
    assert_eq!(report().0, before);
}
