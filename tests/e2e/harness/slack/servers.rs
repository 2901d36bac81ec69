//! The servers: the Web API over HTTP, and Socket Mode.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as Upgrade, Response as Upgraded,
};

use super::Fault;
use super::state::{Out, PROMPTLY, State};
use super::wire::{self, Response};

pub async fn http(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, state.clone()));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(request) = wire::read(&mut stream).await else { return };
    let method = request.path.trim_start_matches("/api/").to_owned();
    let (fault, response) = {
        let mut state = state.lock().expect("nobody panicked");
        let wait = if state.counting { state.count(&method) } else { None };
        let fault = match wait {
            Some(wait) => Some(Fault::Slow(Some(wait))),
            None => state.faults.get_mut(&method).and_then(|faults| faults.pop_front()),
        };
        let response = match &fault {
            None | Some(Fault::CutAfter | Fault::Silence) => state.answer(&request),
            Some(_) => {
                state.calls.push((method, json!({ "fault": format!("{fault:?}") })));
                Response::Cut
            }
        };
        (fault, response)
    };
    let response = match fault {
        None => response,
        Some(Fault::Slow(after)) => Response::Json {
            status: 429,
            body: json!({ "ok": false, "error": "ratelimited" }),
            headers: after.map(|after| ("retry-after".to_owned(), after.to_string())).into_iter().collect(),
        },
        Some(Fault::Html(status)) => Response::Raw {
            status,
            kind: "text/html; charset=utf-8".to_owned(),
            body: b"<html><h1>Server Error</h1></html>".to_vec(),
        },
        Some(Fault::Error(error)) => Response::ok(json!({ "ok": false, "error": error })),
        Some(Fault::CutBefore | Fault::CutAfter) => Response::Cut,
        Some(Fault::Silence) => {
            // Until whoever asked gives up, or is dead.
            let mut byte = [0];
            let _ = stream.read(&mut byte).await;
            Response::Cut
        }
    };
    wire::write(&mut stream, response).await;
}

pub async fn sockets(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_socket(stream, state.clone()));
    }
}

async fn serve_socket(stream: TcpStream, state: Arc<Mutex<State>>) {
    let shared = state.clone();
    // The type is that of the library.
    #[expect(clippy::result_large_err)]
    let check = move |upgrade: &Upgrade, response: Upgraded| -> Result<Upgraded, ErrorResponse> {
        let ticket = upgrade.uri().query().unwrap_or_default().trim_start_matches("ticket=").to_owned();
        let mut state = shared.lock().expect("nobody panicked");
        if !state.tickets.remove(&ticket) {
            state.complaints.push(format!("a connection with the ticket {ticket:?}, which is not good"));
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else { return };
    let (sender, mut frames) = mpsc::unbounded_channel();
    let (number, hello) = {
        let mut state = state.lock().expect("nobody panicked");
        let number = state.number();
        state.greeted += 1;
        let connections = state.sockets.len() as u64 + 1 + state.others;
        (
            number,
            json!({ "type": "hello", "num_connections": connections, "connection_info": { "app_id": "A1" },
            "debug_info": { "host": "rig", "build_number": 1, "approximate_connection_time": 18_060 } }),
        )
    };
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    state.lock().expect("nobody panicked").sockets.insert(number, sender);
    loop {
        tokio::select! {
            out = frames.recv() => match out {
                Some(Out::Frame(frame)) if socket.send(Message::text(frame.to_string())).await.is_ok() => {}
                _ => break,
            },
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => acknowledged(&state, &text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
        }
    }
    state.lock().expect("nobody panicked").sockets.remove(&number);
}

fn acknowledged(state: &Mutex<State>, text: &str) {
    let mut state = state.lock().expect("nobody panicked");
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let id = frame["envelope_id"].as_str().unwrap_or_default();
    if state.waiting.remove(id).is_none() {
        state.complaints.push(format!("an acknowledgement of nothing: {text}"));
    }
}

/// What is not acknowledged in time is told again; that it was late is held against the client while it is connected.
pub async fn watch(state: Arc<Mutex<State>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut state = state.lock().expect("nobody panicked");
        let late: Vec<String> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.sent.elapsed() > PROMPTLY)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            let Some(waiting) = state.waiting.remove(&id) else { continue };
            if state.sockets.contains_key(&waiting.socket) {
                state.complaints.push(format!("no acknowledgement within 3 s: {}", waiting.frame));
            }
            if waiting.frame["type"] == "events_api" {
                state.tell("events_api", waiting.frame["payload"].clone());
            }
        }
    }
}
