//! `tether watch`: a session live, with its approvals answered in place.
//!
//! It ends by Ctrl-C, or when the session is deleted; with `--until-idle` (the default where nobody can
//! type) also when the session waits for input (0) or stands in an error (1). What was so before the watch
//! caught up with the log does not count. A daemon that goes away is waited for, so a restart is survived.

use std::time::Duration;

use owo_colors::OwoColorize as _;
use tether_actors::domain::approval::{Approval, ApprovalState};
use tether_actors::domain::event::{Envelope, EventType};
use tether_actors::domain::ids::ApprovalId;
use tether_actors::domain::state::SessionState;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::WatchArgs;
use super::ask::{Desk, Step, show};
use super::output::{is_interactive, short, terminal_width};
use super::render::{Renderer, state_of};
use super::{Context, Failure, resolve};
use crate::client::{Client, ClientError, Feed, FeedItem};

/// How long a daemon that went away is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever answers faster than this after a question appeared cannot have read it: the line was meant for
/// what stood there before.
const TOO_FAST: Duration = Duration::from_millis(500);

/// The longest pause between two attempts to reach it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Watches.
pub async fn run(args: &WatchArgs, cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let interactive = is_interactive() && !cx.json;
    let mut watch = Watch {
        renderer: Renderer::new(terminal_width()),
        client,
        session: session.id.to_string(),
        interactive,
        until_idle: args.until_idle || !(interactive || args.follow),
        cursor: 0,
        caught_up: false,
        state: None,
        desk: Desk::default(),
        prompted: false,
        asking: None,
        cx,
    };
    if !watch.cx.json {
        watch.cx.out.line(format!("Watching {}... (Ctrl+C to stop)", short(&watch.session, 12)))?;
    }
    let mut lines = if interactive { typed_lines() } else { mpsc::channel(1).1 };
    watch.run(&mut lines).await
}

struct Watch {
    cx: Context,
    client: Client,
    renderer: Renderer,
    session: String,
    /// Whether somebody can read and type.
    interactive: bool,
    until_idle: bool,
    /// The last event that was seen.
    cursor: u64,
    /// Whether what comes now is live.
    caught_up: bool,
    state: Option<SessionState>,
    desk: Desk,
    /// Whether the cursor stands behind a prompt.
    prompted: bool,
    /// The approval that the last prompt was for, and since when.
    asking: Option<(ApprovalId, Instant)>,
}

/// Whether to go on.
enum Next {
    GoOn,
    End,
    Reconnect(String),
}

impl Watch {
    async fn run(&mut self, lines: &mut mpsc::Receiver<String>) -> Result<(), Failure> {
        let mut feed = Feed::open(&self.client, &self.session, self.cursor).await?;
        loop {
            let next = tokio::select! {
                item = feed.next() => self.came(item?).await?,
                line = lines.recv(), if self.interactive => match line {
                    Some(line) => self.typed(&line).await?,
                    None => Next::End,
                },
                _ = tokio::signal::ctrl_c() => Next::End,
            };
            match next {
                Next::GoOn => {}
                Next::End => {
                    let fresh = if self.prompted { "\n" } else { self.renderer.fresh_line() };
                    self.cx.out.text(fresh)?;
                    return Ok(());
                }
                Next::Reconnect(reason) => {
                    self.note(&format!("(connection lost: {reason}; waiting for the daemon)"))?;
                    self.caught_up = false;
                    let Some(again) = self.reconnect().await? else { return Ok(()) };
                    feed = again;
                }
            }
        }
    }

