//! A bound on the memory that a reader takes.

/// What a reader may take whatever the input's length, in bytes: buffers and tables of fixed size.
const FIXED: u64 = 192 << 10;
/// What it may take for each byte of the input, in bytes.
const PER_BYTE: u64 = 64;

/// Runs a reader of `len` bytes, and panics if it held more memory at one time than such an input justifies.
///
/// A count or a length that is believed before it is checked shows here, long before memory runs out.
pub(crate) fn bounded<T>(len: usize, read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(read()));
    let limit = FIXED + PER_BYTE * len as u64;
    assert!(
        used.bytes_max <= limit,
        "{} bytes of memory for an input of {len}; {limit} would do",
        used.bytes_max
    );
    result.expect("the reader has returned")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_readers_pass() {
        assert_eq!(bounded(1000, || vec![1; 1000]).len(), 1000);
    }

    #[test]
    #[should_panic(expected = "of memory for an input of 4")]
    fn a_length_that_is_believed_is_noticed() {
        let frame = [0, 0x10, 0, 0];
        bounded(frame.len(), || {
            Vec::<u8>::with_capacity(u32::from_be_bytes(frame) as usize)
        });
    }
}
