//! The bridges of a daemon, as the rest of it holds them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use async_trait::async_trait;
use tokio::sync::oneshot;

use super::actor::{Bridge, Deps};
use super::health::{Health, Pulse};
use super::members::{ChatPerson, Line, ListPeople, NotRemoved, RemovePerson};
use super::people::{Allowed, Codes};
use super::platform::Platform;
use crate::domain::approval::Actor as By;
use crate::registry::{self, World};

/// What commands need that only the program above can do.
#[async_trait]
pub trait Desk: Send + Sync + 'static {
    /// The existing folder that is meant: `~` expanded, links resolved.
    async fn directory(&self, text: &str) -> Result<PathBuf, String>;
}

/// What a bridge is opened with.
pub struct BridgeSettings {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// The platform's ids of the people who may act.
    pub allowed: Vec<String>,
}

/// The bridges. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Bridges(Arc<Vec<Open>>);

#[derive(Debug)]
struct Open {
    name: &'static str,
    pulse: Pulse,
    codes: Codes,
    line: Line,
}

impl Bridges {
    /// Starts them. They live as long as the daemon does; what cannot be reached is tried again and again.
    /// `media` is the folder for files that people send.
    pub async fn open(
        world: &World,
        desk: Arc<dyn Desk>,
        media: PathBuf,
        bridges: Vec<BridgeSettings>,
    ) -> Self {
        // The only one in the program that would otherwise be chosen by whoever comes first; done already is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let codes = Codes::default();
        let mut open = Vec::new();
        for settings in bridges {
            let name = settings.platform.traits().name;
            let pulse = Pulse::new(name);
            let line = Line::default();
            open.push(Open { name, pulse: pulse.clone(), codes: codes.clone(), line: line.clone() });
            let deps = Arc::new(Deps {
                platform: settings.platform,
                world: world.clone(),
                desk: desk.clone(),
                allowed: Allowed(settings.allowed.into_iter().collect()),
                codes: codes.clone(),
                pulse,
                line,
                media: media.clone(),
            });
            let arbiter = Arbiter::new().handle();
            let start: registry::Factory = Box::new(move |died| {
                let (deps, arbiter) = (deps.clone(), arbiter.clone());
                if let Some(words) = died {
                    deps.pulse.failed(&format!("the bridge died ({words}), it is started again"));
                }
                Box::pin(async move {
                    let (done, started) = oneshot::channel();
                    arbiter.spawn_fn(move || {
                        let (_, spawned) = registry::run(Context::new(), Bridge::new(deps));
                        let _ = done.send(spawned);
                    });
                    started.await.ok()
                })
            });
            world.keep(format!("bridge {name}"), start).await;
        }
        Self(Arc::new(open))
    }

    /// How each is.
    pub fn health(&self) -> Vec<Health> {
        self.0.iter().map(|open| open.pulse.get()).collect()
    }

    /// Whether one runs for this platform.
    pub fn runs(&self, platform: &str) -> bool {
        self.0.iter().any(|open| open.name == platform)
    }

    /// The people who may use the bots; of one that is just being started anew, none.
    pub async fn people(&self) -> Vec<ChatPerson> {
        let mut people = Vec::new();
        for open in self.0.iter() {
            if let Some(bridge) = open.line.get() {
                people.extend(bridge.send(ListPeople).await.unwrap_or_default());
            }
        }
        people
    }

    /// Throws somebody out who was let in by a code; answers how many standing permissions of theirs ended.
    ///
    /// # Errors
    /// There is no such bridge or person, the settings name them, or it could not be kept.
    pub async fn remove_person(&self, platform: &str, id: &str, by: By) -> Result<usize, NotRemoved> {
        let none = || NotRemoved::NoBridge(platform.to_owned());
        let open = self.0.iter().find(|open| open.name == platform).ok_or_else(none)?;
        let bridge = open.line.get().ok_or_else(none)?;
        bridge.send(RemovePerson { id: id.to_owned(), by }).await.map_err(|_| none())?
    }

    /// A code with which somebody on one of the platforms can be paired, once; `None` without bridges.
    pub fn pair(&self) -> Option<String> {
        self.0.first().map(|open| open.codes.issue(Instant::now()))
    }
}
