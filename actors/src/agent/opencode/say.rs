//! What the agent is told.

use serde_json::{Map, Value, json};

use super::hear::refusal;
use super::state::{State, Waiting};
use super::wire::piece;
use super::{sync, turn};
use crate::agent::protocol::Outgoing;
use crate::agent::server::wire::Request;
use crate::domain::agent::AgentCommand;
use crate::domain::approval::{Answer, ApprovalKind, Ask};
use crate::domain::ids::InputId;
use crate::domain::session::Image;

/// A prompt, ready to be sent.
pub(super) struct SentPrompt {
    /// Which.
    pub(super) input: InputId,
    /// The body of the request.
    pub(super) body: Value,
}

/// Carries out a command.
pub(super) fn say(state: &mut State, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
    match command {
        AgentCommand::Prompt { input, text, images } => prompt(state, input, text, images, again),
        AgentCommand::Answer { ask, answer } => vec![self::answer(ask, answer).into()],
        AgentCommand::Interrupt => {
            state.interrupting = state.in_turn;
            // One that overtakes the prompt it is for is sent again when the turn begins.
            state.interrupt_next = !state.in_turn && !state.waiting.is_empty();
            if state.conversation.is_none() { Vec::new() } else { vec![turn::abort(state)] }
        }
        // Both go with each prompt.
        AgentCommand::SetModel(model) => {
            state.model.clone_from(model);
            Vec::new()
        }
        AgentCommand::SetPlanning(planning) => {
            state.planning = *planning;
            Vec::new()
        }
        // What it has it has begun; and its server goes on for others.
        AgentCommand::CancelInput(_) | AgentCommand::End => Vec::new(),
    }
}

/// Sends a prompt. Its message has an id of ours, and the server takes the same message twice for one: it goes on
/// with what it left unfinished of it, and asks no model if it was finished.
fn prompt(state: &mut State, input: &InputId, text: &str, images: &[Image], again: bool) -> Vec<Outgoing> {
    let name: String = input.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
    let sent = state.users.iter().rev().find(|id| id.len() > 16 && id.ends_with(&name)).cloned();
    if let (Some(_), true) = (&sent, again) {
        return vec![sync::found_again(input)];
    }
    // Ids are in the order of the messages: the next one after the newest.
    let next = state.newest.wrapping_add(1) & 0xffff_ffff_ffff;
    let message = sent.clone().unwrap_or_else(|| format!("msg_{next:012x}{name}"));
    let front = message.get(4..16).unwrap_or_default();
    let part = |number: usize| format!("prt_{front}{number:02}{name}");
    let mut parts = Vec::new();
    if !text.is_empty() || images.is_empty() {
        parts.push(json!({ "id": part(0), "type": "text", "text": text }));
    }
    for (number, image) in images.iter().enumerate() {
        parts.push(json!({
            "id": part(number + 1),
            "type": "file",
            "mime": image.media_type,
            "filename": image.filename.as_deref().unwrap_or("image"),
            "url": format!("data:{};base64,{}", image.media_type, image.data),
        }));
    }
    let mut body = Map::new();
    body.insert("messageID".to_owned(), Value::from(message.clone()));
    body.insert("parts".to_owned(), Value::from(parts));
    if let Some((provider, model)) = state.model.as_deref().and_then(|model| model.split_once('/')) {
        body.insert("model".to_owned(), json!({ "providerID": provider, "modelID": model }));
    }
    if state.planning {
        body.insert("agent".to_owned(), Value::from("plan"));
    }
    state.note_waiting(Waiting { input: input.clone(), message, arrived: sent.is_some() });
    let body = Value::Object(body);
    vec![sync::prompt(state.root(), SentPrompt { input: input.clone(), body })]
}

/// An answer. A yes is always for this once: the agent's own "always" would be for every session of the directory.
fn answer(ask: &Ask, answer: &Answer) -> Request {
    let question = ask.request.starts_with("que") || ask.tool_name == super::ask::QUESTION_TOOL;
    let tag = sync::Tag::Answer { request: ask.request.clone() }.value();
    match answer {
        Answer::Deny { message } => no(ask, question, message.as_deref().unwrap_or_default()),
        Answer::Allow { updated_input: Some(_), .. } => no(
            ask,
            question,
            "The input was to be changed, which is not possible here, so nothing was allowed.",
        ),
        Answer::Allow { .. } if !question => {
            let path = format!("/permission/{}/reply", piece(&ask.request));
            Request::post(path, tag).with(json!({ "reply": "once" }))
        }
        Answer::Allow { answers, message, .. } => {
            let chosen = |question: &str| answers.as_ref().and_then(|answers| answers.get(question)).cloned();
            let mut all: Vec<Vec<String>> =
                ask.questions.iter().map(|question| chosen(&question.question).unwrap_or_default()).collect();
            if let ([only], Some(word)) = (all.as_mut_slice(), message)
                && only.is_empty()
            {
                only.push(word.clone());
            }
            if all.iter().all(Vec::is_empty) {
                return no(ask, question, message.as_deref().unwrap_or_default());
            }
            answered(ask, &all)
        }
    }
}

