//! Build info: the go command's record of a build (`go version -m` shows it). `strip` keeps it.
//!
//! Format: Go's src/debug/buildinfo/buildinfo.go (the section) and src/runtime/debug/mod.go (the text).

use super::elf::Elf;
use super::error::BuildInfoAbsence;
use crate::bytes::Cursor;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Flag: the strings follow the header (since Go 1.18). Older headers have pointers to the strings.
const FLAG_INLINE_STRINGS: u8 = 2;
const FLAGS_OFFSET: usize = 15;
const POINTERS_OFFSET: usize = 16;
const HEADER_SIZE: usize = 32;
/// Size in bytes of the marker before the module text. The marker after the text has the same size.
const MARKER_BYTES: usize = 16;

/// The go command's record of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildInfo {
    /// The value of `runtime.Version()`, for example `go1.26.8` or `go1.25.1 X:nogreenteagc`.
    pub go_version: String,
    /// Import path of the main package. Empty if the program was not built by the go command.
    pub path: String,
    /// The module of the main package. `None` for a build without modules.
    pub module: Option<Module>,
    /// The modules that the program depends on, after replacements (`replace` in go.mod).
    pub deps: Vec<Module>,
    /// Build settings (key and value) in the order of the file: `-gcflags`, `CGO_ENABLED`, `GOARCH`, `vcs.revision`, ...
    pub settings: Vec<(String, String)>,
}

/// A module and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Path by which packages import the module.
    pub import_path: String,
    /// Path of the module or directory that replaces the module (`replace` in go.mod), else the import path.
    pub path: String,
    /// `v1.2.3`, `(devel)`, or empty.
    pub version: String,
}

impl Module {
    /// Whether the module is a directory of the machine that built the program: the main module, a module of the
    /// workspace (go.work), or a directory that replaces a module.
    pub fn is_local(&self) -> bool {
        // Up to Go 1.20, a replacement by a directory has no version.
        self.version == "(devel)" || self.version.is_empty() && self.path != self.import_path
    }
}

impl BuildInfo {
    /// Import paths of the modules whose code the user writes: the main module and all local ones.
    pub fn user_modules(&self) -> impl Iterator<Item = &str> {
        let local = self.deps.iter().filter(|module| module.is_local());
        self.module.iter().chain(local).map(|module| module.import_path.as_str())
    }

    /// The value of a build setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn find(elf: &Elf<'_>) -> Result<Self, BuildInfoAbsence> {
        if let Some(section) = elf.section(b".go.buildinfo") {
            return Self::read(elf, section.bytes);
        }
        let candidates = elf
            .find_in_data(|word| MAGIC.starts_with(word))
            .filter(|(address, bytes)| address.is_multiple_of(16) && bytes.starts_with(MAGIC));
        let mut absence = BuildInfoAbsence::NotFound;
        for (_, bytes) in candidates.take(16) {
            match Self::read(elf, bytes) {
                Ok(info) => return Ok(info),
                Err(error) => absence = error,
            }
        }
        Err(absence)
    }

    /// Reads the build info at the start of `bytes`.
    fn read(elf: &Elf<'_>, bytes: &[u8]) -> Result<Self, BuildInfoAbsence> {
        if !bytes.starts_with(MAGIC) {
            return Err(BuildInfoAbsence::NotFound);
        }
        let strings = match bytes.get(FLAGS_OFFSET) {
            Some(flags) if flags & FLAG_INLINE_STRINGS != 0 => inline_strings(bytes),
            Some(_) => pointed_strings(elf, bytes),
            None => None,
        };
        strings.and_then(|[version, modules]| Self::from_strings(version, modules)).ok_or(BuildInfoAbsence::Damaged)
    }

    fn from_strings(version: &[u8], modules: &[u8]) -> Option<Self> {
        let mut info = Self { go_version: String::from_utf8(version.to_vec()).ok()?, ..Self::default() };
        // `modules` is empty if the build has no modules.
        let end = modules.len().saturating_sub(MARKER_BYTES);
        for line in std::str::from_utf8(modules.get(MARKER_BYTES..end).unwrap_or_default()).ok()?.lines() {
            info.read_line(line);
        }
        Some(info)
    }

    /// Reads a line of the module text. Ignores unknown lines, which newer Go releases can add.
    fn read_line(&mut self, line: &str) {
        let (kind, rest) = line.split_once('\t').unwrap_or((line, ""));
        let module = || {
            let mut columns = rest.split('\t');
            let mut column = || columns.next().unwrap_or_default().to_owned();
            let (path, version) = (column(), column());
            Module { import_path: path.clone(), path, version }
        };
        match kind {
            "path" => rest.clone_into(&mut self.path),
            "mod" => self.module = Some(module()),
            "dep" => self.deps.push(module()),
            "=>" => {
                if let Some(replaced) = self.deps.last_mut().or(self.module.as_mut()) {
                    let import_path = std::mem::take(&mut replaced.import_path);
                    *replaced = Module { import_path, ..module() };
                }
            }
            "build" => self.settings.extend(parse_setting(rest)),
            _ => {}
        }
    }
}

/// The version and the module text that follow the header.
fn inline_strings(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let mut cursor = Cursor::from_offset(bytes, HEADER_SIZE)?;
    let mut text = || {
        let length = usize::try_from(cursor.uvarint32()?).ok()?;
        cursor.take(length)
    };
    Some([text()?, text()?])
}

