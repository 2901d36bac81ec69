//! The event log: the one place where facts become durable, and from which they become visible.
//!
//! [`EventLog`] is the only code that touches the store. It commits what waits in one batch, syncs
//! once, and only then publishes into the [`ReadModel`] and answers: durable before visible.
//! Readers take sessions, open approvals and the newest frames from the read model without asking
//! the actor; older frames come from it in chunks ([`Follower`] does both).

mod messages;

pub use messages::*;
