//! A small load generator: keep-alive connections over plain TCP, one request in flight on each.
//!
//! A full HTTP client would cost more than the server that it measures. This one sends bytes that were made
//! beforehand and reads of an answer only the status and the length.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// How long each answer took, in no particular order.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Answers that were no success.
    pub fn failures(&self) -> usize {
        self.statuses.iter().filter(|(status, _)| **status >= 300).map(|(_, count)| count).sum()
    }
}

/// The bytes of a POST with a JSON body.
pub fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `total` requests over `connections` connections; `request` makes the n-th.
pub async fn run(
    address: SocketAddr,
    connections: usize,
    total: usize,
    request: impl Fn(usize) -> Vec<u8>,
) -> std::io::Result<Outcome> {
    let requests: Vec<Vec<u8>> = (0..total).map(request).collect();
    let next = std::cell::Cell::new(0);
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let began = Instant::now();
    let workers = streams.into_iter().map(|mut stream| {
        let (requests, next) = (&requests, &next);
        async move {
            let mut buffer = Vec::with_capacity(4096);
            let mut answers = Vec::with_capacity(total / connections + 1);
            loop {
                let at = next.get();
                let Some(bytes) = requests.get(at) else { return Ok::<_, std::io::Error>(answers) };
                next.set(at + 1);
                let sent = Instant::now();
                stream.write_all(bytes).await?;
                let status = answer(&mut stream, &mut buffer).await?;
                answers.push((status, sent.elapsed()));
            }
        }
    });
    let done = futures_util::future::try_join_all(workers).await?;
    let mut outcome = Outcome { elapsed: began.elapsed(), ..Outcome::default() };
    for (status, latency) in done.into_iter().flatten() {
        *outcome.statuses.entry(status).or_default() += 1;
        outcome.latencies.push(latency);
    }
    Ok(outcome)
}

/// Reads one answer to its end; gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    buffer.clear();
    let mut whole = None;
    loop {
        if whole.is_none()
            && let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .and_then(|value| value.trim().parse::<usize>().ok())
                .ok_or_else(|| std::io::Error::other(format!("an answer without a length: {text}")))?;
            whole = Some((status, head + 4 + length));
        }
        if let Some((status, end)) = whole
            && buffer.len() >= end
        {
            return Ok(status);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::Error::other("the server closed the connection in mid-answer"));
        }
    }
}
