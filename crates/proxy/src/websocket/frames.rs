//! Where frames begin and end (RFC 6455, 5.2), whatever the parts in which their bytes come. Payloads are not held: they pass as they come.

/// In bytes, the longest head.
pub(crate) const LONGEST: usize = 14;

/// What the first byte of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Whether it is the last of its message.
    is_last: bool,
    /// Whether the message is one that an extension has made: of `permessage-deflate`, compressed.
    pub(crate) is_packed: bool,
    opcode: u8,
}

/// What stands before the payload of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// With what the payload is masked.
    pub(crate) mask: Option<[u8; 4]>,
    /// In bytes.
    pub(crate) length: u64,
}

/// What some bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A part of a head, which is kept.
    More,
    /// The end of a head.
    Head(Head),
    /// A part of a payload, so many bytes behind its beginning.
    Payload(u64),
}

/// What comes is no frame, and neither is anything behind. So many bytes were added to what is kept of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoFrame(pub(crate) usize);

/// Reads frames.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    head: [u8; LONGEST],
    /// How much of the head is there.
    have: usize,
    /// Whether that is all of it.
    is_whole: bool,
    /// In bytes, the payload, and what has passed of it.
    length: u64,
    passed: u64,
}

impl Kind {
    pub(crate) fn of(first: u8) -> Self {
        Self {
            is_last: first >> 7 == 1,
            is_packed: first & 0x40 != 0,
            opcode: first & 0x0f,
        }
    }

    /// Whether it is one of those that stand between, or within, messages.
    pub(crate) fn is_control(self) -> bool {
        self.opcode >= 8
    }

    pub(crate) fn is_close(self) -> bool {
        self.opcode == 8
    }

    pub(crate) fn is_text(self) -> bool {
        self.opcode == 1
    }

    /// Whether a message begins with it.
    pub(crate) fn is_first(self) -> bool {
        !self.is_control() && self.opcode != 0
    }
}

impl Reader {
    /// Whether the next byte is the first of a frame.
    pub(crate) fn is_between(&self) -> bool {
        if self.is_whole {
            self.passed == self.length
        } else {
            self.have == 0
        }
    }

    /// The kind of the frame that begins with these bytes. `None`: they stand within one, or there are none.
    pub(crate) fn begins(&self, bytes: &[u8]) -> Option<Kind> {
        bytes
            .first()
            .filter(|_| self.is_between())
            .map(|first| Kind::of(*first))
    }

    /// The head that was read last, or what is there of the next.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..self.have]
    }

    /// What these bytes, of which there must be one, begin with, and how many of them that is.
    ///
    /// # Errors
    /// They are no frame. What is kept of the head stays there.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<(usize, Step), NoFrame> {
        if self.is_between() {
            self.have = 0;
            self.is_whole = false;
        }
        if self.is_whole {
            let (at, left) = (self.passed, self.length - self.passed);
            let count = left.min(bytes.len() as u64);
            self.passed += count;
            return Ok((count as usize, Step::Payload(at)));
        }
        let mut taken = 0;
        while taken < bytes.len() {
            let count = (self.needed() - self.have).min(bytes.len() - taken);
            self.head[self.have..self.have + count].copy_from_slice(&bytes[taken..taken + count]);
            self.have += count;
            taken += count;
            if self.have == self.needed() {
                let head = self.whole().ok_or(NoFrame(taken))?;
                self.is_whole = true;
                self.length = head.length;
                self.passed = 0;
                return Ok((taken, Step::Head(head)));
            }
        }
        Ok((taken, Step::More))
    }

    /// In bytes, the head, as far as it is known.
    fn needed(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let masked = usize::from(self.head[1] >> 7) * 4;
        let longer = match self.head[1] & 0x7f {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        2 + longer + masked
    }

    /// `None`: it is none.
    fn whole(&self) -> Option<Head> {
        let [first, second, ..] = self.head;
        let (length, behind) = match second & 0x7f {
            127 => (u64::from_be_bytes(self.head[2..10].try_into().ok()?), 10),
            126 => (u64::from(u16::from_be_bytes([self.head[2], self.head[3]])), 4),
            short => (u64::from(short), 2),
        };
        let mask: Option<[u8; 4]> = if second >> 7 == 1 {
            self.head.get(behind..behind + 4).and_then(|mask| mask.try_into().ok())
        } else {
            None
        };
        let kind = Kind::of(first);
        let wrong = length >> 63 == 1 || kind.is_control() && (!kind.is_last || length > 125);
        (!wrong).then_some(Head { kind, mask, length })
    }
}

