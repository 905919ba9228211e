//! What an engine knows of its containers.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, ContainerSummary, PortBinding};
use bollard::query_parameters::ListContainersOptions;
use fracas_core::problem::Result;
use serde_json::Value;

use crate::answer;
use crate::engine::{Engine, checked};

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The full id.
    pub id: String,
    /// The name, without the leading slash.
    pub name: String,
    /// The image as the container was made from.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub status: Status,
}

/// The state of a container in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Made, never started.
    Created,
    /// Its init runs.
    Running,
    /// Its init runs, frozen.
    Paused,
    /// Its init ended, and the restart policy will start another.
    Restarting,
    /// Its init ended.
    Exited,
    /// It is being removed.
    Removing,
    /// The engine failed to remove it.
    Dead,
    /// A word that this version does not know.
    Other,
}

impl Status {
    fn of(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "exited" => Self::Exited,
            "removing" => Self::Removing,
            "dead" => Self::Dead,
            _ => Self::Other,
        }
    }

    /// The word of the engine.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
            Self::Other => "in an unknown state",
        }
    }
}

/// What a container's own health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    None,
    /// Not yet known.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// A container in detail.
#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    /// The full id.
    pub id: String,
    /// The name, without the leading slash.
    pub name: String,
    /// The image as the container was made from.
    pub image: String,
    /// How it runs.
    pub state: State,
    /// When the engine starts it again by itself.
    pub restart_policy: RestartPolicy,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its networks with its first address in each, empty where it has none.
    pub networks: BTreeMap<String, String>,
    /// All its addresses on the engine's networks.
    pub addresses: Vec<IpAddr>,
    /// Its ports of TCP that are published on the engine's machine.
    pub published: Vec<Published>,
    /// Its limits, as the engine has them configured.
    pub limits: Limits,
    /// The parent of its control group; empty for the engine's default.
    pub cgroup_parent: String,
    /// Everything that the engine says and this version knows, for comparison before and after.
    pub raw: Value,
}

/// A port of TCP of a container's that its engine lets others reach by a port of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The container's port.
    pub own: u16,
    /// The machine's port.
    pub port: u16,
    /// On which of the machine's addresses. `None`: on all.
    pub address: Option<IpAddr>,
}

/// How a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// In one word.
    pub status: Status,
    /// Whether its init runs; also true while it is paused, and in some engines while it is restarting.
    pub running: bool,
    /// Whether it is frozen.
    pub paused: bool,
    /// Whether the restart policy is about to start it.
    pub restarting: bool,
    /// Its init, seen from the engine's machine; none when it does not run.
    pub pid: Option<u32>,
    /// When its init started, RFC 3339; of the last one when it does not run.
    pub started_at: String,
    /// With what its last init ended.
    pub exit_code: i64,
    /// How often the restart policy started it.
    pub restart_count: u64,
    /// Its health check.
    pub health: Health,
}

/// When an engine starts a container again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
    /// For `on-failure`: how often at most; 0 is without end.
    pub maximum: u64,
}

/// The limits of a container in the engine's configuration; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: i64,
    /// Memory and swap together in bytes; -1 is without bound.
    pub memory_swap: i64,
    /// Processors in billionths.
    pub nano_cpus: i64,
    /// Microseconds of processor time per period.
    pub cpu_quota: i64,
    /// The period in microseconds.
    pub cpu_period: i64,
    /// Processes; -1 is none too.
    pub pids: i64,
}

impl Engine {
    /// The containers: those that run, or all.
    pub async fn list(&self, all: bool) -> Result<Vec<Summary>> {
        let doing = "list containers";
        let options = ListContainersOptions {
            all,
            ..Default::default()
        };
        let list = self.call(doing, self.docker().list_containers(Some(options))).await?;
        list.into_iter()
            .map(|found| summary(found).ok_or_else(|| answer::nonsense(self.place(), doing, "a container has no id")))
            .collect()
    }

    /// A container in detail, by name or id; `None` if there is no such container.
    pub async fn inspect(&self, id: &str) -> Result<Option<Details>> {
        let doing = format!("describe container {}", checked(id)?);
        let asked = self.docker().inspect_container(id, None);
        let found = match self.within(std::time::Duration::from_secs(5), &doing, asked).await? {
            Ok(found) => found,
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404,
                message,
            }) if message.contains("o such container") => return Ok(None),
            Err(error) => return Err(answer::problem(self.place(), &doing, &error)),
        };
        details(found)
            .map(Some)
            .map_err(|why| answer::nonsense(self.place(), &doing, why))
    }
}

/// An entry of the list; `None` if it has no id.
fn summary(found: ContainerSummary) -> Option<Summary> {
    let id = found.id.filter(|id| !id.is_empty())?;
    // Links add names with more slashes: `/other/alias`. The own name has one.
    let names = found.names.unwrap_or_default();
    let own = names
        .iter()
        .find_map(|n| n.strip_prefix('/').filter(|n| !n.contains('/')));
    Some(Summary {
        name: own.unwrap_or(&id).to_owned(),
        image: found.image.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        status: found.state.map_or(Status::Other, |state| Status::of(state.as_ref())),
        id,
    })
}

