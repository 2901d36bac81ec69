//! `tether backup`: all data in one file, also while the daemon runs.

use serde_json::json;
use tether_actors::log::{self, Item, Unpacker};

use super::args::BackupArgs;
use super::data::Data;
use super::{Context, Failure};
use crate::backup::{BackupError, Writer};
use crate::client::Download;
use crate::config;

/// Where pieces of the log come from.
enum Pieces {
    Daemon(Download),
    Log(log::Backup),
}

/// Writes it, reads it again, and says what is in it.
pub async fn run(args: BackupArgs, mut cx: Context) -> Result<(), Failure> {
    let data = Data::find(&cx, false).await?;
    let done = write(&args, &data, &mut cx).await;
    data.close().await;
    done
}

async fn write(args: &BackupArgs, data: &Data, cx: &mut Context) -> Result<(), Failure> {
    let mut pieces = match data {
        Data::Daemon(client) => Pieces::Daemon(client.backup().await?),
        Data::Log(open) => {
            Pieces::Log(open.log.backup().await.map_err(|error| Failure::text(error.to_string()))?)
        }
        Data::Nowhere => return Err(Failure::text("there are no data yet, so there is nothing to back up")),
    };
    let here = data.are_here(cx);
    let mut writer = Writer::begin(&args.file)?;
    let entries = log(&mut pieces, &mut writer).await?;
    if here {
        if let Some(folder) = config::data_dir_of(&cx.sources) {
            writer.agents(&folder)?;
        }
        let settings = cx.sources.personal_path.as_ref().filter(|_| !args.no_settings);
        if let Some(path) = settings.filter(|path| path.exists()) {
            let text = std::fs::read(path)
                .map_err(|error| Failure::text(format!("{} cannot be read: {error}", path.display())))?;
            writer.settings(&text)?;
        }
    }
    let (content, bytes) = writer.finish(entries)?;
    let file = std::path::absolute(&args.file)?;
    if cx.json {
        return cx.out.json(&json!({ "file": file, "bytes": bytes, "content": content }));
    }
    cx.out.line(format!("Wrote {} ({bytes} bytes), and read it again.", file.display()))?;
    if content.settings {
        cx.out.line("  With config.env, which holds tokens: only you can read the file; keep it so.")?;
    } else if !here {
        cx.out
            .line("  Without config.env and what our own agents keep, which lie on the daemon's machine.")?;
    }
    Ok(cx.out.line("  Not in it: what agents keep themselves (~/.claude, ...), and work trees.")?)
}

/// Adds the log, and answers how many entries it has. Pieces of it may come cut anywhere.
async fn log(pieces: &mut Pieces, writer: &mut Writer) -> Result<u64, Failure> {
    let mut unpacker = Unpacker::default();
    let (mut count, mut end) = (0, None);
    while let Some(piece) = pieces.next().await? {
        unpacker.push(&piece);
        while let Some(item) = unpacker.take().map_err(|error| Failure::text(error.to_string()))? {
            match item {
                Item::Entry(_) => count += 1,
                Item::End(there) => end = Some(there),
            }
        }
        if !piece.is_empty() {
            writer.log(&piece)?;
        }
    }
    match end {
        Some(there) if there == count && unpacker.is_empty() => Ok(count),
        _ => Err(Failure::text(
            "the data broke off half-way: nothing was written; try again (see: tether logs)",
        )),
    }
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        match self {
            Self::Daemon(download) => Ok(download.next().await?),
            Self::Log(backup) => backup.next().await.map_err(|error| Failure::text(error.to_string())),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::text(error.to_string())
    }
}
