//! The official MCP client (`tests/mcp/client.js`) as a process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Home;
use super::daemon::program;

/// A client that is connected.
pub struct McpClient {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// What was heard and nobody asked for yet.
    kept: Vec<Value>,
    next: u64,
    /// What the server said of itself.
    pub ready: Value,
}

impl McpClient {
    /// Over standard input and output of `tether mcp`, or of another program of ours.
    pub async fn stdio(home: &Home, command: &[&str]) -> Self {
        let mut args = vec!["stdio"];
        args.extend(command);
        Self::connect(home, &args).await
    }

    /// Over `tether mcp`.
    pub async fn tether_mcp(home: &Home) -> Self {
        Self::stdio(home, &[&program(), "mcp"]).await
    }

    /// Over the daemon's `/mcp`.
    pub async fn http(home: &Home) -> Self {
        Self::connect(home, &["http", &format!("http://127.0.0.1:{}/mcp", home.port), &home.token]).await
    }

    async fn connect(home: &Home, args: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp");
        assert!(
            folder.join("node_modules/@modelcontextprotocol/sdk").is_dir(),
            "the MCP client is not installed: call tests/run, or `npm ci` in tests/mcp"
        );
        let mut child = Command::new("node")
            .arg(folder.join("client.js"))
            .args(args)
            .env_clear()
            .envs(home.environment(None))
            .current_dir(home.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts the client");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output was asked for")).lines();
        let mut client = Self { child, input, output, kept: Vec::new(), next: 0, ready: Value::Null };
        client.ready = client.wait(30, |heard| heard.get("ready").is_some()).await["ready"].take();
        client
    }

    /// Begins something; gives its number.
    pub async fn begin(&mut self, mut wanted: Value) -> u64 {
        self.next += 1;
        wanted["id"] = self.next.into();
        self.write(&wanted).await;
        self.next
    }

    /// Begins the call of a tool; gives its number.
    pub async fn begin_call(&mut self, name: &str, args: Value) -> u64 {
        self.begin(json!({ "op": "call", "name": name, "args": args })).await
    }

    /// Has the client give a call up.
    pub async fn cancel(&mut self, id: u64) {
        self.write(&json!({ "op": "cancel", "id": id })).await;
    }

    /// What came of something: `{"result"}` or `{"error"}`.
    pub async fn end(&mut self, id: u64) -> Value {
        self.wait(90, |heard| heard["id"] == id && heard.get("progress").is_none()).await
    }

    /// The next word on how far a call is.
    pub async fn progress(&mut self, id: u64) -> Value {
        self.wait(30, |heard| heard["id"] == id && heard.get("progress").is_some()).await["progress"].take()
    }

    /// Does something to its end.
    pub async fn perform(&mut self, wanted: Value) -> Value {
        let id = self.begin(wanted).await;
        self.end(id).await
    }

    /// Calls a tool; its result, with `isError` or not.
    pub async fn result(&mut self, name: &str, args: Value) -> Value {
        let id = self.begin_call(name, args).await;
        let mut end = self.end(id).await;
        assert!(end.get("result").is_some(), "{name}: {end}");
        end["result"].take()
    }

    /// Calls a tool that must succeed; what it gives.
    pub async fn call(&mut self, name: &str, args: Value) -> Value {
        given(&self.result(name, args).await)
    }

    /// Calls a tool that must fail; what it says.
    pub async fn refused(&mut self, name: &str, args: Value) -> String {
        let result = self.result(name, args).await;
        assert_eq!(result["isError"], true, "{name}: {result}");
        result["content"][0]["text"].as_str().expect("an error has a text").to_owned()
    }

    /// Ends it in good order.
    pub async fn close(mut self) {
        self.input = None;
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        let ended = ended.expect("the client ends when its input does").expect("it can be waited for");
        assert!(ended.success(), "{ended}");
    }

    async fn write(&mut self, line: &Value) {
        let input = self.input.as_mut().expect("it was not closed");
        input.write_all(format!("{line}\n").as_bytes()).await.expect("the client listens");
    }

    async fn wait(&mut self, seconds: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        let look = async {
            loop {
                let line = self.output.next_line().await.expect("text").expect("the client goes on");
                let heard: Value = serde_json::from_str(&line).expect("JSON");
                if wanted(&heard) {
                    return heard;
                }
                self.kept.push(heard);
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds), look).await.expect("the client says it in time")
    }
}

/// What a successful result gives; the text says the same.
pub fn given(result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{result}");
    let text = result["content"][0]["text"].as_str().expect("a text");
    let structured = result["structuredContent"].clone();
    assert_eq!(figures(serde_json::from_str(text).expect("the text is JSON")), figures(structured.clone()));
    structured
}

/// With all numbers of one kind: JavaScript writes 0.0 as 0.
fn figures(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(figures).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, figures(value))).collect(),
        other => other,
    }
}
