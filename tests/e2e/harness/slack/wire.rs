//! The least of HTTP that a client of Slack needs, one request a connection, so that a connection can be cut anywhere.

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request.
pub struct Request {
    pub path: String,
    /// Arguments of the address.
    pub query: Map<String, Value>,
    /// The bearer token.
    pub token: String,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// What is answered.
pub enum Response {
    /// JSON, with `Retry-After` if there is one.
    Json { status: u16, body: Value, headers: Vec<(String, String)> },
    /// Anything else.
    Raw { status: u16, kind: String, body: Vec<u8> },
    /// Nothing: the connection breaks off.
    Cut,
}

impl Response {
    pub fn ok(body: Value) -> Self {
        Self::Json { status: 200, body, headers: Vec::new() }
    }
}

pub async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        let mut chunk = vec![0; 64 << 10];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => body.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), Value::String(decode(value)))
    });
    let token = header("authorization").unwrap_or_default();
    Some(Request {
        path: path.to_owned(),
        query: query.collect(),
        token: token.strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        content_type: header("content-type").unwrap_or_default(),
        body,
    })
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                out.push(u8::from_str_radix(&digits, 16).expect("two digits behind a percent sign"));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub async fn write(stream: &mut TcpStream, response: Response) {
    let (status, kind, body, headers) = match response {
        Response::Json { status, body, headers } => {
            (status, "application/json; charset=utf-8".to_owned(), body.to_string().into_bytes(), headers)
        }
        Response::Raw { status, kind, body } => (status, kind, body, Vec::new()),
        Response::Cut => return,
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // Whoever asked may be dead by now.
    if stream.write_all(head.as_bytes()).await.is_ok() {
        let _ = stream.write_all(&body).await;
        let _ = stream.shutdown().await;
    }
}
