//! What the toxics of one direction come to, for one connection.

use std::time::{Duration, Instant};

use fracas_core::seed::Seed;

use super::toxic::{Kind, Slicer, Stream, Toxic};

/// Which stream of which connection of which proxy; stable between runs in which clients come in the same order.
#[derive(Debug, Clone)]
pub(crate) struct Which {
    pub(crate) seed: Seed,
    pub(crate) proxy: String,
    /// The how-manieth connection of this proxy.
    pub(crate) connection: u64,
    pub(crate) stream: Stream,
}

impl Which {
    /// Whether a toxic acts on this connection: decided once, by seed, name and number, however often it is looked at.
    fn meets(&self, toxic: &Toxic) -> bool {
        let identity = format!("{} {}", self.proxy, toxic.name);
        // Not compared for 1: a draw is always less. And with 0 none is.
        self.seed.draw("toxicity", &identity, self.connection).uniform() < toxic.toxicity
    }

    /// From -1 up to, and without, 1.
    fn spread(&self, purpose: &str, toxic: &str, ordinal: u64) -> f64 {
        let (proxy, stream) = (&self.proxy, self.stream.as_str());
        let identity = format!("{proxy} {toxic} {} {stream}", self.connection);
        self.seed.draw(purpose, &identity, ordinal).uniform() * 2.0 - 1.0
    }
}

/// A toxic that acts, and since when, with how many bytes before it.
#[derive(Debug)]
struct Met {
    toxic: Toxic,
    at: Instant,
    passed: u64,
    /// When it first had something to act on.
    begun: Option<Instant>,
}

/// The toxics that act on one stream.
#[derive(Debug)]
pub(crate) struct Effects {
    which: Which,
    met: Vec<Met>,
}

/// How a connection is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    Close,
    Reset,
}

impl Effects {
    pub(crate) fn new(which: Which) -> Self {
        Self { which, met: Vec::new() }
    }

