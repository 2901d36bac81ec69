//! What is said to the agent, and what it does of it.

use super::*;
use crate::domain::agent::{InputProgress, TurnEnd};
use crate::domain::session::Image;

fn prompt(text: &str) -> AgentCommand {
    AgentCommand::Prompt { input: "i".into(), text: text.into(), images: Vec::new() }
}

fn ready() -> AcpProtocol {
    let mut protocol = AcpProtocol::new();
    opening::open(&mut protocol, &Work { directory: "/p".into(), ..Work::default() });
    protocol
}

fn hear(protocol: &mut AcpProtocol, line: Value) -> Heard {
    protocol.hear(line.to_string().as_bytes())
}

fn update(update: Value) -> Value {
    json!({ "method": "session/update", "params": { "sessionId": "s", "update": update } })
}

fn text(text: &str) -> Value {
    update(json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } }))
}

fn permission(id: u64) -> Value {
    let options =
        ["allow_always", "allow_once", "reject_once"].map(|kind| json!({ "optionId": kind, "kind": kind }));
    let call =
        json!({ "toolCallId": format!("c{id}"), "title": "touch a", "kind": "execute", "status": "pending" });
    json!({ "id": id, "method": "session/request_permission",
        "params": { "sessionId": "s", "toolCall": call, "options": options } })
}

fn request_id(protocol: &AcpProtocol) -> String {
    protocol.state.turn.as_ref().expect("a turn runs").request.clone()
}

fn stop(protocol: &mut AcpProtocol, reason: &str) -> Heard {
    let id = request_id(protocol);
    hear(protocol, json!({ "id": id, "result": { "stopReason": reason } }))
}

fn asked(heard: &Heard) -> Box<Ask> {
    match heard.events.last() {
        Some(AgentEvent::Asked(ask)) => ask.clone(),
        other => panic!("{other:?}"),
    }
}

fn end(heard: &Heard) -> &TurnEnd {
    match heard.events.last() {
        Some(AgentEvent::TurnFinished(end)) => end,
        other => panic!("{other:?}"),
    }
}

fn started() -> [AgentEvent; 2] {
    let progress = InputProgress::Started;
    [AgentEvent::InputProgress { input: "i".into(), progress }, AgentEvent::TurnStarted]
}

fn methods(lines: &[Outgoing]) -> Vec<String> {
    lines.iter().map(|line| parsed(line)["method"].as_str().unwrap_or("answer").to_owned()).collect()
}

#[test]
fn a_turn_begins_with_the_first_word_and_ends_with_the_answer() {
    let mut protocol = ready();
    let said = protocol.say(&prompt("go"), false);
    assert_eq!(
        parsed(&said[0])["params"],
        json!({ "sessionId": "s", "prompt": [{ "type": "text", "text": "go" }] })
    );
    let heard = hear(&mut protocol, text("hello"));
    assert_eq!(heard.events[..2], started());
    assert_eq!(heard.events[2], AgentEvent::Text { text: "hello".into(), parent: None });
    let heard = stop(&mut protocol, "end_turn");
    assert_eq!(end(&heard).text.as_deref(), Some("hello"));
    let completed = AgentEvent::InputProgress { input: "i".into(), progress: InputProgress::Completed };
    assert_eq!(heard.events[0], completed);
}

#[test]
fn pictures_go_along_where_the_agent_takes_them_and_are_missed_in_words_where_it_does_not() {
    let image = Image { data: "aGk=".into(), media_type: "image/png".into(), filename: None };
    let command = AgentCommand::Prompt { input: "i".into(), text: String::new(), images: vec![image] };
    let mut protocol = ready();
    let said = parsed(&protocol.say(&command, false)[0]);
    assert_eq!(
        said["params"]["prompt"],
        json!([{ "type": "image", "mimeType": "image/png", "data": "aGk=" }])
    );
    let mut protocol = ready();
    protocol.state.agent.images = false;
    let said = parsed(&protocol.say(&command, false)[0]);
    assert_eq!(said["params"]["prompt"], json!([{ "type": "text", "text": "" }]));
    let heard = hear(&mut protocol, text("x"));
    assert!(matches!(&heard.events[0], AgentEvent::Notice { code, .. } if code == "IMAGES_UNAVAILABLE"));
}

#[test]
fn a_reason_reaches_the_agent_before_the_turn_ends_and_the_turn_ends_once() {
    let mut protocol = ready();
    protocol.say(&prompt("go"), false);
    let ask = asked(&hear(&mut protocol, permission(0)));
    let answer = Answer::Deny { message: Some("not in this folder".into()) };
    let said = protocol.say(&AgentCommand::Answer { ask: ask.clone(), answer: answer.clone() }, false);
    assert_eq!(parsed(&said[0])["result"]["outcome"]["optionId"], "reject_once");
    // After a crash the answer may be given again.
    protocol.say(&AgentCommand::Answer { ask, answer }, true);

    let heard = stop(&mut protocol, "end_turn");
    assert_eq!(heard.events, [], "the turn goes on");
    let [line] = &heard.replies[..] else { panic!("{heard:?}") };
    let words = parsed(line)["params"]["prompt"][0]["text"].as_str().expect("words").to_owned();
    assert_eq!(words.matches("not in this folder").count(), 1, "{words}");
    assert!(words.contains("touch a"), "{words}");
    let heard = stop(&mut protocol, "end_turn");
    assert!(end(&heard).ok && heard.replies.is_empty());
    assert!(
        matches!(&heard.events[0], AgentEvent::ToolResult { id, is_error: true, .. } if id == "c0"),
        "{heard:?}"
    );
}

