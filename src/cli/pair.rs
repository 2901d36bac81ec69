//! `tether pair`: a QR code and a link that log one phone or browser in.

use std::io::IsTerminal as _;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::args::PairArgs;
use super::output::{age, terminal_width};
use super::{Context, Failure};
use crate::client::Pairing;
use tether_actors::domain::time::Stamp;

/// Black on white, which every reader of codes takes, whatever the colours of the terminal.
const INK: &str = "\x1b[38;5;16;48;5;231m";
const NO_INK: &str = "\x1b[0m";

/// Asks for a code and shows it.
pub async fn run(args: &PairArgs, mut cx: Context) -> Result<(), Failure> {
    if args.chat {
        let code = cx.client()?.pair_chat().await?;
        if cx.json {
            return cx.out.json(&code);
        }
        let left = age(code.expires_at.seconds_since(Stamp::now()).max(0));
        cx.out.line(format!("Let the person send this to the bot, once, within {left}:"))?;
        cx.out.line(format!("  /pair {}     (Telegram)", code.code))?;
        return Ok(cx.out.line(format!("  !pair {}     (Slack, Discord)", code.code))?);
    }
    let pairing = cx.client()?.pair(args.address.as_deref()).await?;
    if cx.json {
        return cx.out.json(&pairing);
    }
    if std::io::stdout().is_terminal() {
        for line in picture(&pairing.link, terminal_width()) {
            cx.out.line(format!("{INK}{line}{NO_INK}"))?;
        }
    }
    for line in words(&pairing, Stamp::now()) {
        cx.out.line(line)?;
    }
    Ok(())
}

/// The code as lines of half blocks; none if the terminal is too narrow for it.
fn picture(link: &str, width: usize) -> Vec<String> {
    let Ok(code) = QrCode::new(link) else { return Vec::new() };
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    let lines: Vec<String> = drawn.lines().map(str::to_owned).collect();
    if lines.iter().any(|line| line.chars().count() > width) { Vec::new() } else { lines }
}

fn words(pairing: &Pairing, now: Stamp) -> Vec<String> {
    let left = age(pairing.expires_at.seconds_since(now).max(0));
    let mut lines = vec![
        format!("Open this on the phone or browser, once, within {left}:"),
        format!("  {}", pairing.link),
    ];
    let used =
        pairing.addresses.iter().find(|address| pairing.link.starts_with(&format!("{}/", address.url)));
    lines.extend(
        used.and_then(|address| address.warning.as_ref()).map(|warning| format!("  Careful: {warning}")),
    );
    let others: Vec<_> =
        pairing.addresses.iter().filter(|address| used.is_none_or(|used| used.url != address.url)).collect();
    if !others.is_empty() {
        lines.push("Other addresses (choose one with --address URL):".to_owned());
        lines.extend(others.iter().map(|address| format!("  {} ({})", address.url, address.kind)));
    }
    lines.extend(pairing.hint.iter().map(|hint| format!("Note: {hint}")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_code_fits_the_terminal_or_is_left_out() {
        let link = "http://192.168.1.5:8787/login#code=ABCDE-FGHJK";
        let lines = picture(link, 80);
        assert!(lines.len() > 10 && lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(picture(link, 20).is_empty());
    }

    #[test]
    fn the_warning_is_that_of_the_address_in_the_link() {
        let pairing = json!({
            "code": "A", "link": "http://192.168.1.5:8787/login#code=A", "expires_at": "1970-01-01T00:10:00Z",
            "addresses": [
                { "url": "http://192.168.1.5:8787", "kind": "lan", "warning": "plain HTTP" },
                { "url": "http://127.0.0.1:8787", "kind": "loopback", "warning": null },
            ],
            "hint": null,
        });
        let lines = words(&serde_json::from_value(pairing).expect("a pairing"), Stamp::from_unix(0));
        assert!(lines[0].contains("10m"), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("plain HTTP")), "{lines:?}");
        assert!(
            lines.iter().any(|line| line.contains("127.0.0.1") && line.contains("loopback")),
            "{lines:?}"
        );
    }
}
