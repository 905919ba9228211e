//! The families of metrics: names, labels, buckets and what each says. The reference page is made of the same lines.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// What stands before every name.
const PREFIX: &str = "fracas";

/// Upper bounds in seconds. An undo is promised within one second; what waits for an engine or for a stale scrape takes longer.
const BUCKETS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfVersion {
    pub(super) version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRun {
    pub(super) run: String,
    pub(super) experiment: String,
    pub(super) dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPhase {
    pub(super) phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfVerdict {
    pub(super) verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfFault {
    pub(super) fault: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOutcome {
    pub(super) fault: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfDose {
    pub(super) fault: String,
    pub(super) landed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfProbe {
    pub(super) probe: String,
}

/// Latencies, one histogram for each set of labels.
pub(super) type Latencies<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of them. Clones count in the same place.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) build: Family<OfVersion, Gauge>,
    pub(super) run: Family<OfRun, Gauge>,
    pub(super) phase: Family<OfPhase, Gauge>,
    pub(super) verdict: Family<OfVerdict, Gauge>,
    pub(super) applied: Family<OfFault, Counter>,
    pub(super) outcomes: Family<OfOutcome, Counter>,
    pub(super) active: Family<OfFault, Gauge>,
    pub(super) residue: Family<OfFault, Gauge>,
    pub(super) drift: Family<OfFault, Gauge>,
    pub(super) apply: Latencies<OfFault>,
    pub(super) rollback: Latencies<OfFault>,
    pub(super) abort_rollback: Histogram,
    pub(super) abort_clean: Histogram,
    pub(super) doses: Family<OfDose, Counter>,
    pub(super) takeovers: Counter,
    pub(super) readings: Family<OfProbe, Counter>,
    pub(super) violations: Family<OfProbe, Counter>,
    pub(super) breaches: Family<OfProbe, Counter>,
}

/// A family as the reference page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// The whole name, as it is queried; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The labels, as a query would hold them.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

/// One line a family: the field, then what [`Described`] holds of it.
macro_rules! families {
    ($($field:ident, $name:literal, $kind:ident, $labels:literal, $help:literal;)*) => {
        /// Every family, in the order in which they are served.
        pub const ALL: &[Described] = &[
            $(Described { name: $name, kind: stringify!($kind), labels: $labels, help: $help },)*
        ];

        impl Families {
            fn registered(&self) -> Registry {
                let mut registry = Registry::with_prefix(PREFIX);
                $(register(&mut registry, $name, $help, self.$field.clone());)*
                registry
            }
        }
    };
}

families! {
    build, "fracas_build_info", gauge, "version", "The version of Fracas; always 1";
    run, "fracas_run_info", gauge, "run, experiment, dry_run", "The run that goes on; always 1";
    phase, "fracas_run_phase", gauge, "phase", "1 for the phase that the run is in, 0 for the others";
    verdict, "fracas_run_verdict", gauge, "verdict", "1 for the verdict, once there is one, 0 for the others";
    applied, "fracas_injection_applied_total", counter, "fault", "Times that an injection came on, also again after its target restarted";
    outcomes, "fracas_injection_outcomes_total", counter, "fault, outcome", "Times that an injection ended: clean, failed (it never came on), foreign (somebody else changed the same thing: left) or residue";
    active, "fracas_injection_active", gauge, "fault", "Injections that are on";
    residue, "fracas_injection_residue", gauge, "fault", "Injections of which something is left";
    drift, "fracas_injection_drift", gauge, "fault", "Injections whose value somebody else changed: theirs was left";
    apply, "fracas_injection_apply_latency_seconds", histogram, "fault", "From the way back on disk (planned) to the fault on (applied)";
    rollback, "fracas_injection_rollback_latency_seconds", histogram, "fault", "From the start of an undo to the absence read from the system (clean), by the guardian's clock";
    abort_rollback, "fracas_abort_rollback_latency_seconds", histogram, "", "From the first reading that crossed the abort threshold to the start of the rollback";
    abort_clean, "fracas_abort_clean_latency_seconds", histogram, "", "From the first reading that crossed the abort threshold to the last fault gone";
    doses, "fracas_dose_readings_total", counter, "fault, landed", "Doses that were read: landed yes, no or unmeasured. Doses are texts of many units, so there is no error in numbers";
    takeovers, "fracas_guardian_takeovers_total", counter, "", "Guardians that were lost, and another one recovered from the ledger";
    readings, "fracas_probe_readings_total", counter, "probe", "Readings of a probe";
    violations, "fracas_probe_violations_total", counter, "probe", "Readings that did not hold what is expected";
    breaches, "fracas_probe_breaches_total", counter, "probe", "Readings that crossed the abort threshold, stale and missing data among them";
}

/// The library adds the prefix, the unit and the end of counters itself, and wants them left out.
fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    let bare = name.strip_prefix(PREFIX).unwrap_or(name).trim_start_matches('_');
    match bare.strip_suffix("_seconds") {
        Some(bare) => registry.register_with_unit(bare, help, Unit::Seconds, metric),
        None => registry.register(bare.strip_suffix("_total").unwrap_or(bare), help, metric),
    }
}

fn latency() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Families {
    /// All of them with nothing in them, and the registry that shows them.
    pub(super) fn new() -> (Self, Registry) {
        let families = Self {
            build: Family::default(),
            run: Family::default(),
            phase: Family::default(),
            verdict: Family::default(),
            applied: Family::default(),
            outcomes: Family::default(),
            active: Family::default(),
            residue: Family::default(),
            drift: Family::default(),
            apply: Family::new_with_constructor(latency),
            rollback: Family::new_with_constructor(latency),
            abort_rollback: latency(),
            abort_clean: latency(),
            doses: Family::default(),
            takeovers: Counter::default(),
            readings: Family::default(),
            violations: Family::default(),
            breaches: Family::default(),
        };
        let registry = families.registered();
        (families, registry)
    }
}
