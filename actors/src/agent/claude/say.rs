//! What is said to the agent.

use serde_json::{Map, Value, json};

use super::state::State;
use super::wire::{control_request, success, user};
use crate::agent::protocol::Outgoing;
use crate::domain::agent::AgentCommand;
use crate::domain::approval::{Answer, ApprovalKind, Ask};
use crate::domain::session::Image;

/// The lines that carry out a command.
pub(super) fn say(state: &mut State, command: &AgentCommand) -> Vec<Outgoing> {
    let outgoing = match command {
        AgentCommand::Prompt { input, text, images } => user(input.as_str(), &content(text, images)),
        AgentCommand::Answer { ask, answer } => success(&ask.request, &verdict(ask, answer)),
        AgentCommand::Interrupt => {
            state.interrupting = true;
            request(state, "interrupt", &json!({ "subtype": "interrupt" }))
        }
        AgentCommand::SetModel(model) => {
            request(state, "set-model", &json!({ "subtype": "set_model", "model": model }))
        }
        AgentCommand::SetPlanning(planning) => {
            let mode = if *planning { "plan" } else { "default" };
            request(state, "set-mode", &json!({ "subtype": "set_permission_mode", "mode": mode }))
        }
        AgentCommand::CancelInput(input) => control_request(
            &format!("cancel-{input}"),
            &json!({ "subtype": "cancel_async_message", "message_uuid": input.as_str() }),
        ),
        AgentCommand::End => request(state, "end", &json!({ "subtype": "end_session" })),
    };
    vec![outgoing]
}

/// A request of ours under an id of its own.
fn request(state: &mut State, word: &str, request: &Value) -> Outgoing {
    let number = state.next_request;
    state.next_request = number.wrapping_add(1);
    control_request(&format!("{word}-{number}"), request)
}

fn content(text: &str, images: &[Image]) -> Value {
    if images.is_empty() {
        return Value::from(text);
    }
    // The provider refuses a block without text.
    let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    let pictures = images.iter().map(|image| {
        json!({
            "type": "image",
            "source": { "type": "base64", "media_type": image.media_type, "data": image.data },
        })
    });
    words.into_iter().chain(pictures).collect()
}

/// An answer in the agent's terms. Never with `updatedPermissions`: a standing rule would be kept by the
/// agent, in the project or for the session, and cover more than was asked.
fn verdict(ask: &Ask, answer: &Answer) -> Value {
    let Answer::Allow { updated_input, answers, message, .. } = answer else {
        return deny(answer.message().unwrap_or_default(), ask.kind);
    };
    // A yes is the tool's own input, unchanged or as a person wrote it; nothing in it is made up here.
    // Sent always: older versions do not take a yes without it.
    let input = updated_input.as_ref().unwrap_or(&ask.tool_input);
    let Value::Object(mut input) = input.clone() else {
        return deny("The changed input was not an object, so nothing was allowed.", ask.kind);
    };
    if ask.tool_name == super::ask::QUESTION_TOOL {
        let chosen = answers.iter().flatten().map(|(question, chosen)| (question.clone(), chosen.join(", ")));
        let mut chosen: Vec<(String, String)> = chosen.collect();
        if let (true, [only], Some(word)) = (chosen.is_empty(), ask.questions.as_slice(), message) {
            chosen.push((only.question.clone(), word.clone()));
        }
        // None at all is what the agent calls "the user did not answer".
        if !chosen.is_empty() {
            let mut all = input.get("answers").and_then(Value::as_object).cloned().unwrap_or_default();
            all.extend(chosen.into_iter().map(|(question, answer)| (question, Value::from(answer))));
            input.insert("answers".to_owned(), Value::Object(all));
        }
    }
    Value::Object(Map::from_iter([
        ("behavior".to_owned(), Value::from("allow")),
        ("updatedInput".to_owned(), Value::Object(input)),
    ]))
}

