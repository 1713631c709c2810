//! Kernel symbols, from the text of `/proc/kallsyms`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;

use super::kernel_table::KernelTable;

/// No function of the kernel has so many bytes.
const LARGEST_FUNCTION: u64 = 1 << 20;

/// Code that the kernel got at run time, as a recording tells: BPF programs and trampolines.
#[derive(Debug, Default)]
pub(super) struct KernelCode {
    /// By first address: the address behind it, and the name.
    pieces: BTreeMap<u64, (u64, String)>,
}

impl KernelCode {
    pub(super) fn add(&mut self, start: u64, length: u32, bpf: bool, name: &str) {
        let what = if bpf { BPF } else { FTRACE };
        self.pieces.insert(start, (start.saturating_add(u64::from(length)), format!("{name} [{what}]")));
    }

    /// Adds what was made later.
    pub(super) fn extend(&mut self, later: Self) {
        self.pieces.extend(later.pieces);
    }

    /// The name of the piece that an address lies in.
    pub(super) fn name(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.pieces.range(..=address).next_back()?;
        (address < *end).then_some(name)
    }
}

/// What the kernel calls the home of BPF programs and their trampolines.
const BPF: &str = "bpf";
/// Trampolines of function tracing. `/proc/kallsyms` calls their home `__builtin__ftrace`.
const FTRACE: &str = "ftrace";

/// How a kernel function of a module is shown, and the file that it is said to be in. What the kernel made at run time
/// is named as such; modules are files.
pub(super) fn shown<'n>(name: &'n str, module: Option<&str>) -> (Cow<'n, str>, String) {
    match module {
        None => (Cow::Borrowed(name), String::new()),
        Some(made) if made == BPF || made.starts_with("__builtin__") => {
            let what = made.strip_prefix("__builtin__").unwrap_or(made);
            (Cow::Owned(format!("{name} [{what}]")), format!("[{what}]"))
        }
        Some(module) => (Cow::Borrowed(name), format!("[{module}]")),
    }
}

/// The kernel's functions by address.
#[derive(Debug, Clone)]
pub struct KernelSymbols {
    /// Each line is the name of a function and its module.
    functions: KernelTable,
    /// The kernel's own code, from `_text` to `_etext`.
    text: Option<Range<u64>>,
}

