//! What people and programs touch of Tether. The supervised world itself is the crate `tether-actors`.

pub mod api;
