//! The layout of the store: what lies under which key.
//!
//! One keyspace; the first byte says what kind of entry it is. `SESSION` is a session id as text, always
//! 17 bytes, so what follows it needs no separator. Numbers are big-endian, so that they sort.
//!
//! | key | value |
//! | --- | --- |
//! | `e` SESSION seq:u64 | an event, its final wire JSON |
//! | `s` SESSION | the session record, JSON |
//! | `n` SESSION | ordinal:u64, the order in which sessions were made |
//! | `a` SESSION approval | an approval, JSON |
//! | `u` SESSION approval | nothing; there while the approval is not settled |
//! | `x` approval | SESSION ordinal:u64: where an approval is found by its id alone |
//! | `o` ordinal:u64 | SESSION approval: all approvals in the order in which they were asked |
//! | `g` SESSION grant | a grant, JSON |
//! | `i` SESSION input | an unfinished input, JSON |
//! | `p` SESSION | the agent's run, JSON |
//! | `c` bridge `/` name | what the bridge to a chat platform keeps, JSON: see `bridges` |
//! | `d` device | a paired device, JSON |
//! | `f` path | what a person said about a directory, JSON |
//! | `t` SESSION | nothing; a deleted session whose entries are not all removed yet |
//! | `m` name | meta: `schema` = version as decimal text, `probe` = a write that tests the disk, `deleted` = bytes:u64 deleted since the last compaction |

use crate::domain::ids::{ApprovalId, DeviceId, GrantId, InputId, SessionId};

use super::store::KeyRange;

/// Length of a session id.
const SESSION_LEN: usize = 17;

/// What kind of entry a key leads to: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An event.
    Event = b'e',
    /// A session.
    Session = b's',
    /// The place of a session in the order of creation.
    SessionOrdinal = b'n',
    /// An approval.
    Approval = b'a',
    /// An approval that is not settled.
    Unsettled = b'u',
    /// Where an approval is.
    ApprovalIndex = b'x',
    /// The place of an approval in the order of asking.
    ApprovalOrdinal = b'o',
    /// A grant.
    Grant = b'g',
    /// An input.
    Input = b'i',
    /// A run.
    Run = b'p',
    /// What a bridge keeps.
    Bridge = b'c',
    /// A device.
    Device = b'd',
    /// What was said about a directory.
    Trust = b'f',
    /// A deleted session.
    Tombstone = b't',
    /// Meta.
    Meta = b'm',
}

impl Kind {
    /// All entries of this kind.
    pub fn all(self) -> KeyRange {
        KeyRange { start: vec![self as u8], end: vec![self as u8 + 1] }
    }

    /// All entries of this kind that belong to a session.
    pub fn of(self, session: &SessionId) -> KeyRange {
        let start = scoped(self, session, b"");
        let mut end = start.clone();
        // The last byte is a hex digit's, far from 255.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        KeyRange { start, end }
    }

    /// Whether a key is of this kind.
    pub fn is_of(self, key: &[u8]) -> bool {
        key.first() == Some(&(self as u8))
    }
}

fn scoped(kind: Kind, session: &SessionId, tail: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + SESSION_LEN + tail.len());
    key.push(kind as u8);
    key.extend_from_slice(session.as_str().as_bytes());
    key.extend_from_slice(tail);
    key
}

fn plain(kind: Kind, tail: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + tail.len());
    key.push(kind as u8);
    key.extend_from_slice(tail);
    key
}

/// Key of an event.
pub fn event(session: &SessionId, seq: u64) -> Vec<u8> {
    scoped(Kind::Event, session, &seq.to_be_bytes())
}

/// The events `after < seq <= up_to` of a session.
pub fn events(session: &SessionId, after: u64, up_to: u64) -> KeyRange {
    let start = event(session, after.saturating_add(1));
    KeyRange { start, end: event(session, up_to.saturating_add(1)) }
}

/// Key of a session.
pub fn session(session: &SessionId) -> Vec<u8> {
    scoped(Kind::Session, session, b"")
}

