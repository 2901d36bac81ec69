//! Nothing is written and nothing is run without a clear yes.

use super::*;

#[test]
fn writes_edits_and_commands_wait_for_a_yes_and_show_what_they_would_do() {
    let scene = Scene::new();
    std::fs::write(scene.file("a.txt"), "one\ntwo\n").expect("written");
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(
        &session,
        "SHELL touch made\nWRITE sub/new.txt hello\nTOOL edit {\"path\":\"a.txt\",\"old_text\":\"two\",\"new_text\":\"2\"}\nSAY over",
    );
    let permission = agent.permission();
    let call = &permission["params"]["toolCall"];
    assert_eq!(
        (&call["name"], &call["kind"], &call["title"]),
        (&json!("shell"), &json!("execute"), &json!("touch made"))
    );
    assert_eq!(call["rawInput"]["command"], "touch made");
    assert_eq!(call["rawInput"]["cwd"], json!(scene.home.work()));
    assert!(!scene.file("made").exists(), "it waits");
    agent.decide(&permission, "allow_once");

    let permission = agent.permission();
    assert!(scene.file("made").exists());
    let call = &permission["params"]["toolCall"];
    let path = json!(scene.file("sub/new.txt"));
    assert_eq!((&call["kind"], &call["title"]), (&json!("edit"), &json!("write sub/new.txt")));
    assert_eq!(
        call["content"],
        json!([{ "type": "diff", "path": path, "oldText": null, "newText": "hello" }])
    );
    assert_eq!((&call["locations"][0]["path"], &call["rawInput"]["path"]), (&path, &path));
    assert!(!scene.file("sub").exists(), "it waits");
    agent.decide(&permission, "allow_once");

    let permission = agent.permission();
    let change = &permission["params"]["toolCall"]["content"][0];
    assert_eq!((&change["oldText"], &change["newText"]), (&json!("one\ntwo\n"), &json!("one\n2\n")));
    agent.decide(&permission, "reject_once");

    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(std::fs::read_to_string(scene.file("sub/new.txt")).expect("written"), "hello");
    assert_eq!(std::fs::read_to_string(scene.file("a.txt")).expect("there"), "one\ntwo\n", "it was denied");
    let statuses: Vec<String> =
        AcpAgent::calls(&agent.updates()).into_iter().map(|(_, status, _)| status).collect();
    assert_eq!(statuses, ["completed", "completed", "failed"]);
}

#[test]
fn a_denial_reaches_the_model_with_the_persons_reason() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let greeted = agent.initialize(true);
    assert_eq!(greeted["agentCapabilities"]["_meta"]["tether"]["reasons"], true);
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SHELL touch made\nECHO");
    let permission = agent.permission();
    agent.send(&json!({ "jsonrpc": "2.0", "id": permission["id"], "result": {
        "outcome": { "outcome": "selected", "optionId": "reject_once" },
        "_meta": { "tether": { "reason": "use make instead" } },
    } }));
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(messages(&agent.updates()), "The person denied this: use make instead");
    assert!(!scene.file("made").exists());
}

#[test]
fn whatever_is_not_a_clear_yes_is_a_no() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    for result in [
        json!({ "outcome": { "outcome": "cancelled" } }),
        json!({ "outcome": { "outcome": "selected", "optionId": "allow_always" } }),
        json!({ "outcome": { "outcome": "allowed" } }),
        json!({}),
        json!(null),
        json!("allow_once"),
    ] {
        let asked = agent.say(&session, "WRITE made x\nSAY over");
        let permission = agent.permission();
        agent.send(&json!({ "jsonrpc": "2.0", "id": permission["id"], "result": result }));
        assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn", "{result}");
        assert!(!scene.file("made").exists(), "{result}");
    }
    let asked = agent.say(&session, "WRITE made x\nSAY over");
    let permission = agent.permission();
    // An answer to another request, and one that comes twice.
    agent.send(&json!({ "jsonrpc": "2.0", "id": 0, "result": { "outcome": { "outcome": "selected", "optionId": "allow_once" } } }));
    agent.send(
        &json!({ "jsonrpc": "2.0", "id": permission["id"], "error": { "code": -32601, "message": "no" } }),
    );
    agent.decide(&permission, "allow_once");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert!(!scene.file("made").exists());
}

#[test]
fn what_lies_outside_of_the_directory_is_asked_about_by_its_whole_path() {
    let scene = Scene::new();
    let outside = scene.home.path().canonicalize().expect("its real path").join("outside.txt");
    std::fs::write(&outside, "private\n").expect("written");
    std::os::unix::fs::symlink(&outside, scene.file("link.txt")).expect("linked");
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "READ ../outside.txt\nREAD link.txt\nWRITE link.txt changed\nSAY over");
    for _ in 0..3 {
        let permission = agent.permission();
        let call = &permission["params"]["toolCall"];
        let title = call["title"].as_str().expect("a title");
        assert!(title.contains(outside.to_str().expect("a text")) && title.contains("outside of"), "{title}");
        assert_eq!(call["locations"][0]["path"], json!(outside));
        agent.decide(&permission, "reject_once");
    }
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(std::fs::read_to_string(&outside).expect("there"), "private\n");
    assert!(
        !scene.model.bodies().iter().any(|body| body.to_string().contains("private\\n")),
        "nor was it sent"
    );
}

#[test]
fn commands_do_not_get_the_key() {
    let scene = Scene::new();
    let mut agent = scene.agent_with(&[], &[("TETHER_AGENT_TOKEN", "a-token-that-nobody-may-see")]);
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SHELL env | sort\nSAY over");
    let permission = agent.permission();
    agent.decide(&permission, "allow_once");
    agent.answer(asked);
    let env = AcpAgent::calls(&agent.updates())[0].2.clone();
    assert!(env.contains("HOME=") && env.contains("TETHER_MODEL=scripted"), "{env}");
    assert!(!env.contains("nobody-may-see"), "{env}");
}
