//! Agent programs: how each speaks, the spool that connects them, and the tree of their processes.

pub mod processes;
pub mod program;
pub mod protocol;
pub mod spool;
pub mod tree;