/// Key of a session's ordinal.
pub fn session_ordinal(session: &SessionId) -> Vec<u8> {
    scoped(Kind::SessionOrdinal, session, b"")
}

/// Key of an approval.
pub fn approval(session: &SessionId, id: &ApprovalId) -> Vec<u8> {
    scoped(Kind::Approval, session, id.as_str().as_bytes())
}

/// Key of the mark of an unsettled approval.
pub fn unsettled(session: &SessionId, id: &ApprovalId) -> Vec<u8> {
    scoped(Kind::Unsettled, session, id.as_str().as_bytes())
}

/// Key of an approval's index entry.
pub fn approval_index(id: &ApprovalId) -> Vec<u8> {
    plain(Kind::ApprovalIndex, id.as_str().as_bytes())
}

/// Value of an approval's index entry.
pub fn approval_index_value(session: &SessionId, ordinal: u64) -> Vec<u8> {
    [session.as_str().as_bytes(), &ordinal.to_be_bytes()].concat()
}

/// Reads an index entry's value.
pub fn parse_approval_index_value(value: &[u8]) -> Option<(SessionId, u64)> {
    let (session, ordinal) = value.split_at_checked(SESSION_LEN)?;
    Some((parse_session_id(session)?, parse_u64(ordinal)?))
}

/// Key of an approval's place in the order of asking.
pub fn approval_ordinal(ordinal: u64) -> Vec<u8> {
    plain(Kind::ApprovalOrdinal, &ordinal.to_be_bytes())
}

/// Value of an approval's place in the order of asking.
pub fn approval_ordinal_value(session: &SessionId, id: &ApprovalId) -> Vec<u8> {
    [session.as_str().as_bytes(), id.as_str().as_bytes()].concat()
}

/// Reads an approval's place in the order of asking: whose it is and which.
pub fn parse_approval_ordinal_value(value: &[u8]) -> Option<(SessionId, ApprovalId)> {
    let (session, id) = value.split_at_checked(SESSION_LEN)?;
    Some((parse_session_id(session)?, std::str::from_utf8(id).ok()?.into()))
}

/// Key of a grant.
pub fn grant(session: &SessionId, id: &GrantId) -> Vec<u8> {
    scoped(Kind::Grant, session, id.as_str().as_bytes())
}

/// Key of an input.
pub fn input(session: &SessionId, id: &InputId) -> Vec<u8> {
    scoped(Kind::Input, session, id.as_str().as_bytes())
}

/// Key of a run.
pub fn run(session: &SessionId) -> Vec<u8> {
    scoped(Kind::Run, session, b"")
}

/// Key of what a bridge keeps under a name. The bridge's own name has no slash.
pub fn bridge(bridge: &str, name: &str) -> Vec<u8> {
    plain(Kind::Bridge, format!("{bridge}/{name}").as_bytes())
}

/// All that a bridge keeps.
pub fn bridge_all(bridge: &str) -> KeyRange {
    // `0` comes right after the slash.
    KeyRange { start: self::bridge(bridge, ""), end: plain(Kind::Bridge, format!("{bridge}0").as_bytes()) }
}

/// The name under which a bridge keeps what lies under a key of its.
pub fn parse_bridge_name(key: &[u8]) -> Option<String> {
    std::str::from_utf8(key.get(1..)?).ok()?.split_once('/').map(|(_, name)| name.to_owned())
}

/// Key of a device.
pub fn device(id: &DeviceId) -> Vec<u8> {
    plain(Kind::Device, id.as_str().as_bytes())
}

/// Key of what was said about a directory.
pub fn trust(path: &str) -> Vec<u8> {
    plain(Kind::Trust, path.as_bytes())
}

/// Key of a deleted session's mark.
pub fn tombstone(session: &SessionId) -> Vec<u8> {
    scoped(Kind::Tombstone, session, b"")
}

/// Key of a meta entry.
pub fn meta(name: &str) -> Vec<u8> {
    plain(Kind::Meta, name.as_bytes())
}

