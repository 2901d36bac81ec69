//! Slack's errors (`https://docs.slack.dev/reference/methods`, the `error` of an answer with `"ok": false`) as what is
//! to be done about them.

use std::time::Duration;

use serde_json::Value;

use crate::bridge::platform::Failure;

/// What an answer with `"ok": false` means. `method` is what was called.
pub fn of(method: &str, answer: &Value) -> Failure {
    let text = |field: &str| answer.get(field).and_then(Value::as_str).unwrap_or_default();
    let error = match text("error") {
        "" => "an answer that says nothing",
        error => error,
    };
    let is_app = method == "apps.connections.open";
    let token = if is_app { "SLACK_APP_TOKEN" } else { "SLACK_BOT_TOKEN" };
    match error {
        "ratelimited" | "rate_limited" => slow(method, None),
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired"
        | "not_allowed_token_type" | "invalid_token" | "org_login_required" => {
            let kind = if is_app { "the app-level one, xapp-…" } else { "the bot's one, xoxb-…" };
            Failure::Broken(format!(
                "Slack does not take {token} ({error}): copy {kind} from your app's page again"
            ))
        }
        "missing_scope" => missing_scope(text("needed"), method),
        "not_in_channel" => Failure::Broken(
            "the bot is not in the channel of SLACK_CHANNEL_ID: invite it there with /invite".to_owned(),
        ),
        "channel_not_found" => Failure::Broken(
            "Slack knows no channel with the id of SLACK_CHANNEL_ID that the bot can see: look at the id, and invite \
             the bot if the channel is private"
                .to_owned(),
        ),
        "is_archived" => Failure::Broken(
            "the channel of SLACK_CHANNEL_ID is archived: take another one, or bring it back".to_owned(),
        ),
        "restricted_action" | "restricted_action_thread_only_channel" | "restricted_action_non_threadable_channel"
        | "restricted_action_read_only_channel" | "access_denied" | "accesslimited" | "no_permission"
        | "team_access_not_granted" | "enterprise_is_restricted" | "ekm_access_denied"
        | "posting_to_channel_denied" => Failure::Broken(format!(
            "Slack does not let the bot do {method} ({error}): ask an administrator of the workspace"
        )),
        "thread_not_found" | "cannot_reply_to_message" => Failure::ThreadGone,
        "message_not_found" | "edit_window_closed" | "cant_update_message" => Failure::MessageGone,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org"
        | "message_limit_exceeded" => {
            Failure::Unsure(format!("Slack could not do {method}: {error}"))
        }
        error => {
            let more = answer.pointer("/response_metadata/messages/0").and_then(Value::as_str);
            let more = more.map(|more| format!(" ({more})")).unwrap_or_default();
            Failure::Refused(format!("Slack refused {method}: {error}{more}"))
        }
    }
}

/// A permission that the app lacks.
pub fn missing_scope(needed: &str, method: &str) -> Failure {
    let needed = if needed.is_empty() { format!("what {method} needs") } else { needed.to_owned() };
    Failure::Broken(format!(
        "the Slack app lacks a permission: add {needed} under OAuth & Permissions, and install it again"
    ))
}

/// Too much at once.
pub fn slow(method: &str, after: Option<Duration>) -> Failure {
    Failure::Slow { after, why: format!("{method} was called too often"), here: false }
}

/// Whether it would be the same at every try, so that one goes on without the answer.
pub fn is_final(failure: &Failure) -> bool {
    !matches!(failure, Failure::Slow { .. } | Failure::Unsure(_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_person_must_see_to_is_told_in_words() {
        let of = |error: &str| of("chat.postMessage", &json!({ "ok": false, "error": error }));
        for (error, word) in [
            ("invalid_auth", "SLACK_BOT_TOKEN"),
            ("token_revoked", "SLACK_BOT_TOKEN"),
            ("not_in_channel", "/invite"),
            ("channel_not_found", "SLACK_CHANNEL_ID"),
            ("is_archived", "archived"),
            ("restricted_action", "administrator"),
        ] {
            let failure = of(error);
            assert!(
                matches!(&failure, Failure::Broken(words) if words.contains(word)),
                "{error}: {failure:?}"
            );
        }
        let scope = json!({ "ok": false, "error": "missing_scope", "needed": "files:write", "provided": "chat:write" });
        let failure = super::of("files.getUploadURLExternal", &scope);
        assert!(matches!(&failure, Failure::Broken(words) if words.contains("files:write")), "{failure:?}");
        let failure = super::of("apps.connections.open", &json!({ "ok": false, "error": "invalid_auth" }));
        assert!(
            matches!(&failure, Failure::Broken(words) if words.contains("SLACK_APP_TOKEN")),
            "{failure:?}"
        );
    }

    #[test]
    fn each_error_is_one_of_the_kinds_that_the_outbox_knows() {
        let of = |error: &str| of("chat.update", &json!({ "ok": false, "error": error }));
        assert!(matches!(of("ratelimited"), Failure::Slow { after: None, .. }));
        assert!(matches!(of("fatal_error"), Failure::Unsure(_)));
        assert_eq!(of("thread_not_found"), Failure::ThreadGone);
        assert_eq!(of("message_not_found"), Failure::MessageGone);
        assert!(matches!(of("msg_too_long"), Failure::Refused(_)));
        assert!(matches!(super::of("x", &json!({})), Failure::Refused(_)));
        let blocks = json!({ "ok": false, "error": "invalid_blocks",
            "response_metadata": { "messages": ["[ERROR] must be less than 3001 characters"] } });
        let failure = super::of("chat.postMessage", &blocks);
        assert!(failure.to_string().contains("3001"), "{failure}");
    }
}
