//! What the bridges to chat platforms keep: how far each session was told, what is yet to be sent, which message
//! shows which approval. The log does not look into it; all entries of one [`SaveBridge`] change together.
//!
//! The kind of entry was added to version 1 of the schema: a program that does not know it leaves it alone.

use actix::{Context, Handler, Message};
use bytes::Bytes;

use super::event_log::{EventLog, later};
use super::handle::Log;
use super::keys;
use super::ledger::Ledger;
use super::messages::{Class, LogError};
use super::promise::{self, Answer, Answered};
use super::queries::entries;
use super::store::Batch;

/// Keep these under their names, all or nothing; `None` = forget what is kept there.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), LogError>")]
pub struct SaveBridge {
    /// Whose; a word without a slash.
    pub bridge: String,
    /// Names with what is kept there.
    pub entries: Vec<(String, Option<Bytes>)>,
}

/// All that a bridge keeps, with the names.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<(String, Bytes)>, LogError>")]
pub struct ListBridge(pub String);

impl Log {
    /// See [`SaveBridge`].
    pub async fn save_bridge(&self, save: SaveBridge) -> Result<(), LogError> {
        self.addr.send(save).await.unwrap_or(Err(LogError::Closed))
    }

    /// See [`ListBridge`].
    pub async fn list_bridge(&self, bridge: &str) -> Result<Vec<(String, Bytes)>, LogError> {
        self.addr.send(ListBridge(bridge.to_owned())).await.unwrap_or(Err(LogError::Closed))
    }
}

impl Ledger {
    fn save_bridge(&mut self, save: SaveBridge) -> Result<Answered<()>, LogError> {
        self.accepts(Class::Essential)?;
        let mut batch = Batch::default();
        for (name, value) in save.entries {
            let key = keys::bridge(&save.bridge, &name);
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let (promise, later) = promise::pair();
        self.stage(batch, None, Answer::Done(promise));
        Ok(later)
    }

    fn list_bridge(&mut self, bridge: &str) -> Result<Vec<(String, Bytes)>, LogError> {
        self.commit();
        let found = entries(self.trusted()?, &keys::bridge_all(bridge))?;
        Ok(found
            .into_iter()
            .filter_map(|(key, value)| Some((keys::parse_bridge_name(&key)?, value)))
            .collect())
    }
}

impl Handler<SaveBridge> for EventLog {
    type Result = Answered<()>;

    fn handle(&mut self, save: SaveBridge, ctx: &mut Context<Self>) -> Self::Result {
        let staged = self.ledger.save_bridge(save);
        self.follow_up(ctx);
        later(staged)
    }
}

impl Handler<ListBridge> for EventLog {
    type Result = Result<Vec<(String, Bytes)>, LogError>;

    fn handle(&mut self, ListBridge(bridge): ListBridge, ctx: &mut Context<Self>) -> Self::Result {
        let found = self.ledger.list_bridge(&bridge);
        self.follow_up(ctx);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory_store::MemoryDisk;
    use super::*;

    fn save(bridge: &str, entries: &[(&str, Option<&'static str>)]) -> SaveBridge {
        let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), value.map(Bytes::from)));
        SaveBridge { bridge: bridge.to_owned(), entries: entries.collect() }
    }

    #[actix::test]
    async fn what_a_bridge_keeps_is_its_own_and_is_there_again_after_a_restart() {
        let disk = MemoryDisk::default();
        let log = Log::on_memory(disk.clone()).expect("memory opens");
        log.save_bridge(save("one", &[("@own", Some("1")), ("sess_a", Some("2"))])).await.expect("it saves");
        log.save_bridge(save("one", &[("@own", None), ("sess_b/c", Some("3"))])).await.expect("it saves");
        log.save_bridge(save("one0", &[("x", Some("4"))])).await.expect("it saves");
        let log = Log::on_memory(disk).expect("memory opens again");
        let kept = log.list_bridge("one").await.expect("it lists");
        let expected = [("sess_a", "2"), ("sess_b/c", "3")];
        assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), Bytes::from(value))));
        assert_eq!(log.list_bridge("on").await.expect("it lists"), []);
    }
}
