//! Fifty sessions that write at once, on platforms that count as the real ones do: by the platforms' own numbers, in a
//! time that is five or forty times as short.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use actix::Actor;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::actor::{Bridge, Deps};
use super::health::Pulse;
use super::markup::Dialect;
use super::open::Desk;
use super::people::{Allowed, Codes};
use super::platform::*;
use crate::agent::AgentSettings;
use crate::domain::ids::SessionId;
use crate::domain::time::Stamp;
use crate::log::Log;
use crate::registry::{CellSettings, ExternalAgent, NewSession, World, WorldSettings};
use crate::session::{ExternalEvent, SessionSettings};

const SESSIONS: usize = 50;
/// Pieces that each session writes, and the pause between them.
const PIECES: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);
/// Sessions that ask in the middle of it.
const ASKING: usize = 5;

/// What a call is counted as: so many within such a time, under a name.
type Rule = (String, usize, Duration);

/// A platform that counts.
struct Counting {
    like: Arc<dyn Platform>,
    traits: Traits,
    rules: fn(Kind, &Place, u32) -> Vec<Rule>,
    /// How much faster than the real one it counts.
    faster: u32,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    Edit,
}

#[derive(Default)]
struct State {
    counted: HashMap<String, VecDeque<Instant>>,
    refused: usize,
    next: u64,
    /// By their ids, so in the order in which they came.
    messages: BTreeMap<u64, Shown>,
    presses: Option<mpsc::UnboundedReceiver<Incoming>>,
}

struct Shown {
    place: Place,
    message: Message,
    at: Instant,
}

fn telegram(_: Kind, place: &Place, faster: u32) -> Vec<Rule> {
    let group = matches!(place, Place::Thread(_) | Place::Home);
    let rule = ("group".to_owned(), 20, Duration::from_secs(60) / faster);
    if group { vec![rule] } else { Vec::new() }
}

fn slack(kind: Kind, _: &Place, faster: u32) -> Vec<Rule> {
    match kind {
        Kind::Post => vec![("posts".to_owned(), 10, Duration::from_secs(10) / faster)],
        Kind::Edit => vec![("updates".to_owned(), 50, Duration::from_secs(60) / faster)],
    }
}

fn discord(kind: Kind, place: &Place, faster: u32) -> Vec<Rule> {
    let verb = if kind == Kind::Post { "POST" } else { "PATCH" };
    vec![
        ("all".to_owned(), 50, Duration::from_secs(1) / faster),
        (format!("{verb} {place:?}"), 5, Duration::from_secs(5) / faster),
    ]
}

