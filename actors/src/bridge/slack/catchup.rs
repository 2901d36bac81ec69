//! What people wrote while nobody listened, read from the channel's history.

use std::time::Duration;

use serde_json::Value;

use super::Slack;
use super::events::{self, Heard, Us};
use super::failures::is_final;
use super::ledger::next_cursor;
use crate::bridge::platform::Failure;

/// Messages of a page.
const PAGE: &str = "200";
/// So many pages are looked through for threads that were written in.
const PAGES: usize = 5;
/// Pages of one thread.
const THREAD_PAGES: usize = 5;
/// So many seconds before the last that was heard: messages of several threads come in no order. What was heard
/// already is known by its id.
const OVERLAP: i64 = 60;
/// How often the platform is asked again before catching up fails.
const TRIES: u32 = 8;

/// Where to begin to look: a little before what was heard last.
fn since(position: &str) -> String {
    let (seconds, rest) = position.split_once('.').unwrap_or((position, "0"));
    let seconds = seconds.parse::<i64>().unwrap_or_default();
    format!("{}.{rest}", (seconds - OVERLAP).max(0))
}

/// Whether a message came later than another.
pub fn is_later(ts: &str, than: &str) -> bool {
    (ts.len(), ts) > (than.len(), than)
}

impl Slack {
    /// All that was written after `position`, oldest first.
    pub(super) async fn missed(&self, position: String, us: Us) -> Result<Vec<Heard>, Failure> {
        let oldest = since(&position);
        let mut found: Vec<(String, Heard)> = Vec::new();
        let mut threads: Vec<String> = Vec::new();
        let note = |message: &Value, found: &mut Vec<(String, Heard)>| {
            let ts = message.get("ts").and_then(Value::as_str).unwrap_or_default();
            if is_later(ts, &oldest)
                && let Some(heard @ Heard::Said { .. }) = events::message(message, &us.channel, &us)
            {
                found.push((ts.to_owned(), heard));
            }
        };
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let mut arguments = vec![("channel", us.channel.as_str()), ("limit", PAGE)];
            if !cursor.is_empty() {
                arguments.push(("cursor", &cursor));
            }
            let answer = self.patiently("conversations.history", &arguments).await?;
            for message in answer.get("messages").and_then(Value::as_array).into_iter().flatten() {
                note(message, &mut found);
                let newest = message.get("latest_reply").and_then(Value::as_str).unwrap_or_default();
                if let (true, Some(ts)) =
                    (is_later(newest, &oldest), message.get("ts").and_then(Value::as_str))
                {
                    threads.push(ts.to_owned());
                }
            }
            cursor = next_cursor(&answer);
            if cursor.is_empty() {
                break;
            }
        }
        for thread in &threads {
            let mut cursor = String::new();
            for _ in 0..THREAD_PAGES {
                let mut arguments = vec![
                    ("channel", us.channel.as_str()),
                    ("ts", thread.as_str()),
                    ("oldest", oldest.as_str()),
                    ("limit", PAGE),
                ];
                if !cursor.is_empty() {
                    arguments.push(("cursor", &cursor));
                }
                let answer = match self.patiently("conversations.replies", &arguments).await {
                    Ok(answer) => answer,
                    Err(failure) if is_final(&failure) => break,
                    Err(failure) => return Err(failure),
                };
                let messages = answer.get("messages").and_then(Value::as_array);
                // The head comes with every page, and was noted above.
                for message in messages.into_iter().flatten() {
                    if message.get("ts").and_then(Value::as_str) != Some(thread) {
                        note(message, &mut found);
                    }
                }
                cursor = next_cursor(&answer);
                if cursor.is_empty() {
                    break;
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
        Ok(found.into_iter().map(|(_, heard)| heard).collect())
    }

    /// Asks again for as long as that may help.
    async fn patiently(&self, method: &str, arguments: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut tries = 0;
        loop {
            let failure = match self.api.get(method, arguments).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            tries += 1;
            let wait = match &failure {
                Failure::Slow { after, .. } => after.unwrap_or(Duration::from_secs(10)),
                Failure::Unsure(_) => Duration::from_secs(2),
                _ => return Err(failure),
            };
            if tries >= TRIES {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catching_up_begins_a_little_earlier() {
        assert_eq!(since("1795328291.000100"), "1795328231.000100");
        assert_eq!(since("nonsense"), "0.0");
        assert!(is_later("1795328291.000100", "1795328291.000099"));
        assert!(!is_later("", "1795328291.000099"));
    }
}
