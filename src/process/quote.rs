//! Quotes command lines as text for a shell.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Quotes one word for `sh` if necessary.
///
/// Control characters and bytes that are not UTF-8 are written in the `$'..'` form of bash, zsh and POSIX 2024. The
/// text is printable and represents exactly the same bytes.
pub fn quote(word: &OsStr) -> Cow<'_, str> {
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(is_plain) => Cow::Borrowed(text),
        Some(text) if !text.chars().any(char::is_control) => Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))),
        _ => Cow::Owned(dollar_quote(word.as_bytes())),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte)
}

fn dollar_quote(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            // Three octal digits, because bash could read a digit after `\x` as part of the number.
            _ => write!(text, "\\{byte:03o}").unwrap_or_default(),
        }
    }
    text.push('\'');
    text
}

/// Quotes the words of a command and joins them with spaces.
pub fn quote_command<S: AsRef<OsStr>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Returns a command as one line for a shell: `cd DIR && NAME=VALUE program arguments`.
pub fn quote_line<S: AsRef<OsStr>>(dir: Option<&Path>, env: &[(S, S)], words: &[S]) -> String {
    let mut line = String::new();
    if let Some(dir) = dir {
        line.push_str("cd ");
        line.push_str(&quote(dir.as_os_str()));
        line.push_str(" && ");
    }
    for (name, value) in env {
        line.push_str(&quote(name.as_ref()));
        line.push('=');
        if !value.as_ref().is_empty() {
            line.push_str(&quote(value.as_ref()));
        }
        line.push(' ');
    }
    line.push_str(&quote_command(words));
    line
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(quote_command(&["go", "build", "-o", "/a/b.test", "./cmd/x", "-tags=a,b"]), {
            "go build -o /a/b.test ./cmd/x -tags=a,b"
        });
    }

    #[test]
    fn words_with_spaces_and_quotes() {
        assert_eq!(
            quote_command(&["-gcflags=all=-N -l", "", "it's", "~", "$x"]),
            r"'-gcflags=all=-N -l' '' 'it'\''s' '~' '$x'"
        );
    }

    #[test]
    fn a_line_has_directory_and_environment() {
        let line = quote_line(Some(Path::new("/my dir")), &[("GOFLAGS", "-a -b"), ("CC", "")], &["go", "env"]);
        assert_eq!(line, "cd '/my dir' && GOFLAGS='-a -b' CC= go env");
    }

    /// A real shell must read every quoted word back as the same bytes.
    #[test]
    fn bash_reads_back_what_was_quoted() {
        let words: Vec<&OsStr> = [
            b"plain".as_slice(),
            b"two words",
            b"it's $HOME `id` \\ \"x\" *?[a]{b,c} !h #c ~ ; & | < > ( )",
            b"line\nbreak\ttab \x1b[0m",
            b"\xff\x80not utf-8 'q' 7",
            b"\x011",
            "snow ☃".as_bytes(),
            b"",
        ]
        .into_iter()
        .map(OsStr::from_bytes)
        .collect();
        let script = format!("printf '%s\\0' {}", quote_command(&words));
        let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(out.status.success(), "bash failed on: {script}");
        let mut expected = Vec::new();
        for word in words {
            expected.extend_from_slice(word.as_bytes());
            expected.push(0);
        }
        assert_eq!(out.stdout, expected);
    }
}
