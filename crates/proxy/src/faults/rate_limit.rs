//! Buckets of tokens.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::chaos::RateLimit;

/// So many addresses and paths have a bucket at a time; what finds no room shares one.
const MOST: usize = 10_000;
/// So often room is looked for: all buckets are looked at for it, and everybody waits meanwhile.
const SWEEPS: Duration = Duration::from_secs(1);

/// The buckets of a rate limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    block: RateLimit,
    buckets: Mutex<Buckets>,
    /// Paths come from clients, so it is drawn anew for each limiter.
    hash: RandomState,
}

#[derive(Debug)]
struct Buckets {
    /// Of all requests, or of those that found no room in `own`.
    shared: Bucket,
    own: HashMap<Own, Bucket>,
    /// When there was no room the last time.
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Own {
    Address(IpAddr),
    /// The hash of a path: paths may be long.
    Path(u64),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(block: RateLimit, now: Instant) -> Self {
        let full = Bucket {
            tokens: f64::from(block.burst_size),
            at: now,
        };
        Self {
            block,
            buckets: Mutex::new(Buckets {
                shared: full,
                own: HashMap::new(),
                swept: None,
            }),
            hash: RandomState::new(),
        }
    }

    /// Whether its block is still this one, on or off.
    pub(crate) fn is_of(&self, block: &RateLimit) -> bool {
        let enabled = self.block.enabled;
        self.block
            == RateLimit {
                enabled,
                ..block.clone()
            }
    }

    /// Takes a token of each bucket that the request needs one of, or none.
    ///
    /// # Errors
    /// After how long there may be one.
    pub(crate) fn take(&self, from: IpAddr, path: &str, now: Instant) -> Result<(), Duration> {
        let (rate, burst) = (
            f64::from(self.block.requests_per_second),
            f64::from(self.block.burst_size),
        );
        let hash = || Own::Path(self.hash.hash_one(path));
        let keys = match (self.block.per_ip, self.block.per_endpoint) {
            (false, false) => [None, None],
            (per_ip, per_endpoint) => [per_ip.then_some(Own::Address(from)), per_endpoint.then(hash)],
        };
        // What is in there is whole at every moment.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.make_room(keys, rate, burst, now);
        let Buckets { shared, own, .. } = &mut *buckets;
        shared.fill(rate, burst, now);
        let mut least = if keys == [None, None] { shared.tokens } else { burst };
        let mut sharing = 0.0;
        for key in keys.into_iter().flatten() {
            let tokens = if own.len() >= MOST && !own.contains_key(&key) {
                sharing += 1.0;
                shared.tokens + 1.0 - sharing
            } else {
                let bucket = own.entry(key).or_insert(Bucket { tokens: burst, at: now });
                bucket.fill(rate, burst, now);
                bucket.tokens
            };
            least = least.min(tokens);
        }
        if least < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - least) / rate));
        }
        if keys == [None, None] {
            shared.tokens -= 1.0;
        }
        for key in keys.into_iter().flatten() {
            own.get_mut(&key).unwrap_or(&mut *shared).tokens -= 1.0;
        }
        Ok(())
    }
}

impl Buckets {
    /// Before any bucket of a request is made: one that is new is full, and would be forgotten for the next.
    fn make_room(&mut self, keys: [Option<Own>; 2], rate: f64, burst: f64, now: Instant) {
        let new = keys.iter().flatten().filter(|key| !self.own.contains_key(*key)).count();
        let rests = self
            .swept
            .is_some_and(|swept| now.saturating_duration_since(swept) < SWEEPS);
        if self.own.len() + new <= MOST || rests {
            return;
        }
        self.swept = Some(now);
        // A full bucket is as none.
        self.own.retain(|_, bucket| {
            bucket.fill(rate, burst, now);
            bucket.tokens < burst
        });
    }
}

