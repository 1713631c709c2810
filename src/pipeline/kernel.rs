//! Kernel symbols for the analysis: symbols stored in the run, cached symbols, or symbols of the running kernel.
//!
//! Only symbols of the kernel itself are cached until the next boot: their addresses do not change. Modules and BPF
//! programs are loaded and unloaded at any time: if a recording has samples in them, the kernel is read again, and the
//! symbols are not cached.

use std::fmt::Display;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use crate::analyse::KernelSymbols;
use crate::fsio::FileError;
use crate::sources::{KallsymsCache, open_kallsyms, open_kallsyms_of_this_kernel};

/// Kernel symbols, or the reason why there are none.
pub(super) struct KernelSource {
    symbols: Result<KernelSymbols, String>,
    /// Cache for the symbols of the running kernel. `None` if no cache is used.
    cache: Option<KallsymsCache>,
    /// Whether the symbols come from the cache. The cache file is mapped, so only the parts that are used cost time and
    /// memory.
    is_cached: bool,
}

impl KernelSource {
    /// Uses the given symbols without a cache.
    pub(super) fn from_symbols(symbols: Result<KernelSymbols, String>) -> Self {
        Self { symbols, cache: None, is_cached: false }
    }

    /// Returns the symbols of the running kernel, from the cache if possible.
    pub(super) fn from_running_kernel() -> Self {
        let cache = KallsymsCache::open_for_this_user();
        match cache.as_ref().and_then(cached_symbols) {
            Some(symbols) => Self { symbols: Ok(symbols), cache, is_cached: true },
            None => Self { symbols: running_kernel_symbols(), cache, is_cached: false },
        }
    }

    /// Returns symbols that cover these addresses. If the cached symbols do not cover them, removes the cache and reads
    /// the kernel. Symbols just read are cached if all addresses are in the kernel's own code.
    pub(super) fn into_symbols_covering(self, addresses: &[u64]) -> Result<KernelSymbols, String> {
        let symbols = self.symbols?;
        let Some(cache) = self.cache else { return Ok(symbols) };
        let own = symbols.text_range().is_some_and(|text| addresses.iter().all(|address| text.contains(address)));
        match (self.is_cached, own) {
            (true, false) => {
                cache.remove();
                running_kernel_symbols()
            }
            (false, true) => {
                cache.write(&symbols.pack(cache.boot_id()));
                Ok(symbols)
            }
            _ => Ok(symbols),
        }
    }
}

/// Reads the symbols of the running kernel. An error is the reason why there are none.
pub(super) fn running_kernel_symbols() -> Result<KernelSymbols, String> {
    parse_kallsyms(open_kallsyms_of_this_kernel())
}

/// Reads the symbols that were stored with a recording. An error is the reason why there are none.
pub(super) fn stored_kernel_symbols(path: &Path) -> Result<KernelSymbols, String> {
    parse_kallsyms(open_kallsyms(path))
}

fn parse_kallsyms(list: Result<impl BufRead, FileError>) -> Result<KernelSymbols, String> {
    let text = |error: &dyn Display| error.to_string();
    KernelSymbols::read(list.map_err(|error| text(&error))?).map_err(|error| text(&error))
}

fn cached_symbols(cache: &KallsymsCache) -> Option<KernelSymbols> {
    KernelSymbols::unpack(cache.boot_id(), Arc::new(cache.map_cached()?))
}

#[cfg(test)]
mod tests {
    use super::{KallsymsCache, KernelSource, KernelSymbols, cached_symbols};

    const KALLSYMS_TEXT: &[u8] = b"ffffffff81000000 T _text\nffffffff81000100 t do_one\nffffffff81000200 T _etext\n\
        ffffffffa0000000 t ext4_read\t[ext4]\n";
    const KERNEL_ADDRESS: u64 = 0xffff_ffff_8100_0150;
    const MODULE_ADDRESS: u64 = 0xffff_ffff_a000_0010;

    #[test]
    fn symbols_of_the_kernel_itself_are_cached_until_others_are_needed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cache/goflame/kernel-symbols");
        let cache = |boot: &str| KallsymsCache::new(path.clone(), boot);
        let from_kernel = || KernelSource {
            symbols: KernelSymbols::read(KALLSYMS_TEXT).map_err(|error| error.to_string()),
            cache: Some(cache("boot")),
            is_cached: false,
        };
        let symbols = from_kernel().into_symbols_covering(&[MODULE_ADDRESS]).expect("symbols");
        assert_eq!(symbols.name(MODULE_ADDRESS), Some(("ext4_read", Some("ext4"))));
        assert!(!path.exists());
        from_kernel().into_symbols_covering(&[KERNEL_ADDRESS]).expect("symbols");
        let stored = cached_symbols(&cache("boot")).expect("cached");
        assert_eq!((stored.name(KERNEL_ADDRESS), stored.name(MODULE_ADDRESS)), (Some(("do_one", None)), None));
        assert!(cached_symbols(&cache("another")).is_none());
        let from_cache = || KernelSource { symbols: Ok(stored.clone()), cache: Some(cache("boot")), is_cached: true };
        assert!(
            from_cache()
                .into_symbols_covering(&[KERNEL_ADDRESS])
                .is_ok_and(|symbols| symbols.name(KERNEL_ADDRESS) == Some(("do_one", None)))
        );
        assert!(path.exists());
        // The addresses of the module make this call read the running kernel.
        let _ = from_cache().into_symbols_covering(&[KERNEL_ADDRESS, MODULE_ADDRESS]);
        assert!(!path.exists());
    }
}
