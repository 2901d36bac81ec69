//! From the connection's bytes to whole messages, in bounded memory.
//!
//! actix-web-actors' own reader is not used: it compares a frame with its limit only once all of it has
//! arrived, takes at most 16 messages from what it has read before it reads on (so a flood of tiny
//! frames piles up), and does not tell text that is not UTF-8 from a broken connection. This one reads
//! on only when it has nothing left to give, refuses a frame by its header, and takes no new command
//! while too many are at work, so that the network holds the client back.

use std::sync::Arc;

use actix_http::ws::{OpCode, Parser, ProtocolError};
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest message, continued ones included: an input with its pictures fits.
pub(super) const MAX_MESSAGE: usize = 16 << 20;
/// How many commands of one browser may be at work. A message of more than [`PLACE`] takes several
/// places, so that the memory of waiting messages is bounded too.
pub(super) const MAX_COMMANDS: u32 = 32;
/// Bytes of a message for one place.
const PLACE: usize = MAX_MESSAGE / MAX_COMMANDS as usize;

/// A place among the commands at work; given back when dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// What the browser sent.
#[derive(Debug)]
pub(super) enum Heard {
    /// A text message.
    Text(String, Place),
    /// A message that we have no use for; the words say why.
    Useless(&'static str),
    /// A ping to be answered.
    Ping(Bytes),
    /// The answer to a ping of ours.
    Pong(Bytes),
    /// It wants to close.
    Close,
    /// A message over the limit. Nothing comes after it.
    TooLarge,
    /// It does not keep to the WebSocket protocol. Nothing comes after it.
    Broken(String),
}

/// The messages of a connection. Ends with the connection.
pub(super) fn incoming<S>(connection: S, places: Arc<Semaphore>) -> impl Stream<Item = Heard>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let reader = Reader { connection, places, buffer: BytesMut::new(), partial: None, over: false };
    stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) })
}

struct Reader<S> {
    connection: S,
    places: Arc<Semaphore>,
    buffer: BytesMut,
    /// A message that goes on in further frames: whether it is text, and its bytes so far.
    partial: Option<(bool, BytesMut)>,
    /// Nothing more is understood; the rest is read and dropped, so that our Close can be read.
    over: bool,
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Reader<S> {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if !self.over {
                match self.take_frame() {
                    Ok(Some((finished, opcode, data))) => {
                        if let Some(heard) = self.hear(finished, opcode, data).await {
                            self.over = matches!(heard, Heard::TooLarge | Heard::Broken(_));
                            return Some(heard);
                        }
                        continue;
                    }
                    Ok(None) => {}
                    Err(heard) => {
                        self.over = true;
                        return Some(heard);
                    }
                }
            }
            let bytes = self.connection.next().await?.ok()?;
            if self.over {
                self.buffer = BytesMut::new();
            } else {
                self.buffer.extend_from_slice(&bytes);
            }
        }
    }

    /// The next whole frame that was read.
    fn take_frame(&mut self) -> Result<Option<(bool, OpCode, BytesMut)>, Heard> {
        if announced(&self.buffer).is_some_and(|length| length > MAX_MESSAGE as u64) {
            return Err(Heard::TooLarge);
        }
        match Parser::parse(&mut self.buffer, true, MAX_MESSAGE) {
            Ok(frame) => {
                Ok(frame.map(|(finished, opcode, data)| (finished, opcode, data.unwrap_or_default())))
            }
            Err(ProtocolError::Overflow) => Err(Heard::TooLarge),
            Err(error) => Err(Heard::Broken(error.to_string())),
        }
    }

    /// What a frame means; `None` while its message goes on.
    async fn hear(&mut self, finished: bool, opcode: OpCode, data: BytesMut) -> Option<Heard> {
        let (text, message) = match (opcode, self.partial.take()) {
            (OpCode::Ping | OpCode::Pong | OpCode::Close, _) if !finished => {
                return Some(Heard::Broken("a control frame came in pieces".into()));
            }
            (OpCode::Ping, partial) => {
                self.partial = partial;
                return Some(Heard::Ping(data.freeze()));
            }
            (OpCode::Pong, partial) => {
                self.partial = partial;
                return Some(Heard::Pong(data.freeze()));
            }
            (OpCode::Close, _) => return Some(Heard::Close),
            (OpCode::Text, None) => (true, data),
            (OpCode::Binary, None) => (false, data),
            (OpCode::Continue, Some((text, mut so_far))) => {
                if so_far.len() + data.len() > MAX_MESSAGE {
                    return Some(Heard::TooLarge);
                }
                so_far.extend_from_slice(&data);
                (text, so_far)
            }
            (OpCode::Continue, None) => {
                return Some(Heard::Broken("a continuation of no message".into()));
            }
            (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Some(Heard::Broken("a message began inside another".into()));
            }
            (OpCode::Bad, _) => return Some(Heard::Broken("an unknown kind of frame".into())),
        };
        if !finished {
            self.partial = Some((text, message));
            return None;
        }
        if !text {
            return Some(Heard::Useless("binary messages are not understood: send JSON as text"));
        }
        let Ok(message) = String::from_utf8(message.into()) else {
            return Some(Heard::Useless("the message is not UTF-8"));
        };
        let wanted = (message.len() / PLACE + 1).min(MAX_COMMANDS as usize) as u32;
        // Closed with its socket: the connection is over, too.
        let place = self.places.clone().acquire_many_owned(wanted).await.ok();
        Some(place.map_or(Heard::Close, |place| Heard::Text(message, place)))
    }
}