/// The version and the module text of Go 1.13 to 1.17: the header has the addresses of two Go strings.
fn pointed_strings<'a>(elf: &Elf<'a>, bytes: &[u8]) -> Option<[&'a [u8]; 2]> {
    let format = elf.format();
    let mut cursor = Cursor::from_offset(bytes, POINTERS_OFFSET)?;
    let mut text = || {
        let [address, length] = elf.read_words(format.read_word(&mut cursor)?)?;
        elf.bytes_from(address)?.get(..usize::try_from(length).ok()?)
    };
    let version = text()?;
    // Without modules, the module text is a variable that has no bytes in the file.
    Some([version, text().unwrap_or_default()])
}

/// Parses `key=value`. Key and value can be quoted Go strings.
fn parse_setting(text: &str) -> Option<(String, String)> {
    let (key, rest) = if text.starts_with(['"', '`']) { unquote(text)? } else { unquoted(text, '=') };
    let value = rest.strip_prefix('=')?;
    let value = if value.starts_with(['"', '`']) { unquote(value)?.0 } else { value.to_owned() };
    Some((key, value))
}

fn unquoted(text: &str, end: char) -> (String, &str) {
    let (head, tail) = text.split_at_checked(text.find(end).unwrap_or(text.len())).unwrap_or((text, ""));
    (head.to_owned(), tail)
}

/// Parses a Go string literal at the start of `text`. Returns its value and the rest of the text.
fn unquote(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`')?;
        return Some((value.to_owned(), rest));
    }
    let mut rest = text.strip_prefix('"')?;
    let mut value = Vec::new();
    loop {
        let stop = rest.find(['"', '\\'])?;
        let (plain, tail) = rest.split_at_checked(stop)?;
        value.extend_from_slice(plain.as_bytes());
        if let Some(after) = tail.strip_prefix('"') {
            return Some((String::from_utf8(value).ok()?, after));
        }
        let mut chars = tail.chars();
        let _backslash = chars.next();
        let digits = match chars.next()? {
            'a' => Err(7),
            'b' => Err(8),
            'f' => Err(12),
            'n' => Err(b'\n'),
            'r' => Err(b'\r'),
            't' => Err(b'\t'),
            'v' => Err(11),
            '"' => Err(b'"'),
            '\\' => Err(b'\\'),
            'x' => Ok(2),
            'u' => Ok(4),
            'U' => Ok(8),
            _ => return None,
        };
        rest = chars.as_str();
        match digits {
            Err(byte) => value.push(byte),
            Ok(count) => {
                let (hex, after) = rest.split_at_checked(count)?;
                let number = u32::from_str_radix(hex, 16).ok()?;
                match u8::try_from(number) {
                    Ok(byte) if count == 2 => value.push(byte),
                    _ => value.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn read(bytes: &[u8]) -> Option<BuildInfo> {
        let [version, modules] = inline_strings(bytes)?;
        BuildInfo::from_strings(version, modules)
    }

    fn inline_build_info(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, FLAG_INLINE_STRINGS]);
        bytes.resize(HEADER_SIZE, 0);
        let modules = if modules.is_empty() { String::new() } else { format!("{0}{modules}{0}", "0123456789abcdef") };
        for text in [version, &modules] {
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend(text.bytes());
        }
        bytes
    }

    #[test]
    fn modules_replacements_and_settings_are_read() {
        let text = "path\texample.com/app\nmod\texample.com/app\t(devel)\t\ndep\ta.b/c\tv1.2.3\th1:x=\n\
                    dep\td.e/f\tv0.1.0\n=>\t../local\t\t\nbuild\t-compiler=gc\nbuild\t-gcflags=\"all=-N -l\"\n\
                    build\t\"odd key\"=`raw \\n`\nnew\tkind\n";
        let info = read(&inline_build_info("go1.26.8", text)).unwrap();
        assert_eq!(info.go_version, "go1.26.8");
        assert_eq!(info.path, "example.com/app");
        assert_eq!(info.module.as_ref().unwrap().version, "(devel)");
        let deps: Vec<_> = info.deps.iter().map(|dep| (dep.path.as_str(), dep.version.as_str())).collect();
        assert_eq!(deps, [("a.b/c", "v1.2.3"), ("../local", "")]);
        assert_eq!(info.user_modules().collect::<Vec<_>>(), ["example.com/app", "d.e/f"]);
        assert_eq!(info.setting("-gcflags"), Some("all=-N -l"));
        assert_eq!(info.setting("odd key"), Some("raw \\n"));
        assert_eq!(info.settings.len(), 3);
    }

    #[test]
    fn without_modules_there_is_only_a_version() {
        let info = read(&inline_build_info("go1.21.13", "")).unwrap();
        assert_eq!(info, BuildInfo { go_version: "go1.21.13".into(), ..BuildInfo::default() });
    }

    #[test]
    fn build_info_that_is_cut_off_is_refused() {
        let bytes = inline_build_info("go1.26.8", "path\tp\n");
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None);
        }
    }

    #[test]
    fn go_string_literals_are_unquoted() {
        assert_eq!(unquote(r#""a\t\x41\u00e4\"" rest"#), Some(("a\tA\u{e4}\"".into(), " rest")));
        for broken in [r#""open"#, r#""\"#, r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\xff""#, "`open"] {
            assert_eq!(unquote(broken), None, "{broken}");
        }
    }
}
