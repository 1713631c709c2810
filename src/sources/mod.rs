//! Reads the bytes that goflame works on: inputs of reports, the files that a recording mapped, the vdso, the list of kernel
//! symbols and its cache, code files, the goroutine readings of a run, and source files.
//!
//! Opens files with the permissions of the user. Returns bytes, or the reason why there are none. Must not interpret bytes:
//! `analyse`, `perfdata` and `pprof` do. Only the kind of an input is detected here, from its first bytes.

mod code_files;
mod debug_files;
mod foreign;
mod goroutines;
mod images;
mod input;
mod kallsyms;
mod labels;
mod left_stacks;
mod mapped_id;
mod source_files;

pub use code_files::{
    CodeFile, CodeFileKind, CodeFiles, code_file_of_mapping, find_code_files, is_memory, open_code_file,
    read_stored_code_files, store_code_files,
};
pub use foreign::{InputError, open_input};
pub use goroutines::{GoroutineReading, KeptReadings, goroutines_from_file, goroutines_to_json};
pub use images::{DiskImages, HeldFile, Image, ImageAbsence, ImageBytes, Images, own_vdso};
pub use input::{InputBytes, InputKind};
pub use kallsyms::{KallsymsCache, open_kallsyms, open_kallsyms_of_this_kernel};
pub use labels::{LabelReading, LabelReadings, LabelSet};
pub use left_stacks::{CodeWords, LeftStack, LeftStackReadings};
pub use mapped_id::{DELETED, FileChange, MappedId};
pub use source_files::{SourceDirKind, SourceFile, SourceRoots};
