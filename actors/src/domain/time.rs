//! Wall-clock stamps in the form the API gives them.

use serde::{Deserialize, Serialize};

/// A moment in UTC. On the wire `YYYY-MM-DDTHH:MM:SSZ`, whole seconds, as the API contract demands;
/// in memory it keeps its full precision, so ages and deadlines can be computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(jiff::Timestamp);

impl Stamp {
    /// The present moment. Only code at the edge of an actor calls this; pure rules are handed a stamp.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// The moment this many seconds after the Unix epoch.
    pub fn from_unix(seconds: i64) -> Self {
        Self(jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// The moment this many milliseconds after the Unix epoch.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Whole milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// With milliseconds, as other programs write it: `2026-01-02T03:04:05.678Z`.
    pub fn with_millis(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Reads what other programs write (RFC 3339); `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self).ok()
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix(self) -> i64 {
        self.0.as_second()
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is the later one.
    pub fn seconds_since(self, earlier: Stamp) -> i64 {
        self.unix() - earlier.unix()
    }

    /// The moment `seconds` after this one.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix(self.unix().saturating_add(seconds))
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_written_in_whole_seconds_and_read_back() {
        let stamp = Stamp::from_unix(1_700_000_000);
        let json = serde_json::to_string(&stamp).expect("a stamp serialises");
        assert_eq!(json, "\"2023-11-14T22:13:20Z\"");
        assert_eq!(serde_json::from_str::<Stamp>(&json).expect("and reads back"), stamp);
    }

    #[test]
    fn what_another_program_wrote_keeps_its_milliseconds() {
        let stamp = Stamp::parse("2023-11-14T22:13:20.045Z").expect("a time");
        assert_eq!(
            (stamp.unix_millis(), stamp.with_millis().as_str()),
            (1_700_000_000_045, "2023-11-14T22:13:20.045Z")
        );
        assert_eq!(Stamp::from_unix_millis(1_700_000_000_045), stamp);
        assert_eq!(Stamp::parse("yesterday"), None);
    }
}
