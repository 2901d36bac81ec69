//! Too much to say: what waits is told in one message, so that a chat that was away is not flooded.

use super::markup::{Dialect, Doc, bold, cut, plain};
use super::platform::Message;
use super::record::{Act, Item, Lane};

/// More than this many messages waiting, and the oldest are told in one.
const MANY: usize = 20;
/// So many of the newest are kept.
const KEPT: usize = 8;
/// So many lines tell of the others.
const LINES: usize = 12;

/// Folds what waits in a lane, if that is too much. Approvals and what changes a message or a thread stay.
/// `in_flight` is the item that is being sent.
pub fn fold(lane: &mut Lane, dialect: &dyn Dialect, in_flight: Option<u64>) {
    let foldable = |item: &Item| {
        Some(item.no) != in_flight
            && matches!(&item.act, Act::Send { slot: None, message } if message.buttons.is_empty() && message.asks.is_none())
    };
    let count = lane.outbox.iter().filter(|item| foldable(item)).count();
    if count <= MANY {
        return;
    }
    let mut left = count - KEPT;
    let mut taken: Vec<Item> = Vec::new();
    let mut kept = std::collections::VecDeque::new();
    let mut place = None;
    for item in lane.outbox.drain(..) {
        if left > 0 && foldable(&item) {
            left -= 1;
            place.get_or_insert(kept.len());
            taken.push(item);
        } else {
            kept.push_back(item);
        }
    }
    lane.outbox = kept;
    let (Some(place), Some(first), Some(last)) = (place, taken.first(), taken.last()) else { return };
    let (from, no) = (first.at, last.no);
    let total: usize = taken.iter().map(|item| item.folded.max(1)).sum();
    let mut lines: Vec<&str> =
        taken.iter().flat_map(|item| item.line.lines()).filter(|line| !line.is_empty()).collect();
    let unsaid = lines.len().saturating_sub(LINES);
    lines.drain(..unsaid);
    let head = format!("{total} messages were left out here");
    let since = format!(", from {from} on, while this chat could not be told. The app has them all.");
    let mut doc = Doc::default().line([plain("⏭ "), bold(head), plain(since)]);
    for line in &lines {
        doc = doc.line([plain(format!("• {}", cut(line, 160)))]);
    }
    let (text, _) = doc.render_one(dialect);
    let message = Message { text, quiet: true, ..Message::default() };
    let line = lines.join("\n");
    let act = Act::Send { message, slot: None };
    let item = Item { no, at: from, act, line, folded: total, awaited: false };
    lane.outbox.insert(place.min(lane.outbox.len()), item);
}

#[cfg(test)]
mod tests {
    use super::super::record::Slot;
    use super::super::telegram::markup::Html;
    use super::*;
    use crate::domain::time::Stamp;

    fn message(text: &str) -> Message {
        Message { text: Doc::text(text).render_one(&Html).0, ..Message::default() }
    }

    #[test]
    fn what_waits_is_told_in_one_message_and_approvals_and_order_stay() {
        let mut lane = Lane::default();
        for n in 0..60 {
            let slot = (n == 30).then(|| Slot::Card("perm_1".into()));
            lane.push(
                Act::Send { message: message(&format!("m{n}")), slot },
                format!("line {n}"),
                Stamp::from_unix(n),
            );
            fold(&mut lane, &Html, Some(0));
        }
        assert!(lane.outbox.len() <= MANY + 3, "{}", lane.outbox.len());
        let texts: Vec<&str> = lane
            .outbox
            .iter()
            .filter_map(|item| match &item.act {
                Act::Send { message, .. } => Some(message.text.plain.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(texts.first(), Some(&"m0"), "what is being sent stays");
        assert_eq!(texts.last(), Some(&"m59"));
        let told: usize = lane.outbox.iter().map(|item| item.folded.max(1)).sum();
        assert_eq!(told, 60, "every message is counted once");
        assert!(texts.contains(&"m30"), "the approval is there");
        let folded = lane.outbox.iter().find(|item| item.folded > 0).expect("a summary");
        assert!(folded.line.contains("line "), "{}", folded.line);
        let numbers: Vec<u64> = lane.outbox.iter().map(|item| item.no).collect();
        let mut unique = numbers.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), numbers.len());
    }
}
