//! Containers that match a selector.

use std::fs;

use fracas_core::experiment::ContainerSelector;
use fracas_core::problem::codes::{ENGINE_REMOTE, TARGET_READ, WRONG_VALUE};
use fracas_core::problem::{Problem, Result};
use fracas_core::target::{self, Kind, ProcessIdentity};
use fracas_docker::{Details, Engine, Health, Status, Summary};
use fracas_linux::process;
use futures_util::{StreamExt, TryStreamExt};

use crate::choose::{Found, Matched, Out};
use crate::pattern::Matcher;
use crate::protect::Protection;

/// The label that compose gives to the containers of a service.
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// So many containers are described by the engine at a time.
pub(crate) const AT_ONCE: usize = 8;
/// So many containers that do not run are named in a message.
const HINTS: usize = 5;

/// The candidates among all containers of an engine.
pub(crate) async fn find(
    selector: &ContainerSelector,
    engine: &Engine,
    all: &[Summary],
    protection: &Protection,
) -> Result<Matched> {
    if let Some(id) = selector.id.as_ref().filter(|id| id.len() < 4) {
        return Err(
            Problem::new(&WRONG_VALUE, format!("{id:?} is too short for the id of a container"))
                .next("give at least 4 characters of the id"),
        );
    }
    let name = selector.name.as_ref().map(Matcher::new).transpose()?;
    let mine = own_groups();
    let mut matched = Matched {
        outright: selector.id.is_some(),
        ..Default::default()
    };
    let mut running = Vec::new();
    for summary in all.iter().filter(|summary| matches(selector, name.as_ref(), summary)) {
        match summary.status {
            Status::Running | Status::Paused | Status::Restarting => running.push(summary),
            other if matched.hints.len() < HINTS => {
                let hint = format!("{} matches, but is {}", summary.name, other.word());
                matched.hints.push(hint);
            }
            _ => {}
        }
    }
    // Made before the stream: a closure in it would be no `Send` that the compiler can prove (rust-lang/rust#102211).
    let asked: Vec<_> = running.iter().map(|summary| engine.inspect(&summary.id)).collect();
    let described: Vec<Option<Details>> = futures_util::stream::iter(asked)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    // What was removed since the list was made is no candidate.
    for details in described.into_iter().flatten() {
        let image = selector.image.as_ref();
        if image.is_none_or(|wanted| is_image(wanted, &details)) {
            matched.found.push(candidate(&details, engine, protection, &mine)?);
        }
    }
    Ok(matched)
}

/// The control groups of this process: the container around it is named there.
pub(crate) fn own_groups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// Everything but the image: in a list the image is an id when its name has moved on, so only the description tells.
fn matches(selector: &ContainerSelector, name: Option<&Matcher>, summary: &Summary) -> bool {
    let service = selector.compose_service.as_ref();
    name.is_none_or(|name| name.matches(&summary.name))
        && selector.labels.iter().all(|(key, value)| {
            summary
                .labels
                .get(key)
                .is_some_and(|has| value.is_empty() || has == value)
        })
        && selector
            .id
            .as_ref()
            .is_none_or(|id| summary.id.starts_with(&id.to_lowercase()))
        && service.is_none_or(|service| summary.labels.get(COMPOSE_SERVICE) == Some(service))
}

fn is_image(wanted: &str, details: &Details) -> bool {
    details.raw["Image"] == wanted || same_image(wanted, &details.image)
}

