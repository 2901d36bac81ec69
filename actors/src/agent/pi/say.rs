//! What is said to Pi.

use serde_json::{Value, json};

use super::state::State;
use super::{ask, wire};
use crate::agent::fields::Fields;
use crate::agent::protocol::Outgoing;
use crate::domain::agent::AgentCommand;
use crate::domain::approval::{Answer, ApprovalKind, Ask};
use crate::domain::ids::InputId;
use crate::domain::session::Image;

/// Id of the command whose answer tells that Pi is up.
pub(super) const GREETING: &str = "hello";
/// What the ids of prompts begin with; the input's own id follows.
pub(super) const PROMPT: &str = "prompt-";
/// What the ids of interrupts begin with.
pub(super) const INTERRUPT: &str = "interrupt-";

/// Asks for the state. It may be asked at any time.
pub(super) fn greeting() -> Outgoing {
    wire::command(GREETING, "get_state", Value::Null)
}

/// The same, to hear something after all that was said before.
pub(super) fn probe(state: &mut State) -> Outgoing {
    wire::command(&state.request("probe-"), "get_state", Value::Null)
}

/// Stops what runs.
pub(super) fn abort(state: &mut State) -> Outgoing {
    wire::command(&state.request(INTERRUPT), "abort", Value::Null)
}

/// The lines that carry out a command. Without our gate, Pi would take them for words to its model and run
/// what that wants: then it is told to stop, and nothing else.
pub(super) fn say(state: &mut State, command: &AgentCommand) -> Vec<Outgoing> {
    if let AgentCommand::Interrupt = command {
        state.interrupting = true;
        return vec![abort(state)];
    }
    if !state.gated {
        return Vec::new();
    }
    match command {
        AgentCommand::Prompt { input, text, images } => vec![prompt(input, text, images)],
        AgentCommand::Answer { ask, answer } => {
            state.open.retain(|request| *request != ask.request);
            vec![verdict(ask, answer)]
        }
        AgentCommand::SetModel(Some(model)) => vec![order(state, "set-model-", "tether-model", model)],
        AgentCommand::SetPlanning(planning) => {
            let word = if *planning { "on" } else { "off" };
            vec![order(state, "set-planning-", "tether-planning", word)]
        }
        AgentCommand::End => vec![order(state, "end-", "tether-end", "")],
        // Pi has no way back to its default model: the next start names none. It cannot drop a single input
        // either: one that begins after an interrupt is stopped when it does.
        AgentCommand::SetModel(None) | AgentCommand::CancelInput(_) | AgentCommand::Interrupt => Vec::new(),
    }
}

/// A command of the gate's. It is carried out at once, also in mid-turn, and no model sees it.
fn order(state: &mut State, word: &str, name: &str, argument: &str) -> Outgoing {
    let line = argument.replace(['\n', '\r'], " ");
    wire::command(&state.request(word), "prompt", json!({ "message": format!("/{name} {line}") }))
}

/// A prompt with its id in front, which the gate takes off. Should a turn run, it joins that one.
fn prompt(input: &InputId, text: &str, images: &[Image]) -> Outgoing {
    let id = Value::from(input.as_str());
    // Providers refuse a text without a character.
    let text = if text.trim().is_empty() { "(see the picture)" } else { text };
    let mut fields = json!({ "message": format!("tether-input:{id}\n{text}"), "streamingBehavior": "steer" });
    if !images.is_empty() {
        let picture =
            |image: &Image| json!({ "type": "image", "data": image.data, "mimeType": image.media_type });
        fields["images"] = images.iter().map(picture).collect();
    }
    wire::command(&format!("{PROMPT}{input}"), "prompt", fields)
}

