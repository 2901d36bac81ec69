//! Paired devices and the one-time codes that pair them, as every request needs them: in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tether_actors::domain::device::Device;
use tether_actors::domain::ids::DeviceId;
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

/// The devices that may come in, and the codes that are out.
#[derive(Debug)]
pub struct Pairing {
    /// By the hash of the token: what is looked up is no secret, so the time that it takes tells nothing.
    devices: RwLock<HashMap<String, Device>>,
    codes: Mutex<Vec<(String, Instant)>>,
    /// Changes when a device is forgotten, so that what it has open can be closed.
    forgotten: watch::Sender<u64>,
}

impl Pairing {
    /// With the devices that the log knows.
    pub fn new(devices: Vec<Device>) -> Self {
        let devices = devices.into_iter().map(|device| (device.token_hash.clone(), device)).collect();
        Self { devices: RwLock::new(devices), codes: Mutex::default(), forgotten: watch::Sender::new(0) }
    }

    /// A new code, `XXXXX-XXXXX`.
    pub fn new_code(&self) -> String {
        let mut code: String = rand::random::<[u8; CODE_LENGTH]>()
            .iter()
            .filter_map(|b| ALPHABET.get(usize::from(b % 32)))
            .map(|b| char::from(*b))
            .collect();
        let mut codes = self.codes();
        let now = Instant::now();
        codes.retain(|(_, end)| *end > now);
        if codes.len() >= CODES {
            codes.remove(0);
        }
        codes.push((code.clone(), now + CODE_LIFETIME));
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
        let now = Instant::now();
        codes.retain(|(_, end)| *end > now);
        let live = codes.len();
        // All are compared, so that the time tells nothing.
        codes.retain(|(code, _)| !bool::from(code.as_bytes().ct_eq(given.as_bytes())));
        codes.len() < live
    }

    /// The device with this token.
    pub fn find(&self, token: &str) -> Option<Device> {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        if devices.is_empty() {
            return None;
        }
        devices.get(&hash(token)).cloned()
    }

    /// Whether the device may still come in.
    pub fn knows(&self, id: &DeviceId) -> bool {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).values().any(|device| device.id == *id)
    }

    /// Lets a device in.
    pub fn add(&self, device: Device) {
        self.devices
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(device.token_hash.clone(), device);
    }

    /// Lets a device in no more.
    pub fn remove(&self, id: &DeviceId) {
        self.devices.write().unwrap_or_else(PoisonError::into_inner).retain(|_, device| device.id != *id);
        self.forgotten.send_modify(|count| *count += 1);
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
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Device> = devices.values().cloned().collect();
        list.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
        list
    }

    fn codes(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
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
    use tether_actors::domain::time::Stamp;

    use super::*;

    fn device(token: &str) -> Device {
        Device {
            id: DeviceId::random(),
            name: "phone".into(),
            token_hash: hash(token),
            created_at: Stamp::from_unix(0),
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
        pairing.codes()[0].1 = Instant::now();
        assert!(!pairing.use_code(&old));
        let first = pairing.new_code();
        let codes: Vec<String> = (0..CODES).map(|_| pairing.new_code()).collect();
        assert!(!pairing.use_code(&first));
        assert!(codes.iter().all(|code| pairing.use_code(code)));
    }

    #[actix_web::test]
    async fn a_device_comes_in_until_it_is_removed() {
        let old = device("old");
        let pairing = Pairing::new(vec![old.clone()]);
        let token = new_token();
        let new = device(&token);
        pairing.add(new.clone());
        assert_eq!(pairing.find(&token), Some(new.clone()));
        assert_eq!(pairing.find("old").map(|device| device.id), Some(old.id));
        assert_eq!(pairing.find(&new.token_hash), None, "the hash is no token");
        let mut gone = std::pin::pin!(pairing.wait_forgotten(&new.id));
        assert!(crate::api::tests::is_pending(gone.as_mut()));
        pairing.remove(&new.id);
        gone.await;
        assert_eq!(pairing.find(&token), None);
        assert_eq!(pairing.list().len(), 1);
    }
}
