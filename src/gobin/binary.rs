//! [`Binary`]: an ELF file that is parsed once and serves many look-ups.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use super::assembly::Assembly;
use super::buildinfo::BuildInfo;
use super::calls;
use super::cfi::{CallFrames, NativeUnwind};
use super::container::Segment;
use super::debuginfo::DebugInfo;
use super::elf::Elf;
use super::error::{BuildInfoAbsence, Error, GLayoutAbsence, NameAbsence, PclntabAbsence};
use super::facts::{self, BinaryFacts};
use super::g_layout::{GLayout, GLayoutSource};
use super::native;
use super::pclntab::Pclntab;
use super::source_frame::SourceFrame;
use super::symbols::{CoveringSymbol, Symbols};
use super::unwind::GoUnwind;
use super::wrapper;
use crate::bytes::Cursor;

/// An ELF program or shared object, of any class and byte order.
///
/// Borrows the file's bytes. The expensive steps (finding and checking pclntab, sorting the symbols) run once, at the
/// first look-up that needs them. Later look-ups take about a microsecond each.
#[derive(Debug)]
pub struct Binary<'a> {
    elf: Elf<'a>,
    pclntab: OnceLock<Result<Pclntab<'a>, PclntabAbsence>>,
    symbols: OnceLock<Symbols<'a>>,
    debug_info: OnceLock<Option<DebugInfo<'a>>>,
    call_frames: OnceLock<Option<CallFrames<'a>>>,
    /// The separate debug file, with the symbols that were stripped from this file.
    debug_file: Option<Box<Elf<'a>>>,
}

