//! `tether interrupt`: stop the running turn.

use super::args::InterruptArgs;
use super::{Context, Failure, resolve};

/// Stops it.
pub async fn run(args: &InterruptArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let after = client.interrupt(session.id.as_str(), args.force).await?;
    if cx.json {
        return cx.out.json(&after);
    }
    Ok(cx.out.line(format!("Session {}: {}", after.id, after.state.as_str().to_ascii_lowercase()))?)
}