impl KernelSymbols {
    /// Reads `/proc/kallsyms` (`address type name [module]`, proc(5)) as it comes. An error says why there are no
    /// addresses; lines of another shape are passed over.
    pub fn read(mut text: impl BufRead) -> Result<Self, String> {
        let (mut functions, mut names) = (Vec::new(), String::new());
        let mut hidden = 0_usize;
        let (mut text_start, mut text_end) = (None, None);
        let mut line = Vec::new();
        loop {
            line.clear();
            if text.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
                break;
            }
            let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
            let (Some(address), Some([b't' | b'T' | b'w' | b'W']), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let address = std::str::from_utf8(address).ok();
            let Some(start) = address.and_then(|address| u64::from_str_radix(address, 16).ok()) else { continue };
            if start == 0 {
                hidden += 1;
                continue;
            }
            match name {
                b"_text" => text_start = Some(start),
                // The end of the last function, and no function.
                b"_etext" => {
                    text_end = Some(start);
                    continue;
                }
                _ => {}
            }
            functions.push((start, u32::try_from(names.len()).map_err(|_| "there are too many of them")?));
            names.push_str(&String::from_utf8_lossy(name));
            if let Some(module) = fields.next() {
                names.push(' ');
                names.push_str(&String::from_utf8_lossy(module));
            }
            names.push('\n');
        }
        if functions.is_empty() {
            return Err(if hidden > 0 {
                "kernel addresses are hidden (kernel.kptr_restrict, or perf_event_paranoid above 1 without CAP_SYSLOG)"
                    .into()
            } else {
                "there are no kernel symbols".into()
            });
        }
        // Stable, so that of several names for one address the last in the file is kept. It is the one that perf
        // shows (the others end where they start, and `choose_best_symbol` in tools/perf/util/symbol.c prefers
        // what has a length), and for a system call the public name: `__x64_sys_read`, not `__do_sys_read`.
        functions.sort_by_key(|(start, _)| *start);
        functions.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                std::mem::swap(next, kept);
            }
            same
        });
        let text = text_start.map(|start| start..text_end.unwrap_or(start));
        Ok(Self { functions: KernelTable::new(&functions, names), text })
    }

    /// The kernel's own code, without its modules. Where it starts differs from boot to boot.
    pub fn text(&self) -> Option<Range<u64>> {
        self.text.clone()
    }

    /// The name of the function that an address lies in, and its module.
    pub fn name(&self, address: u64) -> Option<(&str, Option<&str>)> {
        let at = self.functions.position(address)?;
        let start = self.functions.start(at)?;
        // Nothing tells where a function ends. It is not on the other side of the border of the kernel's own code, nor
        // so far away: what was loaded or compiled since the symbols were read has no name.
        let inside = |address| self.text.as_ref().is_some_and(|text| text.contains(&address));
        if inside(start) != inside(address) || address.saturating_sub(start) > LARGEST_FUNCTION {
            return None;
        }
        self.name_of(at)
    }

    /// Name and module of a function.
    fn name_of(&self, at: usize) -> Option<(&str, Option<&str>)> {
        let mut fields = self.functions.line(at)?.split_ascii_whitespace();
        Some((fields.next()?, fields.next().map(|module| module.trim_matches(['[', ']']))))
    }

    /// The functions of the kernel's own code, in a form that needs no reading. `boot` tells those of another boot apart.
    pub fn pack(&self, boot: &str) -> Vec<u8> {
        let text = self.text().unwrap_or_default();
        let (mut names, mut functions) = (String::new(), Vec::new());
        let own =
            (0..self.functions.sizes().1).filter_map(|at| Some((self.functions.start(at)?, self.functions.line(at)?)));
        for (start, line) in own.filter(|(start, _)| text.contains(start)) {
            // There are no more of them than before, so that it fits.
            functions.push((start, u32::try_from(names.len()).unwrap_or(u32::MAX)));
            names.push_str(line);
            names.push('\n');
        }
        let table = KernelTable::new(&functions, names);
        let (names, functions) = table.sizes();
        [table.bytes(), &packed(boot, &text, names, functions)].concat()
    }

    /// What [`KernelSymbols::pack`] made of a kernel's functions since this boot; `None` if it is anything else.
    pub fn unpack(boot: &str, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Option<Self> {
        let all = (*bytes).as_ref();
        let (rest, sizes) = all.strip_suffix(&*boot_line(boot))?.split_last_chunk::<{ 4 * WORD }>()?;
        let [start, end, names, functions] = sizes.as_chunks().0 else { return None };
        let text = u64::from_le_bytes(*start)..u64::from_le_bytes(*end);
        let [names, functions] = [names, functions].map(|size| usize::try_from(u64::from_le_bytes(*size)).ok());
        let length = rest.len();
        let functions = KernelTable::from(bytes, names?, functions?)?;
        (functions.bytes().len() == length).then_some(Self { functions, text: Some(text) })
    }

    /// The lines of `/proc/kallsyms` that are needed to name these addresses again, on another day.
    pub fn subset(&self, addresses: &[u64]) -> String {
        let mut wanted: Vec<usize> = addresses.iter().filter_map(|address| self.functions.position(*address)).collect();
        // The symbol after each one bounds it.
        wanted.extend(wanted.clone().into_iter().map(|at| at + 1));
        wanted.sort_unstable();
        wanted.dedup();
        let mut text = String::new();
        if let Some(Range { start, end }) = self.text {
            // These two identify the boot.
            let _ = writeln!(text, "{start:016x} T _text\n{end:016x} T _etext");
        }
        for at in wanted {
            let (Some(start), Some((name, module))) = (self.functions.start(at), self.name_of(at)) else { continue };
            let _ = write!(text, "{start:016x} T {name}");
            if let Some(module) = module {
                let _ = write!(text, "\t[{module}]");
            }
            text.push('\n');
        }
        text
    }
}

const WORD: usize = size_of::<u64>();

/// What packed symbols end with: where the kernel's code is, the sizes of what is before, and whose they are.
fn packed(boot: &str, text: &Range<u64>, names: usize, functions: usize) -> Vec<u8> {
    let sizes = [text.start, text.end, names as u64, functions as u64];
    [sizes.map(u64::to_le_bytes).as_flattened(), &boot_line(boot)].concat()
}

