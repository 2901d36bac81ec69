//! Questions of the real agent, and every way to answer them.

use serde_json::json;

use crate::harness::stage::appends;
use crate::harness::{Stage, lines, ws};

#[tokio::test]
async fn a_command_is_asked_about_and_runs_once_after_a_yes_over_http() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.started(&format!("{}\nSAY over", appends("ran", &file))).await;
    let ask = seen.asked(0).await;
    assert_eq!(ask.text("tool_name"), "Bash");
    assert!(ask.data["tool_input"]["command"].as_str().unwrap().contains("echo ran"), "{}", ask.raw);
    assert!(lines(&file).is_empty(), "nothing runs before the answer");

    let open = stage.api.open_approvals(&id).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["id"], ask.data["approval_id"]);
    assert_eq!(open[0]["kind"], "tool");
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], true);

    let approval = ask.text("approval_id").to_owned();
    let answered = stage.api.answer(&approval, json!({ "decision": "allow" })).await.ok();
    assert_eq!(answered["state"], "allowed");
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["ran"]);

    let story: Vec<&str> = seen
        .events
        .iter()
        .filter(|event| event.kind.starts_with("permission_"))
        .map(|event| event.kind.as_str())
        .collect();
    assert_eq!(
        story,
        ["permission_request", "permission_resolved", "permission_delivered", "permission_outcome"]
    );
    let outcome = seen.next("permission_outcome", 0, 5).await;
    assert_eq!(outcome.data["outcome"], "ran");
    let result = seen.next("tool_result", 0, 5).await;
    assert_eq!(result.data["is_error"], false, "{}", result.raw);
}

#[tokio::test]
async fn the_first_answer_wins_the_same_again_succeeds_another_is_told_who_was_first() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started(&appends("x", &stage.file("out"))).await;
    let ask = seen.asked(0).await;
    let approval = ask.text("approval_id");
    stage.api.allow(approval).await;
    stage.api.allow(approval).await;
    let other = stage.api.answer(approval, json!({ "decision": "deny" })).await;
    let message = other.error(409, "ALREADY_ANSWERED");
    assert!(message.contains("allowed by"), "{message}");
    assert_eq!(other.body["error"]["details"]["approval"]["state"], "allowed", "{}", other.text);
    seen.idle(1, 30).await;
    assert_eq!(seen.of("permission_resolved").len(), 1);
    assert_eq!(lines(stage.file("out")).len(), 1);
}

#[tokio::test]
async fn the_contracts_own_permission_route_answers_once_and_then_is_404() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started(&appends("x", &stage.file("out"))).await;
    let ask = seen.asked(0).await;
    let body = json!({ "request_id": ask.text("request_id"), "allow": true });
    let path = format!("/api/sessions/{id}/permission");
    assert_eq!(stage.api.post(&path, body.clone()).await.ok(), json!({ "ok": true }));
    let again = stage.api.post(&path, body).await;
    assert!(again.error(404, "NOT_FOUND").contains("already resolved"), "{}", again.text);
    seen.idle(1, 30).await;
    let resolved = seen.next("permission_resolved", 0, 5).await;
    assert_eq!(resolved.data["resolved_by"], "user");
    assert_eq!(resolved.data["allowed"], true);
}

#[tokio::test]
async fn the_command_line_starts_a_turn_and_answers_it() {
    let stage = Stage::with_agents().await;
    let prompt = format!("{}\nSAY over", appends("by cli", &stage.file("out")));
    let created = stage.cli(&["new", ".", "-m", &prompt, "--json"]).await.json();
    let id = created["id"].as_str().expect("the new session's id").to_owned();
    let mut seen = stage.follow(&id);
    let ask = seen.asked(0).await;
    let listed = stage.cli(&["approvals"]).await.ok();
    assert!(listed.contains("Bash") || listed.contains("echo by cli"), "{listed}");
    stage.cli(&["approve", ask.text("approval_id")]).await.ok();
    seen.idle(1, 30).await;
    assert_eq!(lines(stage.file("out")), ["by cli"]);
    let resolved = seen.next("permission_resolved", 0, 5).await;
    assert!(resolved.data["by"].to_string().contains("cli"), "{}", resolved.raw);
}

