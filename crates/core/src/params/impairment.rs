//! Parameters of the faults that impair packets: each of them has the same keys for which packets it is about, and keys of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observer::Spared;
use crate::traffic::{Direction, Peer, Service};
use crate::units::{Percent, Rate, Span};

/// Which packets of a target a fault is about.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    /// In which direction.
    pub direction: Direction,
    /// To whom, or from whom; empty is everybody.
    pub to: &'a [Peer],
    /// To whom, or from whom, not.
    pub except: &'a [Peer],
    /// Ports of either side; empty is all.
    pub ports: &'a [Service],
    /// The interface; none is all but the loopback device.
    pub device: Option<&'a str>,
    /// What passes between the target and those who measure it is left alone, also if `to` names it.
    pub spared: &'a [Spared],
}

/// A fault on the packets of some traffic.
pub trait Impairs {
    /// Of which traffic, with those who measure it.
    fn traffic(&self) -> Traffic<'_>;
    /// Whether it hits those who measure, too.
    fn include_observers(&self) -> bool;

    /// By what.
    fn mechanism(&self) -> Mechanism;
}

/// By what packets are impaired.
///
/// The packet queue repeats with the seed, knows a correlation as it was asked, composes with every other fault, and goes when its worker does.
/// The kernel queue costs no copy of a packet and no process, and marks nothing; its chance is the kernel's own, it stays when Fracas is killed
/// until `fracas recover`, and an interface of the target has one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// The packet queue; where that is refused, the kernel queue.
    #[default]
    Auto,
    /// Filters on the target's interfaces lead packets to an interface of ours (`ifb`) that has a `netem`.
    KernelQueue,
    /// A worker takes packets out of the kernel (NFQUEUE) and puts them back.
    PacketQueue,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_auto(mechanism: &Mechanism) -> bool {
    *mechanism == Mechanism::Auto
}

macro_rules! impairment {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        ///
        /// Undo: exact. Connections that were open before are affected at once. Multicast, broadcast and link-local traffic is left alone.
        /// Where packets come in, ports 1 to 9 of the target are those of the meter.
        ///
        /// A name of a host in `to` or `except` is looked for as the target's own programs would: in its `/etc/hosts`, then by the name
        /// servers of its `/etc/resolv.conf`, in the domains that it searches. Names that are not found, or have more than 32 addresses, are
        /// refused (F001), and so are more than 16 of them. While the fault is on each name is looked for again every second, and new
        /// addresses are meant from then on, up to 256 of a name; those that it had before are meant until the fault ends. Where a name
        /// is not found again it stays where it was, and whoever answers for IPv4 or IPv6 alone has not answered. Where a host of `except`
        /// turns out to have more addresses than that, the fault ends rather than hit them, and has not landed; of a host of `to` the
        /// effect says that there are more. These questions are impaired by no fault, nor is what comes back by UDP from port 53
        /// to ports 5310 to 5317; but where the server is Docker's own (127.0.0.11), what that asks of others are packets of the container, which are. A server
        /// that gives each asker other addresses may have given the target one that Fracas was not told: name such a host by its network.
        ///
        /// Left alone is what measures: what passes between the port that an `http` or `tcp` probe asks, where it is the target's, and
        /// the address from which Fracas asks it; and what passes between the target and protected containers or a Prometheus on
        /// another machine. All by the addresses that they have when the run begins; the plan says who it is. Whoever else comes to
        /// that port from the same address, as by the engine's proxy, is left alone with the probe. Not known, and hit, is what
        /// `command` probes ask and what a Prometheus scrapes that is on this machine and in no protected container.
        ///
        /// By the packet queue: the queue and its rules are the kernel's only as long as a worker of Fracas lives, and go with it. A worker
        /// that is stopped or hangs is passed by within a second, and the dose has not landed.
        ///
        /// By the kernel queue: an interface of ours in the target's network, and filters on its own interfaces, which stay until they are
        /// taken away, also when all of Fracas is killed: `fracas recover` does. Interfaces that come later are not impaired. What waits for
        /// longer than half a second when the fault ends is lost. Where the kernel's module `ifb` was not loaded, it makes two interfaces of
        /// the machine's besides, `ifb0` and `ifb1`, which are down, and stay. Of what the target sends, packets with bit 28 and at least seven
        /// of bits 20 to 27 in their mark are taken for what measures, and left alone.
        ///
        /// Refused (F001) where the target shares the machine's network, and where `to` and `ports` make more than 400 packet rules, or none.
        /// The packet queue also where routes are chosen by bits 20 to 28 of the marks of packets (`ip rule`), or packet rules ask for the
        /// user, group or control group of the sender, which packets lose that are sent again; rules that iptables made in its older way are
        /// not seen, and the plan says so. The kernel queue also where the kernel has no `netem`; where its module `ifb` is not loaded, and
        /// there is no /lib/modules to say that it could be; where an interface stands on another one or is a part of one (macvlan, ipvlan, a
        /// VLAN, a port of a bridge) and there is no `device`; where one has an `ingress` qdisc, or filters of somebody else's on the same
        /// side, which would not see what is led aside; with a `correlation`, which netem takes for another share or spread than asked; with
        /// a `jitter` above 2s, which netem cuts; and with a name of a host.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// Which packets: `egress` are those that the target sends, `ingress` those that it is sent. Default `egress`.
            #[serde(default)]
            pub direction: Direction,
            /// The other side: packets to these, or with `ingress` from these. Default: everybody.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub to: Vec<Peer>,
            /// Packets to these, or from these, are left alone, also if `to` names them. Default: none.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub except: Vec<Peer>,
            /// TCP and UDP ports of either side, such as `80`, `8000-8010` or `53/udp`. Default: all, and what has no ports.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub ports: Vec<Service>,
            /// The interface, as the target has it. Default: all but the loopback device.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub device: Option<String>,
            /// Also hits those who measure: the plan says who goes blind. Default false.
            #[serde(default)]
            pub include_observers: bool,
            /// By what packets are impaired: `packet_queue`, `kernel_queue`, or `auto`, which is the packet queue, and the kernel queue
            /// where that one is refused. Default `auto`.
            #[serde(default, skip_serializing_if = "is_auto")]
            pub mechanism: Mechanism,
        }

        impl Impairs for $name {
            fn traffic(&self) -> Traffic<'_> {
                Traffic {
                    direction: self.direction,
                    to: &self.to,
                    except: &self.except,
                    ports: &self.ports,
                    device: self.device.as_deref(),
                    spared: &[],
                }
            }

            fn include_observers(&self) -> bool {
                self.include_observers
            }

            fn mechanism(&self) -> Mechanism {
                self.mechanism
            }
        }
    };
}

