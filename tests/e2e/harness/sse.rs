//! Server-sent events.

/// Cuts a stream of server-sent events into their `data`.
#[derive(Default)]
pub struct SseReader {
    buffer: Vec<u8>,
}

impl SseReader {
    /// Takes bytes and gives the events that are whole now.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = self.buffer[from..].windows(2).position(|pair| pair == b"\n\n") {
            let block = String::from_utf8(self.buffer[from..from + at].to_vec()).expect("events are UTF-8");
            found.extend(block.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned));
            from += at + 2;
        }
        self.buffer.drain(..from);
        found
    }
}
