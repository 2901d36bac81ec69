//! Slows down who guesses: each wrong token or code of an address is answered later than the one before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::error::ApiError;
use tether_actors::domain::code::Code;

/// So many wrong answers are free: people mistype.
const FREE_FAILURES: u32 = 3;
/// The first delay; it doubles with each failure.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// An address that was quiet for so long begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// At most so many addresses are remembered; the one quiet for longest makes room.
const ADDRESSES: usize = 1024;
/// At most so many requests wait out a delay; more are told to come back later.
const WAITING: usize = 64;

/// The failures of each address.
#[derive(Debug)]
pub struct Throttle {
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    waiting: Semaphore,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { failures: Mutex::default(), waiting: Semaphore::new(WAITING) }
    }
}

impl Throttle {
    /// Notes a failure and waits it out. The error is a 429: too many wait already.
    pub async fn failed(&self, peer: Option<IpAddr>) -> Result<(), ApiError> {
        let delay = self.note(peer);
        if delay.is_zero() {
            return Ok(());
        }
        let Ok(_permit) = self.waiting.try_acquire() else {
            return Err(ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyAttempts,
                "too many wrong tokens or codes: wait a few seconds, then try again",
            ));
        };
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn note(&self, peer: Option<IpAddr>) -> Duration {
        // Without a peer address (a Unix socket, a test) all share one account.
        let key = peer.map_or(IpAddr::from([0, 0, 0, 0]), network);
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if !failures.contains_key(&key) && failures.len() >= ADDRESSES {
            failures.retain(|_, (_, last)| now.duration_since(*last) < FORGET_AFTER);
            let oldest = failures.iter().min_by_key(|(_, (_, last))| *last).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| failures.len() >= ADDRESSES) {
                failures.remove(&oldest);
            }
        }
        let (count, last) = failures.entry(key).or_insert((0, now));
        if now.duration_since(*last) >= FORGET_AFTER {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *last = now;
        delay(*count)
    }
}

/// An IPv6 host owns a whole /64, so that is what counts.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
        v4 => v4,
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(16)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_from_the_fourth_failure_on_up_to_two_seconds() {
        let millis: Vec<u128> = (1..=11).map(|n| delay(n).as_millis()).collect();
        assert_eq!(millis, [0, 0, 0, 50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }

    #[actix_web::test]
    async fn each_address_has_its_own_account_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..3_000_u32 {
            assert_eq!(throttle.note(Some(IpAddr::from(n.to_be_bytes()))), Duration::ZERO);
        }
        assert!(throttle.failures.lock().expect("nobody panicked").len() <= ADDRESSES);
        let peer = Some(IpAddr::from([10, 0, 0, 1]));
        let delays: Vec<Duration> = (0..5).map(|_| throttle.note(peer)).collect();
        assert!(delays[4] > delays[3] && delays[3] > delays[2]);
    }

    #[actix_web::test]
    async fn no_more_than_a_few_dozen_wait_at_once() {
        let throttle = Throttle::default();
        let all = futures_util::future::join_all((0..WAITING + 20).map(|_| throttle.failed(None)));
        let refused = all.await.into_iter().filter_map(Result::err).count();
        assert!(refused >= 1, "none was told to come back later");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_an_account() {
        let a: IpAddr = "2001:db8::1".parse().expect("an address");
        let b: IpAddr = "2001:db8::ffff:2".parse().expect("an address");
        let c: IpAddr = "2001:db8:0:1::1".parse().expect("an address");
        assert_eq!(network(a), network(b));
        assert_ne!(network(a), network(c));
    }
}