#[tokio::test]
async fn the_websocket_answers_and_hears_of_it() {
    let stage = Stage::with_agents().await;
    let mut socket = ws::connect(&stage.api).await;
    socket.send(json!({ "type": "overview" }).to_string()).await;
    socket.until("the overview", 10, |frame| frame["type"] == "overview").await;
    let (id, mut seen) = stage.started(&appends("by socket", &stage.file("out"))).await;
    let card = socket
        .until("the approval", 40, |frame| {
            frame["type"] == "approval" && frame["approval"]["session_id"] == id.as_str()
        })
        .await;
    assert_eq!(card["approval"]["state"], "open");
    let approval = card["approval"]["id"].clone();
    let result = socket.done(json!({ "type": "answer", "approval_id": approval, "decision": "allow" })).await;
    assert_eq!(result["approval"]["state"], "allowed");
    socket
        .until("its outcome", 20, |frame| {
            frame["type"] == "approval" && frame["approval"]["outcome"] == "ran"
        })
        .await;
    seen.idle(1, 30).await;
    assert_eq!(lines(stage.file("out")), ["by socket"]);
}

#[tokio::test]
async fn a_denial_stops_the_command_and_the_agent_repeats_the_reason() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started(&format!("{}\nECHO", appends("x", &stage.file("out")))).await;
    let ask = seen.asked(0).await;
    let reason = "use the other folder instead";
    let id = ask.text("approval_id");
    stage.api.answer(id, json!({ "decision": "deny", "message": reason })).await.ok();
    seen.idle(1, 30).await;
    assert!(seen.said().contains(reason), "{}", seen.said());
    assert!(lines(stage.file("out")).is_empty());
    let outcome = seen.next("permission_outcome", 0, 5).await;
    assert_eq!(outcome.data["outcome"], "refused", "{}", outcome.raw);
}

#[tokio::test]
async fn the_command_line_denies_with_a_reason() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started(&format!("{}\nECHO", appends("x", &stage.file("out")))).await;
    let ask = seen.asked(0).await;
    stage.cli(&["deny", ask.text("approval_id"), "not on a friday"]).await.ok();
    seen.idle(1, 30).await;
    assert!(seen.said().contains("not on a friday"), "{}", seen.said());
}

#[tokio::test]
async fn a_changed_input_is_what_runs() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started(&appends("asked", &stage.file("out"))).await;
    let ask = seen.asked(0).await;
    let changed = format!("echo changed >> {}", stage.file("out").display());
    let answer = json!({ "decision": "allow", "updated_input": { "command": changed } });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    assert_eq!(lines(stage.file("out")), ["changed"]);
}

#[tokio::test]
async fn a_question_with_two_choices_is_answered_by_a_choice() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started("ASK Which colour?|green|blue\nECHO").await;
    let ask = seen.asked(0).await;
    let approval = stage.api.approval(ask.text("approval_id")).await;
    assert_eq!(approval["kind"], "question");
    let options = approval["questions"][0]["options"].as_array().expect("options");
    assert_eq!(options.iter().map(|o| o["label"].as_str().unwrap()).collect::<Vec<_>>(), ["green", "blue"]);

    let bare = stage.api.answer(ask.text("approval_id"), json!({ "decision": "allow" })).await;
    bare.error(422, "VALIDATION_ERROR");
    let answer = json!({ "decision": "allow", "answers": { "Which colour?": ["blue"] } });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    assert!(seen.said().contains("blue") && !seen.said().contains("green"), "{}", seen.said());
}

#[tokio::test]
async fn several_questions_and_several_choices_are_answered_together() {
    let stage = Stage::with_agents().await;
    let option = |label: &str| json!({ "label": label, "description": label });
    let questions = json!({ "questions": [
        { "question": "Which parts?", "header": "Parts", "multiSelect": true,
          "options": [option("roof"), option("wall"), option("door")] },
        { "question": "How?", "header": "How", "multiSelect": false, "options": [option("fast"), option("well")] },
    ]});
    let (_, mut seen) = stage.started(&format!("TOOL AskUserQuestion {questions}\nECHO")).await;
    let ask = seen.asked(0).await;
    let answers = json!({ "Which parts?": ["roof", "door"], "How?": ["with care, by hand"] });
    let answer = json!({ "decision": "allow", "answers": answers });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    for word in ["roof", "door", "with care, by hand"] {
        assert!(seen.said().contains(word), "{word}: {}", seen.said());
    }
}

#[tokio::test]
async fn a_plan_is_shown_as_a_plan_and_no_mode_answers_it() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    let prompt = "TOOL EnterPlanMode {}\nTOOL ExitPlanMode {\"plan\":\"build it in steps\"}\nECHO";
    let body = json!({ "prompt": prompt, "approval_choice": 2 });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    let ask = seen.asked(0).await;
    let approval = stage.api.approval(ask.text("approval_id")).await;
    assert_eq!((&approval["kind"], &approval["state"]), (&json!("plan"), &json!("open")), "{approval}");
    let answer = json!({ "decision": "deny", "message": "smaller steps" });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    assert!(seen.said().contains("smaller steps"), "{}", seen.said());

    let after = seen.last_seq();
    stage.api.input(&id, "TOOL ExitPlanMode {\"plan\":\"tiny steps\"}\nECHO").await;
    let ask = seen.asked(after).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(2, 30).await;
    assert!(seen.said().contains("approved"), "{}", seen.said());
}

