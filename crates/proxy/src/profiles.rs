//! Profiles of somebody's own. They live as long as the proxy.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fracas_core::chaos::ChaosProfile;

/// So many there are at most.
pub(crate) const MOST: usize = 64;
/// In bytes, as JSON.
pub(crate) const LARGEST: usize = 64 << 10;

/// Profiles of somebody's own, by their names.
#[derive(Debug, Default)]
pub(crate) struct Profiles(Mutex<BTreeMap<String, ChaosProfile>>);

/// Why a profile was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// There is one of this name.
    Known,
    /// There are too many.
    Full,
    /// It is too large.
    Large,
}

impl Profiles {
    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<ChaosProfile> {
        self.lock().values().cloned().collect()
    }

    /// The one of this name.
    pub(crate) fn get(&self, name: &str) -> Option<ChaosProfile> {
        self.lock().get(name).cloned()
    }

    /// Keeps one.
    pub(crate) fn keep(&self, profile: ChaosProfile) -> Result<(), NotKept> {
        if serde_json::to_vec(&profile).map_or(usize::MAX, |text| text.len()) > LARGEST {
            return Err(NotKept::Large);
        }
        let mut all = self.lock();
        if all.contains_key(&profile.name) {
            return Err(NotKept::Known);
        }
        if all.len() >= MOST {
            return Err(NotKept::Full);
        }
        all.insert(profile.name.clone(), profile);
        Ok(())
    }

    /// Forgets one, and tells whether there was one.
    pub(crate) fn forget(&self, name: &str) -> bool {
        self.lock().remove(name).is_some()
    }

    // What is in there is whole at every moment.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ChaosProfile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, description: usize) -> ChaosProfile {
        ChaosProfile {
            name: name.to_owned(),
            description: Some("d".repeat(description)),
            tags: Vec::new(),
            chaos_config: fracas_core::chaos::ChaosConfig::default(),
        }
    }

    #[test]
    fn so_many_are_kept_and_no_larger() {
        let profiles = Profiles::default();
        assert_eq!(profiles.keep(named("a", LARGEST)), Err(NotKept::Large));
        for number in 0..MOST {
            assert_eq!(profiles.keep(named(&number.to_string(), 1)), Ok(()));
        }
        assert_eq!(profiles.keep(named("0", 1)), Err(NotKept::Known));
        assert_eq!(profiles.keep(named("a", 1)), Err(NotKept::Full));
        assert!(profiles.forget("0") && !profiles.forget("0"));
        assert_eq!(profiles.keep(named("a", 1)), Ok(()));
        assert_eq!(profiles.all().len(), MOST);
    }
}
