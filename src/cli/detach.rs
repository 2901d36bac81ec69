//! `tether detach`: take a session from its chat platform.

use serde_json::json;

use super::args::SessionArgs;
use super::{Context, Failure, resolve};

/// Takes it from there.
pub async fn run(args: &SessionArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    client.bind(session.id.as_str(), None).await?;
    if cx.json {
        return cx.out.json(&json!({ "ok": true, "id": session.id }));
    }
    Ok(cx.out.line(format!("Detached {} from platform", session.id))?)
}
