use super::*;
use crate::agent::codex::state::Item;

fn state() -> State {
    State { conversation: Some("T".into()), cwd: Some("/p".into()), ..State::default() }
}

fn asked(method: &str, mut params: Value) -> Result<Ask, String> {
    params["threadId"] = "T".into();
    read(&mut state(), &json!(3), method, &params)
}

fn command_of(params: Value) -> Ask {
    asked("item/commandExecution/requestApproval", params).expect("it can be asked")
}

#[test]
fn a_command_is_shown_as_it_was_written_and_kept_as_it_runs() {
    let ask = command_of(json!({ "command": "/bin/bash -lc 'echo hi > a'", "cwd": "/p", "itemId": "c",
        "proposedExecpolicyAmendment": ["echo"], "reason": "May I?" }));
    assert_eq!(ask.title, "Bash: echo hi > a");
    assert_eq!(ask.tool_input["command"], "echo hi > a");
    assert_eq!(ask.tool_input["run_as"], "/bin/bash -lc 'echo hi > a'");
    assert_eq!((ask.kind, ask.tool_name.as_str()), (ApprovalKind::Tool, "Bash"));
    assert_eq!(ask.tool_use_id.as_deref(), Some("c"));
    let reason = ask.reason.expect("there is one");
    assert!(reason.starts_with("May I?\n") && reason.contains("full rights"), "{reason}");
}

#[test]
fn only_a_plain_shell_is_left_away() {
    assert_eq!(script("/bin/bash -lc ls").as_deref(), Some("ls"));
    assert_eq!(script("bash -lc 'a && b'").as_deref(), Some("a && b"));
    assert_eq!(script("/tmp/bash -lc ls"), None);
    assert_eq!(script("/bin/bash --rcfile x -lc ls"), None);
    assert_eq!(script("/bin/bash -lc ls x"), None);
    assert_eq!(script("/bin/bash -lc 'open"), None);
    let ask = command_of(json!({ "command": "/tmp/bash -lc ls" }));
    assert_eq!(ask.title, "Bash: /tmp/bash -lc ls");
}

#[test]
fn what_is_more_than_a_command_is_for_a_person_alone() {
    for (key, value) in [
        ("kind", json!("writeStdin")),
        ("kind", json!("never heard of")),
        ("networkApprovalContext", json!({ "host": "example.com", "protocol": "https" })),
        ("additionalPermissions", json!({ "network": { "enabled": true } })),
    ] {
        let mut params = json!({ "command": "x" });
        params[key] = value;
        assert_eq!(command_of(params).kind, ApprovalKind::Unknown, "{key}");
    }
    assert!(asked("item/commandExecution/requestApproval", json!({})).is_err());
    let more =
        json!({ "permissions": { "network": { "enabled": true }, "fileSystem": { "write": ["/etc"] } } });
    let ask = asked("item/permissions/requestApproval", more).expect("it can be asked");
    assert_eq!(ask.kind, ApprovalKind::Unknown);
    assert_eq!(ask.title, "More rights until the end of the turn: use the network; write /etc");
}

#[test]
fn a_patch_is_asked_about_with_what_its_item_told() {
    let mut state = state();
    let item = json!({ "changes": [{ "path": "/p/a", "kind": { "type": "add" }, "diff": "x\n" }] });
    state.open(Item { id: "c".into(), patch: Some(Patch::read(&item)), ..Item::default() });
    let params = json!({ "threadId": "T", "itemId": "c", "reason": null, "grantRoot": null });
    let ask =
        read(&mut state, &json!(0), "item/fileChange/requestApproval", &params).expect("it can be asked");
    assert_eq!((ask.title.as_str(), ask.is_edit, ask.kind), ("Write a", true, ApprovalKind::Tool));
    assert_eq!(ask.paths, ["/p/a"]);
    assert!(ask.diff.is_some_and(|diff| diff.contains("+x")));
    // A second question about the same item, or one about an item that was never told.
    let ask =
        read(&mut state, &json!(1), "item/fileChange/requestApproval", &params).expect("it can be asked");
    assert_eq!((ask.kind, ask.is_edit), (ApprovalKind::Unknown, false));
}

#[test]
fn a_whole_folder_is_never_a_plain_edit() {
    let mut state = state();
    let item = json!({ "changes": [{ "path": "/p/a", "kind": { "type": "add" }, "diff": "x\n" }] });
    state.open(Item { id: "c".into(), patch: Some(Patch::read(&item)), ..Item::default() });
    let params = json!({ "threadId": "T", "itemId": "c", "grantRoot": "/p" });
    let ask =
        read(&mut state, &json!(0), "item/fileChange/requestApproval", &params).expect("it can be asked");
    assert_eq!((ask.kind, ask.is_edit), (ApprovalKind::Unknown, false));
    assert!(ask.title.starts_with("Write anything below /p"));
}

#[test]
fn questions_are_put_and_secrets_are_not_asked_for() {
    let question = |secret: bool| {
        json!({ "itemId": "c", "questions": [{ "id": "q", "header": "H", "question": "Which?", "isSecret": secret,
            "options": [{ "label": "a", "description": "A" }] }] })
    };
    let ask = asked("item/tool/requestUserInput", question(false)).expect("it can be asked");
    assert_eq!(
        (ask.kind, ask.questions.len(), ask.title.as_str()),
        (ApprovalKind::Question, 1, "Question: Which?")
    );
    assert!(asked("item/tool/requestUserInput", question(true)).is_err());
    assert!(asked("item/tool/requestUserInput", json!({ "questions": [] })).is_err());
}

#[test]
fn a_tool_of_an_mcp_server_is_asked_about_under_the_call_that_was_told() {
    let mut state = state();
    state.open(Item { id: "call".into(), name: "mcp__s__echo".into(), ..Item::default() });
    let params = json!({ "threadId": "T", "serverName": "s", "mode": "form", "message": "Allow?",
        "_meta": { "codex_approval_kind": "mcp_tool_call", "tool_name": "echo", "tool_params": { "a": 1 } } });
    let ask = read(&mut state, &json!(0), "mcpServer/elicitation/request", &params).expect("it can be asked");
    assert_eq!((ask.kind, ask.tool_name.as_str()), (ApprovalKind::Tool, "mcp__s__echo"));
    assert_eq!(ask.tool_use_id.as_deref(), Some("call"));
    assert_eq!(ask.title, "mcp__s__echo: {\"a\":1}");
    let other = json!({ "serverName": "s", "_meta": { "codex_approval_kind": "something_new" } });
    assert!(asked("mcpServer/elicitation/request", other).is_err());
    let link = json!({ "serverName": "s", "mode": "url", "url": "https://example.com", "message": "go" });
    assert!(asked("mcpServer/elicitation/request", link).is_err());
}

#[test]
fn a_sub_agent_asks_under_its_name() {
    let mut state = state();
    state.child("S").name = "/root/t1".into();
    let params = json!({ "threadId": "S", "command": "ls" });
    let ask = read(&mut state, &json!(0), "item/commandExecution/requestApproval", &params)
        .expect("it can be asked");
    assert_eq!(ask.subagent.as_deref(), Some("/root/t1"));
}

#[test]
fn a_name_leads_back_to_the_request() {
    for id in [json!(0), json!("a-b"), json!("\"")] {
        assert_eq!(parse_name(&name(PATCH, &id)), Some((PATCH, id)));
    }
    assert_eq!(parse_name("patch"), None);
    assert_eq!(parse_name("patch-x"), None);
}