/// The session in a key that has one, and what follows it.
pub fn split(key: &[u8]) -> Option<(SessionId, &[u8])> {
    let (session, tail) = key.get(1..)?.split_at_checked(SESSION_LEN)?;
    Some((parse_session_id(session)?, tail))
}

/// The number in an event's key.
pub fn parse_seq(key: &[u8]) -> Option<u64> {
    parse_u64(key.get(1 + SESSION_LEN..)?)
}

/// The number in the key of an approval's place.
pub fn parse_approval_ordinal(key: &[u8]) -> Option<u64> {
    parse_u64(key.get(1..)?)
}

/// The approval's id in what follows the session in a key.
pub fn parse_approval_id(tail: &[u8]) -> Option<ApprovalId> {
    std::str::from_utf8(tail).ok().map(ApprovalId::from)
}

/// A number as a value or the end of a key.
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn parse_session_id(bytes: &[u8]) -> Option<SessionId> {
    let text = std::str::from_utf8(bytes).ok()?;
    SessionId::is_well_formed(text).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions() -> impl Strategy<Value = SessionId> {
        "sess_[0-9a-f]{12}".prop_map(|text| SessionId::from(text.as_str()))
    }

    fn contains(range: &KeyRange, key: &[u8]) -> bool {
        range.start.as_slice() <= key && key < range.end.as_slice()
    }

    proptest! {
        #[test]
        fn an_event_key_sorts_by_session_then_number_and_reads_back(
            a in sessions(), b in sessions(), m in any::<u64>(), n in any::<u64>()
        ) {
            prop_assert_eq!((&a, m).cmp(&(&b, n)), event(&a, m).cmp(&event(&b, n)));
            prop_assert_eq!(parse_seq(&event(&a, m)), Some(m));
            prop_assert_eq!(split(&event(&a, m)).map(|(id, _)| id), Some(a));
        }

        #[test]
        fn a_sessions_range_holds_its_keys_and_no_others(a in sessions(), b in sessions(), n in any::<u64>()) {
            prop_assert!(contains(&Kind::Event.of(&a), &event(&a, n)));
            prop_assert_eq!(contains(&Kind::Event.of(&a), &event(&b, n)), a == b);
            prop_assert!(!contains(&Kind::Event.of(&a), &approval(&a, &"perm_1".into())));
            prop_assert!(contains(&Kind::Session.all(), &session(&a)));
            prop_assert!(!contains(&Kind::Session.all(), &tombstone(&a)));
        }

        #[test]
        fn a_range_of_events_is_open_at_its_cursor_and_closed_at_its_end(
            a in sessions(), after in 0..1_000u64, up_to in 0..1_000u64, n in 0..1_100u64
        ) {
            let inside = after < n && n <= up_to;
            prop_assert_eq!(contains(&events(&a, after, up_to), &event(&a, n)), inside);
        }

        #[test]
        fn the_entries_that_find_an_approval_read_back(a in sessions(), id in "\\PC{0,40}", n in any::<u64>()) {
            let id = ApprovalId::from(id.as_str());
            prop_assert_eq!(parse_approval_index_value(&approval_index_value(&a, n)), Some((a.clone(), n)));
            prop_assert_eq!(
                parse_approval_ordinal_value(&approval_ordinal_value(&a, &id)),
                Some((a.clone(), id.clone()))
            );
            prop_assert_eq!(parse_approval_ordinal(&approval_ordinal(n)), Some(n));
            let key = unsettled(&a, &id);
            let (session, tail) = split(&key).expect("a session's key splits");
            prop_assert_eq!((session, parse_approval_id(tail)), (a, Some(id)));
        }

        #[test]
        fn foreign_bytes_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (split(&bytes), parse_seq(&bytes), parse_approval_ordinal(&bytes));
            let _ = (parse_approval_index_value(&bytes), parse_approval_ordinal_value(&bytes));
        }
    }
}
