//! A bounded copy of what a program writes.

use std::collections::VecDeque;

/// Keeps the beginning and the end of a stream and counts what fell out between them.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    dropped: u64,
}

impl Capture {
    /// Keeps the first `head_limit` and the last `tail_limit` bytes.
    pub(super) fn new(head_limit: usize, tail_limit: usize) -> Self {
        Self {
            head: Vec::new(),
            head_limit,
            tail: VecDeque::new(),
            tail_limit,
            dropped: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_limit - self.head.len()));
        self.head.extend_from_slice(head);
        // Of more than the tail holds, only the end can stay.
        let kept = &rest[rest.len().saturating_sub(self.tail_limit)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        self.dropped += (rest.len() - kept.len() + excess) as u64;
    }

    /// The text kept, with a line that says how much is missing; and how much that is, in bytes.
    pub(super) fn into_text(self) -> (String, u64) {
        let mut bytes = self.head;
        if self.dropped > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", self.dropped).as_bytes());
        }
        bytes.extend(self.tail);
        (String::from_utf8_lossy(&bytes).into_owned(), self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Capture;

    proptest! {
        #[test]
        fn keeps_both_ends_of_any_stream(
            chunks in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..40), 0..12),
            head in 0_usize..50,
            tail in 0_usize..50,
        ) {
            let mut capture = Capture::new(head, tail);
            chunks.iter().for_each(|chunk| capture.push(chunk));
            let whole = String::from_utf8(chunks.concat()).unwrap();
            let (text, dropped) = capture.into_text();

            let missing = whole.len().saturating_sub(head + tail);
            prop_assert_eq!(dropped, missing as u64);
            if missing == 0 {
                prop_assert_eq!(text, whole);
            } else {
                let end = &whole[whole.len() - tail..];
                prop_assert_eq!(text, format!("{}\n[{missing} bytes left out]\n{end}", &whole[..head]));
            }
        }
    }
}
