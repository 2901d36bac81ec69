//! `tether model-agent`: a small agent loop over any server that speaks OpenAI's chat completions.

mod agent;
mod asking;
mod chat;
mod conversation;
mod providers;
mod session;
mod settings;
mod system;
mod turn;

pub use agent::ModelAgent;
pub use settings::{Settings, Wishes};
