//! Function symbols of `.symtab`, or of `.dynsym` where that is missing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use object::LittleEndian as LE;
use object::SymbolIndex;
use object::elf;
use object::read::elf::{Sym as _, SymbolTable};

use super::elf::{Elf, Header};

/// Function symbols by address.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    table: SymbolTable<'a, Header>,
    /// One for each address.
    sorted: Vec<Symbol>,
    /// `runtime.text` and `runtime.etext`, between which Go's linker puts all Go code. Empty when they are missing.
    go_text: Range<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Symbol {
    address: u64,
    index: SymbolIndex,
}

/// A symbol that covers an address.
pub(super) struct Covering<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) entry: u64,
    /// Whether it lies between Go's text markers.
    pub(super) is_go: bool,
}

impl<'a> Symbols<'a> {
    pub(super) fn read(elf: &Elf<'a>) -> Self {
        let full = Self::of_table(elf, elf.symbols(elf::SHT_SYMTAB));
        if full.sorted.is_empty() { Self::of_table(elf, elf.symbols(elf::SHT_DYNSYM)) } else { full }
    }

    fn of_table(elf: &Elf<'a>, table: SymbolTable<'a, Header>) -> Self {
        let mut sorted = Vec::new();
        let mut go_text = 0..0;
        for (index, symbol) in table.enumerate() {
            let kind = symbol.st_type();
            // Labels of hand-written assembly often have no type. Local ones are jump targets.
            let is_function =
                kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC || (kind == elf::STT_NOTYPE && !symbol.is_local());
            if !is_function || section_end(elf, &table, index).is_none() {
                continue;
            }
            let address = symbol.st_value(LE);
            match table.symbol_name(LE, symbol) {
                Ok(b"runtime.text") => go_text.start = address,
                Ok(b"runtime.etext") => go_text.end = address,
                Ok([]) | Err(_) => {}
                Ok(_) => sorted.push(Symbol { address, index }),
            }
        }
        sorted.sort_unstable_by(|a: &Symbol, b: &Symbol| {
            a.address.cmp(&b.address).then_with(|| preference(&table, b).cmp(&preference(&table, a)))
        });
        sorted.dedup_by_key(|symbol| symbol.address);
        // A label inside a function must not cut it in two.
        let mut covered = 0_u64;
        sorted.retain(|symbol| {
            let size = table.symbol(symbol.index).map_or(0, |symbol| symbol.st_size(LE));
            covered = covered.max(symbol.address.saturating_add(size));
            size > 0 || symbol.address >= covered
        });
        Self { table, sorted, go_text }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The last symbol that starts at or before the address, if it reaches it: by its size, or without one up to
    /// the next symbol or the end of its section.
    pub(super) fn covering(&self, elf: &Elf<'a>, address: u64) -> Option<Covering<'a>> {
        let next = self.sorted.partition_point(|symbol| symbol.address <= address);
        let found = self.sorted.get(next.checked_sub(1)?)?;
        let symbol = self.table.symbol(found.index).ok()?;
        let end = match symbol.st_size(LE) {
            0 => {
                let limit = section_end(elf, &self.table, found.index)?;
                self.sorted.get(next).map_or(limit, |next| limit.min(next.address))
            }
            size => found.address.saturating_add(size),
        };
        if address >= end {
            return None;
        }
        let name = plain_name(self.table.symbol_name(LE, symbol).ok()?);
        Some(Covering {
            name: String::from_utf8_lossy(name),
            entry: found.address,
            is_go: self.go_text.contains(&found.address),
        })
    }
}

/// Of several symbols at one address the greatest wins. The order is perf's (`choose_best_symbol` in
/// tools/perf/util/symbol.c), so that both show the same name.
fn preference<'a>(table: &SymbolTable<'a, Header>, symbol: &Symbol) -> impl Ord + use<'a> {
    let Ok(entry) = table.symbol(symbol.index) else { return None };
    let name = table.symbol_name(LE, entry).unwrap_or_default();
    let underscores = name.iter().take_while(|byte| **byte == b'_').count();
    let is_global = entry.st_bind() == elf::STB_GLOBAL;
    Some((entry.st_size(LE) > 0, !entry.is_weak(), is_global, Reverse(underscores), name.len(), name))
}

/// The end of the executable section that a symbol is defined in; `None` when it is in none.
fn section_end(elf: &Elf<'_>, table: &SymbolTable<'_, Header>, index: SymbolIndex) -> Option<u64> {
    let symbol = table.symbol(index).ok()?;
    let section = elf.section_header(table.symbol_section(LE, symbol, index).ok()??)?;
    let executable = section.sh_flags.get(LE).contains(elf::SHF_EXECINSTR);
    executable.then(|| section.sh_addr.get(LE).saturating_add(section.sh_size.get(LE)))
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
