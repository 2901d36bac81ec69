//! The approval gate: one actor a session.

mod messages;

pub use messages::*;