/// Reads bytes as whatever an engine may have sent: a list, a description. Never panics: the entry of a fuzz target.
pub fn fuzz_answer(bytes: &[u8]) {
    if let Ok(list) = serde_json::from_slice::<Vec<ContainerSummary>>(bytes) {
        for found in list {
            drop(summary(found));
        }
    }
    if let Ok(found) = serde_json::from_slice::<ContainerInspectResponse>(bytes) {
        drop(details(found));
    }
    crate::logs::fuzz_lines(bytes);
}

fn details(found: ContainerInspectResponse) -> Result<Details, String> {
    let raw = serde_json::to_value(&found).map_err(|error| error.to_string())?;
    let missing = |what: &str| format!("the answer has no {what}");
    let state = found.state.ok_or_else(|| missing("state"))?;
    let host = found.host_config.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let policy = host.restart_policy.unwrap_or_default();
    let status = Status::of(&state.status.map(|word| word.to_string()).unwrap_or_default());
    let (networks, ports) = found
        .network_settings
        .map_or((None, None), |settings| (settings.networks, settings.ports));
    let networks = networks.unwrap_or_default();
    let addresses = networks
        .values()
        .flat_map(|end| [&end.ip_address, &end.global_ipv6_address]);
    let mut addresses: Vec<IpAddr> = addresses.flatten().filter_map(|text| text.parse().ok()).collect();
    addresses.sort_unstable();
    Ok(Details {
        id: found.id.filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?,
        name: found
            .name
            .map(|name| name.trim_start_matches('/').to_owned())
            .ok_or_else(|| missing("name"))?,
        image: config.image.unwrap_or_default(),
        state: State {
            status,
            running: state.running.unwrap_or_default(),
            paused: state.paused.unwrap_or_default(),
            restarting: state.restarting.unwrap_or_default(),
            pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            started_at: state.started_at.unwrap_or_default(),
            exit_code: state.exit_code.unwrap_or_default(),
            restart_count: found
                .restart_count
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or_default(),
            health: match state.health.and_then(|health| health.status) {
                Some(bollard::models::HealthStatusEnum::STARTING) => Health::Starting,
                Some(bollard::models::HealthStatusEnum::HEALTHY) => Health::Healthy,
                Some(bollard::models::HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
                _ => Health::None,
            },
        },
        restart_policy: RestartPolicy {
            name: policy
                .name
                .map(|name| name.to_string())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "no".to_owned()),
            maximum: policy
                .maximum_retry_count
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or_default(),
        },
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        addresses,
        published: published(ports.unwrap_or_default()),
        networks: networks
            .into_iter()
            .map(|(name, end)| {
                let four = end.ip_address.filter(|ip| !ip.is_empty());
                (name, four.or(end.global_ipv6_address).unwrap_or_default())
            })
            .collect(),
        limits: Limits {
            memory: host.memory.unwrap_or_default(),
            memory_swap: host.memory_swap.unwrap_or_default(),
            nano_cpus: host.nano_cpus.unwrap_or_default(),
            cpu_quota: host.cpu_quota.unwrap_or_default(),
            cpu_period: host.cpu_period.unwrap_or_default(),
            pids: host.pids_limit.unwrap_or_default(),
        },
        cgroup_parent: host.cgroup_parent.unwrap_or_default(),
        raw,
    })
}

/// The ports of TCP in an engine's list of them: `80/tcp` with the places where it can be reached.
fn published(ports: HashMap<String, Option<Vec<PortBinding>>>) -> Vec<Published> {
    let mut found = Vec::new();
    for (own, places) in ports {
        let Some(own) = own.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else {
            continue;
        };
        for place in places.into_iter().flatten() {
            let address = place.host_ip.and_then(|text| text.parse::<IpAddr>().ok());
            let port = place.host_port.and_then(|text| text.parse().ok());
            found.extend(port.map(|port| Published {
                own,
                port,
                address: address.filter(|address| !address.is_unspecified()),
            }));
        }
    }
    found.sort_unstable_by_key(|one| (one.own, one.port));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_addresses_are_those_that_an_engine_names() {
        let found: ContainerInspectResponse = serde_json::from_value(serde_json::json!({
            "Id": "b95a", "Name": "/web", "State": { "Status": "running" },
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }, { "HostIp": "::", "HostPort": "8080" }],
                    "81/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8081" }, { "HostIp": "", "HostPort": "nonsense" }],
                    "53/udp": [{ "HostIp": "0.0.0.0", "HostPort": "53" }],
                    "443/tcp": null
                },
                "Networks": { "shop": { "IPAddress": "172.18.0.2", "GlobalIPv6Address": "2001:db8::2" },
                    "none": { "IPAddress": "", "GlobalIPv6Address": "" } }
            }
        }))
        .unwrap();
        let found = details(found).unwrap();
        let of = |own, port, address: Option<&str>| Published {
            own,
            port,
            address: address.map(|text| text.parse().unwrap()),
        };
        let loopback = of(81, 8081, Some("127.0.0.1"));
        assert_eq!(found.published, [of(80, 8080, None), of(80, 8080, None), loopback]);
        let addresses: Vec<_> = found.addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(addresses, ["172.18.0.2", "2001:db8::2"]);
    }
}
