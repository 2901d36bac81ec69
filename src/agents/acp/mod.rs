//! The agent's side of the Agent Client Protocol, version 1, over standard input and output.
//!
//! Not by the protocol's official crate (`agent-client-protocol` 5.0): its queues have no bounds, so a client that
//! does not read makes the agent grow, and it switches serde_json to another kind of map for the whole program.

mod client;
mod lines;
pub mod permission;
pub mod prompt;
pub mod question;
pub mod turns;
pub mod wire;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

pub use client::Client;
pub use wire::Refusal;
use wire::{Incoming, PROTOCOL_VERSION};

/// How long running turns may take to stop when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What an agent does with what a client wants.
pub trait Agent: 'static {
    /// The result of `initialize`, without the protocol's version.
    fn introduce(&self) -> Value;

    /// A request that is answered quickly: a session made, loaded, set up. They are carried out one after the other.
    fn request(
        self: &Rc<Self>,
        client: &Client,
        method: &str,
        params: Value,
    ) -> impl Future<Output = Result<Value, Refusal>>;

    /// `session/prompt`: a turn, which may take hours. Turns of several sessions run side by side. What comes next from
    /// the client (a cancel, say) must find it begun, so it takes its place in the row before it gives back the rest.
    fn prompt(
        self: Rc<Self>,
        client: Client,
        params: Value,
    ) -> impl Future<Output = Result<Value, Refusal>> + 'static;

    /// Stops the running turn of a session, which then ends by itself with `cancelled`; of all of them for `None`.
    fn cancel(&self, session: Option<&str>);
}

/// Serves standard input and output until the input ends, nobody reads the output, or a signal says to end
/// (SIGTERM, SIGINT). Running turns are stopped then. Must run in a [`tokio::task::LocalSet`].
pub async fn serve(agent: Rc<impl Agent>) -> io::Result<()> {
    let mut input = lines::standard_input()?;
    let (client, written) = Client::new();
    let mut writer = tokio::task::spawn_local(client::write(written, tokio::io::stdout()));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut turns = JoinSet::new();
    // Which session a running prompt belongs to, by the client's id of the request.
    let mut prompts: HashMap<String, String> = HashMap::new();
    loop {
        let line = tokio::select! {
            line = input.recv() => line,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            _ = &mut writer => None,
            Some(ended) = turns.join_next(), if !turns.is_empty() => {
                if let Ok(id) = ended {
                    prompts.remove(&id);
                }
                continue;
            }
        };
        let Some(line) = line else { break };
        let incoming = match line {
            Ok(line) => wire::read(&line),
            Err(what) => Err((Value::Null, Refusal::invalid_request(what))),
        };
        match incoming {
            Ok(Incoming::Request { id, method, params }) if method == "session/prompt" => {
                let key = id.to_string();
                if let Some(session) = params["sessionId"].as_str() {
                    prompts.insert(key.clone(), session.to_owned());
                }
                let turn = agent.clone().prompt(client.clone(), params);
                let client = client.clone();
                turns.spawn_local(async move {
                    let result = turn.await;
                    client.line(wire::answer(id, result)).await;
                    key
                });
            }
            Ok(Incoming::Request { id, method, params }) => {
                let result = match method.as_str() {
                    "initialize" => {
                        client.introduced(&params);
                        Ok(introduction(&*agent))
                    }
                    // There is nothing to sign in to: keys come by the environment.
                    "authenticate" => Ok(json!({})),
                    _ => agent.request(&client, &method, params).await,
                };
                client.line(wire::answer(id, result)).await;
            }
            Ok(Incoming::Notification { method, params }) => match method.as_str() {
                "session/cancel" => {
                    if let Some(session) = params["sessionId"].as_str() {
                        agent.cancel(Some(session));
                    }
                }
                "$/cancel_request" => {
                    if let Some(session) = prompts.get(&params["requestId"].to_string()) {
                        agent.cancel(Some(session));
                    }
                }
                // Others are none of our business, as the protocol has it.
                _ => {}
            },
            Ok(Incoming::Response { id, result }) => client.answered(&id, result),
            Err((id, refusal)) => client.line(wire::answer(id, Err(refusal))).await,
        }
    }
    agent.cancel(None);
    client.gone();
    let over = async {
        while turns.join_next().await.is_some() {}
        client.flush().await;
    };
    // Whoever does not read must not keep the program from ending.
    let _ = tokio::time::timeout(LAST_WORDS, over).await;
    Ok(())
}

fn introduction(agent: &impl Agent) -> Value {
    let mut result = agent.introduce();
    result["protocolVersion"] = json!(PROTOCOL_VERSION);
    result
}

/// Runs an agent to its end on this thread.
pub fn run<A: Agent>(agent: A) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, serve(Rc::new(agent)));
    // A thread may still be searching a big folder; nobody needs it any more.
    runtime.shutdown_background();
    done
}
