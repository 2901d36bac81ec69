//! Answers, in the agent's terms. Always for once: its "for the session" and "from now on" would be kept by
//! the agent, partly in the person's own settings, and cover more than was asked.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::state::State;
use super::wire::{request, result};
use super::{Desk, ask, say};
use crate::agent::fields::Fields;
use crate::agent::protocol::Outgoing;
use crate::domain::approval::{Answer, Ask};

/// What a plan that is agreed to is answered with. (The words of Codex's own surface.)
const BEGIN: &str = "Implement the plan.";

/// The lines of an answer. A second one to the same request changes nothing at the agent.
pub(super) fn say(
    state: &mut State,
    desk: &mut Desk,
    ask: &Ask,
    answer: &Answer,
    again: bool,
) -> Vec<Outgoing> {
    if ask.request.starts_with(ask::PLAN) {
        return plan(state, desk, ask, answer, again);
    }
    let Some((kind, id)) = ask::parse_name(&ask.request) else { return Vec::new() };
    let mut lines = Vec::new();
    if !answer.allowed() {
        lines.extend(because(state, ask, answer));
    }
    lines.push(result(&id, &verdict(kind, ask, answer)));
    lines
}

/// A refusal has no words of its own, so they are given to the running turn right before it: the model reads
/// both together.
fn because(state: &mut State, ask: &Ask, answer: &Answer) -> Option<Outgoing> {
    let message = answer.message().map(str::trim).filter(|message| !message.is_empty())?;
    let asked = state.asked.iter().find(|asked| asked.name == ask.request)?;
    let (thread, turn) = (asked.thread.clone(), asked.turn.clone());
    let text = format!("The user refused this: {}\nIn the user's words:\n{message}", ask.title);
    let id = state.next_id("because");
    Some(request(
        &id,
        "turn/steer",
        json!({
            "threadId": thread,
            "expectedTurnId": turn,
            "input": [{ "type": "text", "text": text, "text_elements": [] }],
        }),
    ))
}

fn verdict(kind: &str, ask: &Ask, answer: &Answer) -> Value {
    let yes = answer.allowed();
    match kind {
        ask::COMMAND | ask::PATCH => json!({ "decision": if yes { "accept" } else { "decline" } }),
        ask::QUESTION => json!({ "answers": if yes { chosen(ask, answer) } else { json!({}) } }),
        ask::TOOL => elicitation(yes.then(|| json!({}))),
        ask::FORM => elicitation(if yes { filled_in(ask, answer) } else { None }),
        ask::PERMISSIONS => {
            let all = ask.tool_input.get("permissions").cloned().filter(|_| yes);
            json!({ "permissions": all.unwrap_or_else(|| json!({})), "scope": "turn" })
        }
        // Not a name that we gave.
        _ => Value::Null,
    }
}

fn elicitation(content: Option<Value>) -> Value {
    match content {
        Some(content) => json!({ "action": "accept", "content": content, "_meta": null }),
        None => json!({ "action": "decline", "content": null, "_meta": null }),
    }
}

/// What was chosen, by the question's text.
fn choices(ask: &Ask, answer: &Answer) -> BTreeMap<String, Vec<String>> {
    let Answer::Allow { answers, message, .. } = answer else { return BTreeMap::new() };
    let mut chosen = answers.clone().unwrap_or_default();
    if let (true, [only], Some(word)) = (chosen.is_empty(), ask.questions.as_slice(), message) {
        chosen.insert(only.question.clone(), vec![word.clone()]);
    }
    chosen
}

/// `{"<question id>":{"answers":["..."]}}`.
fn chosen(ask: &Ask, answer: &Answer) -> Value {
    let choices = choices(ask, answer);
    let given = ask.tool_input.list("questions").iter().filter_map(|question| {
        let chosen = choices.get(question.text("question")?)?;
        Some((question.text("id")?.to_owned(), json!({ "answers": chosen })))
    });
    Value::Object(given.collect())
}

/// The form's fields, each in its type; `None` if one that must be there is missing or does not fit.
fn filled_in(ask: &Ask, answer: &Answer) -> Option<Value> {
    let choices = choices(ask, answer);
    let mut content = Map::new();
    for field in ask::fields(&ask.tool_input)? {
        match choices.get(&field.question).map(Vec::as_slice) {
            None | Some([]) if field.required => return None,
            None | Some([]) => {}
            Some(chosen) => {
                content.insert(field.name, field.kind.value(chosen)?);
            }
        }
    }
    Some(Value::Object(content))
}

/// A plan is no request of the agent's: the answer is the next turn.
fn plan(state: &mut State, desk: &mut Desk, ask: &Ask, answer: &Answer, again: bool) -> Vec<Outgoing> {
    state.plan_asked = None;
    let word = answer.message().map(str::trim).filter(|word| !word.is_empty());
    let (mut lines, text) = match answer {
        Answer::Allow { .. } => {
            let text = word.map_or_else(|| BEGIN.to_owned(), |word| format!("{BEGIN}\n{word}"));
            (say::set_mode(state, false), text)
        }
        Answer::Deny { .. } => match word {
            Some(word) => (
                Vec::new(),
                format!("The user does not agree to this plan yet. In the user's words:\n{word}"),
            ),
            // It waits for the person anyway.
            None => return Vec::new(),
        },
    };
    let content = json!([{ "type": "text", "text": text, "text_elements": [] }]);
    lines.extend(say::prompt(state, desk, &ask.request, content, again));
    lines
}
