//! What is done to one message.

use std::time::Duration;

use fracas_core::chaos::Websocket;
use fracas_core::seed::Seed;

use super::frames::Kind;
use crate::faults::corruption::Mask;
use crate::identity::Chance;

/// What is done to a message, of which as many pass before it as its number says.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It passes.
    Passes {
        after: Option<Duration>,
        corruption: Option<Corruption>,
    },
    /// It does not.
    Dropped,
    /// The connection is closed with this code in its place.
    Closed(u16),
}

/// What is changed of the bytes of a message.
#[derive(Debug)]
pub(crate) struct Corruption {
    mask: Mask,
    /// Whether it has to stay UTF-8.
    is_text: bool,
    /// In bytes, what has passed of the message.
    passed: u64,
    /// The bits that the next byte is hit with that may be hit.
    due: Option<u8>,
    is_hit: bool,
}

impl Fate {
    pub(crate) const UNHARMED: Self = Self::Passes {
        after: None,
        corruption: None,
    };

    /// Decides about a message whose first frame is of this kind. The chance is that of its connection and direction.
    pub(crate) fn of(block: &Websocket, chance: &Chance, number: u64, first: Kind) -> Self {
        let happens = |purpose, probability| chance.happens_to(purpose, number, probability);
        if happens("proxy websocket_close", block.close_probability) {
            let draw = chance.draw("proxy websocket_close code", number);
            let codes = &block.close_codes;
            if let Some(code) = draw
                .checked_rem(codes.len() as u64)
                .and_then(|at| codes.get(at as usize))
            {
                return Self::Closed(*code);
            }
        }
        if happens("proxy websocket_message_drop", block.message_drop_probability) {
            return Self::Dropped;
        }
        let is_held =
            block.message_delay_ms > 0.0 && happens("proxy websocket_message_delay", block.message_delay_probability);
        let purpose = "proxy websocket_message_corruption";
        let corruption = happens(purpose, block.message_corruption_probability).then(|| {
            let seed = Seed(chance.draw("proxy websocket_message_corruption byte", number));
            Corruption::new(seed, first.is_text() && !first.is_packed)
        });
        Self::Passes {
            // The configuration was checked when it was read: it is from 0 to an hour.
            after: is_held.then(|| Duration::from_secs_f64(block.message_delay_ms / 1000.0)),
            corruption,
        }
    }
}

impl Corruption {
    fn new(seed: Seed, is_text: bool) -> Self {
        Self {
            mask: Mask::new(seed, false),
            is_text,
            passed: 0,
            due: None,
            is_hit: false,
        }
    }

    /// Whether anything was changed.
    pub(crate) fn is_hit(&self) -> bool {
        self.is_hit
    }

