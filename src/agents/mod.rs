//! Two agents of our own. Both run as programs of their own (`tether model-agent`, `tether demo-agent`), speak the
//! Agent Client Protocol on standard input and output, and are children like any other agent: what they may do is
//! asked through the protocol, and nothing here knows of the daemon.

pub mod acp;
pub mod demo;
mod folder;
mod journal;
pub mod model;
mod tools;
