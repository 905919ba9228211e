//! One case per fault: what it is put on and how.

use std::time::Duration;

use crate::support::{Document, Target};

/// A fault as it is struck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) fault: &'static str,
    /// Its parameters in a document; `{place}` is the target's own directory, in which there is a file `victim`.
    params: &'static str,
    pub(crate) on: On,
    pub(crate) irreversible: bool,
    /// About how long it takes from planned to the end of a short run of it: within this, blows fall at random.
    pub(crate) span: Duration,
}

/// What it is put on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Process,
    /// A process with a network of its own.
    Node,
    /// A container under this restart policy.
    Container(&'static str),
}

const fn case(fault: &'static str, params: &'static str, on: On) -> Case {
    Case {
        fault,
        params,
        on,
        irreversible: false,
        span: Duration::from_millis(500),
    }
}

const CASES: &[Case] = &[
    case("memory_limit", "limit: 64MiB", On::Process),
    case("memory_stress", "size: 32MiB", On::Process),
    case("disk_fill", "path: /dev/shm, size: 16MiB", On::Container("no")),
    case("disk_io", "path: /, block_size: 64KiB", On::Process),
    case("disk_throttle", "path: /, read_bps: 1MiB", On::Process),
    case("cpu_limit", "percent: 50%", On::Process),
    case("cpu_stress", "percent: 20%", On::Process),
    case("pid_exhaustion", "", On::Process),
    case("fd_exhaustion", "", On::Process),
    case("process_pause", "", On::Process),
    Case {
        irreversible: true,
        ..case("process_kill", "", On::Container("always"))
    },
    case("clock_skew", "offset: +5m", On::Process),
    case("container_pause", "", On::Container("no")),
    case("container_kill", "", On::Container("no")),
    case("container_stop", "grace: 1s", On::Container("no")),
    case("container_restart", "grace: 1s, delay: 200ms", On::Container("no")),
    case("network_disconnect", "", On::Node),
    case("delay", "mean: 30ms", On::Node),
    case("loss", "percent: 60%", On::Node),
    case("duplicate", "percent: 60%", On::Node),
    case("corrupt", "percent: 60%", On::Node),
    case("reorder", "percent: 40%, delay: 30ms", On::Node),
    case("rate", "rate: 1mbit", On::Node),
    case("connection_drop", "probability: 60%", On::Node),
    case("partition", "from: other", On::Node),
    Case {
        irreversible: true,
        ..case("connection_reset", "count: 3, interval: 50ms", On::Node)
    },
    case("dns", "names: ['*.example'], answer: nxdomain", On::Node),
    case(
        "http",
        "port: 8080, chaos: { fault_injection: { http_error_probability: 1 } }",
        On::Node,
    ),
    case("file_corrupt", "path: '{place}/victim', bytes: 512B", On::Process),
    case("file_delete", "path: '{place}/victim'", On::Process),
    case(
        "script",
        "apply: [touch, {place}/on], revert: [rm, -f, {place}/on], check: [test, '!', -e, {place}/on]",
        On::Process,
    ),
];

/// The cases, one for each fault that there is.
pub(crate) fn all() -> Vec<Case> {
    let of = |name: &str| CASES.iter().find(|case| case.fault == name).copied();
    let cases: Vec<_> = fracas_faults::FAULTS
        .iter()
        .map(|fault| of(fault.name).unwrap_or_else(|| panic!("{} has no case in the kill matrix", fault.name)))
        .collect();
    for case in CASES {
        assert!(
            fracas_faults::find(case.fault).is_some(),
            "there is no fault {}",
            case.fault
        );
    }
    cases
}

impl Case {
    /// Whether a target takes one blow only: each time that a restart policy acts, the engine waits twice as long before the next.
    pub(crate) fn wears_out(&self) -> bool {
        matches!(self.on, On::Container("always"))
    }

    /// The fault with its parameters on this target, a map with one key.
    pub(crate) fn inject(&self, target: &Target) -> String {
        let place = target.place.path().display().to_string();
        format!("{}: {{ {} }}", self.fault, self.params.replace("{place}", &place))
    }

    /// A target for it. `None`, with a printed skip, where there can be none.
    pub(crate) fn target(&self) -> Option<Target> {
        match self.on {
            On::Process => Target::process(),
            On::Node => Target::node(),
            On::Container(policy) => Target::container(policy),
        }
    }

    /// A run in which the fault is on for so long; the empty text: as long as the run.
    pub(crate) fn document(&self, target: &Target, on: &str) -> String {
        Document {
            target,
            inject: &self.inject(target),
            irreversible: self.irreversible,
            on,
            duration: "60s",
        }
        .text()
    }
}