    /// Changes the next bytes of the message, which are so many behind the beginning of their frame. Turning bits of what is masked turns the
    /// same of what it means.
    pub(crate) fn put_on(&mut self, bytes: &mut [u8], mask: Option<[u8; 4]>, at: u64) {
        let key = mask.unwrap_or_default();
        for (byte, n) in bytes.iter_mut().zip(0..) {
            if let Some(bits) = self.mask.at(self.passed) {
                self.due = Some(bits);
            }
            self.passed += 1;
            let means = *byte ^ key[((at + n) % 4) as usize];
            if let Some(bits) = self.due.take_if(|_| !self.is_text || means < 0xc0) {
                *byte ^= if self.is_text {
                    1 << (bits.trailing_zeros() % 4)
                } else {
                    bits
                };
                self.is_hit = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::shares::{self, Decides};

    /// Messages of one direction of a connection.
    const EACH: usize = 1000;

    /// For a share.
    type Makes = fn(f64) -> Decides<(Chance, u64)>;

    fn corrupted(text: bool, bytes: &[u8], mask: Option<[u8; 4]>, part: usize) -> Vec<u8> {
        let key = mask.unwrap_or_default();
        let masks = |bytes: &[u8]| -> Vec<u8> { bytes.iter().enumerate().map(|(n, byte)| byte ^ key[n % 4]).collect() };
        let mut wire = masks(bytes);
        let mut corruption = Corruption::new(Seed(3), text);
        let mut at = 0;
        for part in wire.chunks_mut(part) {
            corruption.put_on(part, mask, at);
            at += part.len() as u64;
        }
        masks(&wire)
    }

    #[test]
    fn a_text_is_another_text_and_no_shorter() {
        let alphabets = [
            "the quick brown fox jumps over the lazy dog",
            "\u{4f60}\u{597d}\u{4e16}\u{754c}",
            "\u{1f980}\u{e9}a",
        ];
        for text in alphabets {
            let long = text.repeat(50);
            for mask in [None, Some([1, 0xff, 3, 0x80])] {
                let one = corrupted(true, long.as_bytes(), mask, usize::MAX);
                let other = String::from_utf8(one.clone()).unwrap();
                assert_ne!(other, long);
                let hit = one.iter().zip(long.bytes()).filter(|(new, old)| **new != *old).count();
                assert!(hit >= long.len() / 12, "{hit} of {}", long.len());
                for part in [1, 3, 10, 64] {
                    assert_eq!(corrupted(true, long.as_bytes(), mask, part), one, "{part}");
                }
            }
        }
        for n in 0..100u8 {
            assert_ne!(corrupted(true, &[b'0' + n % 10], None, 1), [b'0' + n % 10]);
        }
    }

    #[test]
    fn of_bytes_one_of_ten_is_hit_whatever_the_mask() {
        let zeros = [0; 1000];
        let one = corrupted(false, &zeros, None, 1000);
        assert_eq!(one.iter().filter(|byte| byte.is_power_of_two()).count(), 100);
        assert_eq!(one.iter().filter(|byte| **byte != 0).count(), 100);
        assert_eq!(corrupted(false, &zeros, Some([9, 8, 7, 6]), 7), one);
    }

    #[test]
    fn kinds_are_decided_apart_and_a_close_comes_first() {
        let block = Websocket {
            close_codes: vec![1001, 1011],
            close_probability: 0.1,
            message_drop_probability: 0.2,
            message_corruption_probability: 0.3,
            message_delay_ms: 5.0,
            message_delay_probability: 0.4,
            ..Websocket::default()
        };
        let text = Kind::of(0x81);
        let chance = Chance::named(5, "a");
        let mut counts = [0; 5];
        for number in 0..10_000 {
            match Fate::of(&block, &chance, number, text) {
                Fate::Closed(1001) => counts[0] += 1,
                Fate::Closed(_) => counts[1] += 1,
                Fate::Dropped => counts[2] += 1,
                Fate::Passes { after, corruption } => {
                    counts[3] += u32::from(after.is_some());
                    counts[4] += u32::from(corruption.is_some());
                }
            }
        }
        // Of 10000; five standard deviations each. The draws are fixed by the seed: what holds here, holds always.
        let bounds = [(390, 610), (390, 610), (1600, 2000), (2650, 3110), (1950, 2370)];
        for (count, (least, most)) in counts.iter().zip(bounds) {
            assert!((least..most).contains(count), "{counts:?}");
        }
    }

    fn of_block(change: impl FnOnce(&mut Websocket), met: fn(&Fate) -> bool) -> Decides<(Chance, u64)> {
        let mut block = Websocket {
            close_probability: 0.0,
            ..Websocket::default()
        };
        change(&mut block);
        let text = Kind::of(0x81);
        Box::new(move |(chance, number)| met(&Fate::of(&block, chance, *number, text)))
    }

    #[test]
    fn a_share_is_the_same_messages_by_one_thread_and_by_eight() {
        let messages: Vec<(Chance, u64)> = (0..shares::REQUESTS / EACH)
            .map(|n| Chance::named(42, &format!("x-request-id request-{n}")).part("from the client"))
            .flat_map(|chance| (0..EACH as u64).map(move |number| (chance.clone(), number)))
            .collect();
        let all: [(&str, Makes); 4] = [
            ("websocket_close", |share| {
                let change = |block: &mut Websocket| {
                    block.close_codes = vec![1001, 1011];
                    block.close_probability = share;
                };
                of_block(change, |fate| matches!(fate, Fate::Closed(_)))
            }),
            ("websocket_message_drop", |share| {
                let change = |block: &mut Websocket| block.message_drop_probability = share;
                of_block(change, |fate| matches!(fate, Fate::Dropped))
            }),
            ("websocket_message_corruption", |share| {
                let change = |block: &mut Websocket| block.message_corruption_probability = share;
                of_block(change, |fate| {
                    matches!(
                        fate,
                        Fate::Passes {
                            corruption: Some(_),
                            ..
                        }
                    )
                })
            }),
            ("websocket_message_delay", |share| {
                let change = |block: &mut Websocket| {
                    block.message_delay_ms = 5.0;
                    block.message_delay_probability = share;
                };
                of_block(change, |fate| matches!(fate, Fate::Passes { after: Some(_), .. }))
            }),
        ];
        let tenths = all.map(|(name, make)| (name, shares::holds(name, &messages, make)));
        shares::are_apart(&tenths);
    }
}
