//! `tether input`: say something to a session.

use super::args::InputArgs;
use super::output::short;
use super::{Context, Failure, resolve};

/// Says it.
pub async fn run(args: &InputArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let after = client.input(session.id.as_str(), &args.text.join(" ")).await?;
    if cx.json {
        return cx.out.json(&after);
    }
    let state = after.state.as_str().to_ascii_lowercase();
    Ok(cx.out.line(format!("Sent to {} ({state})", short(after.id.as_str(), 12)))?)
}
