//! What this guardian holds against other runs, and what its own injections hold against each other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fracas_core::ids::InjectionId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_faults::Resource;
use fracas_linux::claim::{Claim, claim};

use crate::protocol::Turn;
use crate::state::State;

/// All claims of one guardian.
#[derive(Debug, Default)]
pub struct Claims {
    /// Which injections hold which resource, each in its turn, and what each is in words.
    holders: HashMap<String, Vec<(Holder, String)>>,
    /// The locks, by the object they are on; shared by the injections of this run.
    locks: HashMap<PathBuf, (Claim, Vec<InjectionId>)>,
}

/// An injection that holds a resource.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// Which.
    pub injection: InjectionId,
    /// When it is to be on.
    pub turn: Turn,
    /// It is being put on: whatever was planned, now it has the resource.
    pub on: bool,
}

impl Holder {
    /// Whether both may have the same resource: at different times, and not one while the other still has it.
    fn agrees_with(self, other: Self) -> bool {
        self.injection == other.injection || self.turn.is_apart_from(other.turn) && !(self.on && other.on)
    }
}

impl Claims {
    /// Claims all of it for one injection, or nothing.
    ///
    /// # Errors
    /// F004 if another injection of this run holds one of them at the same time, G003 if another run does.
    pub fn take(&mut self, holder: Holder, what: &str, resources: &[Resource], state: &State) -> Result<()> {
        for resource in resources {
            let mut others = self.holders.get(&resource.key).into_iter().flatten();
            if let Some((_, other)) = others.find(|(other, _)| !holder.agrees_with(*other)) {
                return Err(Problem::new(
                    &codes::CONFLICT,
                    format!("{what}: {other} has {} at the same time", resource.key),
                ));
            }
        }
        let taken = self.lock(holder, what, resources, state);
        if taken.is_err() {
            self.release(holder.injection);
        }
        taken
    }

    fn lock(&mut self, holder: Holder, what: &str, resources: &[Resource], state: &State) -> Result<()> {
        let injection = holder.injection;
        for resource in resources {
            let path = match &resource.object {
                Some(object) => PathBuf::from(object),
                None => lock_file(state, &resource.key)?,
            };
            if let Some((_, holders)) = self.locks.get_mut(&path) {
                holders.push(injection);
            } else {
                let lock = claim(&path)
                    .map_err(|error| {
                        Problem::new(&codes::CLAIMED, format!("{what}: cannot claim {}", path.display()))
                            .because(&error)
                    })?
                    .ok_or_else(|| held(what, resource, &path, state))?;
                self.locks.insert(path, (lock, vec![injection]));
            }
            let holders = self.holders.entry(resource.key.clone()).or_default();
            holders.retain(|(other, _)| other.injection != injection);
            holders.push((holder, what.to_owned()));
        }
        Ok(())
    }

    /// Lets other injections of this run have what this one held. Against other runs it is kept until the end: the certificate looks
    /// at it again then, and could not tell their value from ours.
    pub fn settle(&mut self, injection: InjectionId) {
        self.forget(injection);
    }

    fn forget(&mut self, injection: InjectionId) {
        self.holders.retain(|_, holders| {
            holders.retain(|(holder, _)| holder.injection != injection);
            !holders.is_empty()
        });
    }

    /// Lets go of whatever an injection holds.
    pub fn release(&mut self, injection: InjectionId) {
        self.forget(injection);
        self.locks.retain(|_, (_, holders)| {
            holders.retain(|holder| *holder != injection);
            !holders.is_empty()
        });
    }
}

fn lock_file(state: &State, key: &str) -> Result<PathBuf> {
    let locks = state.locks()?;
    let name: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match locks.create_new_for_now(&name) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(Problem::new(&codes::STATE_WRITE, format!("cannot make the lock {name}")).because(&error));
        }
    }
    Ok(locks.path().join(name))
}

/// Names the run that holds it, if the state directory knows.
fn held(what: &str, resource: &Resource, path: &Path, state: &State) -> Box<Problem> {
    let problem = Problem::new(&codes::CLAIMED, format!("{what}: another run holds {}", path.display()));
    let runs = state.runs().unwrap_or_default();
    let holder = runs.iter().find(|kept| {
        let Some(Ok(contents)) = &kept.ledger else { return false };
        kept.kept
            && contents.entries.values().any(|entry| {
                fracas_faults::find(&entry.planned.fault)
                    .and_then(|fault| (fault.resources)(&entry.planned.undo).ok())
                    .is_some_and(|theirs| {
                        theirs.iter().any(|their| {
                            their.object == resource.object && their.object.is_some() || their.key == resource.key
                        })
                    })
            })
    });
    match holder {
        Some(kept) => problem.next(format!("wait for run {}, or `fracas stop {}`", kept.run, kept.run)),
        None => problem.since("the run that holds it has nothing on it yet, or belongs to another state directory"),
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::units::Span;

    use super::*;

    fn holder(number: u32, from: u64, until: Option<u64>, on: bool) -> Holder {
        Holder {
            injection: InjectionId(number),
            turn: Turn {
                from: Span::secs(from),
                until: until.map(Span::secs),
                series: None,
            },
            on,
        }
    }

    #[test]
    fn two_injections_of_a_run_may_have_a_resource_one_after_the_other() {
        let place = tempfile::tempdir().unwrap();
        let state = State::open(&place.path().join("state")).unwrap();
        let resources = [Resource {
            key: "it".into(),
            object: None,
        }];
        let first = holder(0, 0, Some(10), false);
        for (second, agreed) in [
            (holder(1, 11, None, false), true),
            (holder(1, 10, None, false), false),
            (holder(1, 5, Some(6), false), false),
            (holder(1, 0, None, false), false),
        ] {
            let mut claims = Claims::default();
            claims.take(first, "first", &resources, &state).unwrap();
            let taken = claims.take(second, "second", &resources, &state);
            assert_eq!(taken.is_ok(), agreed, "{second:?}: {taken:?}");
            if let Err(problem) = taken {
                assert_eq!(problem.what, "second: first has it at the same time");
            }
        }
        // Whatever was planned: one that is late keeps it until it is undone.
        let mut claims = Claims::default();
        let second = holder(1, 11, None, false);
        claims.take(first, "first", &resources, &state).unwrap();
        claims.take(second, "second", &resources, &state).unwrap();
        claims
            .take(Holder { on: true, ..first }, "first", &resources, &state)
            .unwrap();
        let second = Holder { on: true, ..second };
        let refused = claims.take(second, "second", &resources, &state).unwrap_err();
        assert_eq!(refused.code, &codes::CONFLICT);
        claims.settle(InjectionId(0));
        claims.take(second, "second", &resources, &state).unwrap();
    }
}