#[test]
fn an_agent_that_reads_reasons_gets_it_with_the_no() {
    let mut protocol = ready();
    protocol.state.agent.reasons = true;
    protocol.say(&prompt("go"), false);
    let ask = asked(&hear(&mut protocol, permission(0)));
    let answer = Answer::Deny { message: Some("not here".into()) };
    let said = protocol.say(&AgentCommand::Answer { ask, answer }, false);
    assert_eq!(parsed(&said[0])["result"]["_meta"]["tether"]["reason"], "not here");
    assert!(end(&stop(&mut protocol, "end_turn")).ok, "and not a second time");
}

#[test]
fn an_interrupt_cancels_what_is_open_and_what_is_asked_afterwards() {
    let mut protocol = ready();
    protocol.say(&prompt("go"), false);
    hear(&mut protocol, permission(0));
    let lines = protocol.say(&AgentCommand::Interrupt, false);
    assert_eq!(methods(&lines), ["session/cancel", "answer"]);
    assert_eq!(parsed(&lines[1])["result"], json!({ "outcome": { "outcome": "cancelled" } }));
    let heard = hear(&mut protocol, permission(1));
    assert_eq!(heard.events, [AgentEvent::Withdrew("0".into())]);
    assert_eq!(parsed(&heard.replies[0])["result"], json!({ "outcome": { "outcome": "cancelled" } }));
    let heard = stop(&mut protocol, "cancelled");
    assert!(end(&heard).interrupted);
    // The next turn asks again.
    protocol.say(&prompt("go"), false);
    asked(&hear(&mut protocol, permission(2)));
}

#[test]
fn a_question_that_the_turn_leaves_open_is_withdrawn() {
    let mut protocol = ready();
    protocol.say(&prompt("go"), false);
    hear(&mut protocol, permission(0));
    let heard = stop(&mut protocol, "end_turn");
    assert!(heard.events.contains(&AgentEvent::Withdrew("0".into())), "{heard:?}");
    assert_eq!(parsed(&heard.replies[0])["result"]["outcome"]["outcome"], "cancelled");
    let gone = json!({ "method": "$/cancel_request", "params": { "requestId": 0 } });
    assert_eq!(hear(&mut protocol, gone.clone()), Heard::default(), "it was told");
    protocol.say(&prompt("go"), false);
    hear(&mut protocol, permission(0));
    assert_eq!(hear(&mut protocol, gone).events, [AgentEvent::Withdrew("0".into())]);
}

#[test]
fn a_prompt_that_may_have_arrived_is_not_said_twice_when_the_agent_spoke_since() {
    let mut protocol = ready();
    let before = protocol.state();
    protocol.say(&prompt("go"), false);
    let id = request_id(&protocol);
    // The daemon died before the state was stored; meanwhile the agent spoke.
    let mut protocol = AcpProtocol::restore(before.clone()).expect("it is a state");
    hear(&mut protocol, text("hel"));
    assert_eq!(protocol.say(&prompt("go"), true), []);
    let heard = hear(&mut protocol, text("lo"));
    assert_eq!(heard.events[..2], started());
    let heard = hear(&mut protocol, json!({ "id": id, "result": { "stopReason": "end_turn" } }));
    assert!(end(&heard).ok);

    // Or it was done already: then the session is told so, and does not say it again.
    let mut protocol = AcpProtocol::restore(before).expect("it is a state");
    let heard = hear(&mut protocol, json!({ "id": id, "result": { "stopReason": "end_turn" } }));
    assert_eq!(heard.events[..2], started());
    assert!(end(&heard).ok);
}

#[test]
fn a_prompt_of_which_nothing_was_heard_is_stopped_and_said_again_and_ends_one_turn() {
    let mut protocol = ready();
    let before = protocol.state();
    protocol.say(&prompt("go"), false);
    let first = request_id(&protocol);
    let mut protocol = AcpProtocol::restore(before).expect("it is a state");
    let lines = protocol.say(&prompt("go"), true);
    assert_eq!(methods(&lines), ["session/cancel", "session/prompt"]);
    assert_ne!(request_id(&protocol), first);
    // It had arrived the first time too.
    let heard = hear(&mut protocol, json!({ "id": first, "result": { "stopReason": "cancelled" } }));
    assert_eq!(heard, Heard::default());
    hear(&mut protocol, text("hello"));
    assert!(end(&stop(&mut protocol, "end_turn")).ok);
}

