//! netem: a queue that delays, loses, doubles, spoils and reorders what goes through it, and lets it out at a rate
//! (net/sched/sch_netem.c, tc-netem(8)).

use std::io;
use std::time::Duration;

use crate::error::invalid;
use crate::netlink::{Attribute, Message, attributes};

/// `TCA_NETEM_CORR` …
const CORRELATIONS: u16 = 1;
const DISTRIBUTION: u16 = 2;
const REORDER: u16 = 3;
const CORRUPT: u16 = 4;
const LOSS: u16 = 5;
const RATE: u16 = 6;
const RATE_64: u16 = 8;
const LATENCY_64: u16 = 10;
const JITTER_64: u16 = 11;
/// `NETEM_LOSS_GE`.
const GILBERT_ELLIOTT: u16 = 2;
/// `struct tc_netem_qopt`: six numbers.
const FIXED: usize = 24;
/// Every packet of those that could be is sent at once: a larger one only makes some of them wait.
const GAP: u32 = 1;

/// A share of all packets, of [`u32::MAX`], and how much each decision is like the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chance {
    /// 0: none, `u32::MAX`: all.
    pub share: u32,
    /// 0: not at all.
    pub correlation: u32,
}

/// How packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself, or with regard to the one before it.
    Random(Chance),
    /// By two states, a good one and a bad one; shares of [`u32::MAX`].
    GilbertElliott {
        /// From good to bad.
        p: u32,
        /// From bad to good.
        r: u32,
        /// What is *kept* in the bad state: `h` of the kernel's, whose rest tc(8) takes as `1-h` (`loss_gilb_ell`).
        kept_bad: u32,
        /// What is lost in the good state: `k1` of the kernel's, `1-k` of tc(8).
        lost_good: u32,
    },
}

/// How a netem is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netem {
    /// How many packets may wait; what comes on top is lost.
    pub limit: u32,
    /// How long each waits.
    pub latency: Duration,
    /// How much longer or shorter at most, or the standard deviation of a distribution.
    pub jitter: Duration,
    /// How much each delay is like the one before it.
    pub delay_correlation: u32,
    /// A table of a distribution's values, in 8192ths of the standard deviation. Empty: all delays are as likely. The kernel does not
    /// tell it.
    pub distribution: Vec<i16>,
    /// What is lost.
    pub loss: Loss,
    /// What is sent twice.
    pub duplicate: Chance,
    /// What has one of its bits turned.
    pub corrupt: Chance,
    /// What does not wait, and so overtakes what does.
    pub reorder: Chance,
    /// Bytes per second. 0: as many as there are.
    pub rate: u64,
}

impl Default for Netem {
    /// What does nothing.
    fn default() -> Self {
        Self {
            // As tc(8).
            limit: 1000,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            delay_correlation: 0,
            distribution: Vec::new(),
            loss: Loss::Random(Chance::default()),
            duplicate: Chance::default(),
            corrupt: Chance::default(),
            reorder: Chance::default(),
            rate: 0,
        }
    }
}

impl Netem {
    /// Its name among qdiscs.
    pub const KIND: &'static str = "netem";

