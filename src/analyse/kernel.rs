//! Kernel symbols: reads the text of `/proc/kallsyms`, packs it for the cache, and names addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;

use super::kernel_table::{KernelTable, TableSizes};

/// Maximum size of a kernel function.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;

/// Code that the kernel registered during the recording: BPF programs and trampolines.
#[derive(Debug, Default)]
pub(super) struct KernelCode {
    /// End address and shown name of each function, by start address.
    functions: BTreeMap<u64, (u64, String)>,
}

impl KernelCode {
    pub(super) fn add(&mut self, start: u64, length: u32, is_bpf: bool, name: &str) {
        let group = if is_bpf { BPF_GROUP } else { FTRACE_GROUP };
        self.functions.insert(start, (start.saturating_add(u64::from(length)), format!("{name} [{group}]")));
    }

    /// Adds code that was registered later. Later code replaces earlier code with the same start address.
    pub(super) fn extend(&mut self, later: Self) {
        self.functions.extend(later.functions);
    }

    /// The shown name of the code at an address.
    pub(super) fn name(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some(name)
    }
}

/// Module name of BPF programs and their trampolines in `/proc/kallsyms`.
const BPF_GROUP: &str = "bpf";
/// Group of the trampolines of function tracing. Their module name in `/proc/kallsyms` is `__builtin__ftrace`.
const FTRACE_GROUP: &str = "ftrace";

/// The shown name and the shown file of a kernel function. The file of a module is `[module]`. For code that the kernel
/// generated at run time (BPF, ftrace), the name ends with the group.
pub(super) fn shown_name_and_file<'n>(name: &'n str, module: Option<&str>) -> (Cow<'n, str>, String) {
    match module {
        None => (Cow::Borrowed(name), String::new()),
        Some(generated) if generated == BPF_GROUP || generated.starts_with("__builtin__") => {
            let group = generated.strip_prefix("__builtin__").unwrap_or(generated);
            (Cow::Owned(format!("{name} [{group}]")), format!("[{group}]"))
        }
        Some(module) => (Cow::Borrowed(name), format!("[{module}]")),
    }
}

/// Why there are no kernel symbols.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelSymbolsError {
    /// The text cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The kernel hides its addresses: all addresses in the list are 0.
    #[error("kernel addresses are hidden (kernel.kptr_restrict, or perf_event_paranoid above 1 without CAP_SYSLOG)")]
    Hidden,
    /// The text has no function.
    #[error("there are no kernel symbols")]
    Missing,
    /// The names have more than 4 GiB together.
    #[error("the list of kernel symbols is too long")]
    TooMany,
}

/// The kernel's functions by address.
#[derive(Debug, Clone)]
pub struct KernelSymbols {
    /// The functions. Each line of the table is a name and a module.
    functions: KernelTable,
    /// Addresses of the kernel's own code, from `_text` to `_etext`.
    text: Option<Range<u64>>,
}