#[test]
fn the_model_can_be_changed_and_changed_back() {
    let mut protocol = ready();
    let mut set = |model: Option<&str>| {
        let line = parsed(&protocol.say(&AgentCommand::SetModel(model.map(str::to_owned)), false)[0]);
        let heard = hear(&mut protocol, json!({ "id": line["id"], "result": {} }));
        let ready = matches!(&heard.events[0], AgentEvent::Ready { model, .. } if model.as_deref() == line["params"]["modelId"].as_str());
        assert!(ready, "{heard:?}");
        line["params"]["modelId"].as_str().map(str::to_owned)
    };
    assert_eq!(set(Some("gemini/pro")).as_deref(), Some("gemini/pro"));
    assert_eq!(set(None).as_deref(), Some("auto"));
}

#[test]
fn planning_is_begun_ended_and_refused_in_words() {
    let mut protocol = ready();
    let line = parsed(&protocol.say(&AgentCommand::SetPlanning(true), false)[0]);
    let heard = hear(&mut protocol, json!({ "id": line["id"], "result": {} }));
    assert_eq!(heard.events[0], AgentEvent::Planning(true));
    let line = parsed(&protocol.say(&AgentCommand::SetPlanning(false), false)[0]);
    assert_eq!(line["params"]["modeId"], "default");
    let heard = hear(&mut protocol, json!({ "id": line["id"], "error": { "code": 1, "message": "no" } }));
    assert!(matches!(&heard.events[..], [AgentEvent::Replied { result: Err(error), .. }] if error == "no"));
}

#[test]
fn a_mode_in_which_it_does_not_ask_is_told_and_left() {
    let mut protocol = ready();
    let heard = hear(
        &mut protocol,
        update(json!({ "sessionUpdate": "current_mode_update", "currentModeId": "yolo" })),
    );
    assert!(
        matches!(&heard.events[..], [AgentEvent::Notice { code, .. }] if code == "AGENT_MODE"),
        "{heard:?}"
    );
    assert_eq!(parsed(&heard.replies[0])["params"]["modeId"], "default");
    let heard = hear(
        &mut protocol,
        update(json!({ "sessionUpdate": "current_mode_update", "currentModeId": "plan" })),
    );
    assert_eq!(heard.events, [AgentEvent::Planning(true)]);
}

#[test]
fn files_and_terminals_are_declined_and_what_nobody_knows_is_told_once() {
    let mut protocol = ready();
    let mut ask = |method: &str| {
        let heard = hear(&mut protocol, json!({ "id": 1, "method": method, "params": {} }));
        assert_eq!(parsed(&heard.replies[0])["error"]["code"], -32601, "{method}");
        heard.events.len()
    };
    assert_eq!((ask("fs/write_text_file"), ask("terminal/create")), (0, 0));
    assert_eq!((ask("session/hologram"), ask("session/hologram")), (1, 0));
}

#[test]
fn a_to_do_list_is_told_when_it_changes() {
    let mut protocol = ready();
    protocol.say(&prompt("go"), false);
    let plan = |status: &str| {
        update(json!({ "sessionUpdate": "plan", "entries": [{ "content": "x", "status": status }] }))
    };
    let heard = hear(&mut protocol, plan("pending"));
    assert!(
        matches!(&heard.events[2..], [AgentEvent::ToolCall { name, .. }, AgentEvent::ToolResult { text, .. }]
        if name == "TodoWrite" && text == "0 of 1 done"),
        "{heard:?}"
    );
    assert_eq!(hear(&mut protocol, plan("pending")).events, []);
    assert_eq!(hear(&mut protocol, plan("completed")).events.len(), 2);
}

#[test]
fn a_turn_costs_what_the_conversation_cost_more() {
    let mut protocol = ready();
    let mut turn = |dollars: f64| {
        protocol.say(&prompt("go"), false);
        let cost = json!({ "amount": dollars, "currency": "USD" });
        hear(
            &mut protocol,
            update(json!({ "sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": cost })),
        );
        end(&stop(&mut protocol, "end_turn")).usage.total_cost_usd
    };
    assert_eq!((turn(0.5), turn(0.75), turn(0.1)), (0.5, 0.25, 0.1));
}

#[test]
fn what_is_told_of_another_conversation_is_not_heard() {
    let mut protocol = ready();
    protocol.say(&prompt("go"), false);
    let mut line = text("of a fork");
    line["params"]["sessionId"] = json!("another");
    assert_eq!(hear(&mut protocol, line), Heard::default());
}

#[test]
fn the_end_of_the_conversation_is_told_where_the_agent_wants_to_know() {
    let mut protocol = ready();
    assert_eq!(protocol.say(&AgentCommand::End, false), []);
    protocol.state.agent.close = true;
    assert_eq!(methods(&protocol.say(&AgentCommand::End, false)), ["session/close"]);
    assert_eq!(AcpProtocol::new().say(&AgentCommand::Interrupt, false), [], "nothing has begun");
}
