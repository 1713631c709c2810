//! Function symbols of `.symtab`, or of `.dynsym` where that is missing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use object::elf;

use super::container::{Symbol, SymbolList};
use super::elf::Elf;

/// Function symbols by address.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    /// One for each address, by rising address.
    table: SymbolList<'a>,
    /// `runtime.text` and `runtime.etext`, between which Go's linker puts all Go code. Empty when they are missing.
    go_text: Range<u64>,
}

/// A symbol that covers an address.
pub(super) struct Covering<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) entry: u64,
    /// Behind its last byte, or where another one begins before that.
    pub(super) end: u64,
    /// Whether it lies between Go's text markers.
    pub(super) is_go: bool,
}

impl<'a> Symbols<'a> {
    pub(super) fn read(elf: &Elf<'a>) -> Self {
        let full = Self::of_table(elf.symbols(elf::SHT_SYMTAB));
        if full.is_empty() { Self::of_table(elf.symbols(elf::SHT_DYNSYM)) } else { full }
    }

    fn of_table(mut table: SymbolList<'a>) -> Self {
        let mut go_text = 0..0;
        let mut symbols = std::mem::take(&mut table.symbols);
        symbols.retain(|symbol| {
            let kind = symbol.kind;
            // Labels of hand-written assembly often have no type. Local ones are jump targets.
            let is_function = kind == elf::STT_FUNC
                || kind == elf::STT_GNU_IFUNC
                || (kind == elf::STT_NOTYPE && symbol.bind != elf::STB_LOCAL);
            if !is_function || symbol.code_end.is_none() {
                return false;
            }
            match table.name(symbol) {
                b"runtime.text" => go_text.start = symbol.address,
                b"runtime.etext" => go_text.end = symbol.address,
                [] => {}
                _ => return true,
            }
            false
        });
        symbols.sort_unstable_by(|a, b| {
            a.address.cmp(&b.address).then_with(|| preference(&table, b).cmp(&preference(&table, a)))
        });
        symbols.dedup_by_key(|symbol| symbol.address);
        // A label inside a function must not cut it in two.
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

    /// The last symbol that starts at or before the address, if it reaches it: by its size, or without one up to
    /// the next symbol or the end of its section.
    pub(super) fn covering(&self, address: u64) -> Option<Covering<'a>> {
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
        Some(Covering {
            name: String::from_utf8_lossy(plain_name(self.table.name(symbol))),
            entry: symbol.address,
            end: symbols.get(next).map_or(end, |next| end.min(next.address)),
            is_go: self.go_text.contains(&symbol.address),
        })
    }
}

/// Of several symbols at one address the greatest wins. The order is perf's (`choose_best_symbol` in
/// tools/perf/util/symbol.c), so that both show the same name.
fn preference<'a>(table: &SymbolList<'a>, symbol: &Symbol) -> impl Ord + use<'a> {
    let name = table.name(symbol);
    let underscores = name.iter().take_while(|byte| **byte == b'_').count();
    let is_weak = symbol.bind == elf::STB_WEAK;
    (symbol.size > 0, !is_weak, symbol.bind == elf::STB_GLOBAL, Reverse(underscores), name.len(), name)
}

/// Less what linkers append: Go's `.abi0` (assembly, which its own tables name without it) and the
/// `@VERSION` or `@@VERSION` of shared libraries' symbols.
fn plain_name(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b".abi0").unwrap_or(name);
    match name.iter().position(|byte| matches!(byte, b'@' | b'[')) {
        // An @ inside of Go's type arguments belongs to a struct tag.
        Some(at) if at > 0 && name.get(at) == Some(&b'@') => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn suffixes_of_linkers_are_dropped() {
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
