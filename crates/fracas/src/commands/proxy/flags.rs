//! What is done to traffic, from a file and from flags.

use std::path::PathBuf;

use fracas_core::chaos::{
    Bulkhead, ChaosConfig, CircuitBreaker, FaultInjection, KnownProfile, Latency, PROFILES, Predefined, RateLimit,
    TrafficShaping,
};
use fracas_core::problem::{Problem, Result, codes};
use fracas_spec::Source;

use crate::cli::{Chaos, Presets, Proxy, Resilience};
use crate::output::tell;
use crate::settings::env;

/// Where the configuration comes from. It may be read again and again.
#[derive(Debug)]
pub(super) struct Origin {
    /// The file, if there is one.
    pub(super) file: Option<PathBuf>,
    chaos: Chaos,
    presets: Presets,
    resilience: Resilience,
}

impl Origin {
    pub(super) fn of(proxy: &Proxy) -> Self {
        Self {
            file: proxy.chaos_config.clone(),
            chaos: proxy.chaos.clone(),
            presets: proxy.presets.clone(),
            resilience: proxy.resilience.clone(),
        }
    }

    /// What the file says, and then what the flags say.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub(super) fn read(&self) -> Result<ChaosConfig, Vec<Box<Problem>>> {
        let mut config = match &self.file {
            Some(file) => {
                let source = Source {
                    name: file.display().to_string(),
                    text: fracas_spec::read_file(file).map_err(|problem| vec![problem])?,
                };
                fracas_spec::chaos::<ChaosConfig>(&source, &env)?
            }
            None => profile(&self.chaos).map_err(|problem| vec![problem])?,
        };
        // Each says whether it says anything.
        let said = [
            presets(&self.presets, &mut config),
            chaos(&self.chaos, &mut config),
            resilience(&self.resilience, &mut config),
        ];
        if !said.contains(&true) {
            return Ok(config);
        }
        // Who says on the command line what is to be done wants it done.
        config.enabled = true;
        // Flags obey the same rules as a file, so they are read as one.
        let text = fracas_spec::chaos_text(&config)
            .map_err(|error| vec![Problem::new(&codes::INSIDE, "a configuration has no JSON form").because(&error)])?;
        let source = Source {
            name: "the command line".to_owned(),
            text,
        };
        fracas_spec::chaos(&source, &|_| None)
    }
}

/// What a profile does, which is all of it, as by REST: `perfect` does nothing.
fn profile(flags: &Chaos) -> Result<ChaosConfig, Box<Problem>> {
    let Some(name) = &flags.chaos_profile else {
        return Ok(ChaosConfig::default());
    };
    KnownProfile::named(name).map(KnownProfile::config).ok_or_else(|| {
        let known: Vec<&str> = PROFILES.iter().map(|one| one.name).collect();
        let what = format!("there is no profile {name:?}");
        Problem::new(&codes::USAGE, what).next(format!("use one of {}", known.join(", ")))
    })
}

/// Refuses a flag or scenario of which nothing acts, since scenarios that come later say something else of all that it says; tells of one of
/// which a part acts.
///
/// # Errors
/// R004
pub(super) fn uncovered(proxy: &Proxy) -> Result<()> {
    let scenarios = &proxy.presets.chaos_scenario;
    let chaos = &proxy.chaos;
    let of_flags: [(&str, bool, &[&str]); 8] = [
        ("--chaos-latency-ms", chaos.chaos_latency_ms.is_some(), &["latency"]),
        (
            "--chaos-latency-range",
            chaos.chaos_latency_range.is_some(),
            &["latency"],
        ),
        (
            "--chaos-latency-probability",
            chaos.chaos_latency_probability.is_some(),
            &["latency"],
        ),
        (
            "--chaos-http-errors",
            chaos.chaos_http_errors.is_some(),
            &["fault_injection"],
        ),
        (
            "--chaos-http-error-probability",
            chaos.chaos_http_error_probability.is_some(),
            &["fault_injection"],
        ),
        ("--chaos-rate-limit", chaos.chaos_rate_limit.is_some(), &["rate_limit"]),
        (
            if chaos.chaos_packet_loss.is_some() {
                "--chaos-packet-loss"
            } else {
                "--chaos-bandwidth-limit"
            },
            chaos.chaos_packet_loss.is_some() || chaos.chaos_bandwidth_limit.is_some(),
            &["traffic_shaping"],
        ),
        (
            "--chaos-random",
            proxy.presets.chaos_random,
            &["latency", "fault_injection"],
        ),
    ];
    for (flag, is_said, blocks) in of_flags {
        let blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
        if is_said {
            judge(flag, &blocks, scenarios)?;
        }
    }
    for (index, one) in scenarios.iter().enumerate() {
        // One that is named again begins anew, in the place of the last.
        let later = &scenarios[index + 1..];
        judge(one.name, &one.blocks(), later)?;
    }
    Ok(())
}

fn judge(what: &str, blocks: &[String], later: &[&Predefined]) -> Result<()> {
    let covers = |block: &String| later.iter().rev().find(|one| one.blocks().contains(block));
    let covered: Vec<(&String, &str)> = blocks
        .iter()
        .filter_map(|block| Some((block, covers(block)?.name)))
        .collect();
    let Some((block, by)) = covered.first() else {
        return Ok(());
    };
    if covered.len() == blocks.len() {
        let what = format!("`{what}` would do nothing: `{by}` lies over it, and says what is done by `{block}`");
        return Err(
            Problem::new(&codes::USAGE, what).next("leave one of them out, or start the scenario later, by the API")
        );
    }
    tell(&format!(
        "`{what}`: of `{block}` acts what `{by}` says, until it is stopped"
    ));
    Ok(())
}

