//! What follows when both sides agreed on another protocol: bytes, in both directions, until one of the sides ends.

mod upgraded;
mod watched;

use std::future::Future;
use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use tokio::sync::{mpsc, watch};

use crate::faults::bandwidth::Bandwidth;
use crate::shaped::Paced;
use crate::websocket::{self, Session};
pub(crate) use upgraded::Upgraded;
use watched::End;
pub(crate) use watched::watched;

/// Where tunnels are known, so that the proxy does not end before them.
#[derive(Debug, Clone)]
pub(crate) struct Tunnels {
    /// Nothing is sent: the proxy knows by their end that no tunnel is left, and by their number how many are.
    pub(crate) alive: mpsc::WeakSender<()>,
    /// True when patience is over.
    pub(crate) over: watch::Receiver<bool>,
    pub(crate) bandwidth: Arc<Bandwidth>,
}

impl Tunnels {
    /// Begins to carry, as soon as both have gone over; with a session, messages. What is held goes when it ends, at the latest when
    /// one of them has gone.
    pub(crate) fn carry<E: End + 'static>(
        &self,
        client: OnUpgrade,
        upstream: impl Future<Output = hyper::Result<E>> + Send + 'static,
        held: impl Send + 'static,
        session: Option<Session>,
    ) {
        let mut over = self.over.clone();
        let bandwidth = Arc::clone(&self.bandwidth);
        // Without the proxy there is nobody to carry for.
        let Some(alive) = self.alive.upgrade() else { return };
        tokio::spawn(async move {
            let carried = async {
                let (client, upstream) = tokio::try_join!(client, upstream)?;
                let (client, upstream, gone) = watched(Upgraded::from(client), upstream);
                let mut client = Paced::new(client, Arc::clone(&bandwidth));
                let mut upstream = Paced::new(upstream, bandwidth);
                let carried = async {
                    match &session {
                        Some(session) => websocket::carry(session, client, upstream).await,
                        None => tokio::io::copy_bidirectional(&mut client, &mut upstream)
                            .await
                            .map(drop),
                    }
                };
                // That it broke off is what both sides see; there is nobody else to be told.
                tokio::select! {
                    biased;
                    _broke_off = carried => {}
                    () = gone => {}
                }
                Ok::<_, hyper::Error>(())
            };
            tokio::select! {
                _done = carried => {}
                _over = over.wait_for(|over| *over) => {}
            }
            drop((held, alive));
        });
    }
}
