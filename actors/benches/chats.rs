//! How fast what agents write is made into messages of the chat platforms.
//! `cargo bench -p tether-actors --bench chats [-- NAME...]`
//!
//! The text is what agents write: headings, lists, tables, code, links, in messages of about 24 kB, which is as much as
//! is shown in one go. The goal is a megabyte a second: hundreds of times what all agents of a machine write together.

use std::time::{Duration, Instant};

use tether_actors::bridge::discord::markup::Markdown;
use tether_actors::bridge::markup::{Dialect, Doc};
use tether_actors::bridge::slack::markup::Mrkdwn;
use tether_actors::bridge::telegram::markup::Html;

/// What is wanted, in megabytes of Markdown a second.
const GOAL: f64 = 1.0;
/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(2);
/// Bytes of a message.
const SIZE: usize = 24_000;

/// A part of what an agent writes.
const PART: &str = "## What I found in `src/parser.rs`\n\n\
    The **tokenizer** drops the last character when a line ends in `\\r\\n`; see \
    [the issue](https://example.com/issues/17) and _this_ ~~old~~ note:\n\n\
    1. `read_line` trims one byte too many & returns early\n\
    2. the caller compares `a < b && c > d`, so it never notices\n   - on Windows only\n   - since last week\n\n\
    | file | lines | change |\n|---|---:|---|\n| src/parser.rs | 12 | mended |\n| tests/parser.rs | 40 | new |\n\n\
    ```rust\nfn read_line(text: &str) -> &str {\n    text.strip_suffix(\"\\r\\n\").unwrap_or(text)\n}\n```\n\n\
    > All 214 tests pass <now>, and nothing else changed.\n\n";

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let text = PART.repeat(SIZE / PART.len());
    let platforms: [(&str, &dyn Dialect); 3] =
        [("telegram", &Html), ("slack", &Mrkdwn), ("discord", &Markdown)];
    for (name, dialect) in platforms {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            report(name, dialect, &text);
        }
    }
}

fn report(name: &str, dialect: &dyn Dialect, text: &str) {
    let (begun, mut times, mut parts) = (Instant::now(), 0, 0);
    while begun.elapsed() < EACH {
        parts = std::hint::black_box(Doc::markdown(std::hint::black_box(text)).render(dialect)).len();
        times += 1;
    }
    let rate = (text.len() * times) as f64 / 1e6 / begun.elapsed().as_secs_f64();
    let met = if rate >= GOAL { "met" } else { "MISSED" };
    println!("{name:<10} {rate:>8.1} MB/s of Markdown, {parts} messages each   goal {GOAL:.0} MB/s   {met}");
}
