//! Bridges: sessions as threads of a chat platform, with approvals as messages with buttons.
//!
//! A [`Bridge`](actor::Bridge) is one actor a platform connection, supervised by the registry. All that platforms
//! have in common is here and knows none of them; a platform is one folder beside this file.
//!
//! # How it works
//!
//! * Every bound session has a [lane](record::Lane): its thread, how far its events were told (`cursor`), what is yet
//!   to be sent (`outbox`), which message shows which approval (`cards`). A lane is kept in the log as one value under
//!   `c/<platform>/<session>`, so these change together, and before anything is sent.
//! * What an agent does becomes effects, these become messages in the outbox, in order. The first one is
//!   sent, and taken away once the platform has it. Killed in between, it is sent again, under the same nonce.
//! * What is being written just now is shown by editing a message (`live`), no more often than the platform allows;
//!   the cursor stays where the text began until it has ended, so a restart goes on with the same message.
//! * People's messages and presses come through an [`Inbox`](platform::Inbox) one after the other, and the platform is told that
//!   they were heard only when what they asked is done.
//!
//! # How to write a platform
//!
//! 1. A folder here (`slack/`), `pub mod slack;` below, and a settings struct with base addresses, tokens, the chat.
//! 2. A [`Dialect`](markup::Dialect) in `slack/markup.rs`: how a styled run, a block of code and a quotation are written, and the
//!    greatest size of a message. Rendering, cutting and tables are done by [`markup`].
//! 3. [`Platform`](platform::Platform) for a client: [`Traits`](platform::Traits) with the platform's own numbers, and the calls. Every error is one of
//!    [`Failure`](platform::Failure), which decides what happens: `Slow` waits as long as the platform says, `Unsure` is tried
//!    again with a growing delay, `Refused` is tried once more as plain text and then given up and told, `ThreadGone` makes a
//!    new thread, `Broken` is shown to people and tried again now and then. `send` and `open_thread` get a nonce, the same at
//!    every try: hand it to the platform if it has a place for it.
//! 4. `receive` turns what the platform says into [`Incoming`](platform::Incoming): [`Place`](platform::Place) says whether it is of the configured chat (`Thread`, `Home`),
//!    a person's own conversation (`Direct`), or of nowhere that matters. Who may act is decided here, not there. Bots are
//!    left out by the platform. `id` is the platform's own id of the event, so that one that comes again is known;
//!    `position` is where to go on hearing after a restart (for catching up on what was typed meanwhile).
//! 5. Buttons carry [`Button::data`](platform::Button); a press brings it back in [`Press`](platform::Press), with a `token` that [`Platform::answer_press`](platform::Platform::answer_press) gets. Where
//!    the platform has forms ([`Words::Form`](platform::Words)), a press whose data ends with `!` opens one at once, and the press is put into the inbox
//!    when it is filled in, with the words.
//! 6. The daemon makes it from its settings and gives it to [`Bridges::open`].

pub mod actor;
mod backlog;
mod cards;
mod commands;
#[cfg(test)]
mod crowd_tests;
mod deliver;
pub mod discord;
mod git;
mod health;
mod hear;
mod listing;
pub mod markup;
mod media;
mod members;
mod open;
mod pace;
mod people;
mod perform;
pub mod platform;
pub mod record;
pub mod slack;
pub mod telegram;
mod tell;
#[cfg(test)]
mod tests;
mod turn;
pub mod typed;
mod words;

pub use health::Health;
pub use members::{ChatPerson, NotRemoved};
pub use open::{BridgeSettings, Bridges, Desk};
pub use people::CODE_LIVES;
