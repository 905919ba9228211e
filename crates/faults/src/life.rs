//! One life of a container: from a start to the end of its init. What the faults that end or freeze it compare with.

use std::collections::BTreeMap;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_docker::{Details, Engine, Outcome, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::say::{gone, refuse};
use crate::{Context, Resource, members, signal};

/// A container as it ran when the fault was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// The engine's address.
    pub(crate) engine: String,
    /// The program by which a person reaches it, with the option for its address.
    program: String,
    pub(crate) id: String,
    pub(crate) name: String,
    /// Its init, seen from the engine's machine.
    pub(crate) init: ProcessIdentity,
    /// Whether the engine's machine is this one.
    pub(crate) local: bool,
    /// When the engine started it: distinguishes this life from the next.
    started_at: String,
    /// How the engine has it configured, each value short or as a digest.
    configuration: BTreeMap<String, String>,
    /// Its address in each network.
    addresses: BTreeMap<String, String>,
}

/// How long a restart policy may take to bring a container back while a revert waits for it. The engine waits 100 ms before the
/// first restart and twice as long before each further one (moby, restartmanager).
const POLICY: Duration = Duration::from_secs(10);
/// Time between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

impl Life {
    /// The present life of the target.
    ///
    /// # Errors
    /// F001 when it is no container or its restart policy is at work, T004 when it does not run as it was chosen.
    pub(crate) async fn of(fault: &str, target: &Target, cx: &Context) -> Result<(Self, Details)> {
        let container = target
            .container()
            .ok_or_else(|| refuse(fault, target, "it is no container"))?;
        let engine = cx.engines.at(&container.engine).await?;
        let found = engine
            .inspect(&container.id)
            .await?
            .ok_or_else(|| gone(fault, target))?;
        if found.state.restarting {
            return Err(refuse(fault, target, "its restart policy is just starting it again")
                .next("wait until it runs, and see with `docker logs` why it ended"));
        }
        let local = engine.is_local();
        let same = found.state.pid == Some(container.init.pid) && (!local || members::open(&container.init)?.is_some());
        if !found.state.running || !same {
            return Err(gone(fault, format!("the process of {target} that was chosen"))
                .since(format!("the container is {} now", found.state.status.word())));
        }
        let life = Self {
            engine: container.engine.clone(),
            program: engine.program(),
            id: container.id.clone(),
            name: container.name.clone(),
            init: container.init.clone(),
            local,
            started_at: found.state.started_at.clone(),
            configuration: configuration(&found.raw),
            addresses: found.networks.clone(),
        };
        Ok((life, found))
    }

    /// Refuses a container that would not be there any more after its end.
    pub(crate) fn comes_back(fault: &str, target: &Target, found: &Details) -> Result<()> {
        if found.raw.pointer("/HostConfig/AutoRemove") == Some(&Value::Bool(true)) {
            return Err(refuse(
                fault,
                target,
                "the engine removes it when it ends (`--rm`), so nothing could start it again",
            )
            .next("start the container without `--rm`"));
        }
        Ok(())
    }

    /// The engine that runs it.
    pub(crate) async fn engine(&self, cx: &Context) -> Result<Engine> {
        cx.engines.at(&self.engine).await
    }

    /// The container now; `None` when it is gone or going.
    pub(crate) async fn now(&self, cx: &Context) -> Result<Option<Details>> {
        let found = self.engine(cx).await?.inspect(&self.id).await?;
        Ok(found.filter(|found| !matches!(found.state.status, Status::Removing | Status::Dead)))
    }

    /// Whether the container still is in this life.
    pub(crate) fn is_now(&self, found: &Details) -> bool {
        found.state.running && !found.state.restarting && found.state.started_at == self.started_at
    }

    /// Whether this life is over, from the kernel where it is ours, else from the engine.
    pub(crate) async fn is_over(&self, cx: &Context) -> Result<bool> {
        if self.local {
            return signal::ended(&self.init);
        }
        Ok(self.now(cx).await?.is_none_or(|found| !self.is_now(&found)))
    }