    /// `None` = the person had enough.
    async fn reconnect(&self) -> Result<Option<Feed>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(100);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = tokio::signal::ctrl_c() => return Ok(None),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match Feed::open(&self.client, &self.session, self.cursor).await {
                Ok(feed) => return Ok(Some(feed)),
                Err(error) if error.is_passing() && Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn came(&mut self, item: FeedItem) -> Result<Next, Failure> {
        match item {
            FeedItem::Events(events) => {
                for event in &events {
                    self.event(event).await?;
                    if self.caught_up && self.is_idle() {
                        return self.idle();
                    }
                }
            }
            FeedItem::CaughtUp => {
                self.caught_up = true;
                self.fetch_open().await?;
                if self.is_idle() {
                    return self.idle();
                }
            }
            FeedItem::Deleted => {
                self.note("(the session was deleted)")?;
                return Ok(Next::End);
            }
            FeedItem::Ended(reason) => return Ok(Next::Reconnect(reason)),
        }
        self.prompt()?;
        Ok(Next::GoOn)
    }

    fn is_idle(&self) -> bool {
        self.until_idle && matches!(self.state, Some(SessionState::AwaitingInput | SessionState::Error))
    }

    fn idle(&self) -> Result<Next, Failure> {
        if self.state == Some(SessionState::Error) { Err(Failure::Told) } else { Ok(Next::End) }
    }

    async fn event(&mut self, event: &Envelope) -> Result<(), Failure> {
        self.cursor = self.cursor.max(event.seq);
        self.state = state_of(event).or(self.state);
        if self.cx.json {
            return Ok(self.cx.out.line(serde_json::to_string(event)?)?);
        }
        let approval = event.data.get("approval_id").and_then(serde_json::Value::as_str);
        match (EventType::parse(&event.kind), approval) {
            (Some(EventType::PermissionRequest), Some(id)) if self.caught_up => return self.asked(id).await,
            (Some(EventType::PermissionResolved), Some(id)) => self.desk.take(id),
            _ => {}
        }
        let text = self.renderer.event(event);
        self.print(&text)
    }

    /// The questions that stand open, once all that was before has been seen.
    async fn fetch_open(&mut self) -> Result<(), Failure> {
        if self.cx.json {
            return Ok(());
        }
        let open = self.client.approvals(true, Some(&self.session)).await?;
        let stale: Vec<String> = self
            .desk
            .waiting()
            .filter(|waiting| open.iter().all(|approval| approval.id != waiting.id))
            .map(|waiting| waiting.id.to_string())
            .collect();
        stale.iter().for_each(|id| self.desk.take(id));
        for approval in open {
            self.put(approval)?;
        }
        Ok(())
    }

    async fn asked(&mut self, id: &str) -> Result<(), Failure> {
        match self.client.approval(id).await {
            Ok(approval) if approval.state == ApprovalState::Open => self.put(approval),
            // Answered in the meantime: the event that says so is on its way.
            Ok(_) => Ok(()),
            Err(error) if error.is_passing() || error.is_status(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn put(&mut self, approval: Approval) -> Result<(), Failure> {
        let mut text = show(&approval);
        if !self.interactive {
            text.push_str(&format!("  answer with: tether approve {0}, or tether deny {0}\n", approval.id));
        }
        if !self.desk.put(approval) {
            return Ok(());
        }
        let fresh = self.renderer.fresh_line();
        self.print(&format!("{fresh}{text}"))
    }

    async fn typed(&mut self, line: &str) -> Result<Next, Failure> {
        // The terminal has moved to a new line by itself.
        self.prompted = false;
        if self.is_too_fast() && !line.trim().is_empty() {
            self.note("(the question had just appeared: type that again if it was meant for this one)")?;
            self.prompt()?;
            return Ok(Next::GoOn);
        }
        match self.desk.typed(line) {
            Step::Answer(id, answer) => match self.client.answer(id.as_str(), &answer).await {
                Ok(_) => self.desk.take(id.as_str()),
                Err(error) => self.refused(&id, &error)?,
            },
            Step::Tell(text) if !text.is_empty() => self.print(&format!("{text}\n"))?,
            Step::Tell(_) => {}
            Step::Nothing if line.trim().is_empty() => {}
            Step::Nothing => {
                let hint = format!(
                    "(nothing is asked; to say something: tether input {} ...)",
                    short(&self.session, 12)
                );
                self.note(&hint)?;
            }
        }
        self.prompt()?;
        Ok(Next::GoOn)
    }

    /// Whether the approval that is asked about was not yet on the screen when the line was typed.
    fn is_too_fast(&self) -> bool {
        match (self.desk.first(), &self.asking) {
            (Some(first), Some((asked, since))) => first.id != *asked || since.elapsed() < TOO_FAST,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Somebody else was faster, or the answer does not fit: the daemon says which.
    fn refused(
        &mut self,
        id: &tether_actors::domain::ids::ApprovalId,
        error: &ClientError,
    ) -> Result<(), Failure> {
        if error.is_status(409) || error.is_status(404) {
            self.desk.take(id.as_str());
        }
        self.note(&format!("({error})"))
    }

    fn note(&mut self, text: &str) -> Result<(), Failure> {
        if self.cx.json {
            return Ok(());
        }
        let line = self.renderer.line(&text.dimmed().to_string());
        self.print(&line)
    }

    /// Prints; a prompt that stands there is pushed up by a new line.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let fresh = if std::mem::take(&mut self.prompted) { "\n" } else { "" };
        Ok(self.cx.out.text(&format!("{fresh}{text}"))?)
    }

    fn prompt(&mut self) -> Result<(), Failure> {
        if !self.interactive || !self.caught_up || self.prompted {
            return Ok(());
        }
        if let Some(prompt) = self.desk.prompt() {
            let fresh = self.renderer.fresh_line();
            self.cx.out.text(&format!("{fresh}{prompt}"))?;
            self.prompted = true;
            let first = self.desk.first().map(|first| first.id.clone());
            if first.as_ref() != self.asking.as_ref().map(|(asked, _)| asked) {
                self.asking = first.map(|id| (id, Instant::now()));
            }
        }
        Ok(())
    }
}

/// The lines that are typed. The thread that reads them ends with the process.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
