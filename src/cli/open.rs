//! `tether open`: the web app in a browser, logged in.

use serde_json::json;

use super::{Context, Failure};

/// Asks for a one-time code, and hands the address with it to the browser. The address is printed as
/// well, because a machine without a browser has people with one.
pub async fn run(mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let code = client.pair(None).await?;
    let url = client.login_url(&code.code);
    if cx.json {
        return cx.out.json(&json!({ "url": url }));
    }
    cx.out.line(format!("Opening {url}"))?;
    if let Err(error) = webbrowser::open(&url) {
        return Err(Failure::text(format!(
            "no browser could be started ({error}): open the address above yourself"
        )));
    }
    Ok(())
}