impl Counting {
    fn new(like: Arc<dyn Platform>, rules: fn(Kind, &Place, u32) -> Vec<Rule>, faster: u32) -> Arc<Self> {
        let mut traits = like.traits().clone();
        for rate in [Some(&mut traits.messages), traits.edits.as_mut()].into_iter().flatten() {
            rate.per /= faster;
        }
        traits.edit_gap /= faster;
        Arc::new(Self { like, traits, rules, faster, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    async fn count(&self, kind: Kind, place: &Place) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let (mut state, now) = (self.state(), Instant::now());
        let rules = (self.rules)(kind, place, self.faster);
        for (name, most, within) in &rules {
            let counted = state.counted.entry(name.clone()).or_default();
            counted.retain(|at| now.duration_since(*at) < *within);
            if counted.len() >= *most {
                let after = counted.front().map(|at| *within - now.duration_since(*at));
                // A thread's own allowance is what Discord's limiter sees to, so it is no fault of whoever sends.
                let here = name.contains("Thread") || name.contains("Home");
                state.refused += usize::from(!here);
                return Err(Failure::Slow { after, why: format!("{name} is used up"), here });
            }
        }
        for (name, ..) in rules {
            state.counted.entry(name).or_default().push_back(now);
        }
        Ok(())
    }

    async fn put(&self, place: &Place, message: &Message) -> Result<Sent, Failure> {
        self.count(Kind::Post, place).await?;
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        let shown = Shown { place: place.clone(), message: message.clone(), at: Instant::now() };
        state.messages.insert(id, shown);
        Ok(Sent { id: id.to_string(), at: Stamp::now() })
    }

    /// All that stands in the places, by the words with which they begin.
    fn said(&self) -> Vec<String> {
        let state = self.state();
        let mut places: BTreeMap<Place, String> = BTreeMap::new();
        for shown in state.messages.values() {
            let said = places.entry(shown.place.clone()).or_default();
            said.push_str(&shown.message.text.plain);
            said.push('\n');
        }
        places.into_values().collect()
    }

    fn find<T>(&self, is: impl Fn(&Shown) -> bool, then: impl Fn(u64, &Shown) -> T) -> Option<T> {
        self.state().messages.iter().find(|(_, shown)| is(shown)).map(|(id, shown)| then(*id, shown))
    }
}

#[async_trait]
impl Platform for Counting {
    fn traits(&self) -> &Traits {
        &self.traits
    }

    fn dialect(&self) -> &dyn Dialect {
        self.like.dialect()
    }

    async fn connect(&self) -> Result<String, Failure> {
        Ok("rig".to_owned())
    }

    async fn receive(&self, _: Option<String>, inbox: Inbox) -> Failure {
        let mut presses = self.state().presses.take().expect("it is heard once");
        while let Some(press) = presses.recv().await {
            assert!(inbox.put(press).await, "it is dealt with");
        }
        std::future::pending().await
    }

    async fn open_thread(&self, title: &str, _: &str) -> Result<String, Failure> {
        let text = Rendered { markup: title.to_owned(), plain: title.to_owned() };
        self.put(&Place::Home, &Message { text, ..Message::default() }).await.map(|sent| sent.id)
    }

    async fn rename_thread(&self, _: &str, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn close_thread(&self, _: &str, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    async fn send(&self, place: &Place, message: &Message, _: &str) -> Result<Sent, Failure> {
        self.put(place, message).await
    }

    async fn edit(&self, place: &Place, id: &str, message: &Message) -> Result<(), Failure> {
        self.count(Kind::Edit, place).await?;
        let id: u64 = id.parse().expect("an id of ours");
        let mut state = self.state();
        let shown = state.messages.get_mut(&id).ok_or(Failure::MessageGone)?;
        shown.message = message.clone();
        Ok(())
    }

    async fn send_file(&self, place: &Place, _: &FileOut, _: &str) -> Result<Sent, Failure> {
        self.put(place, &Message::default()).await
    }

    async fn fetch(&self, _: &FileRef, _: u64) -> Result<Bytes, Failure> {
        Err(Failure::Refused("there are no files".to_owned()))
    }

    async fn answer_press(&self, _: &str, _: &str) {}

    async fn typing(&self, _: &str) {}

    fn link(&self, _: &str) -> Option<String> {
        None
    }
}

struct NoDesk;

#[async_trait]
impl Desk for NoDesk {
    async fn directory(&self, text: &str) -> Result<PathBuf, String> {
        Err(format!("there is no folder {text}"))
    }
}

fn world() -> World {
    let cells = CellSettings {
        session: Arc::new(SessionSettings::default()),
        agent: Arc::new(AgentSettings::default()),
        approval_limit_seconds: None,
    };
    World::open_here(Log::in_memory(), WorldSettings { cells, retention: None, threads: 1 }).0
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "not within two minutes: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn piece(session: usize, number: usize) -> String {
    format!("s{session}.{number}.")
}

fn output(text: String, is_final: Option<bool>) -> ExternalEvent {
    ExternalEvent::Output { text, kind: "step".into(), is_final }
}

/// Fifty sessions write, five ask. `patience` = within which a question must be shown, however much is written.
async fn crowd(platform: Arc<Counting>, patience: Duration) {
    let world = world();
    let (press, presses) = mpsc::unbounded_channel();
    platform.state().presses = Some(presses);
    let (name, pulse) = (platform.traits.name, Pulse::new(platform.traits.name));
    let deps = Deps {
        platform: platform.clone(),
        world: world.clone(),
        desk: Arc::new(NoDesk),
        allowed: Allowed(["1".to_owned()].into()),
        codes: Codes::default(),
        pulse: pulse.clone(),
        line: Default::default(),
        media: PathBuf::new(),
    };
    Bridge::new(Arc::new(deps)).start();
    let mut sessions: Vec<SessionId> = Vec::new();
    for number in 0..SESSIONS {
        let external_agent = Some(ExternalAgent { name: "rig".into(), ..ExternalAgent::default() });
        let new = NewSession {
            name: Some(format!("number {number}")),
            external_agent,
            platform: Some(name.to_owned()),
            ..NewSession::default()
        };
        sessions.push(world.create(new).await.expect("a session").id);
    }
    let mut waits = Vec::new();
    for number in 0..PIECES {
        for (at, session) in sessions.iter().enumerate() {
            world.push(session, output(piece(at, number), None)).await.expect("it is taken");
        }
        if number == PIECES / 2 {
            for session in sessions.iter().take(ASKING) {
                let ask = ExternalEvent::PermissionRequest {
                    request_id: Some("r".into()),
                    tool_name: "deploy".into(),
                    tool_input: json!({ "to": "production" }),
                    suggestions: None,
                };
                world.push(session, ask).await.expect("it is taken");
            }
            waits.push(Instant::now());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let asked = *waits.first().expect("they asked");
    // Threads are made first; from then on a question waits for nobody's text.
    let is_card = |shown: &Shown| !shown.message.buttons.is_empty();
    let shown = until("all questions are shown", || {
        let state = platform.state();
        let cards: Vec<Instant> =
            state.messages.values().filter(|shown| is_card(shown)).map(|shown| shown.at).collect();
        (cards.len() == ASKING).then_some(cards)
    })
    .await;
    let last = shown.iter().max().expect("there are some");
    assert!(*last - asked < patience, "the last question came after {:?}", *last - asked);

    // One is answered, while all others still write.
    let (message, place, data) = platform
        .find(is_card, |id, shown| {
            let data = shown.message.buttons[0][0].data.clone();
            (id.to_string(), shown.place.clone(), data)
        })
        .expect("a question");
    let person = Person { id: "1".into(), name: "Alice".into() };
    let what = What::Press(Press { data, message, token: "t".into(), words: None });
    let incoming = Incoming { id: "p1".into(), position: None, person, place, at: Stamp::now(), what };
    press.send(incoming).expect("it is heard");
    until("it says who allowed it", || {
        platform.find(|shown| shown.message.text.plain.contains("Allowed by Alice"), |_, _| ())
    })
    .await;

    for (at, session) in sessions.iter().enumerate() {
        world.push(session, output(format!("s{at}.end."), Some(true))).await.expect("it is taken");
        world.push(session, ExternalEvent::Status("done".into())).await.expect("it is taken");
    }
    until("all is sent", || {
        let ends = platform.said().iter().filter(|said| said.contains(".end.")).count();
        (ends == SESSIONS && pulse.get().outbox == 0).then_some(())
    })
    .await;
    let said = platform.said();
    for at in 0..SESSIONS {
        let said = said.iter().find(|said| said.contains(&format!("s{at}.end."))).expect("it was said");
        let wanted: Vec<String> = (0..PIECES).map(|number| piece(at, number)).collect();
        let found: Vec<&str> =
            said.split_whitespace().filter(|word| word.starts_with(&format!("s{at}."))).collect();
        let (end, pieces) = found.split_last().expect("words");
        assert_eq!(
            (pieces, *end),
            (
                wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
                format!("s{at}.end.").as_str()
            ),
            "in order, each once"
        );
    }
    let refused = platform.state().refused;
    assert_eq!(refused, 0, "no call was too much");
}

#[actix::test]
async fn fifty_sessions_write_on_telegram_and_no_question_waits_for_their_texts() {
    let settings = super::telegram::TelegramSettings {
        api_url: "http://127.0.0.1:9".into(),
        token: "t".into(),
        group: -1,
    };
    let like = Arc::new(super::telegram::Telegram::new(&settings).expect("a client"));
    // Fifty topics and greetings stand before the first question: 7 s and more at twenty in one and a half.
    crowd(Counting::new(like, telegram, 40), Duration::from_secs(45)).await;
}

#[actix::test]
async fn fifty_sessions_write_on_slack_and_no_question_waits_for_their_texts() {
    let settings = super::slack::SlackSettings {
        api_url: "http://127.0.0.1:9".into(),
        bot_token: "xoxb-t".into(),
        app_token: "xapp-t".into(),
        channel: "C1".into(),
        shortcut: None,
    };
    let like = Arc::new(super::slack::Slack::new(&settings).expect("a client"));
    crowd(Counting::new(like, slack, 40), Duration::from_secs(45)).await;
}

#[actix::test]
async fn fifty_sessions_write_on_discord_and_no_question_waits_for_their_texts() {
    let settings = super::discord::DiscordSettings {
        api_url: "http://127.0.0.1:9".into(),
        gateway_url: "ws://127.0.0.1:9".into(),
        token: "t".into(),
        channel: Some(1),
        guild: None,
        shortcut: None,
    };
    let like = Arc::new(super::discord::Discord::new(&settings).expect("a client"));
    crowd(Counting::new(like, discord, 5), Duration::from_secs(45)).await;
}
