//! Telegram.

pub mod markup;
