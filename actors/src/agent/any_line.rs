//! What the tests of every protocol share: any JSON, real lines made odd, and what must hold of all that is heard.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::protocol::{Heard, Protocol};
use crate::domain::agent::AgentEvent;
use crate::domain::approval::ApprovalKind;

/// Any JSON, a few levels deep; `words` are those that mean something to the protocol in some place.
pub fn any_json(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(words).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z_]{1,9}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Makes real lines odd, the same way each time.
pub struct Odd {
    runner: TestRunner,
    words: &'static [&'static str],
    made: usize,
}

impl Odd {
    /// With the words of [`any_json`].
    pub fn new(words: &'static [&'static str]) -> Self {
        Self { runner: TestRunner::deterministic(), words, made: 0 }
    }

    /// The line with anything in one of its places, cut off somewhere, and as it is.
    pub fn lines(&mut self, line: &Value) -> [Vec<u8>; 3] {
        let number = self.made;
        self.made += 1;
        let mut found = Vec::new();
        places(line, "", &mut found);
        let mut odd = line.clone();
        let anything = any_json(self.words).new_tree(&mut self.runner).expect("there is always one");
        let place = &found[(number * 7) % found.len()];
        *odd.pointer_mut(place).expect("the place is there") = anything.current();
        let whole = line.to_string().into_bytes();
        let cut = whole[..(number * 31) % (whole.len() + 1)].to_vec();
        [odd.to_string().into_bytes(), cut, whole]
    }
}

/// Places in a value, by the way to them.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                places(inner, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Has a protocol hear a line. What it says must be lines of JSON, what it asks must be fit for people, and its
/// state must stay below so many bytes.
pub fn hear_soundly(protocol: &mut impl Protocol, line: &[u8], most: usize) -> Heard {
    let heard = protocol.hear(line);
    for reply in &heard.replies {
        assert!(!reply.line.contains('\n') && serde_json::from_str::<Value>(&reply.line).is_ok());
    }
    for event in &heard.events {
        if let AgentEvent::Asked(ask) = event {
            assert!(!ask.title.contains('\n') && ask.title.len() < 300, "{}", ask.title);
            assert!(ask.kind == ApprovalKind::Question || ask.questions.is_empty());
            assert!(!ask.is_edit || !ask.paths.is_empty());
        }
    }
    let size = protocol.state().to_string().len();
    assert!(size < most, "the state has grown to {size} bytes");
    heard
}
