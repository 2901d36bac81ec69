//! How much may be on its way to a browser that has not said that it read it.

use bytes::Bytes;

/// At most about this many bytes are on their way before the browser says that it read on: well under
/// what a socket's buffers hold, so that the actor is never stuck behind a full one, and enough to keep
/// a phone's link busy (2.5 MB/s at 100 ms).
pub(super) const WINDOW: u64 = 256 << 10;
/// A mark is sent after this many bytes, so that the next stretch flows while the answer travels.
const STRETCH: u64 = WINDOW / 4;
/// What tells a mark from a heartbeat.
const MARK: &[u8] = b"read ";

/// Counts what was handed over and what was read. After each stretch a WebSocket ping carries the count
/// to the browser; its pong, which every compliant client sends by itself once it has read that far,
/// brings the count back.
#[derive(Debug, Default)]
pub(super) struct Window {
    sent: u64,
    marked: u64,
    read: u64,
}

impl Window {
    /// Whether more may be handed over.
    pub fn is_open(&self) -> bool {
        self.sent - self.read < WINDOW
    }

    /// Count bytes that are handed over. Gives the ping to send behind them, if one is due.
    pub fn sent(&mut self, bytes: usize) -> Option<Bytes> {
        self.sent = self.sent.saturating_add(bytes as u64);
        if self.sent - self.marked < STRETCH {
            return None;
        }
        self.marked = self.sent;
        Some(Bytes::from([MARK, self.sent.to_string().as_bytes()].concat()))
    }

    /// Everything up to this count was read. A count that was never marked is not believed.
    pub fn read(&mut self, count: u64) {
        if count <= self.marked {
            self.read = self.read.max(count);
        }
    }
}

/// The count that a pong brings back; `None` for a heartbeat's or one that nobody asked for.
pub(super) fn count_in(pong: &[u8]) -> Option<u64> {
    std::str::from_utf8(pong.strip_prefix(MARK)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_closes_when_nothing_is_read_and_opens_with_the_pong() {
        let mut window = Window::default();
        let mut pings = Vec::new();
        while window.is_open() {
            pings.extend(window.sent(10_000));
        }
        assert!(window.sent < WINDOW + 10_000);
        let count = count_in(pings.last().expect("a window has marks")).expect("our own mark is read");
        window.read(count);
        assert!(window.is_open());
    }

    #[test]
    fn a_pong_that_nobody_asked_for_opens_nothing() {
        let mut window = Window::default();
        while window.is_open() {
            window.sent(10_000);
        }
        window.read(u64::MAX);
        window.read(window.sent + 1);
        assert!(!window.is_open());
        for pong in [
            &b""[..],
            b"beat",
            b"read",
            b"read ",
            b"read x",
            b"read -1",
            b"read 99999999999999999999",
            b"\xff",
        ] {
            assert_eq!(count_in(pong), None, "{pong:?}");
        }
    }

    proptest! {
        #[test]
        fn with_a_browser_that_reads_it_never_stays_closed(sizes in prop::collection::vec(1usize..200_000, 1..200)) {
            let mut window = Window::default();
            let mut on_its_way = std::collections::VecDeque::new();
            for size in sizes {
                while !window.is_open() {
                    let ping: Bytes = on_its_way.pop_front().expect("a closed window has a mark on its way");
                    window.read(count_in(&ping).expect("our own mark"));
                }
                on_its_way.extend(window.sent(size));
                prop_assert!(window.sent - window.read < WINDOW + 200_000);
            }
        }
    }
}
