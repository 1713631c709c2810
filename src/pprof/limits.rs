//! Limits of a profile that is read, so that a hostile file costs neither much memory nor much time.

/// Maximum memory for the entries of all tables, in bytes. Enough for a million locations with one function and one
/// name each, or for 3 million locations with fewer functions. Together with the unpacked bytes of a small file this is
/// less than 512 MiB.
pub(super) const MAX_MEMORY_BYTES: usize = 256 << 20;

/// Maximum number of sample types that are kept. Further sample types are only counted. perf and Go have some dozens of
/// events.
pub(super) const MAX_SAMPLE_TYPES: usize = 1000;

/// Maximum frames of a stack, inlined calls included. Go's runtime records at most 1024 (debug.profstackdepth).
pub(super) const MAX_STACK_FRAMES: usize = 4096;

/// Maximum total of frames per byte of the unpacked profile. Stacks normally have less than one frame per byte, because
/// every frame that is not inlined takes at least one byte. Inlined calls that are written once and used a million
/// times would let a small file cause hours of work.
pub(super) const MAX_FRAMES_PER_BYTE: usize = 8;

/// Maximum bytes of a name or path, the same as in binaries. Every frame of every stack can have one.
pub(super) const MAX_NAME_BYTES: usize = 4096;
