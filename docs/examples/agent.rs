//! An agent of your own, by REST, in Rust with `reqwest`, `serde_json`, `tokio` and `uuid`.
//!
//!     TETHER_AGENT_TOKEN=... cargo run --example agent
//!
//! It makes a session, tells what it does, asks before it deploys, waits for the answer, hears what the person says,
//! and ends its turn. Everything that it sends carries a key, so that sending it again changes nothing: that is how
//! it gets over a connection that breaks, or a daemon that is restarted.

use std::error::Error;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Tether {
    http: Client,
    url: String,
    token: String,
}

impl Tether {
    fn from_environment() -> Self {
        let of = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let url = of("TETHER_API_URL", "http://127.0.0.1:8787").trim_end_matches('/').to_owned();
        Self { http: Client::new(), url, token: of("TETHER_AGENT_TOKEN", "") }
    }

    /// One request, sent again until the daemon answers it (for at most a minute).
    async fn call(&self, method: Method, path: &str, body: Option<Value>, wait: u64) -> Outcome<Value> {
        let key = Uuid::new_v4().to_string();
        let deadline = Instant::now() + Duration::from_secs(60 + wait);
        loop {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
            request = request.bearer_auth(&self.token).timeout(Duration::from_secs(wait + 20));
            if let Some(body) = &body {
                request = request.header("Idempotency-Key", &key).json(body);
            }
            let trouble = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer.json().await?),
                Ok(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return Err(
                        format!("{method} {path}: {} {}", answer.status(), answer.text().await?).into()
                    );
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(format!("{method} {path}: {trouble}").into());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

struct Session {
    tether: Tether,
    id: String,
    seen: u64,
}

impl Session {
    async fn make(tether: Tether, name: &str) -> Outcome<Self> {
        let body = json!({ "agent_name": "example.rs", "agent_type": "script", "session_name": name });
        let made = tether.call(Method::POST, "/api/sessions", Some(body), 0).await?;
        let id = made["id"].as_str().ok_or("a session has an id")?.to_owned();
        Ok(Self { tether, id, seen: 0 })
    }

    /// Several events at once: `{"type", "data"}` each.
    async fn tell(&self, events: Value) -> Outcome<()> {
        let path = format!("/api/sessions/{}/events/batch", self.id);
        self.tether.call(Method::POST, &path, Some(json!({ "events": events })), 0).await.map(drop)
    }

    /// The next thing that the person said or answered; waits for it.
    async fn hear(&mut self) -> Outcome<Value> {
        loop {
            let path = format!(
                "/api/sessions/{}/events/poll?since_seq={}&types=user_input,permission_resolved&wait_s=30",
                self.id, self.seen
            );
            let answer = self.tether.call(Method::GET, &path, None, 30).await?;
            if let Some(event) = answer["events"].get(0) {
                self.seen = event["seq"].as_u64().ok_or("an event has a number")?;
                return Ok(event.clone());
            }
        }
    }

    /// Whether the person allows it, and what they say. Nothing but an answer that says so is a yes.
    async fn ask(&mut self, what: &str, details: Value) -> Outcome<(bool, Option<String>)> {
        let request = Uuid::new_v4().to_string();
        let data = json!({ "request_id": request, "tool_name": what, "tool_input": details });
        self.tell(json!([{ "type": "permission_request", "data": data }])).await?;
        loop {
            let event = self.hear().await?;
            let data = &event["data"];
            if event["type"] == "permission_resolved" && data["request_id"] == request.as_str() {
                return Ok((data["allowed"] == true, data["message"].as_str().map(str::to_owned)));
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let output =
        |text: &str, is_final| json!({ "type": "output", "data": { "text": text, "is_final": is_final } });
    let done = json!({ "type": "status", "data": { "status": "done" } });

    let mut session = Session::make(Tether::from_environment(), "Deploy (Rust)").await?;
    println!("{}", session.id);
    session
        .tell(json!([output("The build is done.", false), output("It wants to be deployed.", false)]))
        .await?;
    let verdict = match session.ask("deploy", json!({ "to": "production" })).await? {
        (true, _) => "Deployed.".to_owned(),
        (false, message) => format!("Not deployed: {}", message.as_deref().unwrap_or("no reason given")),
    };
    session.tell(json!([output(&verdict, true), done])).await?;

    let event = loop {
        let event = session.hear().await?;
        if event["type"] == "user_input" {
            break event;
        }
    };
    let text = format!("You said: {}", event["data"]["text"].as_str().unwrap_or_default());
    session.tell(json!([output(&text, true), done])).await
}
