//! What a person or a program touches of Tether: configuration, command line, HTTP, and two
//! agents of our own. The supervised world behind it is the crate `tether-actors`.

pub mod agents;
pub mod api;
pub mod backup;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod export;
pub mod logging;
pub mod mcp;
pub mod migrate;
pub mod render;
