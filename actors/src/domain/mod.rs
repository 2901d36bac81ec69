//! Plain data and pure rules: what a session, an event, an approval and an agent's end *are*.
//!
//! Nothing here does I/O, reads a clock or knows an actor, so everything above may depend on it and
//! every rule can be tested with a table.

pub mod agent;
pub mod approval;
pub mod code;
pub mod device;
pub mod elsewhere;
pub mod event;
pub mod gate_policy;
pub mod ids;
pub mod past;
pub mod restart;
pub mod risk;
pub mod session;
pub mod state;
pub mod time;
pub mod trust;
pub mod usage;
