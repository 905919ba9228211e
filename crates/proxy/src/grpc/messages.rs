//! Where the messages of a stream end. Each begins with a byte that says whether it is compressed, and its length in four bytes; the parts in
//! which bytes come have nothing to do with that.

/// In bytes, what stands before a message.
const PREFIX: usize = 5;

/// Counts messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    prefix: [u8; PREFIX],
    /// How much of the prefix is there.
    have: usize,
    /// In bytes, what is missing of the message whose prefix is there.
    left: u64,
    whole: u64,
}

impl Messages {
    /// How many came whole.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// How many of these bytes belong to no more than so many messages, counted from the first of the stream.
    pub(crate) fn take(&mut self, bytes: &[u8], most: u64) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.whole < most {
            let rest = &bytes[taken..];
            if self.have < PREFIX {
                let count = rest.len().min(PREFIX - self.have);
                self.prefix[self.have..self.have + count].copy_from_slice(&rest[..count]);
                self.have += count;
                taken += count;
                if self.have < PREFIX {
                    continue;
                }
                let [_, a, b, c, d] = self.prefix;
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
            } else {
                let count = self.left.min(rest.len() as u64);
                self.left -= count;
                taken += count as usize;
            }
            if self.left == 0 {
                self.whole += 1;
                self.have = 0;
            }
        }
        taken
    }
}

/// Messages end at the same places whatever the parts in which they come. The first two bytes say how large those are, and how many are counted.
pub(crate) fn fuzz(bytes: &[u8]) {
    let [size, most, stream @ ..] = bytes else { return };
    let read = |size: usize| {
        let mut messages = Messages::default();
        let taken: usize = stream
            .chunks(size)
            .map(|part| messages.take(part, u64::from(*most)))
            .sum();
        (taken, messages.whole())
    };
    let whole = read(usize::MAX);
    assert!(whole.0 <= stream.len() && whole.1 <= u64::from(*most));
    assert_eq!(read(usize::from(*size).max(1)), whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut all = vec![0];
        all.extend((length as u32).to_be_bytes());
        all.extend(vec![7; length]);
        all
    }

    #[test]
    fn messages_end_at_the_same_bytes_whatever_the_parts() {
        let lengths = [0, 1, 300, 0, 70_000, 4];
        let stream: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
        for most in 0..=7 {
            let counted = most.min(lengths.len());
            let end: usize = lengths[..counted].iter().map(|length| PREFIX + length).sum();
            for part in [1, 2, 4, 5, 6, 64, 100_000] {
                let mut messages = Messages::default();
                let taken: usize = stream.chunks(part).map(|part| messages.take(part, most as u64)).sum();
                assert_eq!(
                    (taken, messages.whole()),
                    (end, counted as u64),
                    "{most} in parts of {part}"
                );
            }
        }
    }

    #[test]
    fn one_that_is_not_whole_does_not_count() {
        let mut messages = Messages::default();
        assert_eq!(messages.take(&[0, 255, 255, 255, 255, 1, 2, 3], 1), 8);
        assert_eq!(messages.whole(), 0);
    }
}
