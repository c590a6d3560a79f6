//! `tidegate`: parses nothing and prints nothing itself; see [`tidegate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate::cli::main(std::env::args_os()).into()
}