/// The heads are the same whatever the parts in which they come, and all bytes are taken. The first byte says how large those are.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else {
        return;
    };
    let read = |size: usize| {
        let (mut reader, mut heads) = (Reader::default(), Vec::new());
        let mut begun = None;
        for mut part in stream.chunks(size) {
            while !part.is_empty() {
                begun = reader.begins(part).or(begun);
                let Ok((taken, step)) = reader.next(part) else {
                    return (heads, false);
                };
                if let Step::Head(head) = step {
                    assert_eq!(begun, Some(head.kind));
                    heads.push(head);
                }
                assert!((1..=part.len()).contains(&taken), "{taken} of {}", part.len());
                part = &part[taken..];
            }
        }
        (heads, true)
    };
    assert_eq!(read(usize::from(*size).max(1)), read(usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, mask: Option<[u8; 4]>, length: usize) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut all = vec![first];
        match length {
            0..=125 => all.push(bit | length as u8),
            126..=65535 => {
                all.push(bit | 0x7e);
                all.extend((length as u16).to_be_bytes());
            }
            _ => {
                all.push(bit | 0x7f);
                all.extend((length as u64).to_be_bytes());
            }
        }
        all.extend(mask.into_iter().flatten());
        all.extend(vec![b'x'; length]);
        all
    }

    /// The heads, and in bytes what stood before each, of a stream that comes in parts of this size.
    fn read(stream: &[u8], part: usize) -> Result<Vec<(Head, usize)>, NoFrame> {
        let mut reader = Reader::default();
        let (mut heads, mut passed) = (Vec::new(), 0);
        for mut bytes in stream.chunks(part) {
            while !bytes.is_empty() {
                let (taken, step) = reader.next(bytes)?;
                if let Step::Head(head) = step {
                    heads.push((head, passed + taken - reader.head().len()));
                }
                passed += taken;
                bytes = &bytes[taken..];
            }
        }
        Ok(heads)
    }

    #[test]
    fn frames_are_the_same_whatever_the_parts() {
        let mask = Some([1, 2, 3, 4]);
        let frames = [
            (0x81, None, 0),
            (0x01, mask, 5),
            (0x89, mask, 125),
            (0x80, mask, 126),
            (0xc2, None, 65535),
            (0x82, mask, 65536),
            (0x88, mask, 2),
        ];
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|(first, mask, length)| frame(*first, *mask, *length))
            .collect();
        let whole = read(&stream, usize::MAX).unwrap();
        let said: Vec<_> = whole
            .iter()
            .map(|(head, _)| (head.kind.opcode, head.kind.is_last, head.mask, head.length))
            .collect();
        let wanted: Vec<_> = frames
            .iter()
            .map(|(first, mask, length)| (first & 0xf, first & 0x80 != 0, *mask, *length as u64))
            .collect();
        assert_eq!(said, wanted);
        assert!(whole[4].0.kind.is_packed && !whole[5].0.kind.is_packed);
        for part in [1, 2, 3, 7, 13, 4096] {
            assert_eq!(read(&stream, part).unwrap(), whole, "{part}");
        }
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let long = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        for wrong in [&long[..], &[0x09, 0], &[0x89, 126, 0, 126]] {
            assert_eq!(read(wrong, 1), Err(NoFrame(1)), "{wrong:?}");
        }
        assert_eq!(
            read(&[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255], 3)
                .unwrap()
                .len(),
            1
        );
    }
}
