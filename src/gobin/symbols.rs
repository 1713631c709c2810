//! Function symbols of `.symtab`, or of `.dynsym` if `.symtab` is missing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use object::elf;

use super::container::{Symbol, SymbolList};
use super::elf::Elf;

#[derive(Debug)]
pub(super) struct Symbols<'a> {
    /// One symbol for each address, in ascending order of addresses.
    table: SymbolList<'a>,
    /// From `runtime.text` to `runtime.etext`: Go's linker puts all Go code there. Empty if both symbols are missing.
    go_text: Range<u64>,
}

pub(super) struct CoveringSymbol<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) entry: u64,
    /// End address of the symbol, but at most the start of the next symbol.
    pub(super) end: u64,
    /// Whether the symbol is in Go's text.
    pub(super) is_go: bool,
}

impl<'a> Symbols<'a> {
    pub(super) fn read(elf: &Elf<'a>) -> Self {
        let full = Self::from_table(elf, elf::SHT_SYMTAB);
        if full.is_empty() { Self::from_table(elf, elf::SHT_DYNSYM) } else { full }
    }

    fn from_table(elf: &Elf<'a>, kind: elf::SectionType) -> Self {
        let mut go_text = 0..0;
        let mut table = elf.symbols(kind, |symbol, name| {
            let kind = symbol.kind;
            // Functions of hand-written assembly often have no type. Local symbols without a type are jump targets.
            let is_function = kind == elf::STT_FUNC
                || kind == elf::STT_GNU_IFUNC
                || (kind == elf::STT_NOTYPE && symbol.bind != elf::STB_LOCAL);
            if !is_function || symbol.code_end.is_none() {
                return false;
            }
            match name {
                b"runtime.text" => go_text.start = symbol.address,
                b"runtime.etext" => go_text.end = symbol.address,
                [] => {}
                _ => return true,
            }
            false
        });
        let mut symbols = std::mem::take(&mut table.symbols);
        symbols.sort_unstable_by_key(|symbol| symbol.address);
        symbols.dedup_by(|next, kept| {
            let same = next.address == kept.address;
            if same && symbol_rank(&table, next) > symbol_rank(&table, kept) {
                std::mem::swap(next, kept);
            }
            same
        });
        // A symbol without a size inside a function is a label, which must not split the function.
        let mut covered = 0_u64;
        symbols.retain(|symbol| {
            covered = covered.max(symbol.address.saturating_add(symbol.size));
            symbol.size > 0 || symbol.address >= covered
        });
        table.symbols = symbols;
        Self { table, go_text }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.symbols.is_empty()
    }

    /// The last symbol that starts at or before the address, if it covers the address. A symbol without a size ends at the
    /// next symbol or at the end of its section.
    pub(super) fn symbol_at(&self, address: u64) -> Option<CoveringSymbol<'a>> {
        let symbols = &self.table.symbols;
        let next = symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = symbols.get(next.checked_sub(1)?)?;
        let end = match symbol.size {
            0 => {
                let limit = symbol.code_end?;
                symbols.get(next).map_or(limit, |next| limit.min(next.address))
            }
            size => symbol.address.saturating_add(size),
        };
        if address >= end {
            return None;
        }
        Some(CoveringSymbol {
            name: String::from_utf8_lossy(plain_name(self.table.name(symbol))),
            entry: symbol.address,
            end: symbols.get(next).map_or(end, |next| end.min(next.address)),
            is_go: self.go_text.contains(&symbol.address),
        })
    }
}

/// Rank of a symbol among the symbols at the same address. The highest rank wins. The order is the same as in perf
/// (`choose_best_symbol` in tools/perf/util/symbol.c), so that goflame and perf show the same name.
fn symbol_rank<'a>(table: &SymbolList<'a>, symbol: &Symbol) -> impl Ord + use<'a> {
    let name = table.name(symbol);
    let underscores = name.iter().take_while(|byte| **byte == b'_').count();
    let is_weak = symbol.bind == elf::STB_WEAK;
    (symbol.size > 0, !is_weak, symbol.bind == elf::STB_GLOBAL, Reverse(underscores), name.len(), name)
}

/// The name without linker suffixes: Go's `.abi0` for assembly, which names in pclntab do not have, and `@VERSION` or
/// `@@VERSION` for symbols in shared libraries.
fn plain_name(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b".abi0").unwrap_or(name);
    match name.iter().position(|byte| matches!(byte, b'@' | b'[')) {
        // An @ after [ belongs to a struct tag in Go's type arguments.
        Some(index) if index > 0 && name.get(index) == Some(&b'@') => name.get(..index).unwrap_or(name),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn linker_suffixes_are_dropped() {
        for (full, plain) in [
            ("runtime.memmove.abi0", "runtime.memmove"),
            ("pthread_create@@GLIBC_2.34", "pthread_create"),
            ("memcpy@GLIBC_2.2.5", "memcpy"),
            ("main.F[go.shape.struct { a int \"@\" }]", "main.F[go.shape.struct { a int \"@\" }]"),
            ("main.main", "main.main"),
            ("@odd", "@odd"),
        ] {
            assert_eq!(plain_name(full.as_bytes()), plain.as_bytes());
        }
    }
}
