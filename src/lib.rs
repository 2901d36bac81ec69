//! What a person or a program touches of Tether: configuration, command line, HTTP. The supervised
//! world behind it is the crate `tether-actors`.

pub mod api;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod export;
pub mod logging;
pub mod render;
