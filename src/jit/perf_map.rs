//! Perf maps (`tools/perf/Documentation/jit-interface.txt` in Linux): a line `START SIZE NAME` for each function, both
//! numbers in hexadecimal.

use super::{JitCode, JitFunction, MAX_FUNCTIONS, is_code_range};

/// Reads a perf map.
pub fn parse_perf_map(bytes: &[u8]) -> JitCode<'_> {
    let mut code = JitCode::default();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        if code.functions.len() == MAX_FUNCTIONS {
            break;
        }
        match parse_line(line) {
            Some(function) if is_code_range(function.start, function.size) => code.functions.push(function),
            // Some runtimes write entries without code.
            Some(JitFunction { size: 0, .. }) => {}
            _ => code.malformed_entries = code.malformed_entries.saturating_add(1),
        }
    }
    code
}

fn parse_line(line: &[u8]) -> Option<JitFunction<'_>> {
    let mut fields = line.trim_ascii().splitn(3, |byte| *byte == b' ');
    let (start, size) = (parse_hexadecimal(fields.next()?)?, parse_hexadecimal(fields.next()?)?);
    let name = fields.next()?.trim_ascii();
    (!name.is_empty()).then_some(JitFunction { time: 0, start, size, name, lines: 0..0 })
}

fn parse_hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    // `from_str_radix` would accept a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<(u64, u64, String)>, u64) {
        let JitCode { functions, malformed_entries, .. } = parse_perf_map(text.as_bytes());
        let function = |function: &JitFunction<'_>| {
            (function.start, function.size, String::from_utf8_lossy(function.name).into_owned())
        };
        (functions.iter().map(function).collect(), malformed_entries)
    }

    #[test]
    fn each_line_is_a_function_and_a_name_may_have_spaces() {
        let (functions, malformed_entries) =
            parsed("7f00 10 first\r\n0x7f10 A0 LazyCompile:~two /a b.js:1:2\n\n8000 0 empty\n9 1 last");
        let named = |start, size, name: &str| (start, size, name.to_owned());
        assert_eq!(
            functions,
            [named(0x7f00, 0x10, "first"), named(0x7f10, 0xa0, "LazyCompile:~two /a b.js:1:2"), named(9, 1, "last")]
        );
        assert_eq!(malformed_entries, 0);
    }

    #[test]
    fn lines_that_do_not_follow_the_format_are_counted_and_left_out() {
        for line in [
            "x",
            "7f00",
            "7f00 10",
            "7f00 10 ",
            "+1 10 a",
            "7f00 -1 a",
            "1ffffffffffffffff 1 a",
            "ffffffffffffffff 2 a",
            "\u{e9} 1 a",
        ] {
            assert_eq!(parsed(&format!("{line}\n10 1 good\n")), (vec![(16, 1, "good".to_owned())], 1), "{line:?}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_gives_the_functions_before_the_cut() {
        let text = "1000 10 first\n2000 20 second one\n";
        for end in 0..=text.len() {
            let (functions, malformed_entries) = parsed(&text[..end]);
            let whole = text[..end].matches('\n').count();
            assert!(functions.len() >= whole && functions.len() <= whole + 1 && malformed_entries <= 1, "{end}");
        }
    }
}