/// The length that a frame's header announces, once the header is there (RFC 6455, section 5.2).
fn announced(bytes: &[u8]) -> Option<u64> {
    match bytes.get(1)? & 0x7f {
        126 => Some(u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => Some(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => Some(u64::from(short)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_COMMANDS as usize))
    }

    fn frame(finished: bool, opcode: OpCode, data: &[u8]) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        Parser::write_message(&mut bytes, data, opcode, finished, true);
        bytes.to_vec()
    }

    /// Everything that is heard of these bytes when they come in these pieces.
    fn heard(pieces: Vec<Vec<u8>>) -> Vec<Heard> {
        let connection = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
        incoming(connection, places()).collect().now_or_never().expect("all bytes are there")
    }

    fn texts(heard: &[Heard]) -> Vec<&str> {
        heard
            .iter()
            .filter_map(|heard| if let Heard::Text(text, _) = heard { Some(text.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn a_message_in_pieces_is_put_together_around_a_ping() {
        let bytes = [
            frame(false, OpCode::Text, b"on"),
            frame(true, OpCode::Ping, b"p"),
            frame(false, OpCode::Continue, b""),
            frame(true, OpCode::Continue, b"e"),
            frame(true, OpCode::Text, b"two"),
        ];
        let heard = heard(vec![bytes.concat()]);
        assert_eq!(texts(&heard), ["one", "two"]);
        assert!(matches!(&heard[0], Heard::Ping(data) if &data[..] == b"p"));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header_and_what_follows_is_dropped() {
        let mut header = vec![0x81, 0x80 | 127];
        header.extend_from_slice(&(1u64 << 40).to_be_bytes());
        let heard = heard(vec![header, frame(true, OpCode::Text, b"late")]);
        assert!(matches!(heard[..], [Heard::TooLarge]), "{heard:?}");
    }

    #[test]
    fn a_message_that_grows_over_the_limit_piece_by_piece_is_refused() {
        let half = vec![b'x'; MAX_MESSAGE / 2 + 1];
        let heard = heard(vec![frame(false, OpCode::Text, &half), frame(true, OpCode::Continue, &half)]);
        assert!(matches!(heard[..], [Heard::TooLarge]), "{heard:?}");
    }

    #[test]
    fn binary_and_broken_text_are_useless_and_the_next_message_is_heard() {
        let bytes = [
            frame(true, OpCode::Binary, b"\x00"),
            frame(true, OpCode::Text, b"\xff\xfe"),
            frame(true, OpCode::Text, b"{}"),
        ];
        let heard = heard(vec![bytes.concat()]);
        assert!(matches!(heard[..], [Heard::Useless(_), Heard::Useless(_), Heard::Text(..)]), "{heard:?}");
    }

    #[test]
    fn what_is_no_websocket_ends_it() {
        for bytes in [
            frame(true, OpCode::Continue, b"x"),
            frame(false, OpCode::Ping, b"x"),
            [frame(false, OpCode::Text, b"x"), frame(true, OpCode::Text, b"y")].concat(),
            vec![0x81, 0x00],
            vec![0xf1, 0x80, 0, 0, 0, 0],
        ] {
            let heard = heard(vec![bytes.clone(), frame(true, OpCode::Text, b"late")]);
            assert!(matches!(heard[..], [Heard::Broken(_)]), "{bytes:?}: {heard:?}");
        }
    }

    #[test]
    fn no_message_is_read_while_too_many_are_at_work() {
        let many: Vec<_> = (0..2 * MAX_COMMANDS).map(|_| frame(true, OpCode::Text, b"{}")).collect();
        let connection = stream::iter([Ok(Bytes::from(many.concat()))]);
        let mut incoming = Box::pin(incoming(connection, places()));
        let mut at_work = Vec::new();
        while let Some(Some(heard)) = incoming.next().now_or_never() {
            at_work.push(heard);
        }
        assert_eq!(at_work.len(), MAX_COMMANDS as usize);
        at_work.pop();
        assert!(incoming.next().now_or_never().is_some(), "a place was given back");
    }

    #[test]
    fn a_large_message_takes_many_places() {
        let large = frame(true, OpCode::Text, &vec![b' '; MAX_MESSAGE]);
        let connection =
            stream::iter([Ok(Bytes::from(large)), Ok(Bytes::from(frame(true, OpCode::Text, b"{}")))]);
        let mut incoming = Box::pin(incoming(connection, places()));
        let first = incoming.next().now_or_never();
        assert!(matches!(first, Some(Some(Heard::Text(..)))));
        assert!(incoming.next().now_or_never().is_none());
        drop(first);
        assert!(incoming.next().now_or_never().is_some());
    }

    proptest! {
        #[test]
        fn garbage_is_heard_or_ends_it_and_never_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let _ = heard(pieces);
        }

        #[test]
        fn messages_are_the_same_however_the_bytes_are_cut(
            messages in prop::collection::vec("[a-z]{0,20}", 0..10),
            cuts in prop::collection::vec(1usize..30, 0..60),
        ) {
            let mut bytes = messages.iter().flat_map(|text| frame(true, OpCode::Text, text.as_bytes())).collect::<Vec<_>>();
            let mut pieces = Vec::new();
            for cut in cuts {
                let rest = bytes.split_off(cut.min(bytes.len()));
                pieces.push(std::mem::replace(&mut bytes, rest));
            }
            pieces.push(bytes);
            let heard = heard(pieces);
            prop_assert_eq!(texts(&heard), messages);
        }
    }
}