    /// Takes in what there is now. Those that go on keep their beginning. Gives the kinds that are new here.
    pub(crate) fn update(&mut self, toxics: &[Toxic], now: Instant, passed: u64) -> Vec<&'static str> {
        let mut new = Vec::new();
        let mut before = std::mem::take(&mut self.met);
        let of_ours = |toxic: &&Toxic| toxic.stream == self.which.stream && self.which.meets(toxic);
        for toxic in toxics.iter().filter(of_ours).cloned() {
            // By its type, too: it may have been taken away and made anew between two looks.
            let same = |met: &Met| met.toxic.name == toxic.name && met.toxic.kind.name() == toxic.kind.name();
            match before.iter().position(same).map(|index| before.swap_remove(index)) {
                Some(kept) if kept.toxic == toxic => self.met.push(kept),
                // Another time runs from now on. How many bytes have passed is as it was.
                Some(kept) => self.met.push(Met { toxic, at: now, ..kept }),
                None => {
                    new.push(toxic.kind.name());
                    self.met.push(Met {
                        toxic,
                        at: now,
                        passed,
                        begun: None,
                    });
                }
            }
        }
        new
    }

    /// Whether bytes pass as they come.
    pub(crate) fn is_none(&self) -> bool {
        self.met.is_empty()
    }

    /// Whether no byte passes.
    pub(crate) fn holds(&self) -> bool {
        let holds = |met: &Met| matches!(met.toxic.kind, Kind::Timeout(_) | Kind::ResetPeer(_));
        self.met.iter().any(holds)
    }

    /// Something came, or the end did: what waits for that begins.
    pub(crate) fn came(&mut self, now: Instant) {
        for met in &mut self.met {
            met.begun = met.begun.or(Some(now));
        }
    }

    /// Whether the end of what a sender says ends the connection, although nothing passes.
    pub(crate) fn ends_with_sender(&self) -> bool {
        !self.met.iter().any(|met| matches!(met.toxic.kind, Kind::ResetPeer(_)))
    }

    /// Whether any byte comes later than it could.
    pub(crate) fn is_late(&self) -> bool {
        let is_late =
            |met: &Met| matches!(&met.toxic.kind, Kind::Latency(latency) if latency.latency > 0 || latency.jitter > 0);
        self.met.iter().any(is_late)
    }

    /// By how much later the bytes of a read come, the how-manieth it is.
    pub(crate) fn latency(&self, ordinal: u64) -> Duration {
        let one = |met: &Met| {
            let Kind::Latency(latency) = &met.toxic.kind else {
                return 0.0;
            };
            let spread = match latency.jitter {
                0 => 0.0,
                jitter => self.which.spread("jitter", &met.toxic.name, ordinal) * jitter as f64,
            };
            (latency.latency as f64 + spread).max(0.0)
        };
        millis(self.met.iter().map(one).sum())
    }

    /// Bytes in a second.
    pub(crate) fn rate(&self) -> Option<f64> {
        let rate = |met: &Met| match &met.toxic.kind {
            Kind::Bandwidth(bandwidth) => Some(bandwidth.rate as f64 * 1000.0),
            _ => None,
        };
        self.met.iter().filter_map(rate).min_by(f64::total_cmp)
    }

    /// How long the next piece is, the how-manieth it is, and how long there is nothing after it.
    pub(crate) fn slice(&self, ordinal: u64) -> Option<(u64, Duration)> {
        self.met.iter().find_map(|met| match &met.toxic.kind {
            Kind::Slicer(Slicer {
                average_size,
                size_variation,
                delay,
            }) if *average_size > 0 => {
                let spread = self.which.spread("slice", &met.toxic.name, ordinal) * *size_variation as f64;
                let length = (*average_size as f64 + spread).max(1.0) as u64;
                Some((length, Duration::from_micros(*delay)))
            }
            _ => None,
        })
    }

    /// What cuts into pieces.
    pub(crate) fn slicer(&self) -> Option<&Toxic> {
        let toxics = self.met.iter().map(|met| &met.toxic);
        toxics.into_iter().find(|toxic| matches!(toxic.kind, Kind::Slicer(_)))
    }

    /// Up to which byte of the stream bytes pass, and whether some may.
    pub(crate) fn limit(&self) -> Option<(u64, bool)> {
        let limit = |met: &Met| match &met.toxic.kind {
            Kind::LimitData(limit) => Some((met.passed.saturating_add(limit.bytes), limit.bytes > 0)),
            _ => None,
        };
        self.met.iter().filter_map(limit).min()
    }

    /// By how much later the end of the stream comes.
    pub(crate) fn close_delay(&self) -> Duration {
        let delay = |met: &Met| match &met.toxic.kind {
            Kind::SlowClose(slow) => slow.delay as f64,
            _ => 0.0,
        };
        millis(self.met.iter().map(delay).sum())
    }

    /// When the connection is ended whatever it does, and how.
    pub(crate) fn end(&self) -> Option<(Instant, Early)> {
        let end = |met: &Met| {
            let (from, after, how) = match &met.toxic.kind {
                Kind::Timeout(timeout) if timeout.timeout > 0 => (met.at, timeout.timeout, Early::Close),
                Kind::ResetPeer(reset) => (met.begun?, reset.timeout, Early::Reset),
                _ => return None,
            };
            Some((from + millis(after as f64), how))
        };
        self.met.iter().filter_map(end).min_by_key(|(at, _)| *at)
    }
}

