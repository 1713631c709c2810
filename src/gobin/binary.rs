//! A file parsed once and asked for many addresses.

use std::sync::OnceLock;

use super::elf::{Elf, Segment};
use super::error::{Error, PclntabAbsence, Reason};
use super::facts::{self, Facts};
use super::function::Function;
use super::location::{Location, SourceFrame};
use super::pclntab::Pclntab;
use super::symbols::Symbols;

/// A 64-bit little-endian ELF program or shared object.
///
/// Borrows the file's bytes. What is expensive (finding and checking the Go function table, sorting the
/// symbols) happens once, when it is first needed; a look-up then takes about a microsecond.
#[derive(Debug)]
pub struct Binary<'a> {
    elf: Elf<'a>,
    pclntab: OnceLock<Result<Pclntab<'a>, PclntabAbsence>>,
    symbols: OnceLock<Symbols<'a>>,
}

impl<'a> Binary<'a> {
    /// Reads the headers of a whole file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Self { elf: Elf::parse(bytes)?, pclntab: OnceLock::new(), symbols: OnceLock::new() })
    }

    /// The GNU build id in hex. Go's linker writes one since Go 1.24.
    pub fn build_id(&self) -> Option<String> {
        self.elf.build_id()
    }

    /// What is mapped into memory (`PT_LOAD`), in the file's order.
    pub fn load_segments(&self) -> &[Segment] {
        self.elf.segments()
    }

    /// The link-time virtual address of a byte of the file. Where two segments hold the byte, the executable
    /// one answers, since the addresses that need this are of code.
    pub fn address_of_offset(&self, file_offset: u64) -> Option<u64> {
        let address = |segment: &Segment| {
            let into = file_offset.checked_sub(segment.offset).filter(|into| *into < segment.file_size)?;
            segment.address.checked_add(into)
        };
        let segments = self.elf.segments();
        let of_kind = |executable| segments.iter().filter(move |segment| segment.executable == executable);
        of_kind(true).chain(of_kind(false)).find_map(address)
    }

    /// The functions at a link-time virtual address. For a return address, ask for the byte before it.
    pub fn locate(&self, address: u64) -> Result<Location<'a>, Reason> {
        let go = self.pclntab().ok().and_then(|table| table.function_at(address));
        let go = go.and_then(|function| go_frame(&function, address));
        let frame = match go {
            Some(frame) => frame,
            None => self.symbol_frame(address)?,
        };
        Ok(Location { frames: vec![frame] })
    }

    fn symbol_frame(&self, address: u64) -> Result<SourceFrame<'a>, Reason> {
        if !self.elf.is_code(address, address.saturating_add(1)) {
            return Err(Reason::NotCode);
        }
        let symbols = self.symbols();
        match symbols.covering(&self.elf, address) {
            Some(symbol) => Ok(SourceFrame {
                name: symbol.name,
                file: None,
                line: 0,
                start_line: 0,
                is_go: symbol.is_go,
                entry: symbol.entry,
                top_frame: false,
            }),
            None if !symbols.is_empty() => Err(Reason::UnknownAddress),
            None => Err(match self.pclntab() {
                Ok(_) => Reason::UnknownAddress,
                Err(PclntabAbsence::NotGo) => Reason::NoSymbols,
                Err(absence) => Reason::Refused(absence.clone()),
            }),
        }
    }

    /// The Go function table, or why there is none to be trusted.
    pub fn pclntab(&self) -> Result<&Pclntab<'a>, &PclntabAbsence> {
        self.pclntab.get_or_init(|| Pclntab::find(&self.elf)).as_ref()
    }

    /// What can be said about how the file was built. Walks all Go functions.
    pub fn facts(&self) -> Facts {
        facts::gather(&self.elf, self.pclntab())
    }

    fn symbols(&self) -> &Symbols<'a> {
        self.symbols.get_or_init(|| Symbols::read(&self.elf))
    }
}

fn go_frame<'a>(function: &Function<'_, 'a>, address: u64) -> Option<SourceFrame<'a>> {
    Some(SourceFrame {
        name: String::from_utf8_lossy(function.name()?),
        file: function.file_at(address).map(String::from_utf8_lossy),
        line: function.line_at(address).unwrap_or_default(),
        start_line: function.start_line(),
        is_go: function.is_go(),
        entry: function.entry(),
        top_frame: function.is_top_frame(),
    })
}