impl<'a> Binary<'a> {
    /// Parses the headers. `bytes` is the whole file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let elf = Elf::parse(bytes)?;
        Ok(Self {
            elf,
            pclntab: OnceLock::new(),
            symbols: OnceLock::new(),
            debug_info: OnceLock::new(),
            call_frames: OnceLock::new(),
            debug_file: None,
        })
    }

    /// The GNU build id in hexadecimal. Go's linker writes it since Go 1.24.
    pub fn build_id(&self) -> Option<String> {
        self.elf.build_id()
    }

    /// Whether the symbols were stripped, so that a separate debug file can have them.
    pub fn is_stripped(&self) -> bool {
        !self.elf.has_symbols(object::elf::SHT_SYMTAB)
    }

    /// Name and CRC-32 of the separate debug file, from `.gnu_debuglink`.
    pub fn debug_link(&self) -> Option<(&'a str, u32)> {
        let section = self.elf.section(b".gnu_debuglink").filter(|section| !section.compressed)?.bytes;
        let name = Cursor::new(section).cstr()?;
        // The CRC is the last word of the section, aligned to 4 bytes.
        let crc = section.last_chunk().filter(|_| name.len().checked_add(5).is_some_and(|end| end <= section.len()));
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains('/'))?;
        Some((name, self.elf.format().read_u32(&mut Cursor::new(crc.map(|crc: &[u8; 4]| crc.as_slice())?))?))
    }

    /// Uses the symbols of a separate debug file. Returns false if `bytes` has no symbols or is of another build. The build
    /// ids must be equal. Without a build id, the CRC-32 must be the one in [`Self::debug_link`].
    pub fn add_debug_file(&mut self, bytes: &'a [u8]) -> bool {
        let Ok(file) = Elf::parse(bytes) else { return false };
        let is_same = match self.build_id() {
            Some(id) => file.build_id() == Some(id),
            None => self.debug_link().is_some_and(|(_, crc)| crc == crc_32(bytes)),
        };
        let fits = is_same && file.machine() == self.elf.machine() && file.has_symbols(object::elf::SHT_SYMTAB);
        if fits {
            self.debug_file = Some(Box::new(file));
            self.symbols = OnceLock::new();
        }
        fits
    }

    /// The segments that are loaded into memory (`PT_LOAD`), in file order.
    pub fn load_segments(&self) -> &[Segment] {
        self.elf.segments()
    }

    /// The link-time virtual address of a byte of the file. If two segments contain the byte, returns the address in
    /// the executable segment, because callers look for code.
    pub fn address_of_offset(&self, file_offset: u64) -> Option<u64> {
        let mut data_address = None;
        for segment in self.elf.segments() {
            let offset = file_offset.checked_sub(segment.offset).filter(|offset| *offset < segment.file_size);
            match offset.and_then(|offset| segment.address.checked_add(offset)) {
                Some(address) if segment.executable => return Some(address),
                found => data_address = data_address.or(found),
            }
        }
        data_address
    }

    /// The unwind rule for the frame of the Go function at a link-time virtual address. For a return address, pass the
    /// address of the byte before it. `None` if there is no Go function. If only its frame size is unknown,
    /// [`GoUnwind::sp_delta`] has the reason.
    pub fn unwind(&self, address: u64) -> Option<GoUnwind> {
        GoUnwind::new(&self.pclntab().ok()?.function_at(address)?, address)
    }

    /// The unwind rule (CFI) for the frame of a function that is not Go's, at a link-time virtual address. For a return
    /// address, pass the address of the byte before it. `None` if `.eh_frame` does not cover the address, and for
    /// machines other than x86-64.
    pub fn native_unwind(&self, address: u64) -> Option<NativeUnwind> {
        self.call_frames.get_or_init(|| CallFrames::read(&self.elf)).as_ref()?.rule_at(address)
    }

    /// For `go f(x)`, the compiler makes a wrapper that calls `f(x)`. Returns an address in `f` for the wrapper at `entry`.
    /// `None` if there is no wrapper at `entry`, or if the called function is known only at run time.
    pub fn started_function(&self, entry: u64) -> Option<u64> {
        wrapper::wrapped_function(self.pclntab().ok()?, &self.elf, entry)
    }

    /// Whether the call before a return address can have led to the Go function at `callee`. False if the call instruction
    /// contains the address of another function. True for any wrapper, because a wrapper can jump to `callee`.
    pub fn can_call(&self, return_address: u64, callee: u64) -> bool {
        let target = self.pclntab().ok().and_then(|table| calls::called_function(table, &self.elf, return_address));
        target.is_none_or(|function| function.entry() == callee || function.is_wrapper())
    }

    /// Whether the instruction before a return address calls a Go assembly function that ends with a jump to an address in a
    /// register. Always false on machines other than amd64.
    pub fn calls_jumping_assembly(&self, return_address: u64) -> bool {
        let target = self.pclntab().ok().and_then(|table| calls::called_function(table, &self.elf, return_address));
        target.is_some_and(|function| calls::ends_with_jump_to_register(&function, &self.elf))
    }

    /// The address and the decompressed contents of a section. `None` if the section is missing or empty.
    pub fn section(&self, name: &str) -> Option<(u64, Cow<'a, [u8]>)> {
        let section = self.elf.section(name.as_bytes())?;
        Some((section.address, self.elf.contents(name.as_bytes())?)).filter(|(_, bytes)| !bytes.is_empty())
    }

    /// The ELF machine number (`EM_X86_64` is 62, `EM_AARCH64` is 183).
    pub fn machine(&self) -> u16 {
        self.elf.machine().0
    }

    /// The frames of an address from the symbol table and the debug information, without pclntab. Also returns a range
    /// of addresses that have the same frames: the whole function if only the symbol table covers the function, else
    /// `address` alone.
    pub(super) fn native_frames(&self, address: u64) -> Result<(Vec<SourceFrame<'a>>, Range<u64>), NameAbsence> {
        let single = address..address.saturating_add(1);
        if !self.elf.is_code(single.start, single.end) {
            return Err(NameAbsence::NotCode);
        }
        let debug = self.debug_info.get_or_init(|| DebugInfo::read(&self.elf));
        let symbol = self.symbols().symbol_at(address);
        let same_frames = match (&symbol, debug) {
            (Some(CoveringSymbol { entry, end, .. }), None)
                if self.pclntab().is_err() && self.elf.is_code(*entry, *end) =>
            {
                *entry..*end
            }
            _ => single,
        };
        let debug = debug.as_ref().map(|debug| debug.frames(address)).unwrap_or_default();
        let frames = native::frames(symbol, debug, address);
        if frames.is_empty() { Err(self.name_absence()) } else { Ok((frames, same_frames)) }
    }

    /// The reason why an address in the code has no name.
    fn name_absence(&self) -> NameAbsence {
        match self.pclntab() {
            _ if !self.symbols().is_empty() => NameAbsence::UnknownAddress,
            Ok(_) => NameAbsence::UnknownAddress,
            Err(PclntabAbsence::NotGo) => NameAbsence::NoSymbols,
            Err(absence) => NameAbsence::Refused(absence.clone()),
        }
    }

    /// pclntab, or the reason why there is no valid one.
    pub fn pclntab(&self) -> Result<&Pclntab<'a>, &PclntabAbsence> {
        self.pclntab.get_or_init(|| Pclntab::find(&self.elf)).as_ref()
    }

    /// Whether the file has a section that only Go programs have. Quick, because only section headers are read. False for a
    /// Go program without section headers.
    pub fn has_go_section(&self) -> bool {
        let names = [&b".go.buildinfo"[..], b".gopclntab", b".data.rel.ro.gopclntab"];
        names.into_iter().any(|name| self.elf.section(name).is_some())
    }

    /// The build information of the go command, or the reason why it is missing.
    pub fn build_info(&self) -> Result<BuildInfo, BuildInfoAbsence> {
        BuildInfo::find(&self.elf)
    }

    /// The assembly functions that can use the frame pointer register for other values. Walks all Go functions. `None`
    /// without pclntab.
    pub fn assembly(&self) -> Option<Assembly> {
        Assembly::find(self.pclntab().ok()?)
    }

    /// Facts about how the file was built. Reads all Go functions.
    pub fn facts(&self) -> BinaryFacts {
        facts::gather(&self.elf, self.pclntab())
    }

    /// Offsets of the runtime fields that identify a goroutine, and their source. Reads the DWARF of the runtime.
    pub fn g_layout(&self) -> Result<(GLayout, GLayoutSource), GLayoutAbsence> {
        GLayout::find(&self.elf)
    }

    /// The link-time address of `runtime.allgs`, the list of all goroutines. `None` if the symbol table was stripped.
    pub fn allgs_address(&self) -> Option<u64> {
        self.elf.symbol_address(&[b"runtime.allgs"])
    }

    /// The link-time addresses of `runtime.firstmoduledata`, the head of the list of modules. `None` if the symbol table was
    /// stripped.
    pub fn first_moduledata(&self) -> Option<Range<u64>> {
        let symbol = self.elf.symbol(&[b"runtime.firstmoduledata"])?;
        Some(symbol.address..symbol.address.saturating_add(symbol.size))
    }

    fn symbols(&self) -> &Symbols<'a> {
        self.symbols.get_or_init(|| Symbols::read(self.debug_file.as_deref().unwrap_or(&self.elf)))
    }
}

/// The CRC-32 that `.gnu_debuglink` uses, the same as in gzip.
fn crc_32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
