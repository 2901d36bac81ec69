//! The HTTP API as a client sees it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Home, eventually};

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    /// The body as it came, for what is not JSON.
    pub text: String,
}

impl Reply {
    /// The body of a success; panics otherwise.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        self.body
    }

    /// Checks status, code and the shape of an error; gives its message.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error"]["code"], code, "{}", self.text);
        assert!(self.body["error"].get("details").is_some(), "`details` is always there: {}", self.text);
        self.body["error"]["message"].as_str().expect("an error has a message").to_owned()
    }
}

/// A client with the token of a home.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    pub token: String,
}

impl Api {
    pub fn new(home: &Home) -> Self {
        let client =
            reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a plain HTTP client");
        Self { client, base: format!("http://127.0.0.1:{}", home.port), token: home.token.clone() }
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Sends it; an error if nobody answered.
    pub async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        reply(request.send().await?).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.attempt(Method::GET, path, None).await.expect("the daemon answers")
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.attempt(Method::POST, path, Some(body)).await.expect("the daemon answers")
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.attempt(Method::PUT, path, Some(body)).await.expect("the daemon answers")
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.attempt(Method::PATCH, path, Some(body)).await.expect("the daemon answers")
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.attempt(Method::DELETE, path, None).await.expect("the daemon answers")
    }

    /// POST again and again until somebody answers (the daemon may be dead just now).
    pub async fn post_until_answered(&self, path: &str, body: Value) -> Reply {
        eventually(&format!("an answer to POST {path}"), 60, || async {
            let reply = self.attempt(Method::POST, path, Some(body.clone())).await.ok()?;
            (reply.status != 503).then_some(reply)
        })
        .await
    }

    /// Makes a session in a directory; gives its id.
    pub async fn create(&self, directory: &std::path::Path) -> String {
        let session = self.post("/api/sessions", json!({ "directory": directory })).await.ok();
        session["id"].as_str().expect("a session has an id").to_owned()
    }

    /// Makes a session of this agent in a directory; gives its id.
    pub async fn create_of(&self, adapter: &str, directory: &std::path::Path) -> String {
        let body = json!({ "directory": directory, "adapter": adapter });
        let session = self.post("/api/sessions", body).await.ok();
        session["id"].as_str().expect("a session has an id").to_owned()
    }

    /// Makes a session that an external agent drives; gives its id.
    pub async fn create_external(&self, name: &str) -> String {
        let body = json!({ "agent_name": "rig", "agent_type": "script", "session_name": name });
        let session = self.post("/api/sessions", body).await.ok();
        session["id"].as_str().expect("a session has an id").to_owned()
    }

    /// Starts a session with a prompt, asking for everything.
    pub async fn start(&self, session: &str, prompt: &str) {
        let body = json!({ "prompt": prompt, "approval_choice": 0 });
        self.post(&format!("/api/sessions/{session}/start"), body).await.ok();
    }

    pub async fn input(&self, session: &str, text: &str) -> Value {
        self.post(&format!("/api/sessions/{session}/input"), json!({ "text": text })).await.ok()
    }

    pub async fn interrupt(&self, session: &str) -> Value {
        self.post(&format!("/api/sessions/{session}/interrupt"), json!({})).await.ok()
    }

    pub async fn session(&self, session: &str) -> Value {
        self.get(&format!("/api/sessions/{session}")).await.ok()
    }

    /// Pushes an event as an external agent does.
    pub async fn push(&self, session: &str, kind: &str, data: Value) -> Reply {
        let body = json!({ "type": kind, "data": data });
        self.post(&format!("/api/sessions/{session}/events"), body).await
    }

    /// The open approvals of a session, oldest first.
    pub async fn open_approvals(&self, session: &str) -> Vec<Value> {
        self.get(&format!("/api/approvals?session_id={session}&state=open"))
            .await
            .ok()
            .as_array()
            .cloned()
            .expect("a list")
    }

    pub async fn approval(&self, id: &str) -> Value {
        self.get(&format!("/api/approvals/{id}")).await.ok()
    }

    /// Answers an approval: `{"decision":"allow"|"deny",..}`.
    pub async fn answer(&self, approval: &str, answer: Value) -> Reply {
        self.post(&format!("/api/approvals/{approval}/answer"), answer).await
    }

    pub async fn allow(&self, approval: &str) {
        self.answer(approval, json!({ "decision": "allow" })).await.ok();
    }

    pub async fn grants(&self) -> Vec<Value> {
        self.get("/api/approvals/grants").await.ok().as_array().cloned().expect("a list")
    }

    pub async fn queue(&self, session: &str) -> Vec<Value> {
        self.get(&format!("/api/sessions/{session}/queue")).await.ok().as_array().cloned().expect("a list")
    }
}

/// Reads an answer to its end.
pub async fn reply(answer: reqwest::Response) -> Result<Reply, reqwest::Error> {
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Reply { status, body, text })
}
