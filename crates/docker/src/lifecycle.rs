//! Pausing, stopping, starting, signalling.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptions, RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};
use fracas_core::params::Signal;
use fracas_core::problem::Result;

use crate::answer;
use crate::engine::{Engine, checked};
use crate::transport::LONGEST;

/// What a call may take besides the time that the container is given.
const MARGIN: Duration = Duration::from_secs(10);

/// How a call ended that changes a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The engine did it.
    Done,
    /// It was so already.
    Already,
    /// The container does not run, so it cannot be done.
    NotRunning,
    /// There is no such container.
    Missing,
}

impl Engine {
    /// Freezes all processes of a container. `Already`: it is paused.
    pub async fn pause(&self, id: &str) -> Result<Outcome> {
        let doing = format!("pause container {}", checked(id)?);
        self.act(MARGIN, &doing, self.docker().pause_container(id)).await
    }

    /// Lets the processes of a paused container go on. `Already`: it is not paused.
    pub async fn unpause(&self, id: &str) -> Result<Outcome> {
        let doing = format!("unpause container {}", checked(id)?);
        self.act(MARGIN, &doing, self.docker().unpause_container(id)).await
    }

    /// Asks a container to end and kills it after `grace` (whole seconds, rounded up; at most 170 s). `Already`: it does not run.
    ///
    /// Takes at most `grace` and 10 s. The future can be dropped, which hangs up; the engine still carries out what it has begun,
    /// so that the container may stop as late as `grace` after the call.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<Outcome> {
        let doing = format!("stop container {}", checked(id)?);
        let (limit, seconds) = graceful(grace);
        let options = StopContainerOptions {
            t: Some(seconds),
            ..Default::default()
        };
        self.act(limit, &doing, self.docker().stop_container(id, Some(options)))
            .await
    }

    /// Starts a container. `Already`: it runs.
    pub async fn start(&self, id: &str) -> Result<Outcome> {
        let doing = format!("start container {}", checked(id)?);
        let options: Option<StartContainerOptions> = None;
        // Mounts and networks are set up in this call: it may well take longer than a question.
        self.act(
            Duration::from_secs(30),
            &doing,
            self.docker().start_container(id, options),
        )
        .await
    }

    /// Stops a container as [`Engine::stop`] does, and starts it. Takes at most `grace` and 10 s.
    pub async fn restart(&self, id: &str, grace: Duration) -> Result<Outcome> {
        let doing = format!("restart container {}", checked(id)?);
        let (limit, seconds) = graceful(grace);
        let options = RestartContainerOptions {
            t: Some(seconds),
            ..Default::default()
        };
        self.act(limit, &doing, self.docker().restart_container(id, Some(options)))
            .await
    }

    /// Sends a signal to the init of a container through the engine. The engine takes a deadly one as a stop by hand: restart
    /// policies do not act after it.
    pub async fn kill(&self, id: &str, signal: Signal) -> Result<Outcome> {
        let doing = format!("send {signal} to container {}", checked(id)?);
        let options = KillContainerOptions {
            signal: signal.name().to_owned(),
        };
        self.act(MARGIN, &doing, self.docker().kill_container(id, Some(options)))
            .await
    }

    /// A call that changes a container, with the states that are no errors told apart.
    pub(crate) async fn act(
        &self,
        limit: Duration,
        doing: &str,
        call: impl Future<Output = Result<(), Error>>,
    ) -> Result<Outcome> {
        match self.within(limit, doing, call).await? {
            Ok(()) => Ok(Outcome::Done),
            Err(Error::DockerResponseServerError { status_code, message }) => state_of(status_code, &message)
                .ok_or_else(|| {
                    let error = Error::DockerResponseServerError { status_code, message };
                    answer::problem(self.place(), doing, &error)
                }),
            Err(error) => Err(answer::problem(self.place(), doing, &error)),
        }
    }
}

/// The time limit of a call that waits for a container, and the seconds that the engine is told.
fn graceful(grace: Duration) -> (Duration, i32) {
    let most = LONGEST.saturating_sub(MARGIN).as_secs();
    let seconds = (grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).min(most);
    (Duration::from_secs(seconds) + MARGIN, seconds as i32)
}

/// Refusals that describe a state. The status is 409, or 500 where moby returns a plain error (`is not paused`) and wherever Podman
/// finds a state improper, so the words decide; Docker's have not changed since 1.13, Podman's not since 3.0.
fn state_of(status: u16, message: &str) -> Option<Outcome> {
    let says = |words: &str| message.contains(words);
    match status {
        304 => Some(Outcome::Already),
        404 if says("o such container") => Some(Outcome::Missing),
        409 if says("is already in progress") => Some(Outcome::Already),
        409 | 500 if says("is already paused") || says("is not paused") => Some(Outcome::Already),
        409 | 500 if says("is not running") || says("is restarting, wait until") => Some(Outcome::NotRunning),
        409 | 500 if says("can only kill running containers") => Some(Outcome::NotRunning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_from_refusals() {
        for (status, message, outcome) in [
            (304, "", Some(Outcome::Already)),
            (404, "No such container: x", Some(Outcome::Missing)),
            (404, "page not found", None),
            (409, "Container x is already paused", Some(Outcome::Already)),
            (500, "Container x is not paused", Some(Outcome::Already)),
            (
                409,
                "Cannot kill container: x: Container x is not running",
                Some(Outcome::NotRunning),
            ),
            (
                409,
                "Container x is restarting, wait until the container is running",
                Some(Outcome::NotRunning),
            ),
            (409, "cannot start a paused container, try unpause instead", None),
            (
                409,
                "removal of container x is already in progress",
                Some(Outcome::Already),
            ),
            // Podman 4.3.
            (
                404,
                "no container with name or ID \"x\" found: no such container",
                Some(Outcome::Missing),
            ),
            (
                500,
                "\"x\" is already paused: container state improper",
                Some(Outcome::Already),
            ),
            (
                500,
                "\"x\" is not paused, can't unpause: container state improper",
                Some(Outcome::Already),
            ),
            (
                500,
                "\"exited\" is not running, can't pause: container state improper",
                Some(Outcome::NotRunning),
            ),
            (
                500,
                "can only kill running containers. x is in state exited: container state improper",
                Some(Outcome::NotRunning),
            ),
            (500, "disk on fire", None),
        ] {
            assert_eq!(state_of(status, message), outcome, "{status} {message}");
        }
    }

    #[test]
    fn grace_is_rounded_up_and_bounded() {
        assert_eq!(graceful(Duration::from_millis(1500)), (Duration::from_secs(12), 2));
        assert_eq!(graceful(Duration::ZERO), (Duration::from_secs(10), 0));
        assert_eq!(graceful(Duration::from_secs(9999)), (LONGEST, 170));
    }
}
