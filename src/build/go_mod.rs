//! go.mod and go.work: the lines that goflame needs. Go itself reports the errors in the other lines.

use std::path::Path;

use crate::fsio;

/// Maximum bytes of a file: 4 MiB. Real files are far smaller.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Relevant lines of a go.mod or go.work. A field is empty if its line is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    /// Import path in the `module` line.
    pub module: String,
    /// Version in the `go` line, for example `1.21` or `1.27.3`.
    pub go: String,
    /// Name in the `toolchain` line, for example `go1.27.3` or `default`.
    pub toolchain: String,
    /// Whether the file requires a module.
    pub requires_modules: bool,
    /// Directories in `use` and `replace` lines, as written.
    pub local_dirs: Vec<String>,
}

impl GoMod {
    /// Reads a go.mod or go.work. `None` if it cannot be read.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = fsio::read_bounded(path, MAX_FILE_BYTES).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        let mut block: Option<&str> = None;
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default();
            let mut words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).collect();
            match (words.as_slice(), block) {
                ([")"], _) => {
                    block = None;
                    continue;
                }
                ([verb, "("], None) => {
                    block = Some(verb);
                    continue;
                }
                (_, Some(verb)) => words.insert(0, verb),
                _ => {}
            }
            match words.as_slice() {
                ["module", path] => (*path).clone_into(&mut found.module),
                ["go", version] => (*version).clone_into(&mut found.go),
                ["toolchain", name] => (*name).clone_into(&mut found.toolchain),
                ["require", _, ..] => found.requires_modules = true,
                // A version after the replacement path means a module, not a directory.
                ["use", dir] | ["replace", .., "=>", dir] => found.local_dirs.push((*dir).to_owned()),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::GoMod;

    #[test]
    fn lines_are_read_in_both_forms() {
        let text = "module m\n\ngo 1.21 // the oldest\ntoolchain go1.27.3\n\nrequire a.com/b v1.0.0 // indirect\n\nreplace (\n\
                    \ta.com/b => ../b // near\n\ta.com/c v1.2.0 => \"/abs/c\"\n\ta.com/d => a.com/e v1.0.0\n)\n\
                    replace a.com/f => ./f\n";
        let expected = GoMod {
            module: "m".to_owned(),
            go: "1.21".to_owned(),
            toolchain: "go1.27.3".to_owned(),
            requires_modules: true,
            local_dirs: ["../b", "/abs/c", "./f"].map(str::to_owned).to_vec(),
        };
        assert_eq!(GoMod::parse(text), expected);
        let work = GoMod::parse("use (\n\t./a\n\t../b\n)\nuse c\n");
        assert_eq!(work.local_dirs, ["./a", "../b", "c"]);
        for nothing in ["// require a.com/b v1.0.0\nrequire (\n)\n", "module\n", "go\n"] {
            assert_eq!(GoMod::parse(nothing), GoMod::default(), "{nothing}");
        }
    }
}