/// `nginx` is `docker.io/library/nginx:1.27`; `nginx:1.27` is not `nginx:1.28`. Podman says `localhost/web` of an image that was
/// built here.
fn same_image(wanted: &str, actual: &str) -> bool {
    let short = |name: &str| {
        let name = name.strip_prefix("localhost/").unwrap_or(name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    let (wanted, actual) = (short(wanted), short(actual));
    // A colon before the last slash is the port of a registry, not the beginning of a tag.
    let tag = |name: &str| {
        let base = name.rfind('/').map_or(0, |slash| slash + 1);
        name[base..].find(['@', ':']).map(|at| base + at)
    };
    match tag(&wanted) {
        Some(_) => wanted == actual,
        None => wanted == actual[..tag(&actual).unwrap_or(actual.len())],
    }
}

fn candidate(details: &Details, engine: &Engine, protection: &Protection, mine: &str) -> Result<Found> {
    let (container, status) = target(details, engine)?;
    let unfit = match (&details.state.status, details.state.health) {
        (Status::Paused, _) => Some("paused"),
        (Status::Restarting, _) => Some("restarting"),
        (_, Health::Unhealthy) => Some("unhealthy"),
        _ if container.init.pid == 0 => Some("it has just ended"),
        _ => None,
    };
    // By its label, for a guardian in a sidecar has left the control group that would tell.
    let protected = if details.labels.contains_key(fracas_docker::SIDECAR) {
        Some("the sidecar of a run")
    } else {
        protection.of_container(&details.name, &details.id, status.as_ref(), mine)
    };
    Ok(Found {
        identity: details.name.clone(),
        out: match (protected, unfit) {
            (Some(why), _) => Some(Out::Protected(why.to_owned())),
            (None, Some(why)) => Some(Out::Unfit(why.to_owned())),
            (None, None) => None,
        },
        kind: Kind::Container(container),
    })
}

/// A container as a target, with its init where that can be seen.
///
/// The init has pid 0 when there is none, and start 0 and no boot when the engine is on another machine: that names no process of
/// this one. T005 when the engine is reached as if it were here, but its processes are not ours: in a virtual machine, or behind a
/// forwarded socket.
pub(crate) fn target(details: &Details, engine: &Engine) -> Result<(target::Container, Option<process::Status>)> {
    let nobody = |pid| ProcessIdentity {
        pid,
        start: 0,
        boot: String::new(),
    };
    let (init, status) = match details.state.pid {
        None => (nobody(0), None),
        Some(pid) if !engine.is_local() => (nobody(pid), None),
        Some(pid) => match look(pid, &details.id, &details.name)? {
            Some(status) => (status.identity.clone(), Some(status)),
            None => (nobody(0), None),
        },
    };
    let container = target::Container {
        id: details.id.clone(),
        name: details.name.clone(),
        image: details.image.clone(),
        engine: engine.address(),
        init,
        labels: details.labels.clone(),
        ip: details.networks.values().find(|ip| !ip.is_empty()).cloned(),
    };
    Ok((container, status))
}

fn look(pid: u32, id: &str, name: &str) -> Result<Option<process::Status>> {
    let failed = |error: &std::io::Error| {
        Problem::new(
            &TARGET_READ,
            format!("the first process of container {name} cannot be looked at"),
        )
        .because(error)
    };
    let Some(status) = process::status(pid).map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let groups = match fs::read_to_string(format!("/proc/{pid}/cgroup")) {
        Ok(groups) => groups,
        Err(error) => {
            return match process::identity(pid) {
                Ok(Some(_)) => Err(failed(&error)),
                _ => Ok(None),
            };
        }
    };
    // A process that is ending has left its groups already.
    if status.state == 'Z' || process::identity(pid).map_err(|error| failed(&error))?.as_ref() != Some(&status.identity)
    {
        return Ok(None);
    }
    let keeper = process::status(status.parent).map_err(|error| failed(&error))?;
    if !is_init_of(id, &groups, keeper.as_ref().map_or("", |keeper| &keeper.command)) {
        return Err(Problem::new(
            &ENGINE_REMOTE,
            format!("the first process of container {name} is not a process of this machine"),
        )
        .since(format!("pid {pid} here belongs to something else ({})", status.comm))
        .next("use `--sidecar always`, or run Fracas in the virtual machine with the containers"));
    }
    Ok(Some(status))
}

/// Whether a process with these control groups and a parent with this command line is the first one of the container.
///
/// Engines name the control group after the id: `/docker/ID`, `docker-ID.scope`, `libpod-ID.scope`. Podman without root has no groups
/// of version 1; then `conmon -c ID` is the parent.
fn is_init_of(id: &str, groups: &str, keeper: &str) -> bool {
    groups.contains(id) || keeper.split(' ').any(|word| word == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_group_or_by_its_keeper() {
        let id = "b95a2dac3780072c0621ebe0c9db846b54e06b46dde5c30dee8d1775212e90e0";
        for group in [
            "docker/ID",
            "system.slice/docker-ID.scope",
            "libpod_parent/libpod-ID",
            "user.slice/x/libpod-ID.scope/container",
        ] {
            let groups = format!("4:memory:/{}\n0::/\n", group.replace("ID", id));
            assert!(is_init_of(id, &groups, "/sbin/init"), "{group}");
        }
        let conmon = |id: &str| format!("/usr/bin/conmon --api-version 1 -c {id} -u {id} -r /usr/bin/crun");
        let session = "4:memory:/user.slice\n0::/user.slice/session-1.scope\n";
        assert!(is_init_of(id, session, &conmon(id)));
        assert!(!is_init_of(id, session, &conmon("0123456789ab")));
        assert!(!is_init_of(id, session, "/usr/sbin/nginx"));
    }

    #[test]
    fn an_image_without_a_tag_is_any_tag() {
        for (wanted, actual, same) in [
            ("nginx", "nginx:1.27", true),
            ("nginx", "docker.io/library/nginx:1.27", true),
            ("nginx:1.27", "nginx:1.27", true),
            ("nginx:1.27", "nginx:1.28", false),
            ("nginx", "nginx-exporter:1", false),
            ("nginx", "example/nginx", false),
            ("host:5000/nginx", "host:5000/nginx:1", true),
            ("host:5000/nginx", "host:5000/nginx", true),
            ("nginx", "nginx@sha256:abc", true),
            ("nginx:1", "nginx", false),
            ("web:1", "localhost/web:1", true),
        ] {
            assert_eq!(same_image(wanted, actual), same, "{wanted} {actual}");
        }
    }

    #[test]
    fn all_parts_of_a_selector_must_match() {
        let summary = Summary {
            id: "0123456789ab".into(),
            name: "shop-web-1".into(),
            image: "web:1".into(),
            labels: [("team", "a"), (COMPOSE_SERVICE, "web")]
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            status: Status::Running,
        };
        let is = |selector: ContainerSelector| {
            let name = selector.name.as_ref().map(|name| Matcher::new(name).unwrap());
            matches(&selector, name.as_ref(), &summary)
        };
        let label = |key: &str, value: &str| ContainerSelector {
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..Default::default()
        };
        assert!(is(ContainerSelector::default()));
        assert!(is(label("team", "a")) && is(label("team", "")));
        assert!(!is(label("team", "b")) && !is(label("tea", "")));
        let id = |id: &str| ContainerSelector {
            id: Some(id.into()),
            ..Default::default()
        };
        assert!(is(id("0123")) && is(id("0123456789AB")) && !is(id("1234")));
        let service = |service: &str| ContainerSelector {
            compose_service: Some(service.into()),
            ..Default::default()
        };
        assert!(is(service("web")) && !is(service("we")));
        let both = ContainerSelector {
            id: Some("9999".into()),
            ..label("team", "a")
        };
        assert!(!is(both));
    }
}