/// An answer in the terms of the dialog that asked.
fn verdict(ask: &Ask, answer: &Answer) -> Outgoing {
    if ask.kind == ApprovalKind::Question {
        return reply(ask, answer);
    }
    let decision = match answer {
        Answer::Allow { updated_input: None, .. } => json!({ "decision": "allow" }),
        Answer::Allow { updated_input: Some(input), .. } if input.is_object() => {
            json!({ "decision": "allow", "input": input })
        }
        Answer::Allow { .. } => deny("The changed input was not an object, so nothing was allowed."),
        Answer::Deny { message } => deny(message.as_deref().unwrap_or_default()),
    };
    wire::value(&ask.request, &decision.to_string())
}

/// A no. The model reads the reason.
fn deny(reason: &str) -> Value {
    let reason = match reason.trim() {
        "" => {
            "The user said no and gave no reason. Do not try to do the same in another way: go on without it, \
             or ask what to do instead."
        }
        _ => reason,
    };
    json!({ "decision": "deny", "reason": reason })
}

/// The answer to a question or a dialog. Whatever is not clearly an answer puts it away, which is a no.
fn reply(ask: &Ask, answer: &Answer) -> Outgoing {
    let request = &ask.request;
    let method = ask.tool_input.text("method").unwrap_or_default();
    let chosen: Vec<String> = match answer {
        Answer::Allow { answers: Some(answers), .. } => answers.values().flatten().cloned().collect(),
        Answer::Allow { message: Some(word), .. } => vec![word.clone()],
        Answer::Allow { .. } => Vec::new(),
        Answer::Deny { message } if method == "question" => {
            return wire::value(request, &json!({ "reason": message }).to_string());
        }
        Answer::Deny { .. } => return wire::cancelled(request),
    };
    match (method, chosen.as_slice()) {
        (_, []) => wire::cancelled(request),
        ("question", chosen) => wire::value(request, &json!({ "answers": chosen }).to_string()),
        ("confirm", [only]) => wire::confirmed(request, only == ask::YES),
        ("select" | "input" | "editor", [only]) => wire::value(request, only),
        _ => wire::cancelled(request),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::approval::Scope;

    fn gated() -> State {
        State { gated: true, ..State::default() }
    }

    fn asked(request: Value) -> Box<Ask> {
        Box::new(ask::read("r1", &request).expect("it can be asked"))
    }

    fn tool() -> Box<Ask> {
        let request = json!({ "toolName": "bash", "input": { "command": "ls" }, "cwd": "/p" }).to_string();
        asked(json!({ "method": "input", "title": ask::APPROVAL, "placeholder": request }))
    }

    fn question() -> Box<Ask> {
        let request = json!({ "question": "Which?", "options": [{ "label": "a" }] }).to_string();
        asked(json!({ "method": "input", "title": ask::QUESTION, "placeholder": request }))
    }

    fn allow(updated_input: Option<Value>, words: &[&str]) -> Answer {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let answers = (!words.is_empty()).then(|| BTreeMap::from([("Which?".to_owned(), words)]));
        Answer::Allow { scope: Scope::All30m, updated_input, answers, message: None }
    }

    fn said(ask: Box<Ask>, answer: Answer) -> Value {
        let lines = say(&mut gated(), &AgentCommand::Answer { ask, answer });
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0].line).expect("a line is JSON");
        assert_eq!((&line["type"], &line["id"]), (&json!("extension_ui_response"), &json!("r1")));
        line
    }

    fn decided(answer: Answer) -> Value {
        let line = said(tool(), answer);
        serde_json::from_str(line["value"].as_str().expect("a text")).expect("JSON in a text")
    }

    #[test]
    fn a_yes_is_for_this_once_and_may_carry_another_input() {
        assert_eq!(decided(allow(None, &[])), json!({ "decision": "allow" }));
        let other = json!({ "command": "ls -l" });
        assert_eq!(decided(allow(Some(other.clone()), &[])), json!({ "decision": "allow", "input": other }));
        assert_eq!(decided(allow(Some(json!("ls -l")), &[]))["decision"], "deny");
    }

    #[test]
    fn a_no_always_has_a_reason() {
        assert_eq!(decided(Answer::Deny { message: Some("use make".into()) })["reason"], "use make");
        for message in [None, Some(" ".to_owned())] {
            let no = decided(Answer::Deny { message });
            assert!(
                no["decision"] == "deny" && no["reason"].as_str().is_some_and(|reason| reason.len() > 20)
            );
        }
    }

    #[test]
    fn a_question_is_answered_in_words_or_put_away() {
        let line = said(question(), allow(None, &["a", "else"]));
        assert_eq!(line["value"], r#"{"answers":["a","else"]}"#);
        let line = said(question(), Answer::Deny { message: Some("later".into()) });
        assert_eq!(line["value"], r#"{"reason":"later"}"#);
        assert_eq!(said(question(), allow(None, &[]))["cancelled"], true);
    }

    #[test]
    fn a_dialog_is_confirmed_by_the_plain_word_alone() {
        let confirm = || asked(json!({ "method": "confirm", "title": "Which?" }));
        assert_eq!(said(confirm(), allow(None, &["Yes"]))["confirmed"], true);
        for no in ["No", "yes", "Yes, but", "whatever"] {
            assert_eq!(said(confirm(), allow(None, &[no]))["confirmed"], false, "{no}");
        }
        assert_eq!(said(confirm(), allow(None, &["Yes", "No"]))["cancelled"], true);
        assert_eq!(said(confirm(), Answer::Deny { message: None })["cancelled"], true);
        let select = asked(json!({ "method": "select", "title": "Which?", "options": ["a"] }));
        assert_eq!(said(select, allow(None, &["a"]))["value"], "a");
    }

    #[test]
    fn a_prompt_carries_its_id_and_a_line_is_one_line() {
        let images = vec![Image { data: "aGk=".into(), media_type: "image/png".into(), filename: None }];
        let command =
            AgentCommand::Prompt { input: "01\"9\n4".into(), text: "one\ntwo\u{2028}".into(), images };
        let lines = say(&mut gated(), &command);
        assert!(!lines[0].line.contains(['\n', '\r']));
        let line: Value = serde_json::from_str(&lines[0].line).expect("a line is JSON");
        assert_eq!(line["message"], "tether-input:\"01\\\"9\\n4\"\none\ntwo\u{2028}");
        assert_eq!(line["images"][0]["mimeType"], "image/png");
        assert_eq!(say(&mut gated(), &command), lines, "the same again is the same line");
    }

    #[test]
    fn commands_of_ours_have_ids_that_tell_what_they_are() {
        let mut state = gated();
        let mut said = |command: AgentCommand| -> Value {
            let lines = say(&mut state, &command);
            lines.first().map_or(Value::Null, |line| serde_json::from_str(&line.line).expect("JSON"))
        };
        assert_eq!(said(AgentCommand::Interrupt), json!({ "id": "interrupt-0", "type": "abort" }));
        let model = said(AgentCommand::SetModel(Some("p/m\n/quit".into())));
        assert_eq!(
            (&model["id"], &model["message"]),
            (&json!("set-model-1"), &json!("/tether-model p/m /quit"))
        );
        assert_eq!(said(AgentCommand::SetPlanning(true))["message"], "/tether-planning on");
        assert_eq!(said(AgentCommand::End)["message"], "/tether-end ");
        assert_eq!(said(AgentCommand::CancelInput("u".into())), Value::Null);
        assert!(state.interrupting);
    }

    #[test]
    fn without_the_gate_it_is_told_to_stop_and_nothing_else() {
        let mut state = State::default();
        let prompt = AgentCommand::Prompt { input: "u".into(), text: "x".into(), images: Vec::new() };
        for command in [prompt, AgentCommand::End, AgentCommand::SetModel(Some("m".into()))] {
            assert_eq!(say(&mut state, &command), []);
        }
        assert_eq!(say(&mut state, &AgentCommand::Interrupt).len(), 1);
    }
}