    /// What nobody else may hold meanwhile.
    pub(crate) fn resource(&self) -> Resource {
        Resource {
            key: format!("container {}", self.id),
            object: self.local.then(|| format!("/proc/{}", self.init.pid)),
        }
    }

    /// Starts it unless it runs, after what its restart policy does.
    pub(crate) async fn bring_back(&self, cx: &Context) -> Result<Reverted> {
        let engine = self.engine(cx).await?;
        let begun = std::time::Instant::now();
        loop {
            let Some(now) = self.now(cx).await? else {
                return Ok(Reverted::AlreadyGone);
            };
            if (now.state.restarting || self.is_unnoticed(&now)?) && begun.elapsed() < POLICY {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut did = Reverted::AlreadyGone;
            if !now.state.running || now.state.restarting {
                match engine.start(&self.id).await? {
                    Outcome::Done => did = Reverted::Restored,
                    // Its policy was faster, or somebody began to remove it: the next look tells.
                    Outcome::Already | Outcome::NotRunning | Outcome::Missing => {}
                }
            }
            return Ok(self.changed(&now).unwrap_or(did));
        }
    }

    /// Whether the engine still says that this life runs while the kernel knows that it is over: the engine learns of an end some
    /// milliseconds later, and a start in between would be answered with "it runs".
    fn is_unnoticed(&self, found: &Details) -> Result<bool> {
        Ok(self.local && self.is_now(found) && signal::ended(&self.init)?)
    }

    /// Whether it runs again as it was configured, at the same addresses.
    pub(crate) async fn observe_back(&self, cx: &Context) -> Result<Seen> {
        let Some(now) = self.now(cx).await? else {
            return Ok(Seen::TargetGone);
        };
        if self.is_unnoticed(&now)? {
            return Ok(Seen::Ours(format!(
                "the first process of container {} has ended",
                self.name
            )));
        }
        if !now.state.running || now.state.restarting {
            return Ok(Seen::Ours(format!(
                "container {} is {}",
                self.name,
                now.state.status.word()
            )));
        }
        if let Some(Reverted::Foreign { now, .. }) = self.changed(&now) {
            return Ok(Seen::Foreign(now));
        }
        if now.networks == self.addresses {
            return Ok(Seen::Original);
        }
        // Another start may have taken the address meanwhile: whoever relies on it no longer finds the container.
        Ok(Seen::Ours(format!(
            "container {} has the addresses {:?}, before {:?}",
            self.name, now.networks, self.addresses
        )))
    }

    /// Fracas never changes a configuration: a difference is somebody else's.
    fn changed(&self, now: &Details) -> Option<Reverted> {
        let now = configuration(&now.raw);
        let keys = self.configuration.keys().chain(now.keys());
        let mut keys = keys.filter(|key| self.configuration.get(*key) != now.get(*key));
        let key = keys.next()?;
        let say =
            |from: &BTreeMap<String, String>| format!("{key} = {}", from.get(key).map_or("nothing", String::as_str));
        Some(Reverted::Foreign {
            before: say(&self.configuration),
            ours: say(&self.configuration),
            now: say(&now),
        })
    }

    /// What a person types to do something to it.
    pub(crate) fn manual(&self, verb: &str) -> Vec<String> {
        vec![format!("{} {verb} {}", self.program, self.name)]
    }

    /// The container does not run any more, or as another life.
    #[expect(clippy::unnecessary_box_returns, reason = "problems travel boxed")]
    pub(crate) fn gone(&self, fault: &str) -> Box<Problem> {
        gone(
            fault,
            format!("the process of container {} that was planned", self.name),
        )
    }
}

/// The image and each setting by its path, in a form that is the same whenever it means the same.
fn configuration(raw: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for section in ["Config", "HostConfig"] {
        let Some(Value::Object(settings)) = raw.get(section) else {
            continue;
        };
        for (name, value) in settings {
            // Links are listed in the order of a hash map (moby, daemon/inspect.go).
            let known = !matches!(value, Value::Null) && name != "Links";
            if known {
                all.insert(format!("{section}.{name}"), short(value));
            }
        }
    }
    if let Some(image) = raw.get("Image") {
        all.insert("Image".to_owned(), short(image));
    }
    all
}

/// Numbers, truths and the like as they are; texts and lists as a digest, for they may hold secrets, and a ledger is no place for
/// them.
fn short(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        other => blake3::hash(sorted(other).as_bytes()).to_hex()[..16].to_owned(),
    }
}

