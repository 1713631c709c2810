//! The `goflame` binary: it starts the library and returns its status, nothing else.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: goflame::memory::Allocator = goflame::memory::Allocator;

fn main() -> ExitCode {
    goflame::cli::main()
}