/// The boot that packed symbols are of, and their format.
fn boot_line(boot: &str) -> Vec<u8> {
    format!("{boot}\ngoflame kernel symbols 1\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{KernelCode, KernelSymbols, shown};

    const TEXT: &[u8] = b"ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000100 t do_one\n\
        ffffffff81000200 T _etext\nffffffff81000300 D data\nffffffffa0000000 t ext4_read\t[ext4]\ngarbage\n";

    #[test]
    fn names_addresses() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        assert_eq!(symbols.name(0xffff_ffff_8100_0150), Some(("do_one", None)));
        assert_eq!(symbols.name(0xffff_ffff_8100_0250), None, "behind the kernel's code");
        assert_eq!(symbols.name(0xffff_ffff_b000_0000), None, "far behind the last symbol");
        assert_eq!(symbols.name(0xffff_ffff_a000_0001), Some(("ext4_read", Some("ext4"))));
        assert_eq!(symbols.name(1), None);
        assert_eq!(symbols.text(), Some(0xffff_ffff_8100_0000..0xffff_ffff_8100_0200));
    }

    #[test]
    fn of_several_names_the_one_that_perf_shows() {
        let symbols = KernelSymbols::read(
            &b"ffffffff813d9910 t __do_sys_sched_yield\nffffffff813d9910 T __ia32_sys_sched_yield\n\
              ffffffff813d9910 T __x64_sys_sched_yield\nffffffff813d9a00 t after\n"[..],
        )
        .expect("symbols");
        assert_eq!(symbols.name(0xffff_ffff_813d_9911), Some(("__x64_sys_sched_yield", None)));
    }

    #[test]
    fn a_subset_names_the_same() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        let address = 0xffff_ffff_a000_0001;
        let again = KernelSymbols::read(symbols.subset(&[address]).as_bytes()).expect("symbols");
        assert_eq!(again.name(address), symbols.name(address));
        assert_eq!(again.text(), symbols.text());
    }

    #[test]
    fn packed_symbols_name_the_kernels_own_code() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        let packed = symbols.pack("boot");
        let unpack = |bytes: &[u8]| KernelSymbols::unpack("boot", Arc::new(bytes.to_vec()));
        let again = unpack(&packed).expect("symbols");
        assert_eq!(again.text(), symbols.text());
        for address in 0xffff_ffff_8100_0000..0xffff_ffff_8100_0200 {
            assert_eq!(again.name(address), symbols.name(address));
        }
        assert_eq!(again.name(0xffff_ffff_a000_0001), None, "a module's");
        assert!(KernelSymbols::unpack("another boot", Arc::new(packed.clone())).is_none());
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_none(), "{end} bytes");
            assert!(unpack(&packed[packed.len() - end..]).is_none(), "the last {end} bytes");
        }
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0xff;
            // Whatever it says then.
            if let Some(damaged) = unpack(&damaged) {
                let _ = (damaged.name(0xffff_ffff_8100_0150), damaged.subset(&[0, u64::MAX]));
            }
        }
    }

    #[test]
    fn what_was_made_at_run_time_is_named_as_such() {
        assert_eq!(shown("vfs_read", None), ("vfs_read".into(), String::new()));
        assert_eq!(shown("ext4_read", Some("ext4")), ("ext4_read".into(), "[ext4]".to_owned()));
        assert_eq!(shown("bpf_prog_6d_run", Some("bpf")).0, "bpf_prog_6d_run [bpf]");
        assert_eq!(shown("ftrace_trampoline", Some("__builtin__ftrace")).0, "ftrace_trampoline [ftrace]");
        let mut code = KernelCode::default();
        code.add(0x1000, 0x10, true, "bpf_prog_1");
        code.add(0x2000, 0x10, false, "ftrace_trampoline");
        code.add(u64::MAX, 9, false, "absurd");
        assert_eq!(code.name(0x100f), Some("bpf_prog_1 [bpf]"));
        assert_eq!(code.name(0x1010), None);
        assert_eq!(code.name(0x2000), Some("ftrace_trampoline [ftrace]"));
        assert_eq!(code.name(0xfff), None);
    }

    #[test]
    fn hidden_addresses_are_told_apart_from_absent_ones() {
        assert!(KernelSymbols::read(&b"0000000000000000 T _text\n"[..]).is_err_and(|why| why.contains("hidden")));
        assert!(KernelSymbols::read(&b""[..]).is_err_and(|why| why.contains("no kernel symbols")));
    }
}
