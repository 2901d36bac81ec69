//! The registry: supervises every session and all that belongs to it.

mod world;

pub use world::*;
