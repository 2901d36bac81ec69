//! Paired devices and the one-time codes that pair them, as every request needs them: in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tether_actors::domain::device::Device;
use tether_actors::domain::ids::DeviceId;
use tether_actors::domain::time::Stamp;
use tether_actors::log::{Log, LogError};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a code can be used.
pub const CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// More codes than this are not kept at once; the oldest goes.
const CODES: usize = 16;
/// Letters and digits that cannot be taken for each other: 5 bits each.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters of a code, 50 bits in all.
const CODE_LENGTH: usize = 10;

/// After so many wrong codes all that are out are void.
const WRONG: u32 = 100;
/// When a device was last seen is stored when what is stored is older than this (seconds).
const SEEN_STEP: i64 = 5 * 60;

/// The devices that may come in, and the codes that are out.
#[derive(Debug)]
pub struct Pairing {
    /// By the hash of the token: what is looked up is no secret, so the time that it takes tells nothing.
    devices: RwLock<HashMap<String, Known>>,
    codes: Mutex<Codes>,
    /// Changes when a device is forgotten, so that what it has open can be closed.
    forgotten: watch::Sender<u64>,
    /// Held while a device is stored or deleted, so that what is stored late brings none back.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    device: Device,
    /// When it was last seen (Unix seconds), and what of that is stored; 0 = never.
    seen: AtomicI64,
    stored: AtomicI64,
}

impl Known {
    fn new(device: Device) -> Self {
        let seen = device.last_seen_at.map_or(0, Stamp::unix);
        Self { device, seen: AtomicI64::new(seen), stored: AtomicI64::new(seen) }
    }

    fn device(&self) -> Device {
        let seen = self.seen.load(Ordering::Relaxed);
        Device { last_seen_at: (seen > 0).then(|| Stamp::from_unix(seen)), ..self.device.clone() }
    }
}

#[derive(Debug, Default)]
struct Codes {
    out: Vec<(String, Instant)>,
    wrong: u32,
}

impl Codes {
    fn drop_old(&mut self) {
        let now = Instant::now();
        self.out.retain(|(_, end)| *end > now);
    }
}

/// A device that came in.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// The device.
    pub device: Device,
    /// Whether it should be stored that it was seen.
    pub store: bool,
}

impl Pairing {
    /// With the devices that the log knows.
    pub fn new(devices: Vec<Device>) -> Self {
        let known = devices.into_iter().map(|device| (device.token_hash.clone(), Known::new(device)));
        Self {
            devices: RwLock::new(known.collect()),
            codes: Mutex::default(),
            forgotten: watch::Sender::new(0),
            storing: tokio::sync::Mutex::default(),
        }
    }

    /// A new code, `XXXXX-XXXXX`.
    pub fn new_code(&self) -> String {
        let mut code: String = rand::random::<[u8; CODE_LENGTH]>()
            .iter()
            .filter_map(|b| ALPHABET.get(usize::from(b % 32)))
            .map(|b| char::from(*b))
            .collect();
        let mut codes = self.codes();
        codes.drop_old();
        if codes.out.len() >= CODES {
            codes.out.remove(0);
        }
        if codes.out.is_empty() {
            codes.wrong = 0;
        }
        codes.out.push((code.clone(), Instant::now() + CODE_LIFETIME));
        code.insert(CODE_LENGTH / 2, '-');
        code
    }

    /// Whether the code is good; it is not any more after this.
    pub fn use_code(&self, code: &str) -> bool {
        let given: String = code
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .take(CODE_LENGTH + 1)
            .collect();
        let mut codes = self.codes();
        codes.drop_old();
        let live = codes.out.len();
        // All are compared, so that the time tells nothing.
        codes.out.retain(|(code, _)| !bool::from(code.as_bytes().ct_eq(given.as_bytes())));
        let good = codes.out.len() < live;
        if !good && live > 0 {
            codes.wrong += 1;
            if codes.wrong >= WRONG {
                tracing::warn!(
                    wrong = codes.wrong,
                    "too many wrong login codes, the ones that are out are void"
                );
                codes.out.clear();
            }
        }
        good
    }

