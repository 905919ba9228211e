//! How long injections may be on, whatever the runner says and does.

use std::time::Duration;

use fracas_core::ids::InjectionId;
use tokio::time::Instant;

/// The bounds of one run. Time counts from the first injection of the run: one that comes later, or that is put on again because its
/// target came back as another, does not begin it anew.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// When the first injection of the run was asked for.
    began: Option<Instant>,
    /// Until when each may be on.
    until: Vec<(Instant, InjectionId)>,
}

impl Bounds {
    /// These are to be put on, each for so long at most. Gives those whose time is over already: they must not come on.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        injections: impl Iterator<Item = (InjectionId, Duration)>,
    ) -> Vec<InjectionId> {
        let began = *self.began.get_or_insert(now);
        let mut late = Vec::new();
        for (injection, at_most) in injections {
            let until = began + at_most;
            if until <= now {
                late.push(injection);
            } else {
                self.until.retain(|(_, other)| *other != injection);
                self.until.push((until, injection));
            }
        }
        late
    }

    /// Those whose time is over; each is given once.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<InjectionId> {
        let expired = self.until.extract_if(.., |(until, _)| *until <= now);
        expired.map(|(_, injection)| injection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InjectionId = InjectionId(1);
    const TWO: InjectionId = InjectionId(2);

    fn begin(bounds: &mut Bounds, now: Instant, injection: InjectionId) -> Vec<InjectionId> {
        bounds.begin(now, [(injection, Duration::from_secs(10))].into_iter())
    }

    #[test]
    fn the_bound_holds_from_the_first_injection_however_often_one_is_put_on_again() {
        let (mut bounds, start) = (Bounds::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(begin(&mut bounds, at(0), ONE), []);
        assert_eq!(begin(&mut bounds, at(4), TWO), []);
        // The target of the first restarted, and was followed.
        assert_eq!(begin(&mut bounds, at(8), ONE), []);
        assert_eq!(bounds.expired(at(9)), []);
        assert_eq!(bounds.expired(at(10)), [TWO, ONE]);
        assert_eq!(bounds.expired(at(11)), []);
        // Nor does it come on again afterwards.
        assert_eq!(begin(&mut bounds, at(12), ONE), [ONE]);
        assert_eq!(bounds.expired(at(99)), []);
    }
}
