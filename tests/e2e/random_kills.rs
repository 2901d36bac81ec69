//! Fifty kills of the daemon at random moments, while turns with commands run.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Api, LOOK, Model, Stage, lines};

const KILLS: usize = 50;
const LONGEST_LIFE_MS: u64 = 800;

/// A generator that a failing run can be repeated with: the seed is printed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn prompt(turn: usize, file: &std::path::Path) -> String {
    format!(
        "STREAM 60 s{turn}\nSHELL echo {turn} >> {path}\nSTREAM 60 e{turn}\nSAY end-of-{turn}",
        path = file.display()
    )
}

/// Gives one input after the other, each with an id of its own, until `done`; says how many it gave.
async fn feed(api: &Api, id: &str, file: &std::path::Path, done: &Cell<bool>) -> usize {
    let mut given = 0;
    while !done.get() {
        let state = api.attempt(reqwest::Method::GET, &format!("/api/sessions/{id}"), None).await;
        if state.is_ok_and(|session| session.body["state"] == "AWAITING_INPUT") {
            given += 1;
            let body = json!({
                "text": prompt(given, file),
                "input_id": format!("0198c0de-0000-7000-8000-{given:012}"),
            });
            let reply = api.post_until_answered(&format!("/api/sessions/{id}/input"), body).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        tokio::time::sleep(LOOK).await;
    }
    given
}

/// Says yes to whatever is open, until `done`; says how many yeses were taken.
async fn say_yes(api: &Api, id: &str, done: &Cell<bool>) -> usize {
    let mut taken = std::collections::BTreeSet::new();
    while !done.get() {
        let path = format!("/api/approvals?session_id={id}&state=open");
        if let Ok(open) = api.attempt(reqwest::Method::GET, &path, None).await {
            for approval in open.body.as_array().into_iter().flatten() {
                let approval = approval["id"].as_str().expect("an approval has an id").to_owned();
                let path = format!("/api/approvals/{approval}/answer");
                let body = json!({ "decision": "allow" });
                if let Ok(reply) = api.attempt(reqwest::Method::POST, &path, Some(body)).await
                    && reply.status != 503
                {
                    assert_eq!(reply.status, 200, "{}", reply.text);
                    taken.insert(approval);
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    taken.len()
}

fn count_of_prompt(model: &Model, turn: usize) -> usize {
    let wanted = format!("60 s{turn}");
    let begins = |row: &serde_json::Value| {
        row["steps"]
            .as_array()
            .is_some_and(|steps| steps.first().is_some_and(|step| step[1] == wanted.as_str()))
    };
    model.requests().into_iter().filter(begins).count()
}

#[tokio::test]
async fn fifty_kills_at_random_moments_lose_nothing_and_do_nothing_twice() {
    let seed = std::env::var("RIG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
        now.as_nanos() as u64 | 1
    });
    eprintln!("RIG_SEED={seed}");
    let dice = RefCell::new(Dice(seed));

    let mut stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.started("SAY ready").await;
    seen.idle(1, 40).await;
    let (api, done, over) = (stage.api.clone(), Cell::new(false), Cell::new(false));

    let killer = async {
        for kill in 0..KILLS {
            let life = dice.borrow_mut().below(LONGEST_LIFE_MS);
            tokio::time::sleep(Duration::from_millis(life)).await;
            assert!(stage.daemon.runs(), "the daemon ended by itself before kill {kill}");
            stage.daemon.kill9_and_restart().await;
        }
        done.set(true);
    };
    let work = async {
        let given = feed(&api, &id, &file, &done).await;
        seen.idle(given + 1, 60).await;
        over.set(true);
        (given, seen)
    };
    let ((), (given, mut seen), yeses) = tokio::join!(killer, work, say_yes(&api, &id, &over));

    eprintln!("{KILLS} kills, {given} turns, {yeses} answers, {} events", seen.events.len());
    assert!(given >= 3, "the kills must fall into work: only {given} turns ran");
    let wanted: Vec<String> = (1..=given).map(|turn| turn.to_string()).collect();
    assert_eq!(lines(&file), wanted, "every command ran exactly once, in order");
    let said = seen.said();
    for turn in 1..=given {
        assert_eq!(said.matches(&format!("s{turn} ")).count(), 60, "turn {turn}");
        assert_eq!(said.matches(&format!("e{turn} ")).count(), 60, "turn {turn}");
        assert_eq!(count_of_prompt(stage.model(), turn), 1, "prompt {turn} reached the model once");
    }
    assert_eq!(seen.of("user_input").len(), given + 1);
    assert_eq!(seen.of("agent_started").len(), 1, "the agent is still the same process");
    for kind in ["permission_request", "permission_resolved", "permission_outcome"] {
        assert_eq!(seen.of(kind).len(), given, "{kind}");
    }
    seen.check_against_replay().await;
}
