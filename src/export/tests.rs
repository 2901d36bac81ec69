use std::time::Duration;

use serde_json::json;

use super::*;

fn session() -> Session {
    let stamp = "2026-01-02T03:04:05Z";
    serde_json::from_value(json!({
        "id": "sess_000000000000", "state": "RUNNING", "name": "Fix <the> build", "created_at": stamp,
        "last_activity_at": stamp, "directory": "/p", "directory_has_git": false, "message_count": 0,
        "has_pending_permission": false,
    }))
    .expect("a session")
}

fn exported(format: Format, events: &[(&str, Value)]) -> String {
    let mut exporter = Exporter::new(format);
    let budget = Budget::of(Duration::from_secs(60));
    let mut out = exporter.head(&session(), Stamp::from_unix(0));
    for (seq, (kind, data)) in events.iter().enumerate() {
        let event = json!({
            "session_id": "sess_000000000000", "ts": "2026-01-02T03:04:05Z", "seq": seq + 1, "type": kind, "data": data,
        });
        exporter.push(&serde_json::from_value(event).expect("an event"), budget, &mut out);
    }
    exporter.finish(budget, &mut out);
    out
}

fn conversation() -> Vec<(&'static str, Value)> {
    vec![
        ("user_input", json!({ "text": "Please **fix** it", "by": "Ana" })),
        ("turn_started", json!({ "turn": 1 })),
        ("thinking", json!({ "text": "Hm" })),
        ("output", json!({ "text": "I look at ", "kind": "step" })),
        ("output", json!({ "text": "the `build`.", "kind": "step" })),
        (
            "tool_call",
            json!({ "tool_use_id": "t1", "tool_name": "Bash", "input": { "command": "make ```" } }),
        ),
        (
            "permission_resolved",
            json!({ "allowed": true, "resolved_by": "user", "title": "Bash: make",
            "by": { "type": "person", "surface": "web", "name": "phone" } }),
        ),
        (
            "tool_result",
            json!({ "tool_use_id": "t1", "text": "ok \u{1b}[31m<script>x</script>", "is_error": false }),
        ),
        (
            "tool_call",
            json!({ "tool_use_id": "t2", "tool_name": "Edit",
            "input": { "file_path": "a.rs", "old_string": "let a = 1;", "new_string": "let a = 2;" } }),
        ),
        ("output_final", json!({ "text": "I look at the `build`." })),
        ("error", json!({ "code": "X", "message": "it broke" })),
        ("heartbeat", json!({ "elapsed_s": 1 })),
    ]
}

#[test]
fn json_lines_are_the_events_as_they_are() {
    let out = exported(Format::Jsonl, &conversation());
    assert_eq!(out.lines().count(), conversation().len());
    let last: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["type"], &last["seq"]), (&json!("heartbeat"), &json!(12)));
}

#[test]
fn markdown_reads_like_the_conversation() {
    let out = exported(Format::Md, &conversation());
    for wanted in [
        "# Fix <the> build",
        "## You (Ana) · 2026-01-02T03:04:05Z\n\nPlease **fix** it",
        "> Hm",
        "I look at the `build`.",
        "### Bash\n\n````bash\nmake ```\n````",
        "*Allowed, by phone (web): Bash: make*",
        "Result of Bash:\n\n```\nok ⟦U+001B⟧[31m",
        "-let a = 1;\n+let a = 2;",
        "**Error: it broke**",
    ] {
        assert!(out.contains(wanted), "{wanted} in {out}");
    }
    assert_eq!(out.matches("I look at").count(), 1, "the whole answer is no news: {out}");
}

#[test]
fn the_page_shows_the_same_and_can_run_nothing() {
    let out = exported(Format::Html, &conversation());
    for wanted in [
        "<title>Fix &lt;the&gt; build</title>",
        "default-src 'none'",
        "<strong>fix</strong>",
        "<mark class=\"diff-word\">2</mark>",
        "&lt;script&gt;",
        "⟦U+001B⟧",
    ] {
        assert!(out.contains(wanted), "{wanted} in {out}");
    }
    assert!(!out.contains("<script") && out.ends_with("</html>\n"), "{out}");
}

#[test]
fn an_answer_of_which_no_piece_came_is_shown_whole() {
    let out = exported(Format::Md, &[("output_final", json!({ "text": "Done." }))]);
    assert!(out.contains("Done."), "{out}");
}

#[test]
fn odd_events_do_no_harm() {
    for data in [json!(null), json!([]), json!({ "text": 3, "by": 4, "input": null, "allowed": "x" })] {
        for kind in
            ["output", "user_input", "tool_call", "tool_result", "permission_resolved", "error", "new_type"]
        {
            exported(Format::Html, &[(kind, data.clone())]);
            exported(Format::Md, &[(kind, data.clone())]);
        }
    }
}
