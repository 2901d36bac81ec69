//! `tether input`: say something to a session.

use super::args::InputArgs;
use super::output::short;
use super::{Context, Failure, resolve};

/// Says it.
pub async fn run(args: &InputArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let after = client.input(session.id.as_str(), &args.text.join(" "), args.now).await?;
    if cx.json {
        return cx.out.json(&after);
    }
    let state = after.session.state.as_str().to_ascii_lowercase();
    let id = after.session.id.as_str();
    cx.out.line(format!("Sent to {} ({state})", short(id, 12)))?;
    if args.now && after.queued {
        cx.out
            .line("  Queued: its agent takes no words while it works, and gets them when the turn ends.")?;
    }
    Ok(())
}