fn presets(flags: &Presets, config: &mut ChaosConfig) -> bool {
    let Presets {
        // They are no part of the configuration: they lie over it.
        chaos_scenario: _,
        chaos_random,
        chaos_random_error_rate,
        chaos_random_delay_rate,
        chaos_random_min_delay,
        chaos_random_max_delay,
    } = flags;
    if *chaos_random {
        config.latency = Some(Latency {
            random_delay_range_ms: Some([*chaos_random_min_delay, *chaos_random_max_delay]),
            probability: *chaos_random_delay_rate,
            ..Latency::default()
        });
        let faults = config.fault_injection.get_or_insert_with(FaultInjection::default);
        faults.enabled = true;
        faults.http_errors = FaultInjection::default().http_errors;
        faults.http_error_probability = *chaos_random_error_rate;
        faults.error_pattern = None;
    }
    *chaos_random
}

fn chaos(flags: &Chaos, config: &mut ChaosConfig) -> bool {
    let Chaos {
        chaos,
        // It stands in the place of a file.
        chaos_profile: _,
        chaos_latency_ms,
        chaos_latency_range,
        chaos_latency_probability,
        chaos_http_errors,
        chaos_http_error_probability,
        chaos_rate_limit,
        chaos_bandwidth_limit,
        chaos_packet_loss,
        protocols,
    } = flags;
    let mut said = *chaos;
    if chaos_latency_ms.is_some() || chaos_latency_range.is_some() || chaos_latency_probability.is_some() {
        said = true;
        let latency = config.latency.get_or_insert_with(Latency::default);
        latency.enabled = true;
        if chaos_latency_ms.is_some() || chaos_latency_range.is_some() {
            latency.fixed_delay_ms = *chaos_latency_ms;
            latency.random_delay_range_ms = *chaos_latency_range;
            latency.distribution = None;
        }
        latency.probability = chaos_latency_probability.unwrap_or(latency.probability);
    }
    if chaos_http_errors.is_some() || chaos_http_error_probability.is_some() {
        said = true;
        let faults = config.fault_injection.get_or_insert_with(FaultInjection::default);
        faults.enabled = true;
        if let Some(statuses) = chaos_http_errors {
            faults.http_errors.clone_from(statuses);
        }
        faults.http_error_probability = chaos_http_error_probability.unwrap_or(faults.http_error_probability);
    }
    if let Some(rate) = chaos_rate_limit {
        said = true;
        let limit = config.rate_limit.get_or_insert_with(RateLimit::default);
        limit.enabled = true;
        limit.requests_per_second = *rate;
        limit.burst_size = rate.saturating_mul(2);
    }
    if chaos_bandwidth_limit.is_some() || chaos_packet_loss.is_some() {
        said = true;
        let shaping = config.traffic_shaping.get_or_insert_with(TrafficShaping::default);
        shaping.enabled = true;
        shaping.bandwidth_limit_bps = chaos_bandwidth_limit.unwrap_or(shaping.bandwidth_limit_bps);
        if let Some(percent) = *chaos_packet_loss {
            shaping.packet_loss_percent = percent;
            // It was meant for another percentage.
            let burst = shaping.packet_loss_burst;
            shaping.packet_loss_burst = burst.filter(|burst| shaping.has_room_for(*burst));
        }
    }
    said | super::protocols::apply(protocols, config)
}

fn resilience(flags: &Resilience, config: &mut ChaosConfig) -> bool {
    let Resilience {
        circuit_breaker,
        circuit_breaker_failure_threshold: failures,
        circuit_breaker_success_threshold: successes,
        circuit_breaker_timeout_ms: stays_open,
        circuit_breaker_failure_rate: rate,
        bulkhead,
        bulkhead_max_concurrent: most,
        bulkhead_max_queue: queue,
        bulkhead_queue_timeout_ms: waits,
    } = flags;
    let mut said = false;
    if *circuit_breaker || failures.is_some() || successes.is_some() || stays_open.is_some() || rate.is_some() {
        said = true;
        let breaker = config.circuit_breaker.get_or_insert_with(CircuitBreaker::default);
        breaker.enabled = true;
        breaker.failure_threshold = failures.unwrap_or(breaker.failure_threshold);
        breaker.success_threshold = successes.unwrap_or(breaker.success_threshold);
        breaker.timeout_ms = stays_open.unwrap_or(breaker.timeout_ms);
        breaker.failure_rate_threshold = rate.unwrap_or(breaker.failure_rate_threshold);
    }
    if *bulkhead || most.is_some() || queue.is_some() || waits.is_some() {
        said = true;
        let places = config.bulkhead.get_or_insert_with(Bulkhead::default);
        places.enabled = true;
        places.max_concurrent_requests = most.unwrap_or(places.max_concurrent_requests);
        places.max_queue_size = queue.unwrap_or(places.max_queue_size);
        places.queue_timeout_ms = waits.unwrap_or(places.queue_timeout_ms);
    }
    said
}
