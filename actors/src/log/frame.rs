//! The wire form of an event.

use bytes::Bytes;

use crate::domain::event::{EventDraft, Frame};
use crate::domain::ids::SessionId;
use crate::domain::time::Stamp;

/// Writes envelopes. Keeps a buffer and the text of the current second, so that an event costs one
/// allocation and its data is serialised once.
#[derive(Debug, Default)]
pub(super) struct FrameWriter {
    buffer: Vec<u8>,
    second: Option<i64>,
    stamp: String,
}

impl FrameWriter {
    /// The frame of a draft: `{"session_id","ts","seq","type","data"}`, compact, in this order.
    pub fn write(
        &mut self,
        session: &SessionId,
        now: Stamp,
        seq: u64,
        draft: &EventDraft,
    ) -> Result<Frame, serde_json::Error> {
        if self.second != Some(now.unix()) {
            self.second = Some(now.unix());
            self.stamp = now.to_string();
        }
        let earlier = draft.at.map(Stamp::with_millis);
        let mut digits = [0; 20];
        self.buffer.clear();
        // The id is of a store's key, the rest of our own making: nothing here needs escaping.
        for part in [
            b"{\"session_id\":\"",
            session.as_str().as_bytes(),
            b"\",\"ts\":\"",
            earlier.as_ref().unwrap_or(&self.stamp).as_bytes(),
            b"\",\"seq\":",
            decimal(seq, &mut digits),
            b",\"type\":\"",
            draft.kind.as_str().as_bytes(),
            b"\",\"data\":",
        ] {
            self.buffer.extend_from_slice(part);
        }
        serde_json::to_writer(&mut self.buffer, &draft.data)?;
        self.buffer.push(b'}');
        Ok(Frame { seq, json: Bytes::copy_from_slice(&self.buffer) })
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        start = at;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::domain::event::{Envelope, EventType};

    use super::*;

    #[test]
    fn a_frame_is_the_compact_envelope_in_the_contracts_order() {
        let draft = EventDraft::new(EventType::Output, json!({"text": "a\"b\nc"}));
        let stamp = Stamp::from_unix(1_700_000_000);
        let frame = FrameWriter::default().write(&"sess_0123456789ab".into(), stamp, 7, &draft);
        let expected = concat!(
            r#"{"session_id":"sess_0123456789ab","ts":"2023-11-14T22:13:20Z","seq":7,"#,
            r#""type":"output","data":{"text":"a\"b\nc"}}"#
        );
        assert_eq!(frame.expect("it serialises").json, expected);
    }

    #[test]
    fn what_happened_elsewhere_keeps_the_time_that_it_bears_there() {
        let at = Stamp::parse("2023-11-14T22:13:20.045Z");
        let draft = EventDraft { at, ..EventDraft::new(EventType::Output, json!({})) };
        let frame = FrameWriter::default().write(&"sess_0123456789ab".into(), Stamp::from_unix(5), 1, &draft);
        let json = frame.expect("it serialises").json;
        assert!(String::from_utf8_lossy(&json).contains(r#""ts":"2023-11-14T22:13:20.045Z""#), "{json:?}");
    }

    proptest! {
        #[test]
        fn frames_read_back_whatever_their_number_time_and_text(
            pairs in proptest::collection::vec((any::<u64>(), 0i64..4_000_000_000, ".*"), 1..5)
        ) {
            let mut writer = FrameWriter::default();
            for (seq, second, text) in pairs {
                let draft = EventDraft::new(EventType::UserInput, json!({"text": text}));
                let session = SessionId::from("sess_0123456789ab");
                let frame = writer.write(&session, Stamp::from_unix(second), seq, &draft).expect("it serialises");
                let envelope: Envelope = serde_json::from_slice(&frame.json).expect("it is JSON");
                prop_assert_eq!(envelope.session_id, session);
                prop_assert_eq!(envelope.seq, seq);
                prop_assert_eq!(envelope.ts.unix(), second);
                prop_assert_eq!(envelope.kind, "user_input");
                prop_assert_eq!(envelope.data, draft.data);
            }
        }
    }
}