/// JSON with the keys of maps in order, whatever `serde_json` was built with.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
            format!("{map:?}")
        }
        Value::Array(list) => format!("{:?}", list.iter().map(sorted).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

/// What a call of the engine may take besides the time that the container is given.
pub(crate) const ENGINE_CALL: Duration = Duration::from_secs(10);

/// A grace period that the document may ask for.
pub(crate) fn check_grace(fault: &str, target: &Target, grace: Duration) -> Result<()> {
    const LONGEST: Duration = Duration::from_mins(1);
    if grace > LONGEST {
        return Err(refuse(
            fault,
            target,
            format!("a grace of {grace:?} is longer than {LONGEST:?}"),
        ));
    }
    Ok(())
}

/// What the engine says instead of doing it, as a problem.
pub(crate) fn done(outcome: Outcome, fault: &str, life: &Life) -> Result<()> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Already => Err(Problem::new(
            &codes::FAULT_APPLY,
            format!(
                "{fault}: somebody did the same to container {} since it was planned",
                life.name
            ),
        )),
        Outcome::NotRunning | Outcome::Missing => Err(life.gone(fault)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life(raw: &Value) -> Life {
        Life {
            engine: "unix:///x".into(),
            program: "docker -H unix:///x".into(),
            id: "0123".into(),
            name: "web".into(),
            init: ProcessIdentity {
                pid: 1,
                start: 2,
                boot: "b".into(),
            },
            local: true,
            started_at: String::new(),
            configuration: configuration(raw),
            addresses: BTreeMap::new(),
        }
    }

    fn details(raw: Value) -> Details {
        Details {
            id: String::new(),
            name: String::new(),
            image: String::new(),
            state: fracas_docker::State {
                status: Status::Running,
                running: true,
                paused: false,
                restarting: false,
                pid: Some(1),
                started_at: String::new(),
                exit_code: 0,
                restart_count: 0,
                health: fracas_docker::Health::None,
            },
            restart_policy: fracas_docker::RestartPolicy {
                name: "no".into(),
                maximum: 0,
            },
            labels: BTreeMap::new(),
            networks: BTreeMap::new(),
            addresses: Vec::new(),
            published: Vec::new(),
            limits: fracas_docker::Limits::default(),
            cgroup_parent: String::new(),
            raw,
        }
    }

    #[test]
    fn somebody_elses_setting_is_told_with_three_values() {
        let before =
            json!({ "Image": "sha256:1", "HostConfig": { "Memory": 0, "CpuQuota": 5 }, "State": { "Pid": 7 } });
        let mut after = before.clone();
        after["State"]["Pid"] = json!(8);
        assert_eq!(life(&before).changed(&details(after.clone())), None);
        after["HostConfig"]["Memory"] = json!(512);
        let Some(Reverted::Foreign { before, ours, now }) = life(&before).changed(&details(after)) else {
            panic!("the change was not noticed");
        };
        assert_eq!(before, "HostConfig.Memory = 0");
        assert_eq!(ours, before);
        assert_eq!(now, "HostConfig.Memory = 512");
    }

    #[test]
    fn a_configuration_keeps_no_text_and_no_order_of_keys() {
        let raw = json!({ "Config": { "Env": ["PASSWORD=hunter2"], "Labels": { "a": "1", "b": "2" }, "User": "me" } });
        let kept = configuration(&raw);
        assert!(!format!("{kept:?}").contains("hunter2"));
        assert_eq!(kept.len(), 3);
        let turned: Value = serde_json::from_str(r#"{"b":"2","a":"1"}"#).unwrap();
        assert_eq!(kept["Config.Labels"], short(&turned));
        assert_ne!(kept["Config.Env"], short(&json!(["PASSWORD=hunter3"])));
    }
}
