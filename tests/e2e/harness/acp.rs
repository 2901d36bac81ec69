//! A client of the Agent Client Protocol that runs one of our agents, without a daemon.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Home;
use super::process::MARK;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent program and the lines that it says.
pub struct AcpAgent {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// What was read and not asked for yet.
    waiting: VecDeque<Value>,
    /// All that was said, both ways, for a look at what failed.
    said: Vec<String>,
    next: u64,
}

impl AcpAgent {
    /// Starts `tether <command>` in this home, with more variables.
    pub fn start(home: &Home, command: &str, args: &[&str], env: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tether"))
            .arg(command)
            .args(args)
            .current_dir(home.work())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("LANG", "C.UTF-8")
            .env(MARK, &home.mark)
            .envs(env.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent starts");
        let output = child.stdout.take().expect("its output was asked for");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, lines, waiting: VecDeque::new(), said: Vec::new(), next: 1 }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line.
    pub fn send(&mut self, line: &Value) {
        self.said.push(format!("-> {line}"));
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it takes a line");
    }

    /// Asks for something and does not wait; gives the id.
    pub fn ask(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Asks for something and gives its answer; what is said meanwhile is kept.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// The answer to a request; what is said meanwhile is kept.
    pub fn answer(&mut self, id: u64) -> Value {
        self.wait_for("an answer", |line| line["id"] == id && line.get("method").is_none())
    }

    /// Greets it, as a client that can show forms or as one that cannot.
    pub fn initialize(&mut self, forms: bool) -> Value {
        let can = if forms { json!({ "elicitation": { "form": {} } }) } else { json!({}) };
        let greeted = self.request("initialize", json!({ "protocolVersion": 1, "clientCapabilities": can }))
            ["result"]
            .clone();
        assert_eq!(greeted["protocolVersion"], 1, "{greeted}");
        greeted
    }

    /// Greets it and begins a session in the home's work folder; gives the session's id.
    pub fn begin(&mut self, home: &Home) -> String {
        self.initialize(true);
        let made = self.request("session/new", json!({ "cwd": home.work(), "mcpServers": [] }));
        made["result"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}")).to_owned()
    }

    /// Says something and does not wait; gives the request's id.
    pub fn say(&mut self, session: &str, text: &str) -> u64 {
        let prompt = json!([{ "type": "text", "text": text }]);
        self.ask("session/prompt", json!({ "sessionId": session, "prompt": prompt }))
    }

    /// The next line that fits; those before it are kept in their order.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).expect("it was found");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(format!("<- {line}"));
                    if fits(&line) {
                        return line;
                    }
                    self.waiting.push_back(line);
                }
                Err(why) => panic!(
                    "{what} did not come ({})",
                    match why {
                        RecvTimeoutError::Timeout => "in time",
                        RecvTimeoutError::Disconnected => "and will not: the agent is gone",
                    }
                ),
            }
        }
    }

    /// The next request for leave.
    pub fn permission(&mut self) -> Value {
        self.wait_for("a permission request", |line| line["method"] == "session/request_permission")
    }

    /// Answers a request for leave with the option of this kind.
    pub fn decide(&mut self, asked: &Value, kind: &str) {
        let options = asked["params"]["options"].as_array().expect("there are options");
        let option = options.iter().find(|option| option["kind"] == kind).expect("there is such an option");
        let outcome = json!({ "outcome": "selected", "optionId": option["optionId"] });
        self.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "outcome": outcome } }));
    }

    /// Stops the running turn.
    pub fn cancel(&mut self, session: &str) {
        let params = json!({ "sessionId": session });
        self.send(&json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": params }));
    }

    /// The updates that were kept so far, taken away, oldest first.
    pub fn updates(&mut self) -> Vec<Value> {
        let (updates, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<Value>, _>(|line| line["method"] == "session/update");
        self.waiting = rest;
        updates.into_iter().map(|line| line["params"]["update"].clone()).collect()
    }

    /// The text of the messages (or thoughts) among some updates.
    pub fn text(updates: &[Value], kind: &str) -> String {
        let chunks = updates.iter().filter(|update| update["sessionUpdate"] == kind);
        chunks.filter_map(|update| update["content"]["text"].as_str()).collect()
    }

    /// The last state of each tool call among some updates: its name, status and result.
    pub fn calls(updates: &[Value]) -> Vec<(String, String, String)> {
        let mut calls: Vec<(Value, (String, String, String))> = Vec::new();
        for update in updates {
            let id = &update["toolCallId"];
            let at = match update["sessionUpdate"].as_str() {
                Some("tool_call") => {
                    let name = update["name"].as_str().unwrap_or_default().to_owned();
                    calls.push((id.clone(), (name, String::new(), String::new())));
                    calls.len() - 1
                }
                Some("tool_call_update") => {
                    calls.iter().rposition(|(known, _)| known == id).expect("it was announced")
                }
                _ => continue,
            };
            let (_, (_, status, text)) = &mut calls[at];
            if let Some(new) = update["status"].as_str() {
                new.clone_into(status);
            }
            if let Some(new) = update["rawOutput"]["text"].as_str() {
                new.clone_into(text);
            }
        }
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// Closes its input; gives how it ended.
    pub fn close(mut self) -> ExitStatus {
        self.input = None;
        self.ended()
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "the agent did not end");
            std::thread::sleep(super::LOOK);
        }
    }

    /// Kills it as nothing can be killed that could still say something.
    pub fn kill9(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for AcpAgent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.said.len().saturating_sub(40);
            eprintln!("---- what was said\n{}", self.said[from..].join("\n"));
        }
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
