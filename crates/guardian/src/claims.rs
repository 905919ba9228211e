//! What this guardian holds against other runs, and what its own injections hold against each other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fracas_core::ids::InjectionId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_faults::Resource;
use fracas_linux::claim::{Claim, claim};

use crate::state::State;

/// All claims of one guardian.
#[derive(Debug, Default)]
pub struct Claims {
    /// Which injection holds which resource.
    holders: HashMap<String, InjectionId>,
    /// The locks, by the object they are on; shared by the injections of this run.
    locks: HashMap<PathBuf, (Claim, Vec<InjectionId>)>,
}

impl Claims {
    /// Claims all of it for one injection, or nothing.
    ///
    /// # Errors
    /// F004 if another injection of this run holds one of them, G003 if another run does.
    pub fn take(&mut self, injection: InjectionId, what: &str, resources: &[Resource], state: &State) -> Result<()> {
        for resource in resources {
            if let Some(holder) = self.holders.get(&resource.key).filter(|holder| **holder != injection) {
                return Err(Problem::new(
                    &codes::CONFLICT,
                    format!("{what}: injection {holder} of this run holds {}", resource.key),
                ));
            }
        }
        let taken = self.lock(injection, what, resources, state);
        if taken.is_err() {
            self.release(injection);
        }
        taken
    }

    fn lock(&mut self, injection: InjectionId, what: &str, resources: &[Resource], state: &State) -> Result<()> {
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
            self.holders.insert(resource.key.clone(), injection);
        }
        Ok(())
    }

    /// Lets other injections of this run have what this one held. Against other runs it is kept until the end: the certificate looks
    /// at it again then, and could not tell their value from ours.
    pub fn settle(&mut self, injection: InjectionId) {
        self.holders.retain(|_, holder| *holder != injection);
    }

    /// Lets go of whatever an injection holds.
    pub fn release(&mut self, injection: InjectionId) {
        self.holders.retain(|_, holder| *holder != injection);
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
    match locks.create_new(&name) {
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
