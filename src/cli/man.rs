//! `tether man`: the manual pages, made from what the command line declares.

use std::path::Path;

use clap::CommandFactory as _;
use serde_json::json;

use super::args::{Arguments, ManArgs};
use super::{Context, Failure};

/// Prints the page of the program, or writes one for every command.
pub fn run(args: &ManArgs, mut cx: Context) -> Result<(), Failure> {
    let command = Arguments::command();
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return Ok(cx.out.text(&String::from_utf8_lossy(&page))?);
    };
    let count = write(command, folder).map_err(|error| {
        Failure::text(format!("no pages can be written to {}: {error}", folder.display()))
    })?;
    match cx.json {
        true => cx.out.json(&json!({ "folder": folder, "pages": count })),
        false => Ok(cx.out.line(format!("{count} pages written to {}", folder.display()))?),
    }
}

/// One page a command: `tether.1`, `tether-list.1`, ... Answers how many.
fn write(command: clap::Command, folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)?;
    Ok(std::fs::read_dir(folder)?
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|e| e == "1"))
        .count())
}