    /// Adds what it is and how it is set to a message about a qdisc.
    pub(super) fn put(&self, message: Message) -> Message {
        let (loss, loss_correlation) = match self.loss {
            Loss::Random(chance) => (chance.share, chance.correlation),
            Loss::GilbertElliott { .. } => (0, 0),
        };
        let gap = if self.reorder.share == 0 { 0 } else { GAP };
        // Latency and jitter in ticks of 64 ns come first, and are replaced by those in nanoseconds that follow.
        let fixed = numbers(&[0, self.limit, loss, gap, self.duplicate.share, 0]);
        message
            .put_text(libc::TCA_KIND, Self::KIND)
            .nest_after(libc::TCA_OPTIONS, &fixed, |options| {
                let mut options = options
                    .put(LATENCY_64, &nanos(self.latency))
                    .put(JITTER_64, &nanos(self.jitter))
                    .put(
                        CORRELATIONS,
                        &numbers(&[self.delay_correlation, loss_correlation, self.duplicate.correlation]),
                    )
                    .put(REORDER, &numbers(&[self.reorder.share, self.reorder.correlation]))
                    .put(CORRUPT, &numbers(&[self.corrupt.share, self.corrupt.correlation]));
                if self.rate != 0 {
                    // What does not fit is told apart (`get_rate`).
                    let short = u32::try_from(self.rate).unwrap_or(u32::MAX);
                    options = options.put(RATE, &numbers(&[short, 0, 0, 0]));
                    if u64::from(short) != self.rate {
                        options = options.put(RATE_64, &self.rate.to_ne_bytes());
                    }
                }
                if let Loss::GilbertElliott {
                    p,
                    r,
                    kept_bad,
                    lost_good,
                } = self.loss
                {
                    options = options.nest(LOSS, |loss| {
                        loss.put(GILBERT_ELLIOTT, &numbers(&[p, r, kept_bad, lost_good]))
                    });
                }
                if !self.distribution.is_empty() {
                    let table: Vec<u8> = self.distribution.iter().flat_map(|value| value.to_ne_bytes()).collect();
                    options = options.put(DISTRIBUTION, &table);
                }
                options
            })
    }

    /// Reads how one is set.
    pub(super) fn parse(options: &[u8]) -> io::Result<Self> {
        let (Some(fixed), Some(rest)) = (options.get(..FIXED), options.get(FIXED..)) else {
            return Err(invalid(format!("a netem of {} bytes", options.len())));
        };
        let [_, limit, loss, _, duplicate, _] = read(fixed)?;
        let mut netem = Self {
            limit,
            loss: Loss::Random(Chance {
                share: loss,
                correlation: 0,
            }),
            ..Self::default()
        };
        netem.duplicate.share = duplicate;
        for attribute in attributes(rest) {
            netem.take(&attribute?)?;
        }
        Ok(netem)
    }

    fn take(&mut self, attribute: &Attribute<'_>) -> io::Result<()> {
        match attribute.kind {
            LATENCY_64 => self.latency = time(attribute)?,
            JITTER_64 => self.jitter = time(attribute)?,
            CORRELATIONS => {
                let [delay, loss, duplicate] = read(attribute.value)?;
                self.delay_correlation = delay;
                self.duplicate.correlation = duplicate;
                if let Loss::Random(chance) = &mut self.loss {
                    chance.correlation = loss;
                }
            }
            REORDER => self.reorder = chance(attribute)?,
            CORRUPT => self.corrupt = chance(attribute)?,
            RATE if self.rate == 0 => {
                let [rate, ..]: [u32; 4] = read(attribute.value)?;
                self.rate = rate.into();
            }
            RATE_64 => self.rate = u64::from_ne_bytes(eight(attribute)?),
            LOSS => {
                for model in attribute.nested() {
                    let model = model?;
                    if model.kind == GILBERT_ELLIOTT {
                        let [p, r, kept_bad, lost_good] = read(model.value)?;
                        self.loss = Loss::GilbertElliott {
                            p,
                            r,
                            kept_bad,
                            lost_good,
                        };
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn read<const N: usize>(bytes: &[u8]) -> io::Result<[u32; N]> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if chunks.len() != N || !rest.is_empty() {
        return Err(invalid(format!("{} bytes where {N} numbers should be", bytes.len())));
    }
    Ok(std::array::from_fn(|index| u32::from_ne_bytes(chunks[index])))
}

fn chance(attribute: &Attribute<'_>) -> io::Result<Chance> {
    let [share, correlation] = read(attribute.value)?;
    Ok(Chance { share, correlation })
}

fn nanos(time: Duration) -> [u8; 8] {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).to_ne_bytes()
}

fn time(attribute: &Attribute<'_>) -> io::Result<Duration> {
    let nanos = i64::from_ne_bytes(eight(attribute)?);
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

fn eight(attribute: &Attribute<'_>) -> io::Result<[u8; 8]> {
    attribute.value.try_into().map_err(|_| {
        invalid(format!(
            "attribute {} has {} bytes and not 8",
            attribute.kind,
            attribute.value.len()
        ))
    })
}
