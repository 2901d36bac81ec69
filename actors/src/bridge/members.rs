//! The people who may act, for those who look after them: who they are, and how one is thrown out.
//!
//! Whoever is thrown out may do nothing from that moment on: what they asked for and is not answered yet is not done, and
//! the standing permissions that they gave end. Names are what a permission is known to be theirs by, so all names under
//! which somebody acted are kept; where two people have the same name, the permissions of both end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use serde::{Deserialize, Serialize};

use super::actor::Bridge;
use super::platform::Person;
use crate::domain::approval::Actor as By;
use crate::registry::World;

/// An answer that was on its way when somebody was thrown out has arrived by then.
const ARRIVED: Duration = Duration::from_secs(3);

/// Somebody who may use a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChatPerson {
    /// `telegram`, `slack`, `discord`.
    pub platform: String,
    /// The platform's own id of them.
    pub id: String,
    /// What people call them; null for somebody of the settings who was not heard yet.
    pub name: Option<String>,
    /// Whether they were let in by a code; otherwise the settings name them.
    pub paired: bool,
}

/// Why somebody was not thrown out.
#[derive(Debug, thiserror::Error)]
pub enum NotRemoved {
    /// There is no such bridge, or it is being started anew.
    #[error("no chat platform {0} is running")]
    NoBridge(String),
    /// There is no such person.
    #[error("nobody with the id {0} may use this bot")]
    Unknown(String),
    /// The settings name them.
    #[error("{0} is named in {1}: take the id out there, and start the daemon anew")]
    OfSettings(String, String),
    /// It could not be kept.
    #[error("it could not be stored, so nobody was removed: try again")]
    NotKept,
}

/// Where the bridge's actor of now is reached. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<Mutex<Option<Addr<Bridge>>>>);

impl Line {
    /// There is another actor now.
    pub(super) fn set(&self, address: Addr<Bridge>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(super) fn get(&self) -> Option<Addr<Bridge>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who may use this bot?
#[derive(Message)]
#[rtype(result = "Vec<ChatPerson>")]
pub(super) struct ListPeople;

/// Throw somebody out. Answers how many standing permissions of theirs were ended.
#[derive(Message)]
#[rtype(result = "Result<usize, NotRemoved>")]
pub(super) struct RemovePerson {
    pub id: String,
    pub by: By,
}

impl Bridge {
    /// Keeps the name under which somebody acts who may.
    pub(super) fn note_name(&mut self, person: &Person) {
        self.own.names.entry(person.id.clone()).or_default().insert(person.name.clone());
        if let Some(name) = self.own.people.get_mut(&person.id) {
            name.clone_from(&person.name);
        }
    }

    /// Ends what people gave who were taken out of the settings while the daemon was down.
    pub(super) fn end_grants_of_the_gone(&mut self, ctx: &mut Context<Self>) {
        let gone: Vec<String> = self.own.names.keys().filter(|id| !self.may_by_id(id)).cloned().collect();
        for id in gone {
            let names = self.own.names.remove(&id).unwrap_or_default();
            let by = By::Person { surface: "settings".to_owned(), name: None };
            let ended = end_grants(self.deps.world.clone(), self.deps.name(), names, by);
            ctx.spawn(ended.into_actor(self).map(move |ended, bridge, _| {
                tracing::info!(
                    platform = bridge.deps.name(),
                    person = id,
                    ended,
                    "somebody may use the bot no more"
                );
            }));
        }
    }
}

/// Ends the standing permissions that somebody of these names gave on a platform; how many.
async fn end_grants(world: World, platform: &'static str, names: BTreeSet<String>, by: By) -> usize {
    let Ok(grants) = world.grants(None).await else { return 0 };
    let mut ended = 0;
    for grant in grants {
        let theirs = matches!(&grant.created_by, By::Person { surface, name: Some(name) }
            if surface == platform && names.contains(name));
        if theirs && world.revoke_grant(&grant.id, by.clone()).await.is_ok() {
            ended += 1;
        }
    }
    ended
}

impl Handler<ListPeople> for Bridge {
    type Result = MessageResult<ListPeople>;

    fn handle(&mut self, _: ListPeople, _: &mut Self::Context) -> Self::Result {
        let platform = self.deps.name();
        let person = |id: &String, name: Option<String>, paired| ChatPerson {
            platform: platform.to_owned(),
            id: id.clone(),
            name,
            paired,
        };
        let listed = self.deps.allowed.0.iter().map(|id| {
            let name = self.own.names.get(id).and_then(|names| names.last()).cloned();
            person(id, name, false)
        });
        let paired = self.own.people.iter().filter(|(id, _)| !self.deps.allowed.0.contains(*id));
        MessageResult(listed.chain(paired.map(|(id, name)| person(id, Some(name.clone()), true))).collect())
    }
}

impl Handler<RemovePerson> for Bridge {
    type Result = ResponseActFuture<Self, Result<usize, NotRemoved>>;

    fn handle(&mut self, RemovePerson { id, by }: RemovePerson, _: &mut Self::Context) -> Self::Result {
        let refuse = |why| Box::pin(fut::ready(Err(why))) as Self::Result;
        if self.deps.allowed.0.contains(&id) {
            let setting = format!("{}_ALLOWED_USER_IDS", self.deps.name().to_uppercase());
            return refuse(NotRemoved::OfSettings(id, setting));
        }
        let Some(name) = self.own.people.remove(&id) else { return refuse(NotRemoved::Unknown(id)) };
        let mut names = self.own.names.remove(&id).unwrap_or_default();
        names.insert(name.clone());
        self.listings.remove(&id);
        for thread in self.threads.values_mut() {
            let asked = thread.lane.asked.len();
            thread.lane.asked.retain(|asked| asked.person != id);
            thread.dirty |= thread.lane.asked.len() != asked;
        }
        let saved = self.save_own().into_actor(self);
        Box::pin(saved.then(move |saved, bridge, ctx| {
            if !saved {
                bridge.own.people.insert(id.clone(), name);
                bridge.own.names.insert(id, names);
                return Box::pin(fut::ready(Err(NotRemoved::NotKept))) as Self::Result;
            }
            tracing::info!(platform = bridge.deps.name(), person = id, %by, "somebody may use the bot no more");
            let (world, platform) = (bridge.deps.world.clone(), bridge.deps.name());
            let again = end_grants(world.clone(), platform, names.clone(), by.clone());
            ctx.run_later(ARRIVED, move |bridge, ctx| {
                ctx.spawn(again.into_actor(bridge).map(|_, _, _| ()));
            });
            Box::pin(end_grants(world, platform, names, by).into_actor(bridge).map(|ended, _, _| Ok(ended)))
        }))
    }
}
