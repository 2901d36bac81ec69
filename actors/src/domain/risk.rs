//! How risky a request is, as it is told with an approval: what to mark in the command, and what is hidden in it.
//!
//! The rules that find it are the gate's (`gate/risk`). Here are the words for it, and which characters can
//! hide something from a reader.

use serde::{Deserialize, Serialize};

/// Whether a tap is enough to allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Nothing that we know of speaks against it.
    Normal,
    /// It may do what cannot be undone, or we could not tell what it does. Also what was never judged.
    #[default]
    Danger,
}

/// What is risky about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Risk {
    /// The sum of it.
    pub level: RiskLevel,
    /// The command in which the marks count, where it is not simply `tool_input.command`: an agent gave it as
    /// a list of words, or under another name.
    pub command: Option<String>,
    /// The places in the command, in order, not overlapping.
    pub marks: Vec<RiskMark>,
    /// Why, each reason once, the weightiest command first; also those that have no place in a command.
    pub reasons: Vec<String>,
    /// Characters that hide something, or make text look like another, in whatever is shown of the request.
    pub invisible: Vec<Invisible>,
}

impl Risk {
    /// Nothing speaks against it.
    pub fn none() -> Self {
        Self { level: RiskLevel::Normal, ..Self::default() }
    }
}

/// A risky place in a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RiskMark {
    /// Where it begins, in UTF-16 units, as JavaScript counts.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Why, for people.
    pub reason: String,
}

/// A character that cannot be seen, or is not what it looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invisible {
    /// Where it stands: `command`, `title`, `diff`, `reason`, `questions` or `tool_input.<key>`.
    pub field: String,
    /// Where in it, in UTF-16 units.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Its number (`U+202E`).
    pub code: String,
    /// What it is, for people.
    pub name: String,
}

/// What is wrong with a character that a reader cannot see for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// It changes the order in which text is shown.
    Direction,
    /// It is no character but a command to a terminal or printer.
    Control,
    /// It has no width, or is a mark from a block that nothing shows.
    Invisible,
    /// It joins or styles its neighbours: usual in prose and emoji, never in a command.
    Joiner,
    /// It looks like a space and is none.
    Space,
}

impl Hidden {
    /// The fault of a character; `None` for one that shows itself. Tabs and line ends are none.
    pub fn of(c: char) -> Option<Self> {
        Some(match c {
            '\t' | '\n' | '\r' => return None,
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Self::Control,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                Self::Direction
            }
            '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => Self::Joiner,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                Self::Space
            }
            '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => Self::Invisible,
            _ => return None,
        })
    }

    /// The fault of a character in prose, code and diffs, where joiners and odd spaces are usual.
    pub fn in_text(c: char) -> Option<Self> {
        Self::of(c).filter(|hidden| !matches!(hidden, Self::Joiner | Self::Space))
    }

    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direction => "changes the direction of text",
            Self::Control => "control character",
            Self::Invisible => "invisible character",
            Self::Joiner => "invisible joiner",
            Self::Space => "looks like a space",
        }
    }
}

/// A character's number as people write it (`U+202E`).
pub fn code_of(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_told_from_what_shows_itself() {
        for (c, hidden) in [
            ('a', None),
            ('\n', None),
            ('ß', None),
            ('א', None),
            ('😀', None),
            ('\u{202e}', Some(Hidden::Direction)),
            ('\u{2066}', Some(Hidden::Direction)),
            ('\u{1b}', Some(Hidden::Control)),
            ('\u{9b}', Some(Hidden::Control)),
            ('\u{200b}', Some(Hidden::Invisible)),
            ('\u{e0041}', Some(Hidden::Invisible)),
            ('\u{200d}', Some(Hidden::Joiner)),
            ('\u{a0}', Some(Hidden::Space)),
        ] {
            assert_eq!(Hidden::of(c), hidden, "{}", code_of(c));
        }
        assert_eq!(Hidden::in_text('\u{200d}'), None, "families of emoji are fine in prose");
        assert_eq!(code_of('\u{202e}'), "U+202E");
    }

    #[test]
    fn what_was_never_judged_is_dangerous() {
        assert_eq!(Risk::default().level, RiskLevel::Danger);
        assert_eq!(Risk::none().level, RiskLevel::Normal);
    }
}
