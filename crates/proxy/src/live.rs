//! What is done to traffic at the moment. Who changes it acts from the next request on; a request keeps to what was when it came.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use fracas_core::chaos::ChaosConfig;
use fracas_telemetry::proxy::Traffic;

use crate::faults::breaker::Breaker;
use crate::faults::bulkhead::Places;
use crate::faults::pattern::Pattern;
use crate::faults::rate_limit::Limiter;

/// The configuration, with what it has counted so far.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) config: ChaosConfig,
    /// Of the block, also while that is off.
    limiter: Option<Arc<Limiter>>,
    /// The same.
    pattern: Option<Arc<Pattern>>,
}

/// The configuration that acts.
#[derive(Debug)]
pub(crate) struct Live {
    now: RwLock<Arc<Active>>,
    /// It goes by the block of the configuration, and has in it what was let pass under another.
    breaker: Arc<Breaker>,
    /// The same.
    places: Arc<Places>,
}

impl Live {
    pub(crate) fn new(config: ChaosConfig, metrics: &Traffic) -> Self {
        Self {
            breaker: Breaker::new(config.circuit_breaker.as_ref(), metrics.circuit_breaker()),
            places: Places::new(config.bulkhead(), metrics.bulkhead()),
            now: RwLock::new(Arc::new(Active::new(config, None))),
        }
    }

    /// The circuit breaker, on or off.
    pub(crate) fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// The places of the bulkhead, on or off.
    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// What acts now.
    pub(crate) fn now(&self) -> Arc<Active> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it, with nobody between the reading and the writing.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ChaosConfig)) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let mut config = now.config.clone();
        change(&mut config);
        self.breaker.configure(config.circuit_breaker.as_ref());
        self.places.configure(config.bulkhead());
        let next = Active::new(config, Some(&**now));
        *now = Arc::new(next);
    }
}

impl Active {
    /// Buckets go on as they are if what fills them has not changed, and so does a pattern.
    fn new(config: ChaosConfig, before: Option<&Self>) -> Self {
        let limiter = config.rate_limit.as_ref().map(|block| {
            let kept = before.and_then(|before| before.limiter.clone());
            kept.filter(|limiter| limiter.is_of(block))
                .unwrap_or_else(|| Arc::new(Limiter::new(block.clone(), Instant::now())))
        });
        let block = config.fault_injection.as_ref();
        let pattern = block.and_then(|block| block.error_pattern.as_ref()).map(|block| {
            let kept = before.and_then(|before| before.pattern.clone());
            kept.filter(|pattern| pattern.is_of(block))
                .unwrap_or_else(|| Arc::new(Pattern::new(block.clone())))
        });
        Self {
            config,
            limiter,
            pattern,
        }
    }

    /// The buckets, if they act.
    pub(crate) fn limiter(&self) -> Option<&Limiter> {
        self.config.rate_limit().and(self.limiter.as_deref())
    }
    /// The pattern of the block of faults, if that acts.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.config.fault_injection().and(self.pattern.as_deref())
    }
}
