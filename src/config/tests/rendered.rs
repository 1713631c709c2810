//! Golden tests of the exact text that the user sees.
#![allow(clippy::needless_raw_string_hashes)] // one form for all, or adding a quote changes two lines

use std::path::{Path, PathBuf};

use super::rendered;
use crate::config::{Config, Overrides, SourceFile};

/// Defines one test per case: the file, and the whole text shown about it.
macro_rules! golden {
    ($($name:ident: $text:expr => $expected:expr;)+) => {
        $(#[test]
        fn $name() {
            let found = rendered($text);
            assert_eq!(found, $expected.trim_matches('\n'), "\n{found}\n");
        })+
    };
}

golden! {
    a_key_similar_to_a_known_key: "[record]\nfreqency = 99\n" => r#"
error: unknown key `freqency` in `[record]`
 --> goflame.toml:2:1
  |
2 | freqency = 99
  | ^^^^^^^^ did you mean `frequency`?
"#;

    a_key_similar_to_no_known_key: "[record]\nfoo = 1" => r#"
error: unknown key `foo` in `[record]`
 --> goflame.toml:2:1
  |
2 | foo = 1
  | ^^^ not a key of `[record]`
  |
  = help: the keys of `[record]` are `engine`, `frequency`, `event`, `kernel`, `stack`, `labels`, `off_cpu`
"#;

    a_key_of_another_table: "[report]\nfrequency = 99\n" => r#"
error: unknown key `frequency` in `[report]`
 --> goflame.toml:2:1
  |
2 | frequency = 99
  | ^^^^^^^^^ `frequency` belongs in `[record]`
"#;

    a_key_of_a_variant_in_the_wrong_place: "[app]\ngcflags = \"\"\n" => r#"
error: unknown key `gcflags` in `[app]`
 --> goflame.toml:2:1
  |
2 | gcflags = ""
  | ^^^^^^^ `gcflags` belongs in `[variant.NAME]`
"#;

    a_key_outside_of_any_table: "frequency = 99\n" => r#"
error: unknown key `frequency` outside of any table
 --> goflame.toml:1:1
  |
1 | frequency = 99
  | ^^^^^^^^^ `frequency` belongs in `[record]`
"#;

    a_table_similar_to_a_known_table: "# comment\n\n  [recrod]\nfrequency = 99\n" => r#"
error: unknown table `[recrod]`
 --> goflame.toml:3:4
  |
3 |   [recrod]
  |    ^^^^^^ did you mean `[record]`?
"#;

    a_table_similar_to_no_known_table: "[foo]\nbar = 1\n" => r#"
error: unknown table `[foo]`
 --> goflame.toml:1:2
  |
1 | [foo]
  |  ^^^ not a name that goflame knows
  |
  = help: the tables are `app`, `build`, `toolchain`, `workload`, `record`, `runtime`, `doctor`, `report`, `archive`, `variant`
"#;

    a_variant_that_is_not_defined: "[build]\nvariant = \"fats\"\n[variant.fast]\n" => r#"
error: invalid value for `build.variant`
 --> goflame.toml:2:11
  |
2 | variant = "fats"
  |           ^^^^^^ expected `debug`, `fast` or `release`
  |
  = help: did you mean `fast`?
"#;

    several_problems_in_the_order_of_the_text: "[record]\nfrequency = \"99\"\nengine = 'pref'\n\tstack = 13 # é\r\n[workload]\r\ntimeout = \"ten\"\r\n" => r#"
error: wrong type for `record.frequency`
 --> goflame.toml:2:13
  |
2 | frequency = "99"
  |             ^^^^ expected an integer, found a string
  |
  = help: write it without quotes: `99`

error: invalid value for `record.engine`
 --> goflame.toml:3:10
  |
3 | engine = 'pref'
  |          ^^^^^^ expected `native` or `perf`; did you mean `perf`?

error: invalid value for `record.stack`
 --> goflame.toml:4:10
  |
4 |     stack = 13 # é
  |             ^^ expected a multiple of 8, found 13
  |
  = help: the nearest values are 8 and 16

error: invalid value for `workload.timeout`
 --> goflame.toml:6:11
  |
6 | timeout = "ten"
  |           ^^^^^ expected a duration, for example `10m`, `1.5s` or `500ms`
"#;

    two_signs_of_a_ready_server: "[workload]\nready = { tcp = \"localhost:80\", log = \"ready\" }\n" => r#"
error: invalid value for `workload.ready.tcp`
 --> goflame.toml:2:17
  |
2 | ready = { tcp = "localhost:80", log = "ready" }
  |                 ^^^^^^^^^^^^^^ expected only one of `http`, `tcp` and `log`
"#;

    flags_that_strip: "[variant.release]\nldflags = \"-X main.s=-w -s -w\"\n" => r#"
error: invalid value for `variant.release.ldflags`
 --> goflame.toml:2:25
  |
2 | ldflags = "-X main.s=-w -s -w"
  |                         ^^ `-s` strips the symbol table and the debug information that a profile needs
  |
  = help: it costs no speed to keep them: leave the flag out

error: invalid value for `variant.release.ldflags`
 --> goflame.toml:2:28
  |
2 | ldflags = "-X main.s=-w -s -w"
  |                            ^^ `-w` strips the debug information that a profile needs
  |
  = help: it costs no speed to keep them: leave the flag out
"#;

    keys_of_later_versions: "[workload]\nrepeat = 3\n" => r#"
error: `workload.repeat = 3` is not yet available
 --> goflame.toml:2:10
  |
2 | repeat = 3
  |          ^ not yet available
  |
  = help: only `1` works today
"#;

    several_syntax_errors: "[record]\nengine = native\nevent = cycles\nfrequency = \n[app" => r#"
error: the string has no quotes
 --> goflame.toml:2:10
  |
2 | engine = native
  |          ^^^^^^ expected quotes around it

error: the string has no quotes
 --> goflame.toml:3:9
  |
3 | event = cycles
  |         ^^^^^^ expected quotes around it

error: the key has no value
 --> goflame.toml:4:13
  |
4 | frequency = 
  |             ^ expected a value

error: unclosed table
 --> goflame.toml:5:5
  |
5 | [app
  |     ^ expected `]`
"#;

    a_key_given_twice: "[record]\nfrequency = 1\nfrequency = 2\n" => r#"
error: duplicate key
 --> goflame.toml:3:1
  |
3 | frequency = 2
  | ^^^^^^^^^
"#;

    a_string_that_does_not_end: "[app]\nname = \"größe\n" => r#"
error: invalid basic string
 --> goflame.toml:2:14
  |
2 | name = "größe
  |              ^ expected `"`
"#;

    multibyte_text_before_the_position: "[report]\ntitle = \"größe\" x = 1\n" => r#"
error: unexpected key or value
 --> goflame.toml:2:17
  |
2 | title = "größe" x = 1
  |                 ^ expected newline, `#`
"#;

    wide_text_before_the_position: "workload = { env = { \"火焰\" = 1 } }" => r#"
error: wrong type for `workload.env."火焰"`
 --> goflame.toml:1:29
  |
1 | workload = { env = { "火焰" = 1 } }
  |                               ^ expected a string, found an integer
  |
  = help: write it in quotes: `"1"`
"#;

    an_array_over_lines: "[doctor]\nstrict = [\n  1,\n  2,\n]\n" => r#"
error: wrong type for `doctor.strict`
 --> goflame.toml:2:10
  |
2 | strict = [
  |          ^ expected a boolean, found an array
"#;

    a_byte_order_mark: "\u{feff}foo = 1" => r#"
error: unknown key `foo` outside of any table
 --> goflame.toml:1:1
  |
1 | foo = 1
  | ^^^ not a name that goflame knows
  |
  = help: the tables are `app`, `build`, `toolchain`, `workload`, `record`, `runtime`, `doctor`, `report`, `archive`, `variant`
"#;

    bytes_that_are_not_text: "\0\0\u{7f}ELF" => r#"
error: invalid unquoted key
 --> goflame.toml:1:1
  |
1 | ␀␀␡ELF
  | ^^^ expected letters, numbers, `-`, `_`
"#;

    an_invalid_variant_name: "[variant.\"a/b\"]\n" => r#"
error: invalid name for the variant `a/b`
 --> goflame.toml:1:10
  |
1 | [variant."a/b"]
  |          ^^^^^ expected letters, digits, `-`, `_` and `.`, found `/`
"#;

    numbers_in_the_environment: "[workload]\nargs = \"-x\"\n[workload.env]\nPORT = 8080\n" => r#"
error: wrong type for `workload.args`
 --> goflame.toml:2:8
  |
2 | args = "-x"
  |        ^^^^ expected an array of strings, found a string
  |
  = help: write it in brackets: `["-x"]`

error: wrong type for `workload.env.PORT`
 --> goflame.toml:4:8
  |
4 | PORT = 8080
  |        ^^^^ expected a string, found an integer
  |
  = help: write it in quotes: `"8080"`
"#;
}

#[test]
fn an_error_has_a_form_of_one_line() {
    let summary = |text: &str| {
        let file = SourceFile { path: PathBuf::from("goflame.toml"), text: text.to_owned() };
        Config::resolve(Path::new("."), Some(file), &Overrides::default()).unwrap_err().to_string()
    };
    assert_eq!(summary("x = 1"), "goflame.toml:1:1: unknown key `x` outside of any table");
    assert_eq!(summary("[app]\n'é' = 1 'x'\n"), "goflame.toml:2:9: unexpected key or value");
    assert_eq!(summary("x = 1\ny = 2"), "goflame.toml:1:1: unknown key `x` outside of any table (and 1 more problem)");
    assert_eq!(
        summary("[app]\nx = 1\ny = 2\nz = 3\n"),
        "goflame.toml:2:1: unknown key `x` in `[app]` (and 2 more problems)"
    );
}

#[test]
fn the_number_of_drawn_problems_is_limited() {
    let lines: Vec<_> = (0..25).map(|n| format!("x{n} = 1")).collect();
    let found = rendered(&lines.join("\n"));
    assert_eq!(found.matches("error: unknown key").count(), 20);
    assert!(found.ends_with("\n\nerror: 5 more problems in goflame.toml"), "{found}");
}

#[test]
fn colors_are_the_only_difference() {
    let file = SourceFile { path: PathBuf::from("goflame.toml"), text: "[app]\nnam = 1\n".to_owned() };
    let error = Config::resolve(Path::new("."), Some(file), &Overrides::default()).unwrap_err();
    let colored = error.render(true).unwrap();
    assert!(colored.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), error.render(false).unwrap());
}
