//! To which addresses hooks may send anything.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use fracas_core::traffic::Network;
use hyper::http::uri::Authority;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::api;
use crate::destination::{Refusal, is_own, refusal};

/// A lookup goes on when whoever asked for it has given up, so there is one at a time.
static LOOKUP: Semaphore = Semaphore::const_new(1);

/// Whom hooks may send something.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Besides this machine.
    pub(crate) allowed: Vec<Network>,
    /// Ports of this machine by which the proxy, or what is in its process, is told what to do.
    pub(crate) own: Vec<u16>,
    /// The same, where that is beneath the path of the API alone.
    pub(crate) shared: Vec<u16>,
}

impl Reach {
    /// The addresses of the host of a request, looked up once, if all of them may be asked. One that `may_run` programs could reach the proxy's
    /// own ports by a program, too.
    pub(super) async fn resolve(
        &self,
        authority: &Authority,
        path: &str,
        may_run: bool,
    ) -> Result<Vec<SocketAddr>, String> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let found = look_up(host, authority.port_u16().unwrap_or(80)).await?;
        match found.iter().find_map(|address| self.forbids(*address, path, may_run)) {
            Some(why) => Err(why),
            None if found.is_empty() => Err("the name has no address".to_owned()),
            None => Ok(found),
        }
    }

    /// Why nothing is sent to an address.
    fn forbids(&self, at: SocketAddr, path: &str, may_run: bool) -> Option<String> {
        let is_ours = is_own(at, &self.own) || api::is_path(path) && is_own(at, &self.shared);
        if is_ours && !may_run {
            return Some(format!(
                "{at} is of the proxy itself: a hook says nothing to its APIs, unless the orchestration is that of `--orchestration`, or the \
                 proxy was started with `--allow-exec`"
            ));
        }
        let address = at.ip().to_canonical();
        Some(match refusal(address, &self.allowed, true)? {
            Refusal::Secret => format!("{address} is link-local, or tells about a machine: nothing is ever sent there"),
            Refusal::NoServer => format!("{address} is no address of a server"),
            Refusal::NotAllowed => {
                format!("{address} is not of this machine: `--allow-upstream {address}` of the proxy allows it")
            }
        })
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let permit = LOOKUP.acquire().await.map_err(|error| error.to_string())?;
    let host = host.to_owned();
    let lookup = spawn_blocking(move || {
        let _until_it_ends = permit;
        (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    });
    let found = lookup.await.map_err(|error| error.to_string())?;
    found.map_err(|error| error.to_string())
}
