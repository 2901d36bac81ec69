//! Where each session's actors are. Written by the registry alone, read by everybody.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::cell::CellAddr;
use crate::domain::ids::SessionId;

/// A cheap handle; the lock is held for a look-up only.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<HashMap<SessionId, CellAddr>>>);

impl Directory {
    /// The session's actors, if they run.
    pub fn find(&self, session: &SessionId) -> Option<CellAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }

    pub(super) fn put(&self, session: SessionId, cell: CellAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(session, cell);
    }

    pub(super) fn remove(&self, session: &SessionId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}
