//! Answers whose bytes are not the upstream's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fracas_core::chaos::{CorruptionType, FaultInjection};
use fracas_core::seed::{Draw, Seed};
use hyper::body::{Body, Frame, SizeHint};

use crate::identity::Chance;
use crate::upload::Broken;

/// One byte of so many is hit.
const BLOCK: u64 = 10;

/// How the answer to this request is corrupted. `None`: not at all.
pub(crate) fn decide(block: &FaultInjection, chance: &Chance) -> Option<CorruptionType> {
    let happens =
        block.payload_corruption && chance.happens("proxy payload_corruption", block.payload_corruption_probability);
    Some(block.corruption_type).filter(|kind| happens && *kind != CorruptionType::None)
}

/// What is changed of the bytes: a function of where they are, not of the parts in which they come.
#[derive(Debug)]
pub(crate) struct Mask {
    /// Of this answer: a draw for each block is short, however long the name of the request is.
    seed: Seed,
    /// Whether all of a byte is changed, or one bit.
    whole: bool,
    /// The block that was looked at last, where its byte is, and what is changed there.
    last: Option<(u64, u64, u8)>,
}

/// A body some of whose bytes are others.
#[derive(Debug)]
pub(crate) struct Corrupted<B> {
    body: B,
    mask: Mask,
    /// In bytes, what has passed.
    passed: u64,
}

impl Mask {
    /// `whole`: bytes become other ones, else one bit of each is turned.
    pub(crate) fn new(seed: Seed, whole: bool) -> Self {
        Self {
            seed,
            whole,
            last: None,
        }
    }

    /// The bits that are turned of the byte that stands so far behind the beginning. `None`: it is not hit.
    pub(crate) fn at(&mut self, behind: u64) -> Option<u8> {
        let (place, bits) = self.of(behind / BLOCK);
        (place == behind).then_some(bits)
    }

    /// Where the byte of a block is that is hit, and what is changed there, as the bits that are turned: never none.
    fn of(&mut self, block: u64) -> (u64, u8) {
        if let Some((_, place, bits)) = self.last.filter(|(known, ..)| *known == block) {
            return (place, bits);
        }
        let Draw(draw) = self.seed.draw("byte", "", block);
        let (place, draw) = (draw % BLOCK, draw / BLOCK);
        // A body may be shorter than a block, and nobody knows before its end. So its first byte is hit.
        let place = if block == 0 { 0 } else { block * BLOCK + place };
        let bits = if self.whole {
            1 + (draw % 255) as u8
        } else {
            1 << (draw % 8)
        };
        self.last = Some((block, place, bits));
        (place, bits)
    }

    /// Changes bytes that stand so far behind the beginning.
    fn put_on(&mut self, bytes: &mut [u8], behind: u64) {
        let end = behind + bytes.len() as u64;
        for block in behind / BLOCK..end.div_ceil(BLOCK) {
            let (place, bits) = self.of(block);
            let byte = place.checked_sub(behind).and_then(|at| bytes.get_mut(at as usize));
            if let Some(byte) = byte {
                *byte ^= bits;
            }
        }
    }
}

/// Turns one bit of the first byte, and of one of each ten behind; other ones for each number.
pub(crate) fn turn_bits(bytes: &mut [u8], chance: &Chance, number: u64) {
    let seed = Seed(chance.draw("proxy payload_corruption byte", number));
    Mask::new(seed, false).put_on(bytes, 0);
}

impl<B> Corrupted<B> {
    /// `whole`: bytes become other ones, else one bit of each is turned.
    pub(crate) fn new(body: B, chance: &Chance, whole: bool) -> Self {
        let mask = Mask::new(Seed(chance.draw("proxy payload_corruption byte", 0)), whole);
        Self { body, mask, passed: 0 }
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Corrupted<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|bytes| {
                    let mut bytes = BytesMut::from(bytes);
                    this.mask.put_on(&mut bytes, this.passed);
                    this.passed += bytes.len() as u64;
                    bytes.freeze()
                })
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is changed of so many bytes that come in parts of this size.
    fn changed(whole: bool, identity: &str, length: usize, part: usize) -> Vec<u8> {
        let mut mask = Corrupted::new((), &Chance::named(5, identity), whole).mask;
        let mut bytes = vec![0; length];
        let mut behind = 0;
        for part in bytes.chunks_mut(part) {
            mask.put_on(part, behind);
            behind += part.len() as u64;
        }
        bytes
    }

    #[test]
    fn a_tenth_of_the_bytes_is_hit_whatever_the_parts() {
        for whole in [true, false] {
            let one = changed(whole, "a", 10_000, 10_000);
            assert_eq!(one.iter().filter(|byte| **byte != 0).count(), 1000);
            for part in [1, 7, 10, 4096] {
                assert_eq!(changed(whole, "a", 10_000, part), one, "{part}");
            }
            assert_ne!(changed(whole, "b", 10_000, 10_000), one);
        }
    }

    #[test]
    fn something_is_changed_of_the_shortest_body() {
        for whole in [true, false] {
            for n in 0..1000 {
                assert_ne!(changed(whole, &format!("request {n}"), 1, 1), [0]);
            }
        }
    }

    // The draws are fixed by the seed: what holds here, holds always.
    #[test]
    fn a_flip_is_one_bit_and_all_bits_and_places_are_hit() {
        let flips = changed(false, "a", 100_000, 4096);
        assert!(flips.iter().all(|byte| byte.count_ones() <= 1));
        for bit in 0..8 {
            let count = flips.iter().filter(|byte| **byte >> bit == 1).count();
            // Five standard deviations of an eighth of 10000.
            assert!((1085..1415).contains(&count), "{bit}: {count}");
        }
        for place in 0..10 {
            let hit = flips.iter().skip(place).step_by(10).filter(|byte| **byte != 0).count();
            assert!((850..1150).contains(&hit), "{place}: {hit}");
        }
        let bytes = changed(true, "a", 100_000, 4096);
        let seen: std::collections::BTreeSet<u8> = bytes.into_iter().collect();
        assert_eq!(seen.len(), 256);
    }
}
