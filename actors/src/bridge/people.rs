//! Who may act: the people of the settings, and those who were paired with a code.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use sha2::{Digest, Sha256};

/// How long a code is good.
pub const CODE_LIVES: Duration = Duration::from_secs(600);
/// After so many wrong codes, whoever gave them, all codes are void.
const WRONG: usize = 5;
/// Characters of a code: no two that look alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters of a code: 60 bits.
const LENGTH: usize = 12;

/// The codes that are good now. Clones are the same ones; a restart voids them.
#[derive(Clone, Debug, Default)]
pub struct Codes(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// What codes hash to, and until when they are good.
    good: Vec<([u8; 32], Instant)>,
    wrong: usize,
}

impl Codes {
    /// A new code, good once.
    pub fn issue(&self, now: Instant) -> String {
        let code = random_word(LENGTH);
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.good.retain(|(_, end)| now < *end);
        book.good.push((hash(&code), now + CODE_LIVES));
        book.wrong = 0;
        code
    }

    /// Uses a code up; `false` = it is none, or was used, or has ended.
    pub fn redeem(&self, code: &str, now: Instant) -> bool {
        let code: String =
            code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let hash = hash(&code);
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.good.retain(|(_, end)| now < *end);
        let found = book.good.iter().position(|(good, _)| *good == hash);
        match found {
            Some(index) => {
                book.good.remove(index);
                true
            }
            None => {
                book.wrong += 1;
                if book.wrong >= WRONG {
                    book.good.clear();
                }
                false
            }
        }
    }
}

/// Compared by what they hash to, so that time tells nothing.
fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

/// A random word of letters and digits.
pub fn random_word(length: usize) -> String {
    let mut random = rand::rng();
    (0..length)
        .filter_map(|_| LETTERS.get(random.random_range(0..LETTERS.len())).map(|letter| char::from(*letter)))
        .collect()
}

/// The people that the settings name, by the platform's ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(pub BTreeSet<String>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_a_while() {
        let codes = Codes::default();
        let now = Instant::now();
        let (one, two) = (codes.issue(now), codes.issue(now));
        assert!(codes.redeem(&format!(" {}-{} ", &one[..6].to_uppercase(), &one[6..]), now));
        assert!(!codes.redeem(&one, now), "used up");
        assert!(!codes.redeem(&two, now + CODE_LIVES), "ended");
    }

    #[test]
    fn guessing_voids_all_codes() {
        let codes = Codes::default();
        let now = Instant::now();
        let code = codes.issue(now);
        for _ in 0..WRONG {
            assert!(!codes.redeem("guess", now));
        }
        assert!(!codes.redeem(&code, now));
        assert!(codes.redeem(&codes.issue(now), now), "a new one is good again");
    }
}
