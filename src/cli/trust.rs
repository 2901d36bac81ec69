//! `tether trust`: directories whose own settings for agents count, or do not.

use tether_actors::domain::time::Stamp;
use tether_actors::domain::trust::TrustedDirectory;

use super::args::{TrustAction, TrustArgs};
use super::output::{Column, age, table, terminal_width};
use super::{Context, Failure};

/// Lists them, says something about one, or forgets what was said.
pub async fn run(args: &TrustArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let said = match &args.action {
        None | Some(TrustAction::List) => {
            let all = client.trust().await?;
            if cx.json {
                return cx.out.json(&all);
            }
            if all.is_empty() {
                return Ok(cx.out.line("Nothing was said about any directory.")?);
            }
            for line in lines(&all, Stamp::now(), terminal_width()) {
                cx.out.line(line)?;
            }
            return Ok(());
        }
        Some(TrustAction::Forget { directory }) => {
            let path = cx.directory(directory)?;
            client.forget_trust(&path).await?;
            return match cx.json {
                true => cx.out.json(&serde_json::json!({ "ok": true, "path": path })),
                false => Ok(cx.out.line(format!("Forgotten: {path} is asked about again"))?),
            };
        }
        Some(TrustAction::Yes { directory }) => client.set_trust(&cx.directory(directory)?, true).await?,
        Some(TrustAction::No { directory }) => client.set_trust(&cx.directory(directory)?, false).await?,
    };
    if cx.json {
        return cx.out.json(&said);
    }
    let word = if said.trusted { "Trusted" } else { "Not trusted" };
    Ok(cx.out.line(format!("{word}: {} (counts for agents that are started from now on)", said.path))?)
}

fn lines(all: &[TrustedDirectory], now: Stamp, width: usize) -> Vec<String> {
    let rest = width.saturating_sub(8 + 8 + 20 + 3).max(20);
    let columns =
        [Column("TRUSTED", 8), Column("SINCE", 8), Column("SAID BY", 20), Column("DIRECTORY", rest)];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|said| {
            vec![
                if said.trusted { "yes" } else { "no" }.to_owned(),
                age(now.seconds_since(said.decided_at)),
                said.decided_by.to_string(),
                said.path.clone(),
            ]
        })
        .collect();
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_is_listed_with_what_was_said_of_it() {
        let said: TrustedDirectory = serde_json::from_value(serde_json::json!({
            "path": "/p", "trusted": false, "decided_at": "2026-01-01T00:00:00Z",
            "decided_by": { "type": "person", "surface": "cli" },
        }))
        .expect("it is one");
        let now = said.decided_at.plus_seconds(120);
        assert_eq!(lines(&[said], now, 80)[2], "no       2m       cli                  /p");
    }
}
