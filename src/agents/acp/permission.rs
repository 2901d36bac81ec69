//! `session/request_permission`: may this be done?

use serde_json::{Value, json};

use super::Client;

/// The options are always these two: what "always" means is decided by whoever watches over the agent.
const ALLOW: &str = "allow_once";
const REJECT: &str = "reject_once";

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, this once.
    Allowed,
    /// No, with the person's words if they gave any. Whatever is not a clear yes is a no.
    Rejected(Option<String>),
    /// The turn is being cancelled.
    Cancelled,
}

/// Asks whether a tool call may run, and waits. `call` is the `toolCall` of the request: id, title, kind, input,
/// what would change.
pub async fn ask(client: &Client, session: &str, call: &Value) -> Verdict {
    let options = json!([
        { "optionId": ALLOW, "kind": "allow_once", "name": "Allow once" },
        { "optionId": REJECT, "kind": "reject_once", "name": "Reject" },
    ]);
    let params = json!({ "sessionId": session, "toolCall": call, "options": options });
    match client.ask("session/request_permission", params).await {
        Ok(answer) => verdict(&answer),
        Err(error) => Verdict::Rejected(Some(format!("the question could not be put: {error}"))),
    }
}

fn verdict(answer: &Value) -> Verdict {
    let outcome = &answer["outcome"];
    match (outcome["outcome"].as_str(), outcome["optionId"].as_str()) {
        (Some("selected"), Some(ALLOW)) => Verdict::Allowed,
        (Some("cancelled"), _) => Verdict::Cancelled,
        _ => Verdict::Rejected(reason(answer)),
    }
}

/// The reason of a no. The protocol has no field for it; `_meta` is its place for what it has none for.
pub(super) fn reason(answer: &Value) -> Option<String> {
    [&answer["_meta"], &answer["outcome"]["_meta"]]
        .into_iter()
        .flat_map(|meta| [&meta["tether"]["reason"], &meta["reason"], &meta["message"]])
        .find_map(|reason| reason.as_str())
        .map(str::trim)
        .filter(|reason| !reason.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        let chosen = |id: &str| json!({ "outcome": { "outcome": "selected", "optionId": id } });
        assert_eq!(verdict(&chosen("allow_once")), Verdict::Allowed);
        assert_eq!(verdict(&json!({ "outcome": { "outcome": "cancelled" } })), Verdict::Cancelled);
        for no in [
            chosen("reject_once"),
            chosen("allow_always"),
            chosen("Allow once"),
            json!({ "outcome": { "outcome": "selected" } }),
            json!({ "outcome": { "outcome": "allowed", "optionId": "allow_once" } }),
            json!({ "outcome": "selected", "optionId": "allow_once" }),
            json!({}),
            json!(null),
            json!(["allow_once"]),
        ] {
            assert_eq!(verdict(&no), Verdict::Rejected(None), "{no}");
        }
    }

    #[test]
    fn a_reason_is_found_where_it_may_stand() {
        for answer in [
            json!({ "outcome": { "outcome": "selected", "optionId": "reject_once" }, "_meta": { "tether": { "reason": "not now " } } }),
            json!({ "outcome": { "outcome": "selected", "optionId": "reject_once", "_meta": { "reason": "not now" } } }),
        ] {
            assert_eq!(verdict(&answer), Verdict::Rejected(Some("not now".into())));
        }
    }
}
