//! The program `tether-mcp`: the same as `tether mcp`, under the name that MCP clients of old are set up with.

use std::process::ExitCode;

fn main() -> ExitCode {
    tether::cli::mcp_main()
}