/// The answers to a question: for each of its questions the chosen words.
fn answered(ask: &Ask, all: &[Vec<String>]) -> Request {
    let tag = sync::Tag::Answer { request: ask.request.clone() }.value();
    let path = format!("/question/{}/reply", piece(&ask.request));
    Request::post(path, tag).with(json!({ "answers": all }))
}

/// A no. Without words OpenCode ends the turn, so there always are some. A question has no such no: it is answered
/// with the words, as a person may answer anything.
fn no(ask: &Ask, question: bool, message: &str) -> Request {
    let message = if message.trim().is_empty() {
        match ask.kind {
            ApprovalKind::Question => {
                "The user does not want to answer this. Go on as you think best, or ask something else."
            }
            _ => {
                "The user said no and gave no reason. Do not try to do the same in another way: go on without it, \
                 or ask what to do instead."
            }
        }
    } else {
        message
    };
    if !question || ask.questions.is_empty() {
        return refusal(&ask.request, question, message);
    }
    answered(ask, &vec![vec![message.to_owned()]; ask.questions.len()])
}

/// The rules by which the person's own settings forbid something, for the conversation itself, where they come last
/// and win: our own `ask` for everything would hide them. Of a tool that has such a rule all rules are kept, but what
/// they allow is asked. With OpenCode the last rule that matches wins, and their order is not known here: the more a
/// pattern says, the later it comes.
pub(super) fn rules(settings: &Value) -> Vec<Value> {
    let mut rules = Vec::new();
    let mut rule = |name: &str, pattern: &str, action: &str| {
        let action = if action == "deny" { "deny" } else { "ask" };
        rules.push(json!({ "permission": name, "pattern": home(pattern), "action": action }));
    };
    // An older way to switch tools off.
    for (name, on) in settings.get("tools").and_then(Value::as_object).into_iter().flatten() {
        if on == &Value::Bool(false) {
            let name = if matches!(name.as_str(), "write" | "patch") { "edit" } else { name };
            rule(name, "*", "deny");
        }
    }
    let permission = settings.get("permission");
    if permission.and_then(Value::as_str) == Some("deny") {
        rule("*", "*", "deny");
    }
    for (name, of) in permission.and_then(Value::as_object).into_iter().flatten() {
        match of {
            Value::String(action) if action == "deny" => rule(name, "*", "deny"),
            Value::Object(patterns) if patterns.values().any(|action| action == "deny") => {
                let mut patterns: Vec<(&String, &Value)> = patterns.iter().collect();
                patterns.sort_by_key(|(pattern, action)| (pattern.len(), *action == "deny"));
                for (pattern, action) in patterns {
                    rule(name, pattern, action.as_str().unwrap_or("ask"));
                }
            }
            _ => {}
        }
    }
    rules
}

