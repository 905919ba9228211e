//! Containers and images that the lab makes and removes. Runs never make anything in an engine.

use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, NetworkConnectRequest, NetworkCreateRequest, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, ListNetworksOptions, RemoveContainerOptions, RemoveImageOptions,
};
use fracas_core::problem::codes::ENGINE_REFUSED;
use fracas_core::problem::{Problem, Result};
use futures_util::StreamExt;

use crate::answer;
use crate::engine::{Engine, checked};
use crate::lifecycle::Outcome;

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
        let body = ContainerCreateBody {
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
        let doing = format!("import image {}:{}", checked(repository)?, checked(tag)?);
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            // The tag as part of the name: Podman forgets it where it stands alone.
            repo: Some(format!("{repository}:{tag}")),
            ..Default::default()
        };
        let stream = self
            .docker()
            .create_image(Some(options), Some(bollard::body_full(tar.into())), None);
        let import = async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(progress) = stream.next().await {
                progress?;
            }
            Ok(())
        };
        self.within(Duration::from_mins(1), &doing, import)
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
}
