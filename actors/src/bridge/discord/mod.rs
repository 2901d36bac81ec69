//! Discord.

pub mod markup;
