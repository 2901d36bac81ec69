//! Removing the entries of a deleted session, a slice at a time.

use super::compact;
use super::keys::{self, Kind};
use super::store::{Batch, EventStore, StoreError, go_on};
use crate::domain::ids::SessionId;

/// Removes at most about `limit` entries and adds their bytes to `removed`; true when none is left, the mark
/// of the deletion included.
pub(super) fn slice(
    store: &mut dyn EventStore,
    session: &SessionId,
    limit: usize,
    removed: &mut u64,
) -> Result<bool, StoreError> {
    // Approvals first and by themselves: entries elsewhere are found through them.
    let mut approvals = Vec::new();
    store.scan(&Kind::Approval.of(session), &mut |key, value| {
        *removed += (key.len() + value.len()) as u64;
        approvals.extend(keys::split(key).and_then(|(_, tail)| keys::parse_approval_id(tail)));
        go_on(approvals.len() < limit / 4)
    })?;
    if !approvals.is_empty() {
        let mut batch = Batch::default();
        for id in approvals {
            let index = keys::approval_index(&id);
            let place = store.get(&index)?;
            if let Some((_, ordinal)) = place.and_then(|value| keys::parse_approval_index_value(&value)) {
                batch.delete(keys::approval_ordinal(ordinal));
            }
            batch.delete(index);
            batch.delete(keys::unsettled(session, &id));
            batch.delete(keys::approval(session, &id));
        }
        store.apply(&batch)?;
        return Ok(false);
    }
    for kind in [Kind::Event, Kind::Approval, Kind::Unsettled, Kind::Grant, Kind::Input] {
        let slice = store.delete_range(&kind.of(session), limit)?;
        *removed += slice.bytes;
        if slice.entries > 0 {
            return Ok(false);
        }
    }
    let mut batch = Batch::default();
    batch.delete(keys::tombstone(session));
    compact::note_deleted(&mut batch, compact::deleted_bytes(store)?.saturating_add(*removed));
    store.commit(&batch)?;
    *removed = 0;
    Ok(true)
}
