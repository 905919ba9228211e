//! Containers, images and volumes that the lab makes and removes, and a run with a sidecar. Other runs make nothing in an engine.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, Mount, MountBindOptions, MountType,
    NetworkConnectRequest, NetworkCreateRequest, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
    RemoveContainerOptions, RemoveImageOptions, RemoveVolumeOptions,
};
use fracas_core::problem::codes::ENGINE_REFUSED;
use fracas_core::problem::{Problem, Result};
use futures_util::{Stream, StreamExt};

use crate::answer;
use crate::engine::{Engine, checked};
use crate::lifecycle::Outcome;
use crate::transport::LONGEST;

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct NewContainer {
    /// Its name.
    pub name: String,
    /// The image, which must be there: nothing is pulled.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// `no` (also when empty), `always`, `unless-stopped` or `on-failure`.
    pub restart_policy: String,
    /// Limit of memory in bytes; 0 is none.
    pub memory: i64,
    /// `none`, `host`, or a network's name; the engine's default when empty.
    pub network: String,
    /// Environment, each `NAME=value`.
    pub env: Vec<String>,
    /// Program and arguments of a health check that is made every second and fails at once; none when empty.
    pub health_check: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// What is mounted in it, each `DIRECTORY:WHERE`.
    pub binds: Vec<String>,
    /// The name servers that it is told, by their addresses. None are the engine's choice.
    pub dns: Vec<String>,
    /// Whether it sees the machine as a process of the machine does.
    pub on_host: Option<OnHost>,
}

/// A container that sees the machine as a process of the machine does: its processes and control groups, its devices, and nothing of
/// `/proc` hidden. Its standard input is open until the first who attaches hangs up.
#[derive(Debug, Clone, Default)]
pub struct OnHost {
    /// The names of its capabilities, `CAP_KILL`; it has no others.
    pub capabilities: Vec<String>,
    /// What of the machine's file system it sees, and where. What is not there is an error, not an empty directory.
    pub mounts: Vec<(String, String)>,
    /// A directory of the machine's file system that it can read at the same path, without what is mounted below it; none when empty.
    pub readable: String,
}

impl OnHost {
    fn configure(&self, body: &mut ContainerCreateBody) {
        body.open_stdin = Some(true);
        body.stdin_once = Some(true);
        body.attach_stdin = Some(true);
        let host = body.host_config.get_or_insert_default();
        host.pid_mode = Some("host".to_owned());
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST);
        host.cap_drop = Some(vec!["ALL".to_owned()]);
        host.cap_add = Some(self.capabilities.clone());
        host.security_opt = Some(
            ["seccomp=unconfined", "apparmor=unconfined", "label=disable"]
                .map(str::to_owned)
                .into(),
        );
        host.device_cgroup_rules = Some(vec!["a *:* rwm".to_owned()]);
        // As `--security-opt systempaths=unconfined` does: nothing of /proc is hidden or read-only.
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
        let mount = |(source, target): &(String, String)| Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            ..Default::default()
        };
        let readable = (!self.readable.is_empty()).then(|| Mount {
            read_only: Some(true),
            bind_options: Some(MountBindOptions {
                // Else every file system that containers have now would stay in use for as long as this one runs.
                non_recursive: Some(true),
                ..Default::default()
            }),
            ..mount(&(self.readable.clone(), self.readable.clone()))
        });
        host.mounts = Some(self.mounts.iter().map(mount).chain(readable).collect());
    }
}

