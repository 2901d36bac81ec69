//! The supervised world of Tether: sessions, agents, approvals and the event log, each an actor.
//!
//! Dependencies point one way: `domain <- log <- gate, agent <- workspace <- session <- registry <- bridge, socket`. A lower
//! room never names an upper one; it answers through a `Recipient` or a reply. The test
//! `tests/house.rs` fails when one does.

pub mod agent;
pub mod bridge;
pub mod domain;
pub mod elsewhere;
pub mod fault;
pub mod gate;
pub mod log;
pub mod registry;
pub mod session;
pub mod socket;
pub mod traced;
pub mod workspace;