    /// The device with this token, which is seen by this.
    pub fn find(&self, token: &str) -> Option<Found> {
        let devices = self.read();
        if devices.is_empty() {
            return None;
        }
        let known = devices.get(&hash(token))?;
        let now = Stamp::now().unix();
        known.seen.store(now, Ordering::Relaxed);
        let stored = known.stored.load(Ordering::Relaxed);
        let store = now - stored >= SEEN_STEP
            && known.stored.compare_exchange(stored, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Some(Found { device: known.device(), store })
    }

    /// Whether the device may still come in.
    pub fn knows(&self, id: &DeviceId) -> bool {
        self.read().values().any(|known| known.device.id == *id)
    }

    /// Lets a device in, once it is on disk.
    pub async fn add(&self, log: &Log, device: Device) -> Result<(), LogError> {
        let _storing = self.storing.lock().await;
        log.put_device(device.clone()).await?;
        self.write().insert(device.token_hash.clone(), Known::new(device));
        Ok(())
    }

    /// Gives a device another name; `None` if there is no such device.
    pub async fn rename(&self, log: &Log, id: &DeviceId, name: String) -> Result<Option<Device>, LogError> {
        let _storing = self.storing.lock().await;
        let Some(device) = self.get(id) else { return Ok(None) };
        let device = Device { name, ..device };
        log.put_device(device.clone()).await?;
        if let Some(known) = self.write().get_mut(&device.token_hash) {
            known.device.name.clone_from(&device.name);
        }
        Ok(Some(device))
    }

    /// Stores when a device was last seen.
    pub async fn store_seen(&self, log: &Log, id: &DeviceId) -> Result<(), LogError> {
        let _storing = self.storing.lock().await;
        match self.get(id) {
            Some(device) => log.put_device(device).await,
            None => Ok(()),
        }
    }

    /// Lets a device in no more; whether it was known. On disk first: a device that was said to be gone must
    /// not come back with a restart.
    pub async fn remove(&self, log: &Log, id: &DeviceId) -> Result<bool, LogError> {
        let _storing = self.storing.lock().await;
        if !self.knows(id) {
            return Ok(false);
        }
        log.delete_device(id.clone()).await?;
        self.write().retain(|_, known| known.device.id != *id);
        self.forgotten.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// Waits until the device may no longer come in.
    pub async fn wait_forgotten(&self, id: &DeviceId) {
        let mut forgotten = self.forgotten.subscribe();
        while self.knows(id) {
            if forgotten.changed().await.is_err() {
                return;
            }
        }
    }

    /// All devices, the oldest first.
    pub fn list(&self) -> Vec<Device> {
        let mut list: Vec<Device> = self.read().values().map(Known::device).collect();
        list.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
        list
    }

    fn get(&self, id: &DeviceId) -> Option<Device> {
        self.read().values().find(|known| known.device.id == *id).map(Known::device)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Known>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Known>> {
        self.devices.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new token for a device: 32 random bytes in hex.
pub fn new_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// What is kept of a token.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(token: &str) -> Device {
        Device {
            id: DeviceId::random(),
            name: "phone".into(),
            token_hash: hash(token),
            created_at: Stamp::from_unix(0),
            last_seen_at: None,
        }
    }

    #[test]
    fn a_code_works_once_in_any_spelling() {
        let pairing = Pairing::new(Vec::new());
        let code = pairing.new_code();
        assert_eq!(code.len(), 11);
        assert!(!pairing.use_code(""));
        assert!(!pairing.use_code(&format!("{code}A")));
        assert!(!pairing.use_code(&code[..10]));
        assert!(pairing.use_code(&code.to_lowercase().replace('-', " ")));
        assert!(!pairing.use_code(&code), "it worked twice");
    }

    #[actix_web::test]
    async fn a_code_ends_after_ten_minutes_and_old_ones_make_room() {
        let pairing = Pairing::new(Vec::new());
        let old = pairing.new_code();
        pairing.codes().out[0].1 = Instant::now();
        assert!(!pairing.use_code(&old));
        let first = pairing.new_code();
        let codes: Vec<String> = (0..CODES).map(|_| pairing.new_code()).collect();
        assert!(!pairing.use_code(&first));
        assert!(codes.iter().all(|code| pairing.use_code(code)));
    }

    #[actix_web::test]
    async fn guessing_makes_the_codes_void() {
        let pairing = Pairing::new(Vec::new());
        let code = pairing.new_code();
        for _ in 0..WRONG {
            assert!(!pairing.use_code("AAAAA-AAAAA"));
        }
        assert!(!pairing.use_code(&code));
        assert!(pairing.use_code(&pairing.new_code()), "a new one is good");
    }

    #[actix_web::test]
    async fn a_device_comes_in_until_it_is_removed() {
        let log = Log::in_memory();
        let old = device("old");
        let pairing = Pairing::new(vec![old.clone()]);
        let token = new_token();
        let new = device(&token);
        pairing.add(&log, new.clone()).await.expect("it is stored");
        let found = pairing.find(&token).expect("it may come in");
        assert_eq!((found.device.id, found.store), (new.id.clone(), true));
        assert!(found.device.last_seen_at.is_some());
        assert!(!pairing.find(&token).expect("it may come in").store, "it was just told to be stored");
        assert_eq!(pairing.find("old").map(|found| found.device.id), Some(old.id));
        assert_eq!(pairing.find(&new.token_hash), None, "the hash is no token");
        let renamed = pairing.rename(&log, &new.id, "phone of Ana".into()).await.expect("it is stored");
        assert_eq!(renamed.expect("it is there").name, "phone of Ana");
        let mut gone = std::pin::pin!(pairing.wait_forgotten(&new.id));
        assert!(crate::api::tests::is_pending(gone.as_mut()));
        assert!(pairing.remove(&log, &new.id).await.expect("it is stored"));
        gone.await;
        assert_eq!(pairing.find(&token), None);
        pairing.store_seen(&log, &new.id).await.expect("nothing is to be stored");
        assert!(log.list_devices().await.expect("the log answers").is_empty(), "it came back");
        assert!(!pairing.remove(&log, &new.id).await.expect("nothing is to be stored"));
        assert_eq!(pairing.list().len(), 1);
    }
}
