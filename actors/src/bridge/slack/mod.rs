//! Slack.

pub mod markup;
