//! Flags of `fracas proxy` that mean several keys of its configuration.

use clap::Args;
use fracas_core::chaos::{PREDEFINED, Predefined};

/// Much at once, by the names that seed 3's original gives it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Faults")]
pub(crate) struct Presets {
    /// Starts a scenario that has a name, until somebody stops it: `network_degradation`; several act together
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = scenario, conflicts_with = "orchestration")]
    pub(crate) chaos_scenario: Vec<&'static Predefined>,
    /// Holds and fails requests at random: those of any of these shares, each by itself
    #[arg(
        long,
        conflicts_with_all = ["chaos_latency_ms", "chaos_latency_range", "chaos_latency_probability", "chaos_http_errors",
            "chaos_http_error_probability"]
    )]
    pub(crate) chaos_random: bool,
    /// How many requests fail at random, with 500, 502, 503 or 504, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, requires = "chaos_random")]
    pub(crate) chaos_random_error_rate: f64,
    /// How many requests are held at random, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, requires = "chaos_random")]
    pub(crate) chaos_random_delay_rate: f64,
    /// For how long at least, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100.0, requires = "chaos_random")]
    pub(crate) chaos_random_min_delay: f64,
    /// For how long at most, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000.0, requires = "chaos_random")]
    pub(crate) chaos_random_max_delay: f64,
}

/// What protects the upstream. Each flag switches its block on, also where the file has it off.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Resilience")]
pub(crate) struct Resilience {
    /// Refuses all requests while too many fail
    #[arg(long)]
    pub(crate) circuit_breaker: bool,
    /// After how many failures in a row it opens [default: 5, or what the file says]
    #[arg(long, value_name = "COUNT")]
    pub(crate) circuit_breaker_failure_threshold: Option<u32>,
    /// After how many successes it closes again [default: 2, or what the file says]
    #[arg(long, value_name = "COUNT")]
    pub(crate) circuit_breaker_success_threshold: Option<u32>,
    /// How long it stays open, in milliseconds [default: 60000, or what the file says]
    #[arg(long, value_name = "MS")]
    pub(crate) circuit_breaker_timeout_ms: Option<u64>,
    /// At which share of failures it opens, too, in percent [default: 50, or what the file says]
    #[arg(long, value_name = "PERCENT")]
    pub(crate) circuit_breaker_failure_rate: Option<f64>,
    /// Lets only so many requests pass at a time
    #[arg(long)]
    pub(crate) bulkhead: bool,
    /// How many [default: 100, or what the file says]
    #[arg(long, value_name = "COUNT")]
    pub(crate) bulkhead_max_concurrent: Option<u32>,
    /// How many more may wait [default: 10, or what the file says]
    #[arg(long, value_name = "COUNT")]
    pub(crate) bulkhead_max_queue: Option<u32>,
    /// How long they may, in milliseconds [default: 5000, or what the file says]
    #[arg(long, value_name = "MS")]
    pub(crate) bulkhead_queue_timeout_ms: Option<u64>,
}

fn scenario(name: &str) -> Result<&'static Predefined, String> {
    Predefined::named(name).ok_or_else(|| {
        let names: Vec<&str> = PREDEFINED.iter().map(|one| one.name).collect();
        format!("no scenario has this name: there are {}", names.join(", "))
    })
}
