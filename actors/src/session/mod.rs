//! The session actor.

mod messages;

pub use messages::*;
