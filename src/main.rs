//! The program `tether`: parse the command line and go.

use std::process::ExitCode;

fn main() -> ExitCode {
    tether::cli::main()
}