impl KernelSymbols {
    /// Reads the text of `/proc/kallsyms` (`address type name [module]`, proc(5)). Skips data symbols, and lines of any
    /// other form.
    pub fn read(mut text: impl BufRead) -> Result<Self, KernelSymbolsError> {
        let (mut functions, mut names) = (Vec::new(), String::new());
        let mut hidden = 0_usize;
        let (mut text_start, mut text_end) = (None, None);
        let mut line = Vec::new();
        loop {
            line.clear();
            if text.read_until(b'\n', &mut line)? == 0 {
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
                // `_etext` is not a function, but the end of the kernel's own code.
                b"_etext" => {
                    text_end = Some(start);
                    continue;
                }
                _ => {}
            }
            functions.push((start, u32::try_from(names.len()).map_err(|_| KernelSymbolsError::TooMany)?));
            names.push_str(&String::from_utf8_lossy(name));
            if let Some(module) = fields.next() {
                names.push(' ');
                names.push_str(&String::from_utf8_lossy(module));
            }
            names.push('\n');
        }
        if functions.is_empty() {
            return Err(if hidden > 0 { KernelSymbolsError::Hidden } else { KernelSymbolsError::Missing });
        }
        // Stable sort: of several names for an address, the last name in the file is kept. perf shows the same name: for
        // perf, the other symbols have length 0, and `choose_best_symbol` in tools/perf/util/symbol.c prefers a symbol with
        // a length. The last name of a system call is the public one: `__x64_sys_read`, not `__do_sys_read`.
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

    /// The address range of the kernel's own code, without modules. Its start differs from boot to boot.
    pub fn text_range(&self) -> Option<Range<u64>> {
        self.text.clone()
    }

    /// The name and the module of the function at an address.
    pub fn name(&self, address: u64) -> Option<(&str, Option<&str>)> {
        let at = self.functions.position(address)?;
        let start = self.functions.start_address(at)?;
        // The symbols do not contain the ends of functions. An address beyond the kernel's own code, or too far from the
        // start of the function, belongs to code that was loaded after the symbols were read.
        let inside = |address| self.text.as_ref().is_some_and(|text| text.contains(&address));
        if inside(start) != inside(address) || address.saturating_sub(start) > MAX_FUNCTION_BYTES {
            return None;
        }
        self.name_and_module(at)
    }

    /// The name and the module of the function at a position of the table.
    fn name_and_module(&self, at: usize) -> Option<(&str, Option<&str>)> {
        let mut fields = self.functions.line(at)?.split_ascii_whitespace();
        Some((fields.next()?, fields.next().map(|module| module.trim_matches(['[', ']']))))
    }

    /// Packs the functions of the kernel's own code into bytes that need no parsing. `boot` is the id of the boot.
    pub fn pack(&self, boot: &str) -> Vec<u8> {
        let text = self.text_range().unwrap_or_default();
        let (mut lines, mut functions) = (String::new(), Vec::new());
        let all = (0..self.functions.sizes().functions)
            .filter_map(|at| Some((self.functions.start_address(at)?, self.functions.line(at)?)));
        for (start, line) in all.filter(|(start, _)| text.contains(start)) {
            // Never u32::MAX: these lines are a part of the table's lines, whose offsets fit.
            functions.push((start, u32::try_from(lines.len()).unwrap_or(u32::MAX)));
            lines.push_str(line);
            lines.push('\n');
        }
        let table = KernelTable::new(&functions, lines);
        [table.bytes(), &trailer(boot, &text, table.sizes())].concat()
    }

    /// Reads the result of [`KernelSymbols::pack`]. `None` if the bytes have another form, or are of another boot.
    pub fn unpack(boot: &str, bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Option<Self> {
        let all = (*bytes).as_ref();
        let (rest, numbers) = all.strip_suffix(&*boot_line(boot))?.split_last_chunk::<{ 4 * WORD_BYTES }>()?;
        let [start, end, line_bytes, functions] = numbers.as_chunks().0 else { return None };
        let text = u64::from_le_bytes(*start)..u64::from_le_bytes(*end);
        let [line_bytes, functions] =
            [line_bytes, functions].map(|size| usize::try_from(u64::from_le_bytes(*size)).ok());
        let sizes = TableSizes { line_bytes: line_bytes?, functions: functions? };
        let length = rest.len();
        let functions = KernelTable::from_bytes(bytes, sizes)?;
        (functions.bytes().len() == length).then_some(Self { functions, text: Some(text) })
    }

    /// The lines of `/proc/kallsyms` that are enough to name these addresses.
    pub fn to_kallsyms_for(&self, addresses: &[u64]) -> String {
        let mut wanted: Vec<usize> = addresses.iter().filter_map(|address| self.functions.position(*address)).collect();
        // Adds the symbol after each function, which marks the function's end.
        wanted.extend(wanted.clone().into_iter().map(|at| at + 1));
        wanted.sort_unstable();
        wanted.dedup();
        let mut text = String::new();
        if let Some(Range { start, end }) = self.text {
            // The addresses of `_text` and `_etext` identify the boot.
            let _ = writeln!(text, "{start:016x} T _text\n{end:016x} T _etext");
        }
        for at in wanted {
            let (Some(start), Some((name, module))) = (self.functions.start_address(at), self.name_and_module(at))
            else {
                continue;
            };
            let _ = write!(text, "{start:016x} T {name}");
            if let Some(module) = module {
                let _ = write!(text, "\t[{module}]");
            }
            text.push('\n');
        }
        text
    }
}

const WORD_BYTES: usize = size_of::<u64>();

/// The last bytes of packed symbols: address range of the kernel's code, sizes of the table, boot, and format.
fn trailer(boot: &str, text: &Range<u64>, sizes: TableSizes) -> Vec<u8> {
    let numbers = [text.start, text.end, sizes.line_bytes as u64, sizes.functions as u64];
    [numbers.map(u64::to_le_bytes).as_flattened(), &boot_line(boot)].concat()
}

/// The last lines of packed symbols: the id of their boot, and the version of the format.
fn boot_line(boot: &str) -> Vec<u8> {
    format!("{boot}\ngoflame kernel symbols 1\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{KernelCode, KernelSymbols, KernelSymbolsError, shown_name_and_file};

    const TEXT: &[u8] = b"ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000100 t do_one\n\
        ffffffff81000200 T _etext\nffffffff81000300 D data\nffffffffa0000000 t ext4_read\t[ext4]\ngarbage\n";

    #[test]
    fn an_address_has_the_name_of_its_function() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        assert_eq!(symbols.name(0xffff_ffff_8100_0150), Some(("do_one", None)));
        assert_eq!(symbols.name(0xffff_ffff_8100_0250), None, "after the kernel's code");
        assert_eq!(symbols.name(0xffff_ffff_b000_0000), None, "far after the last symbol");
        assert_eq!(symbols.name(0xffff_ffff_a000_0001), Some(("ext4_read", Some("ext4"))));
        assert_eq!(symbols.name(1), None);
        assert_eq!(symbols.text_range(), Some(0xffff_ffff_8100_0000..0xffff_ffff_8100_0200));
    }

    #[test]
    fn the_name_of_perf_is_used_if_an_address_has_several_names() {
        let symbols = KernelSymbols::read(
            &b"ffffffff813d9910 t __do_sys_sched_yield\nffffffff813d9910 T __ia32_sys_sched_yield\n\
              ffffffff813d9910 T __x64_sys_sched_yield\nffffffff813d9a00 t after\n"[..],
        )
        .expect("symbols");
        assert_eq!(symbols.name(0xffff_ffff_813d_9911), Some(("__x64_sys_sched_yield", None)));
    }

    #[test]
    fn a_subset_gives_the_same_names() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        let address = 0xffff_ffff_a000_0001;
        let again = KernelSymbols::read(symbols.to_kallsyms_for(&[address]).as_bytes()).expect("symbols");
        assert_eq!(again.name(address), symbols.name(address));
        assert_eq!(again.text_range(), symbols.text_range());
    }

    #[test]
    fn packed_symbols_name_the_kernels_own_code() {
        let symbols = KernelSymbols::read(TEXT).expect("symbols");
        let packed = symbols.pack("boot");
        let unpack = |bytes: &[u8]| KernelSymbols::unpack("boot", Arc::new(bytes.to_vec()));
        let again = unpack(&packed).expect("symbols");
        assert_eq!(again.text_range(), symbols.text_range());
        for address in 0xffff_ffff_8100_0000..0xffff_ffff_8100_0200 {
            assert_eq!(again.name(address), symbols.name(address));
        }
        assert_eq!(again.name(0xffff_ffff_a000_0001), None, "of a module");
        assert!(KernelSymbols::unpack("another boot", Arc::new(packed.clone())).is_none());
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_none(), "{end} bytes");
            assert!(unpack(&packed[packed.len() - end..]).is_none(), "the last {end} bytes");
        }
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0xff;
            // Damaged symbols can give wrong names, but must not panic.
            if let Some(damaged) = unpack(&damaged) {
                let _ = (damaged.name(0xffff_ffff_8100_0150), damaged.to_kallsyms_for(&[0, u64::MAX]));
            }
        }
    }

    #[test]
    fn code_generated_at_run_time_shows_its_group() {
        assert_eq!(shown_name_and_file("vfs_read", None), ("vfs_read".into(), String::new()));
        assert_eq!(shown_name_and_file("ext4_read", Some("ext4")), ("ext4_read".into(), "[ext4]".to_owned()));
        assert_eq!(shown_name_and_file("bpf_prog_6d_run", Some("bpf")).0, "bpf_prog_6d_run [bpf]");
        assert_eq!(shown_name_and_file("ftrace_trampoline", Some("__builtin__ftrace")).0, "ftrace_trampoline [ftrace]");
        let mut code = KernelCode::default();
        code.add(0x1000, 0x10, true, "bpf_prog_1");
        code.add(0x2000, 0x10, false, "ftrace_trampoline");
        code.add(u64::MAX, 9, false, "overflow");
        assert_eq!(code.name(0x100f), Some("bpf_prog_1 [bpf]"));
        assert_eq!(code.name(0x1010), None);
        assert_eq!(code.name(0x2000), Some("ftrace_trampoline [ftrace]"));
        assert_eq!(code.name(0xfff), None);
    }

    #[test]
    fn hidden_and_missing_addresses_have_different_errors() {
        let hidden = KernelSymbols::read(&b"0000000000000000 T _text\n"[..]);
        assert!(matches!(hidden, Err(KernelSymbolsError::Hidden)), "{hidden:?}");
        let missing = KernelSymbols::read(&b""[..]);
        assert!(matches!(missing, Err(KernelSymbolsError::Missing)), "{missing:?}");
    }
}
