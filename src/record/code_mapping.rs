//! Executable mappings, as `/proc/PID/maps` lists them.

use std::fs;
use std::ops::Range;

/// An executable mapping of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodeMapping {
    pub(super) range: Range<u64>,
    /// Offset in the file.
    pub(super) offset: u64,
    /// Major and minor number of the file's device.
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    /// The path as the kernel writes it, with `\012` for a line end. Empty for memory without a file.
    pub(super) path: Vec<u8>,
}

impl CodeMapping {
    /// Returns the mappings of a process in the order of their addresses. Empty if the process has ended.
    pub(super) fn list(pid: u32) -> Vec<Self> {
        let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.split(|byte| *byte == b'\n').filter_map(Self::parse).collect()
    }

    /// Whether a file is mapped.
    pub(super) fn has_file(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// Parses a line. `None` if the mapping is not executable.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let mut field = || std::str::from_utf8(fields.next()?).ok();
        let (start, end) = field()?.split_once('-')?;
        field()?.contains('x').then_some(())?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (range, offset) = (hex(start)?..hex(end)?, hex(field()?)?);
        let (major, minor) = field()?.split_once(':')?;
        let device = |text| u32::from_str_radix(text, 16).ok();
        let (device, inode) = ((device(major)?, device(minor)?), field()?.parse().ok()?);
        let path = fields.next().unwrap_or_default().trim_ascii_start().to_vec();
        Some(Self { range, offset, device, inode, path })
    }
}

#[cfg(test)]
mod tests {
    use super::CodeMapping;

    #[test]
    fn only_executable_mappings_are_code() {
        let parse = |line: &str| {
            let mapping = CodeMapping::parse(line.as_bytes())?;
            let path = String::from_utf8(mapping.path).expect("a path");
            Some((mapping.range, mapping.offset, path))
        };
        let code = "00401000-0048a000 r-xp 00001000 fe:01 1234                    /home/a program";
        assert_eq!(parse(code), Some((0x40_1000..0x48_a000, 0x1000, "/home/a program".to_owned())));
        assert_eq!(
            parse("7fff0000-7fff2000 r-xp 00000000 00:00 0 "),
            Some((0x7fff_0000..0x7fff_2000, 0, String::new()))
        );
        for other in ["c000000000-c000400000 rw-p 00000000 00:00 0 ", "", "00401000-0048a000", "x-y r-xp 0 0 0"] {
            assert_eq!(parse(other), None);
        }
    }
}