/// A pattern of a path with the home folder in place of `~` or `$HOME`, as OpenCode reads it in its settings only.
fn home(pattern: &str) -> String {
    let rest = match pattern {
        "~" | "$HOME" => Some(""),
        _ => pattern.strip_prefix("~/").or_else(|| pattern.strip_prefix("$HOME/")),
    };
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).to_string_lossy().trim_end_matches('/').to_owned(),
        _ => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::approval::{Question, Scope};

    fn ask(kind: ApprovalKind, questions: &[&str]) -> Box<Ask> {
        let question = |text: &&str| Question {
            question: (*text).to_owned(),
            header: String::new(),
            multi_select: false,
            options: Vec::new(),
        };
        let questions: Vec<Question> = questions.iter().map(question).collect();
        let asks = !questions.is_empty();
        Box::new(Ask {
            request: if asks { "que_1" } else { "per_1" }.to_owned(),
            kind,
            tool_name: if asks { "question" } else { "bash" }.to_owned(),
            tool_input: json!({}),
            title: String::new(),
            diff: None,
            paths: Vec::new(),
            is_edit: false,
            questions,
            reason: None,
            suggestions: Some(json!({ "always": ["*"] })),
            tool_use_id: None,
            subagent: None,
            can_change_input: false,
        })
    }

    fn allow(updated_input: Option<Value>) -> Answer {
        Answer::Allow { scope: Scope::All30m, updated_input, answers: None, message: None }
    }

    fn sent(ask: Box<Ask>, answer: Answer) -> (String, Value) {
        let lines = say(&mut State::default(), &AgentCommand::Answer { ask, answer }, false);
        let request: Request = serde_json::from_str(&lines[0].line).expect("a line is a request");
        (request.path, request.body)
    }

    #[test]
    fn a_yes_is_for_this_once_and_a_no_always_has_words() {
        let tool = || ask(ApprovalKind::Tool, &[]);
        assert_eq!(sent(tool(), allow(None)), ("/permission/per_1/reply".into(), json!({ "reply": "once" })));
        let changed = sent(tool(), allow(Some(json!({ "command": "ls" }))));
        assert_eq!(changed.1["reply"], "reject", "what cannot be changed is not run as it was");
        let no = sent(tool(), Answer::Deny { message: Some("use make".into()) });
        assert_eq!(no.1, json!({ "reply": "reject", "message": "use make" }));
        for message in [None, Some("  ".to_owned())] {
            let no = sent(tool(), Answer::Deny { message }).1;
            assert!(no["reply"] == "reject" && no["message"].as_str().is_some_and(|words| words.len() > 20));
        }
    }

    #[test]
    fn choices_go_in_the_order_of_the_questions() {
        let two = || ask(ApprovalKind::Question, &["Which?", "Why?"]);
        let answers = BTreeMap::from([
            ("Why?".to_owned(), vec!["so".to_owned()]),
            ("Which?".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
        ]);
        let yes =
            Answer::Allow { scope: Scope::Once, updated_input: None, answers: Some(answers), message: None };
        let expected = json!({ "answers": [["a", "b"], ["so"]] });
        assert_eq!(sent(two(), yes), ("/question/que_1/reply".into(), expected));
        let no = sent(two(), Answer::Deny { message: Some("later".into()) });
        assert_eq!(no.1, json!({ "answers": [["later"], ["later"]] }));
        let (_, none) = sent(two(), allow(None));
        assert!(
            none["answers"][0][0].as_str().is_some_and(|words| words.contains("does not want")),
            "{none}"
        );
        let raw = sent(ask(ApprovalKind::Unknown, &[]), Answer::Deny { message: None });
        assert_eq!(raw.0, "/permission/per_1/reply");
    }

    #[test]
    fn what_the_person_forbids_stays_forbidden_and_what_they_allow_is_asked() {
        let settings = json!({ "permission": { "bash": { "rm -rf *": "deny", "rm *": "allow" }, "webfetch": "deny",
            "edit": "allow", "read": { "*": "allow" } }, "tools": { "write": false, "glob": true } });
        let rule = |name: &str, pattern: &str, action: &str| json!({ "permission": name, "pattern": pattern, "action": action });
        assert_eq!(
            rules(&settings),
            [
                rule("edit", "*", "deny"),
                rule("bash", "rm *", "ask"),
                rule("bash", "rm -rf *", "deny"),
                rule("webfetch", "*", "deny"),
            ]
        );
        assert_eq!(rules(&json!({ "permission": "deny" })), [rule("*", "*", "deny")]);
        assert_eq!(rules(&json!({ "permission": "allow" })), Vec::<Value>::new());
        assert_eq!(rules(&Value::Null), Vec::<Value>::new());
    }

    #[test]
    fn a_prompt_that_is_sent_again_is_the_same_message() {
        let mut state = State { conversation: Some("ses_1".into()), newest: 0x10, ..State::default() };
        let input = InputId::from("0194f3c0-abcd");
        let command = AgentCommand::Prompt { input, text: "hi".into(), images: Vec::new() };
        let body = |lines: Vec<Outgoing>| {
            let request: Request = serde_json::from_str(&lines[0].line).expect("a line is a request");
            request.body
        };
        let first = body(say(&mut state, &command, false));
        assert_eq!(first["messageID"], "msg_0000000000110194f3c0abcd");
        state.note_user("msg_0000000000110194f3c0abcd");
        state.note_newest("msg_000000000099x");
        assert_eq!(body(say(&mut state, &command, false)), first, "after a crash of the server");
        let again = say(&mut state, &command, true);
        assert!(
            again[0].line.contains("/session/status"),
            "after a crash of ours it is only looked: {again:?}"
        );
    }
}