impl Engine {
    /// Makes a container without starting it and gives its id.
    pub async fn create(&self, new: &NewContainer) -> Result<String> {
        let doing = format!("make container {}", checked(&new.name)?);
        let policy = match new.restart_policy.as_str() {
            "" | "no" => RestartPolicyNameEnum::NO,
            "always" => RestartPolicyNameEnum::ALWAYS,
            "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
            "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
            other => {
                return Err(Problem::new(&ENGINE_REFUSED, format!("{other:?} is no restart policy"))
                    .next("write no, always, unless-stopped or on-failure"));
            }
        };
        let check = (!new.health_check.is_empty()).then(|| HealthConfig {
            test: Some(
                std::iter::once("CMD".to_owned())
                    .chain(new.health_check.iter().cloned())
                    .collect(),
            ),
            interval: Some(1_000_000_000),
            retries: Some(1),
            ..Default::default()
        });
        let mut body = ContainerCreateBody {
            image: Some(new.image.clone()),
            cmd: Some(new.command.clone()),
            env: Some(new.env.clone()),
            labels: Some(new.labels.iter().cloned().collect()),
            healthcheck: check,
            tty: Some(new.tty),
            host_config: Some(HostConfig {
                binds: (!new.binds.is_empty()).then(|| new.binds.clone()),
                dns: (!new.dns.is_empty()).then(|| new.dns.clone()),
                memory: (new.memory > 0).then_some(new.memory),
                network_mode: (!new.network.is_empty()).then(|| new.network.clone()),
                restart_policy: Some(RestartPolicy {
                    name: Some(policy),
                    maximum_retry_count: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        if let Some(on_host) = &new.on_host {
            on_host.configure(&mut body);
        }
        let options = CreateContainerOptions {
            name: Some(new.name.clone()),
            ..Default::default()
        };
        let made = self
            .call(&doing, self.docker().create_container(Some(options), body))
            .await?;
        Ok(made.id)
    }

    /// Removes a container, killing it first, with its anonymous volumes. Takes at most 30 s. `Already`: somebody else is
    /// removing it.
    pub async fn remove(&self, id: &str) -> Result<Outcome> {
        let doing = format!("remove container {}", checked(id)?);
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        self.act(
            Duration::from_secs(30),
            &doing,
            self.docker().remove_container(id, Some(options)),
        )
        .await
    }

    /// Makes an image from the files in a tar archive, named `repository:tag`. Takes at most 60 s.
    pub async fn import_image(&self, tar: Vec<u8>, repository: &str, tag: &str) -> Result<()> {
        let whole = futures_util::stream::once(std::future::ready(Ok(tar.into())));
        self.import(Duration::from_mins(1), whole, repository, tag).await
    }

    /// The same from an archive that is made while it is sent. Takes at most three minutes.
    pub async fn import_stream(
        &self,
        tar: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static,
        repository: &str,
        tag: &str,
    ) -> Result<()> {
        self.import(LONGEST, tar, repository, tag).await
    }

    async fn import(
        &self,
        limit: Duration,
        tar: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static,
        repository: &str,
        tag: &str,
    ) -> Result<()> {
        let doing = format!("import image {}:{}", checked(repository)?, checked(tag)?);
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            // The tag as part of the name: Podman forgets it where it stands alone.
            repo: Some(format!("{repository}:{tag}")),
            ..Default::default()
        };
        let stream = self
            .docker()
            .create_image(Some(options), Some(bollard::body_try_stream(tar)), None);
        let import = async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(progress) = stream.next().await {
                progress?;
            }
            Ok(())
        };
        self.within(limit, &doing, import)
            .await?
            .map_err(|error| answer::problem(self.place(), &doing, &error))
    }

    /// Whether an image of this name and tag is there.
    pub async fn has_image(&self, repository: &str, tag: &str) -> Result<bool> {
        let name = format!("{}:{}", checked(repository)?, checked(tag)?);
        let doing = format!("describe image {name}");
        let asked = self.docker().inspect_image(&name);
        match self.within(Duration::from_secs(5), &doing, asked).await? {
            Ok(_) => Ok(true),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(answer::problem(self.place(), &doing, &error)),
        }
    }

    /// The tags under which images of this name are there.
    pub async fn image_tags(&self, repository: &str) -> Result<Vec<String>> {
        let doing = format!("list the images {}", checked(repository)?);
        let options = ListImagesOptions {
            filters: Some([("reference".to_owned(), vec![repository.to_owned()])].into()),
            ..Default::default()
        };
        let all = self.call(&doing, self.docker().list_images(Some(options))).await?;
        let names = all.into_iter().flat_map(|image| image.repo_tags);
        let tags = names.filter_map(|name| Some(name.rsplit_once(':')?.1.to_owned()));
        Ok(tags.collect())
    }

    /// Makes a network with a bridge of its own and without a way out, under a label, and gives its id.
    pub async fn make_network(&self, name: &str, label: (&str, &str)) -> Result<String> {
        let doing = format!("make network {}", checked(name)?);
        let body = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            // Nothing is translated and nothing is let out.
            internal: Some(true),
            labels: Some([(label.0.to_owned(), label.1.to_owned())].into()),
            ..Default::default()
        };
        // Its bridge and its rules in the packet filter are made in this call.
        let made = self.within(Duration::from_secs(30), &doing, self.docker().create_network(body));
        let made = made.await?;
        made.map(|made| made.id)
            .map_err(|error| answer::problem(self.place(), &doing, &error))
    }

    /// The networks that have this label: the id of each, and the label's value.
    pub async fn networks(&self, label: &str) -> Result<Vec<(String, String)>> {
        let all = self
            .call(
                "list the networks",
                self.docker().list_networks(None::<ListNetworksOptions>),
            )
            .await?;
        let labelled = all.into_iter().filter_map(|network| {
            let value = network.labels?.remove(label)?;
            Some((network.id?, value))
        });
        Ok(labelled.collect())
    }

    /// Joins a container to one more network.
    pub async fn join_network(&self, network: &str, container: &str) -> Result<()> {
        let doing = format!(
            "join container {} to network {}",
            checked(container)?,
            checked(network)?
        );
        let body = NetworkConnectRequest {
            container: container.to_owned(),
            ..Default::default()
        };
        self.call(&doing, self.docker().connect_network(network, body)).await
    }

    /// Removes a network.
    pub async fn remove_network(&self, name: &str) -> Result<()> {
        let doing = format!("remove network {}", checked(name)?);
        self.call(&doing, self.docker().remove_network(name)).await
    }

    /// Removes an image.
    pub async fn remove_image(&self, repository: &str, tag: &str) -> Result<()> {
        let name = format!("{}:{}", checked(repository)?, checked(tag)?);
        let doing = format!("remove image {name}");
        let options = RemoveImageOptions {
            force: true,
            ..Default::default()
        };
        self.call(&doing, self.docker().remove_image(&name, Some(options), None))
            .await?;
        Ok(())
    }

    /// Makes a volume under a label. One of this name that is there already stays as it is, with its labels.
    pub async fn make_volume(&self, name: &str, label: (&str, &str)) -> Result<()> {
        let doing = format!("make volume {}", checked(name)?);
        let body = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some([(label.0.to_owned(), label.1.to_owned())].into()),
            ..Default::default()
        };
        self.call(&doing, self.docker().create_volume(body)).await.map(drop)
    }

    /// The labels of a volume; `None` if there is no such volume.
    pub async fn volume(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let doing = format!("describe volume {}", checked(name)?);
        let asked = self.docker().inspect_volume(name);
        match self.within(Duration::from_secs(5), &doing, asked).await? {
            Ok(found) => Ok(Some(found.labels.into_iter().collect())),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(answer::problem(self.place(), &doing, &error)),
        }
    }

    /// The volumes that have this label: the name of each, and the label's value.
    pub async fn volumes(&self, label: &str) -> Result<Vec<(String, String)>> {
        let options = ListVolumesOptions {
            filters: Some([("label".to_owned(), vec![label.to_owned()])].into()),
        };
        let all = self
            .call("list the volumes", self.docker().list_volumes(Some(options)))
            .await?;
        let labelled = all
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mut volume| Some((volume.name, volume.labels.remove(label)?)));
        Ok(labelled.collect())
    }

    /// Removes a volume that no container has any more.
    pub async fn remove_volume(&self, name: &str) -> Result<Outcome> {
        let doing = format!("remove volume {}", checked(name)?);
        let options: Option<RemoveVolumeOptions> = None;
        self.act(
            Duration::from_secs(30),
            &doing,
            self.docker().remove_volume(name, options),
        )
        .await
    }
}