impl Bucket {
    fn fill(&mut self, rate: f64, burst: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = rate.mul_add(passed, self.tokens).min(burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn limit(requests_per_second: u32, burst_size: u32) -> RateLimit {
        RateLimit {
            requests_per_second,
            burst_size,
            ..RateLimit::default()
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let begun = Instant::now();
        let limiter = Limiter::new(limit(10, 3), begun);
        let take = |millis| limiter.take(HERE, "/", begun + Duration::from_millis(millis));
        for _ in 0..3 {
            take(0).unwrap();
        }
        assert_eq!(take(0), Err(Duration::from_millis(100)));
        assert_eq!(take(60), Err(Duration::from_millis(40)));
        take(101).unwrap();
        assert!(take(101).is_err());
        // However long the silence, no more than the burst passes at once.
        let passed = (0..10).filter(|_| take(60_000).is_ok()).count();
        assert_eq!(passed, 3);
    }

    #[test]
    fn what_is_refused_by_one_bucket_costs_no_token_of_another() {
        let begun = Instant::now();
        let block = RateLimit {
            per_ip: true,
            per_endpoint: true,
            ..limit(1, 1)
        };
        let limiter = Limiter::new(block, begun);
        let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        assert!(limiter.take(HERE, "/a", begun).is_ok());
        // The path has no token, and that costs the other address none of its own.
        assert!(limiter.take(other, "/a", begun).is_err());
        assert!(limiter.take(other, "/b", begun).is_ok());
    }

    #[test]
    fn addresses_have_buckets_of_their_own_and_a_bound() {
        let begun = Instant::now();
        let block = RateLimit {
            per_ip: true,
            ..limit(1_000_000, 1_000_000)
        };
        let limiter = Limiter::new(block, begun);
        for n in 0..MOST as u32 + 5 {
            let from = IpAddr::V4(Ipv4Addr::from(n));
            limiter.take(from, "/", begun).unwrap();
        }
        assert_eq!(limiter.buckets.lock().unwrap().own.len(), MOST);
        // When they are full again they are forgotten, and there is room.
        let later = begun + Duration::from_secs(5);
        limiter.take(HERE, "/", later).unwrap();
        assert_eq!(limiter.buckets.lock().unwrap().own.len(), 1);
    }

    #[test]
    fn a_bucket_that_was_just_made_is_not_forgotten_for_the_next() {
        let begun = Instant::now();
        let block = RateLimit {
            per_ip: true,
            per_endpoint: true,
            ..limit(1, 10)
        };
        let limiter = Limiter::new(block, begun);
        // One place is left.
        for n in 0..MOST as u32 - 2 {
            limiter.take(IpAddr::V4(Ipv4Addr::from(n)), "/", begun).unwrap();
            limiter
                .buckets
                .lock()
                .unwrap()
                .own
                .get_mut(&Own::Path(limiter.hash.hash_one("/")))
                .unwrap()
                .tokens = 9.0;
        }
        assert_eq!(limiter.buckets.lock().unwrap().own.len(), MOST - 1);
        limiter.take(HERE, "/new", begun).unwrap();
        let buckets = limiter.buckets.lock().unwrap();
        assert_eq!(buckets.own[&Own::Address(HERE)].tokens as u32, 9);
        assert_eq!(buckets.shared.tokens as u32, 9);
    }

    #[test]
    fn two_that_find_no_room_need_two_tokens_of_the_shared_bucket() {
        let begun = Instant::now();
        let block = RateLimit {
            per_ip: true,
            per_endpoint: true,
            ..limit(1, 3)
        };
        let limiter = Limiter::new(block, begun);
        for n in 0..MOST as u32 / 2 {
            let address = IpAddr::V4(Ipv4Addr::from(n));
            limiter.take(address, &n.to_string(), begun).unwrap();
        }
        let strange = IpAddr::V4(Ipv4Addr::BROADCAST);
        limiter.take(strange, "/new", begun).unwrap();
        // One is left, and two are needed.
        assert!(limiter.take(strange, "/new", begun).is_err());
    }

    #[test]
    fn room_is_looked_for_once_in_a_while() {
        let begun = Instant::now();
        let block = RateLimit {
            per_ip: true,
            ..limit(1_000_000, 1_000_000)
        };
        let limiter = Limiter::new(block, begun);
        let take = |n: usize, millis| {
            let from = IpAddr::V4(Ipv4Addr::from(n as u32));
            limiter.take(from, "/", begun + Duration::from_millis(millis)).unwrap();
        };
        for n in 0..=MOST {
            take(n, 0);
        }
        let own = || limiter.buckets.lock().unwrap().own.len();
        // By now all are full again.
        take(MOST, 999);
        assert_eq!(own(), MOST);
        take(MOST, 1000);
        assert_eq!(own(), 1);
    }
}
