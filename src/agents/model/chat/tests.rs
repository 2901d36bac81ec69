//! Answers as servers stream them, put together.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Assembly, Delta, Finish, Reply, pause};

fn assembled(deltas: &[Value]) -> (Vec<Delta>, Reply) {
    let mut assembly = Assembly::default();
    let mut shown = Vec::new();
    for delta in deltas {
        let chunk = json!({ "choices": [{ "index": 0, "delta": delta }] });
        shown.extend(assembly.take(&chunk).expect("a sound piece"));
    }
    (shown, assembly.finish())
}

fn calls(reply: &Reply) -> Vec<(&str, &str, &str)> {
    reply
        .said
        .calls
        .iter()
        .map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str()))
        .collect()
}

#[test]
fn calls_in_pieces_are_put_together_side_by_side() {
    let (_, reply) = assembled(&[
        json!({ "role": "assistant", "content": null }),
        json!({ "tool_calls": [{ "index": 0, "id": "a", "type": "function", "function": { "name": "read", "arguments": "" } }] }),
        json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"pa" } }] }),
        json!({ "tool_calls": [{ "index": 1, "id": "b", "function": { "name": "list", "arguments": "{" } }] }),
        json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "th\":1}" } }, { "index": 1, "function": { "arguments": "}" } }] }),
    ]);
    assert_eq!(calls(&reply), [("a", "read", "{\"path\":1}"), ("b", "list", "{}")]);
}

#[test]
fn calls_that_all_have_the_same_place_are_told_apart_by_their_ids() {
    let (_, reply) = assembled(&[
        json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "read", "arguments": "{}" }, "extra_content": { "google": { "thought_signature": "s" } } }] }),
        json!({ "tool_calls": [{ "index": 0, "id": "b", "function": { "name": "read", "arguments": "{}" } }] }),
    ]);
    assert_eq!(calls(&reply), [("a", "read", "{}"), ("b", "read", "{}")]);
    assert_eq!(reply.said.calls[0].extra, Some(json!({ "google": { "thought_signature": "s" } })));
}

#[test]
fn calls_without_place_or_id_or_with_an_object_as_input_are_taken() {
    let (_, reply) = assembled(&[
        json!({ "tool_calls": [{ "function": { "name": "read", "arguments": { "path": "x" } } }] }),
        json!({ "tool_calls": [{ "function": { "name": "list" } }] }),
        json!({ "tool_calls": [{ "function": { "arguments": "{\"a\":1}" } }] }),
    ]);
    let made = calls(&reply);
    assert_eq!((made[0].1, made[0].2), ("read", "{\"path\":\"x\"}"));
    assert_eq!((made[1].1, made[1].2), ("list", "{\"a\":1}"));
    assert!(!made[0].0.is_empty() && made[0].0 != made[1].0, "{made:?}");
}

#[test]
fn an_id_that_comes_again_with_every_piece_is_still_one_call() {
    let piece = |text: &str| json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "read", "arguments": text } }] });
    let (_, reply) = assembled(&[piece("{\"a\""), piece(":1}")]);
    assert_eq!(calls(&reply), [("a", "read", "{\"a\":1}")]);
}

#[test]
fn reasoning_is_shown_once_whatever_it_is_called() {
    for field in ["reasoning_content", "reasoning"] {
        let (shown, reply) = assembled(&[json!({ field: "hm" }), json!({ "content": "yes" })]);
        assert_eq!(shown, [Delta::Thought("hm".into()), Delta::Text("yes".into())]);
        assert_eq!(reply.said.reasoning.expect("kept").field, field);
    }
    let (shown, _) = assembled(&[json!({ "reasoning": "hm", "reasoning_content": "hm" })]);
    assert_eq!(shown.len(), 1);
    let parts = json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] }, { "type": "text", "text": "yes" }] });
    let (shown, _) = assembled(&[parts]);
    assert_eq!(shown, [Delta::Thought("hm".into()), Delta::Text("yes".into())]);
}

#[test]
fn details_of_reasoning_are_joined_piece_by_piece() {
    let (_, reply) = assembled(&[
        json!({ "reasoning": "a", "reasoning_details": [{ "type": "reasoning.text", "index": 0, "text": "a", "signature": null }] }),
        json!({ "reasoning": "b", "reasoning_details": [{ "type": "reasoning.text", "index": 0, "text": "b", "signature": "s" }] }),
        json!({ "reasoning_details": [{ "type": "reasoning.encrypted", "index": 1, "data": "x" }] }),
    ]);
    let details = reply.said.reasoning.expect("kept").details;
    assert_eq!(
        details,
        [
            json!({ "type": "reasoning.text", "index": 0, "text": "ab", "signature": "s" }),
            json!({ "type": "reasoning.encrypted", "index": 1, "data": "x" }),
        ]
    );
}

#[test]
fn usage_is_the_last_that_was_said_also_without_choices() {
    let mut assembly = Assembly::default();
    assembly.take(&json!({ "choices": [{ "delta": {}, "finish_reason": "length" }], "usage": { "prompt_tokens": 1 } })).expect("taken");
    assembly
        .take(&json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": { "cached_tokens": 4 }, "cost": 0.5 } }))
        .expect("taken");
    assert!(assembly.is_finished());
    let reply = assembly.finish();
    let tokens = reply.tokens.expect("said");
    assert_eq!((tokens.input, tokens.output, tokens.cached, tokens.cost), (9, 3, 4, Some(0.5)));
    assert_eq!(reply.finish, Finish::Length);
}

#[test]
fn an_error_in_the_middle_is_one() {
    let error = json!({ "error": { "message": "upstream", "code": 502 }, "choices": [{ "delta": {}, "finish_reason": "error" }] });
    let failure = Assembly::default().take(&error).expect_err("the server gave up");
    assert_eq!((failure.status(), failure.is_passing()), (Some(502), true));
}

#[test]
fn nothing_that_a_server_sends_is_too_odd() {
    for odd in [
        json!(null),
        json!([]),
        json!({ "choices": 7 }),
        json!({ "choices": [{ "delta": { "tool_calls": [7, { "function": 3 }] } }] }),
    ] {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(&odd), Ok(Vec::new()), "{odd}");
        assert!(assembly.finish().said.calls.is_empty(), "{odd}");
    }
}

#[test]
fn pauses_grow_to_half_a_minute_and_a_servers_wish_counts() {
    let seconds = |failed| pause(failed, None, 0.5).as_secs_f64();
    assert_eq!((seconds(1), seconds(2), seconds(3), seconds(40)), (0.5, 1.0, 2.0, 30.0));
    assert!(pause(1, None, 0.0) < pause(1, None, 1.0));
    assert_eq!(pause(1, Some(Duration::from_secs(7)), 0.5), Duration::from_secs(7));
}
