//! `tether export`: a session as a file.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use serde_json::json;

use super::args::ExportArgs;
use super::{Context, Failure, resolve};

/// Fetches it, piece by piece.
pub async fn run(args: &ExportArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let mut download = client.export(session.id.as_str(), args.format.name()).await?;
    let Some(path) = &args.output else {
        let mut out = io::stdout().lock();
        while let Some(piece) = download.next().await? {
            out.write_all(&piece)?;
        }
        return Ok(out.flush()?);
    };
    let shown = path.display();
    let failed = |error: io::Error| Failure::text(format!("{shown} cannot be written: {error}"));
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let mut bytes = 0;
    while let Some(piece) = download.next().await? {
        file.write_all(&piece).map_err(failed)?;
        bytes += piece.len();
    }
    if cx.json {
        return cx.out.json(&json!({ "file": path, "bytes": bytes }));
    }
    Ok(cx.out.line(format!("Wrote {shown} ({bytes} bytes)"))?)
}
