//! The `goflame` binary: it starts the library and returns its status, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    goflame::cli::main()
}