/// A no. The agent reads the message, and an answer without one counts as malformed.
fn deny(message: &str, kind: ApprovalKind) -> Value {
    let message = if message.trim().is_empty() {
        match kind {
            ApprovalKind::Tool | ApprovalKind::Trust | ApprovalKind::Unknown => {
                "The user said no and gave no reason. Do not try to do the same in another way: go on \
                 without it, or ask what to do instead."
            }
            ApprovalKind::Question => {
                "The user does not want to answer this. Go on as you think best, or ask something else."
            }
            ApprovalKind::Plan => {
                "The user does not agree to this plan and gave no reason. Do not begin with it: ask what \
                 shall be different."
            }
        }
    } else {
        message
    };
    json!({ "behavior": "deny", "message": message })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::approval::{Question, Scope};
    use crate::domain::ids::InputId;

    fn ask(kind: ApprovalKind, tool: &str, input: Value) -> Box<Ask> {
        let question = |text: &str| Question {
            question: text.into(),
            header: String::new(),
            multi_select: false,
            options: Vec::new(),
        };
        Box::new(Ask {
            request: "r1".into(),
            kind,
            tool_name: tool.into(),
            tool_input: input,
            title: String::new(),
            diff: None,
            paths: Vec::new(),
            is_edit: false,
            questions: if kind == ApprovalKind::Question { vec![question("Which?")] } else { Vec::new() },
            reason: None,
            suggestions: Some(json!([{ "type": "setMode", "mode": "acceptEdits" }])),
            tool_use_id: None,
            subagent: None,
            can_change_input: true,
        })
    }

    fn allow() -> Answer {
        Answer::Allow { scope: Scope::Tool, updated_input: None, answers: None, message: None }
    }

    fn answered(ask: Box<Ask>, answer: Answer) -> Value {
        let lines = say(&mut State::default(), &AgentCommand::Answer { ask, answer });
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0].line).expect("a line is JSON");
        assert_eq!(line["type"], "control_response");
        assert_eq!(line["response"]["subtype"], "success");
        assert_eq!(line["response"]["request_id"], "r1");
        line["response"]["response"].clone()
    }

    #[test]
    fn a_yes_carries_the_input_and_never_a_standing_rule() {
        let input = json!({ "command": "ls" });
        let yes = answered(ask(ApprovalKind::Tool, "Bash", input.clone()), allow());
        assert_eq!(yes, json!({ "behavior": "allow", "updatedInput": input }));
        let changed = Answer::Allow {
            scope: Scope::Once,
            updated_input: Some(json!({ "command": "ls -l" })),
            answers: None,
            message: None,
        };
        let yes = answered(ask(ApprovalKind::Tool, "Bash", input.clone()), changed);
        assert_eq!(yes["updatedInput"]["command"], "ls -l");
        let odd = Answer::Allow {
            scope: Scope::Once,
            updated_input: Some(json!("ls -l")),
            answers: None,
            message: None,
        };
        assert_eq!(answered(ask(ApprovalKind::Tool, "Bash", input), odd)["behavior"], "deny");
    }

    #[test]
    fn a_no_always_has_a_message() {
        for kind in [ApprovalKind::Tool, ApprovalKind::Question, ApprovalKind::Plan, ApprovalKind::Unknown] {
            for message in [None, Some("  ".to_owned())] {
                let no = answered(ask(kind, "Bash", json!({})), Answer::Deny { message });
                assert_eq!(no["behavior"], "deny");
                assert!(no["message"].as_str().is_some_and(|message| message.len() > 20), "{no}");
            }
        }
        let no = answered(
            ask(ApprovalKind::Tool, "Bash", json!({})),
            Answer::Deny { message: Some("use make".into()) },
        );
        assert_eq!(no, json!({ "behavior": "deny", "message": "use make" }));
    }

    #[test]
    fn choices_are_merged_into_the_questions_input() {
        let question = || ask(ApprovalKind::Question, "AskUserQuestion", json!({ "questions": [1] }));
        let answers = BTreeMap::from([
            ("Which?".to_owned(), vec!["a".to_owned(), "c".to_owned()]),
            ("Why?".to_owned(), vec!["just so".to_owned()]),
        ]);
        let yes = answered(
            question(),
            Answer::Allow { scope: Scope::Once, updated_input: None, answers: Some(answers), message: None },
        );
        assert_eq!(
            yes["updatedInput"],
            json!({ "questions": [1], "answers": { "Which?": "a, c", "Why?": "just so" } })
        );
        let word = Answer::Allow {
            scope: Scope::Once,
            updated_input: None,
            answers: None,
            message: Some("neither".into()),
        };
        assert_eq!(answered(question(), word)["updatedInput"]["answers"], json!({ "Which?": "neither" }));
        assert_eq!(answered(question(), allow())["updatedInput"].get("answers"), None);
    }

    #[test]
    fn an_input_keeps_its_id_and_a_line_is_one_line() {
        let images = vec![Image { data: "aGk=".into(), media_type: "image/png".into(), filename: None }];
        let prompt = |images: Vec<Image>| AgentCommand::Prompt {
            input: InputId::from("0194"),
            text: "one\ntwo\r\u{2028}".into(),
            images,
        };
        for command in [prompt(Vec::new()), prompt(images)] {
            let lines = say(&mut State::default(), &command);
            assert!(lines.iter().all(|line| !line.line.contains(['\n', '\r'])));
            let line: Value = serde_json::from_str(&lines[0].line).expect("a line is JSON");
            assert_eq!(
                (line["uuid"].as_str(), line["message"]["role"].as_str()),
                (Some("0194"), Some("user"))
            );
        }
    }

    #[test]
    fn requests_of_ours_have_ids_that_tell_what_they_are() {
        let mut state = State::default();
        let mut id = |command: AgentCommand| {
            let lines = say(&mut state, &command);
            let line: Value = serde_json::from_str(&lines[0].line).expect("a line is JSON");
            line["request_id"].as_str().map(str::to_owned)
        };
        assert_eq!(id(AgentCommand::Interrupt).as_deref(), Some("interrupt-0"));
        assert_eq!(id(AgentCommand::SetModel(None)).as_deref(), Some("set-model-1"));
        assert_eq!(id(AgentCommand::CancelInput("u".into())).as_deref(), Some("cancel-u"));
        assert_eq!(id(AgentCommand::End).as_deref(), Some("end-2"));
        assert!(state.interrupting);
    }
}
