//! Where bytes come from: inputs of reports, the files that a recording mapped, the vdso, the list of kernel symbols and
//! its cache, and the goroutine readings of a run.
//!
//! Opens files with the rights that the user has on them, and hands out bytes or the reason why there are none. Must not
//! interpret bytes: `analyse`, `perfdata` and `pprof` do. Only the kind of an input is detected here, from its first
//! bytes.

mod debug_files;
mod foreign;
mod goroutines;
mod images;
mod input;
mod kallsyms;

pub use foreign::{InputError, open_input};
pub use goroutines::{GoroutineReading, goroutines_from_file, goroutines_to_json};
pub use images::{DiskImages, Image, ImageAbsence, ImageBytes, Images, own_vdso};
pub use input::{InputBytes, InputKind};
pub use kallsyms::{KallsymsCache, open_kallsyms, open_kallsyms_of_this_kernel};