/// A day at most: a time that is added to a clock must not run over it.
fn millis(millis: f64) -> Duration {
    Duration::from_secs_f64((millis / 1000.0).min(86_400.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toxic(text: &str) -> Toxic {
        serde_json::from_str::<super::super::toxic::Asked>(text)
            .unwrap()
            .make()
            .unwrap()
    }

    fn effects(connection: u64, toxics: &[Toxic]) -> Effects {
        let mut effects = Effects::new(Which {
            seed: Seed(42),
            proxy: "redis".to_owned(),
            connection,
            stream: Stream::Downstream,
        });
        drop(effects.update(toxics, Instant::now(), 0));
        effects
    }

    #[test]
    fn toxicity_is_a_share_of_connections_and_the_same_ones_again() {
        let share = |toxicity: f64| -> Vec<bool> {
            let toxics = [toxic(&format!(r#"{{"type":"timeout","toxicity":{toxicity}}}"#))];
            (0..10_000)
                .map(|connection| effects(connection, &toxics).holds())
                .collect()
        };
        let some = share(0.3);
        assert_eq!(some, share(0.3));
        let count = some.iter().filter(|met| **met).count();
        // Fixed by the seed; five standard errors.
        assert!((2771..3229).contains(&count), "{count}");
        assert!(share(0.0).iter().all(|met| !met));
        assert!(share(1.0).iter().all(|met| *met));
    }

    #[test]
    fn toxics_of_one_kind_add_up_and_those_of_the_other_stream_do_nothing() {
        let toxics = [
            toxic(r#"{"type":"latency","attributes":{"latency":10}}"#),
            toxic(r#"{"type":"latency","name":"b","attributes":{"latency":5}}"#),
            toxic(r#"{"type":"latency","stream":"upstream","attributes":{"latency":1000}}"#),
            toxic(r#"{"type":"bandwidth","attributes":{"rate":7}}"#),
            toxic(r#"{"type":"bandwidth","name":"c","attributes":{"rate":5}}"#),
        ];
        let effects = effects(0, &toxics);
        assert_eq!(effects.latency(0), Duration::from_millis(15));
        assert_eq!(effects.rate(), Some(5000.0));
    }

    #[test]
    fn jitter_and_slices_stay_within_what_is_asked() {
        let toxics = [
            toxic(r#"{"type":"latency","attributes":{"latency":10,"jitter":4}}"#),
            toxic(r#"{"type":"slicer","attributes":{"average_size":10,"size_variation":3,"delay":50}}"#),
        ];
        let effects = effects(3, &toxics);
        let all: Vec<_> = (0..1000)
            .map(|ordinal| effects.latency(ordinal).as_secs_f64() * 1000.0)
            .collect();
        assert!(all.iter().all(|millis| (6.0..14.0).contains(millis)));
        assert!(all.iter().any(|millis| *millis < 7.0) && all.iter().any(|millis| *millis > 13.0));
        for ordinal in 0..1000 {
            let (length, pause) = effects.slice(ordinal).unwrap();
            assert!((7..13).contains(&length), "{length}");
            assert_eq!(pause, Duration::from_micros(50));
        }
    }

    #[test]
    fn a_time_that_is_changed_runs_anew_and_bytes_go_on() {
        let begun = Instant::now();
        let mut effects = effects(0, &[]);
        let new = effects.update(&[toxic(r#"{"type":"timeout","attributes":{"timeout":100}}"#)], begun, 7);
        assert_eq!(new, ["timeout"]);
        let later = begun + Duration::from_millis(60);
        let new = effects.update(&[toxic(r#"{"type":"timeout","attributes":{"timeout":200}}"#)], later, 9);
        assert!(new.is_empty());
        assert_eq!(effects.end(), Some((later + Duration::from_millis(200), Early::Close)));
        drop(effects.update(&[toxic(r#"{"type":"timeout","attributes":{"timeout":200}}"#)], begun, 9));
        assert_eq!(effects.end(), Some((later + Duration::from_millis(200), Early::Close)));
        let new = effects.update(
            &[toxic(
                r#"{"type":"limit_data","name":"timeout_downstream","attributes":{"bytes":5}}"#,
            )],
            later,
            9,
        );
        assert_eq!(
            (new, effects.limit(), effects.end()),
            (vec!["limit_data"], Some((14, true)), None)
        );
        let less = toxic(r#"{"type":"limit_data","name":"timeout_downstream","attributes":{"bytes":3}}"#);
        assert!(effects.update(&[less], later, 11).is_empty());
        assert_eq!(effects.limit(), Some((12, true)));
    }
}