impairment! {
    /// Delays packets that the target sends, or is sent.
    ///
    /// With a jitter packets may overtake each other, as with netem.
    Delay {
        /// How long, on average, up to 3s.
        mean: Span,
        /// How far from the mean, up to 3s: the half width of `uniform`, the standard deviation of the others. Default 0s.
        #[serde(default)]
        jitter: Span,
        /// How much a packet's delay is like that of the one before, up to 100%. Default 0%.
        #[serde(default)]
        correlation: Percent,
        /// How the delays are spread. Default `uniform`.
        #[serde(default)]
        distribution: Distribution,
    }
}

impairment! {
    /// Loses packets that the target sends, or is sent.
    Loss {
        /// How many of a hundred, more than 0% and up to 100%. Losses are independent, or, with a `burst`, come in series.
        percent: Percent,
        /// How much a packet's fate is like that of the one before, up to 100%; not together with a `burst`. Default 0%.
        #[serde(default)]
        correlation: Percent,
        /// How many packets in a row are lost on average, from 1 to 1000: a Gilbert model, that loses everything in its bad state and
        /// nothing in its good one. Default: each packet by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<f64>,
    }
}

impairment! {
    /// Sends packets of the target twice. What it is sent cannot be doubled: `ingress` is refused (D010).
    Duplicate {
        /// How many of a hundred, more than 0% and up to 100%.
        percent: Percent,
    }
}

impairment! {
    /// Flips one bit of what packets carry that the target sends or is sent, behind the header of IP: the receiver finds a wrong checksum
    /// and drops them, mostly. By the kernel queue the bit may also be one of the headers of IP or of the link.
    Corrupt {
        /// How many of a hundred, more than 0% and up to 100%.
        percent: Percent,
    }
}

impairment! {
    /// Lets packets that the target sends, or is sent, overtake others: all are delayed, but for some that are sent at once.
    Reorder {
        /// How many of a hundred are sent at once, more than 0% and less than 100%.
        percent: Percent,
        /// How much a packet's fate is like that of the one before, up to 100%. Default 0%.
        #[serde(default)]
        correlation: Percent,
        /// How long the others are delayed, from 1ms to 3s.
        delay: Span,
    }
}

impairment! {
    /// Lets the target send, or get, no more than so much in a second. What waits longer than a second, or behind 32 MiB, is lost, as behind a
    /// narrow link; by the kernel queue what waits behind as many packets of 1500 bytes as take a second, and the link's headers count, too.
    RateLimit {
        /// How much, from 8kbit to 10gbit, with the headers of IP.
        rate: Rate,
    }
}

/// How delays are spread around their mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All delays from mean − jitter to mean + jitter are as likely.
    #[default]
    Uniform,
    /// A normal distribution.
    Normal,
    /// Most a little below the mean, few far above: a Pareto distribution with the shape 3, as that of netem.
    Pareto,
}
