//! One call of the platform for one thing that is to be done.

use sha2::{Digest, Sha256};

use super::actor::Deps;
use super::cards;
use super::media;
use super::pace::Kind;
use super::platform::{Failure, FileOut, Message as Words, Place, Rendered, Sent};
use super::record::{Act, FileSource, Item, Target};
use crate::domain::ids::SessionId;

/// What is asked of the platform.
pub(super) enum Job {
    Open { title: String },
    Item(Box<Item>, Place),
    Show { index: usize, text: Rendered, id: Option<String>, place: Place },
}

impl Job {
    /// Which allowance it is of.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Show { id: Some(_), .. } => Kind::Edit,
            Self::Item(item, _) if matches!(item.act, Act::Edit { .. } | Act::Title(_) | Act::Close(_)) => {
                Kind::Edit
            }
            _ => Kind::Message,
        }
    }
}

/// What it did.
pub(super) enum Did {
    Nothing,
    Sent(Sent),
    Opened(String),
}

/// The same for every try of an item, and for no other.
pub(super) fn nonce(platform: &str, lane: &str, what: &str) -> String {
    let seed = format!("{platform}/{lane}/{what}");
    let hash = hex::encode(Sha256::digest(seed.as_bytes()));
    hash.get(..24).unwrap_or_default().to_owned()
}

pub(super) async fn perform(
    deps: &Deps,
    session: Option<&SessionId>,
    job: &Job,
    nonce: &str,
) -> Result<Did, Failure> {
    let platform = &deps.platform;
    let (item, place) = match job {
        Job::Open { title } => return platform.open_thread(title, nonce).await.map(Did::Opened),
        Job::Show { text, id, place, .. } => {
            let message = Words { text: text.clone(), quiet: true, ..Words::default() };
            return match id {
                Some(id) => platform.edit(place, id, &message).await.map(|()| Did::Nothing),
                None => platform.send(place, &message, nonce).await.map(Did::Sent),
            };
        }
        Job::Item(item, place) => (item, place),
    };
    match (&item.act, place) {
        (Act::Send { message, .. }, _) => platform.send(place, message, nonce).await.map(Did::Sent),
        (Act::Edit { target: Target::Id(id), message }, _) => {
            platform.edit(place, id, message).await.map(|()| Did::Nothing)
        }
        (Act::Edit { .. }, _) => Ok(Did::Nothing),
        (Act::File(source), _) => {
            let file = file_of(deps, session, source).await.map_err(Failure::Refused)?;
            platform.send_file(place, &file, nonce).await.map(Did::Sent)
        }
        (Act::Title(title), Place::Thread(id)) => {
            platform.rename_thread(id, title).await.map(|()| Did::Nothing)
        }
        (Act::Close(closed), Place::Thread(id)) => {
            platform.close_thread(id, *closed).await.map(|()| Did::Nothing)
        }
        (Act::Title(_) | Act::Close(_), _) => Ok(Did::Nothing),
    }
}

async fn file_of(deps: &Deps, session: Option<&SessionId>, source: &FileSource) -> Result<FileOut, String> {
    match source {
        FileSource::Text { name, text } => {
            Ok(FileOut { name: name.clone(), bytes: text.clone().into(), caption: String::new() })
        }
        FileSource::Whole(id) => {
            let log = deps.world.log();
            let approval = match log.read_model.open_approval(id) {
                Some(open) => Some((*open).clone()),
                None => log.find_approval(id.clone()).await.map_err(|error| error.to_string())?,
            };
            let approval = approval.ok_or_else(|| format!("approval {id} is not there any more"))?;
            let (name, text) = cards::whole(&approval);
            Ok(FileOut { name, bytes: text.into(), caption: cards::in_a_line(&approval) })
        }
        FileSource::Path(path) => {
            let entry = session.and_then(|session| deps.world.read_model().session(session));
            let directory = entry.map(|entry| entry.record.session.directory.clone()).unwrap_or_default();
            media::read_out(&directory, path, deps.platform.traits().file_out).await
        }
    }
}
