//! What a meter asks of a kernel queue.

use std::io;

use fracas_linux::netlink::Netlink;
use fracas_linux::relay;
use fracas_linux::traffic_control::{Netem, ROOT};

use super::super::meter::{Counted, Gauge, Probes};
use super::KernelQueue;
use super::place::OWN;
use super::programs;

/// It, for a meter.
pub(in super::super) struct OfKernel<'a>(pub(in super::super) &'a KernelQueue);

impl Gauge for OfKernel<'_> {
    fn name(&self) -> &str {
        &self.0.place.aside
    }

    fn probes(&self) -> io::Result<Result<Probes, String>> {
        let (place, mut netlink) = (&self.0.place, Netlink::route()?);
        let link = match place.aside(&mut netlink)? {
            Ok(Some(link)) if link.up => link,
            Ok(Some(_)) => return Ok(Err(format!("the interface {} is down", place.aside))),
            Ok(None) => return Ok(Err(format!("there is no interface {}", place.aside))),
            Err(other) => return Ok(Err(other)),
        };
        let queues = netlink.qdiscs(link.index)?;
        if !queues
            .iter()
            .any(|queue| queue.parent == ROOT && queue.kind == Netem::KIND)
        {
            return Ok(Err(format!("the interface {} has no netem", place.aside)));
        }
        for device in &place.devices {
            let to_it = place.filters(&mut netlink, device)?;
            if !to_it
                .iter()
                .any(|filter| filter.handle == OWN && filter.to == Some(link.index))
            {
                return Ok(Err(format!("nothing leads from {} to {}", device.name, place.aside)));
            }
        }
        Ok(Ok(Probes {
            mark: relay::PROBE | relay::MARKS | programs::OWN,
            port: programs::OWN_PORT,
            with_headers: true,
        }))
    }

    fn count(&self) -> io::Result<Counted> {
        let (place, mut netlink) = (&self.0.place, Netlink::route()?);
        let mut counted = Counted::default();
        for device in &place.devices {
            let filters = place.filters(&mut netlink, device)?;
            let own = filters.iter().filter(|filter| filter.handle == OWN);
            counted.own += own.map(|filter| filter.packets).sum::<u64>();
        }
        if let Ok(Some(link)) = place.aside(&mut netlink)? {
            let lost = netlink
                .qdiscs(link.index)?
                .into_iter()
                .map(|queue| u64::from(queue.lost));
            counted.lost = lost.sum();
        }
        Ok(counted)
    }
}
