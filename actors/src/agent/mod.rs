//! Agent programs: how each speaks, the spool that connects them, and the tree of their processes.

pub mod protocol;