#[tokio::test]
async fn a_yes_for_the_tool_covers_its_next_calls_until_it_is_revoked() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let two = format!("{}\n{}", appends("1", &file), appends("2", &file));
    let (id, mut seen) = stage.started(&two).await;
    let ask = seen.asked(0).await;
    let answer = json!({ "decision": "allow", "scope": "tool" });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["1", "2"]);
    let resolved = seen.of("permission_resolved");
    assert_eq!(resolved.last().unwrap().data["resolved_by"], "auto", "{}", resolved.last().unwrap().raw);

    let grants = stage.api.grants().await;
    assert_eq!(grants.len(), 1);
    assert_eq!((&grants[0]["covers"], &grants[0]["tool_name"]), (&json!("tool"), &json!("Bash")));
    let grant = grants[0]["id"].as_str().unwrap();
    stage.api.delete(&format!("/api/approvals/grants/{grant}")).await.ok();
    assert!(stage.api.grants().await.is_empty());
    stage.api.delete(&format!("/api/approvals/grants/{grant}")).await.error(404, "NOT_FOUND");

    let after = seen.last_seq();
    stage.api.input(&id, &appends("3", &file)).await;
    let ask = seen.asked(after).await;
    assert_eq!(stage.api.approval(ask.text("approval_id")).await["state"], "open");
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(2, 30).await;
    assert_eq!(lines(&file).len(), 3);
}

#[tokio::test]
async fn a_yes_for_half_an_hour_covers_tools_but_no_question() {
    let stage = Stage::with_agents().await;
    let (one, two) = (stage.file("one"), stage.file("two"));
    let prompt = format!("{}\nWRITE {} written\nASK Which?|a|b\nSAY over", appends("1", &one), two.display());
    let (_, mut seen) = stage.started(&prompt).await;
    let ask = seen.asked(0).await;
    let answer = json!({ "decision": "allow", "scope": "all30m" });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.until("the question is open", 30, |events| {
        events.iter().any(|e| e.kind == "permission_request" && e.text("tool_name") == "AskUserQuestion")
    })
    .await;
    assert_eq!(lines(&two), ["written"], "the second tool ran without a question");
    let grant = &stage.api.grants().await[0];
    assert_eq!(grant["covers"], "all");
    assert!(grant["expires_at"].is_string(), "{grant}");
    let question = seen.of("permission_request").last().unwrap().text("approval_id").to_owned();
    assert_eq!(stage.api.approval(&question).await["state"], "open");
}

#[tokio::test]
async fn mode_one_lets_edits_below_the_directory_pass_and_asks_about_the_rest() {
    let stage = Stage::with_agents().await;
    let (inside, outside) = (stage.file("inside"), stage.home.path().join("outside"));
    let (id, mut seen) = stage.session().await;
    let prompt = format!("WRITE {} x\nWRITE {} x\nSAY over", inside.display(), outside.display());
    let body = json!({ "prompt": prompt, "approval_choice": 1 });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.until("a question is open", 40, |events| {
        events.iter().filter(|e| e.kind == "permission_request").any(|ask| {
            !events
                .iter()
                .any(|e| e.kind == "permission_resolved" && e.text("approval_id") == ask.text("approval_id"))
                && ask.data["tool_input"]["file_path"] == outside.to_str().unwrap()
        })
    })
    .await;
    assert_eq!(lines(&inside), ["x"]);
    assert!(lines(&outside).is_empty());
}

#[tokio::test]
async fn mode_two_runs_commands_without_a_question_and_says_so_in_the_record() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    let body = json!({ "prompt": appends("x", &stage.file("out")), "approval_choice": 2 });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.idle(1, 40).await;
    assert_eq!(lines(stage.file("out")), ["x"]);
    let resolved = seen.next("permission_resolved", 0, 5).await;
    assert_eq!(resolved.data["resolved_by"], "auto");
}

#[tokio::test]
async fn the_default_is_to_ask_also_when_the_start_names_no_mode() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    let body = json!({ "prompt": appends("x", &stage.file("out")) });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    let ask = seen.asked(0).await;
    assert_eq!(stage.api.approval(ask.text("approval_id")).await["state"], "open");
    assert!(lines(stage.file("out")).is_empty());
}
