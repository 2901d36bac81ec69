//! `tether bind`: show a session on a chat platform, or take it from there.

use serde_json::json;

use super::args::BindArgs;
use super::{Context, Failure, resolve};

/// Binds it, or unbinds it.
pub async fn run(args: BindArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let platform = Some(args.platform.as_str()).filter(|platform| *platform != "none");
    client.bind(session.id.as_str(), platform).await?;
    if cx.json {
        return cx.out.json(&json!({ "ok": true, "id": session.id, "platform": platform }));
    }
    let place = match platform {
        Some(platform) => format!("on {platform}"),
        None => "on no chat platform".to_owned(),
    };
    Ok(cx.out.line(format!("Session {} is shown {place}.", session.id))?)
}
