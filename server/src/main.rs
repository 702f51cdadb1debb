//! The `gatepass` binary.

use std::process::ExitCode;

use gatepass::cli::context::Context;
use gatepass::cli::{self, Serve};
use gatepass::error::ProgramError;
use gatepass::runtime::{self, Start};

fn main() -> ExitCode {
    cli::main(serve)
}

fn serve(context: &Context, arguments: Serve) -> Result<(), ProgramError> {
    let Serve { demo, layer } = arguments;
    let Context { sources, init, out, .. } = context;
    runtime::run(Start { sources: sources.clone(), flags: layer, init: *init, demo, out: *out })
}
