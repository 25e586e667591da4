//! What stands before a body.

use std::io::{self, ErrorKind, Read};

/// The longest head in bytes: first line, fields, and the blank line.
pub const MOST_HEAD: usize = 4096;
/// How much is read at a time.
const PIECE: usize = 1024;

/// The head of a message, and what of its body was read with it.
#[derive(Debug)]
pub(super) struct Head {
    text: String,
    /// The beginning of the body.
    pub(super) rest: Vec<u8>,
}

/// No head was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the head has more than {MOST_HEAD} bytes")]
    TooLong,
    #[error("the head has bytes other than printable ASCII and tabulators")]
    NotText,
    #[error("Content-Length is not one number")]
    Length,
    #[error("Transfer-Encoding is not understood; Content-Length is wanted")]
    Encoding,
}

impl Head {
    /// Reads up to the blank line. Lines end with LF, before which there may be CR.
    pub(super) fn read(from: &mut impl Read) -> Result<Self, HeadError> {
        let mut bytes = Vec::with_capacity(PIECE);
        let mut piece = [0; PIECE];
        loop {
            let known = bytes.len();
            match from.read(&mut piece) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(length) => bytes.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            // A blank line may have begun in what was known before.
            match end_of_head(&bytes, known.saturating_sub(3)) {
                Some(end) if end > MOST_HEAD => return Err(HeadError::TooLong),
                Some(end) => return Self::new(bytes, end),
                None if bytes.len() >= MOST_HEAD => return Err(HeadError::TooLong),
                None => {}
            }
        }
    }

    fn new(mut bytes: Vec<u8>, end: usize) -> Result<Self, HeadError> {
        let rest = bytes.split_off(end);
        let text = String::from_utf8(bytes).map_err(|_| HeadError::NotText)?;
        let allowed = |c: char| matches!(c, ' '..='~' | '\t' | '\r' | '\n');
        if !text.chars().all(allowed) {
            return Err(HeadError::NotText);
        }
        Ok(Self { text, rest })
    }

    /// The request line or status line.
    pub(super) fn first_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    /// How long the body is, if that is said.
    pub(super) fn content_length(&self) -> Result<Option<u64>, HeadError> {
        if self.field("transfer-encoding").next().is_some() {
            return Err(HeadError::Encoding);
        }
        let mut lengths = self.field("content-length");
        let Some(length) = lengths.next() else {
            return Ok(None);
        };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let number = length.parse().ok().filter(|_| digits);
        if lengths.next().is_some() {
            return Err(HeadError::Length);
        }
        number.map(Some).ok_or(HeadError::Length)
    }

    /// The values of all fields of this name.
    fn field<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = fields.filter(move |(found, _)| found.trim().eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }
}

/// The position behind the first blank line that ends at or after `from`.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let ends = (from..bytes.len()).filter(|at| bytes[*at] == b'\n');
    let mut ends = ends.filter(|at| {
        let line = bytes[..*at].strip_suffix(b"\r").unwrap_or(&bytes[..*at]);
        line.ends_with(b"\n")
    });
    ends.next().map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn heads_end_at_a_blank_line() {
        let check = |bytes: &[u8], wanted: Option<(&str, &[u8])>| {
            let head = Head::read(&mut { bytes }).ok();
            let found = head
                .as_ref()
                .map(|head| (head.first_line(), &head.rest[..]));
            assert_eq!(found, wanted, "{}", bytes.escape_ascii());
            let slow = Head::read(&mut Slow(bytes)).ok();
            assert_eq!(
                slow.as_ref().map(Head::first_line),
                wanted.map(|(line, _)| line)
            );
        };
        check(b"a\r\n\r\nb", Some(("a", b"b")));
        check(b"a\nb: c\n\n", Some(("a", b"")));
        check(b"a\r\n\nb\n\n", Some(("a", b"b\n\n")));
        check(b"a\n\r\nb", Some(("a", b"b")));
        check(b"a\n\rb\n\n", Some(("a", b"")));
        for bad in [
            &b""[..],
            b"a",
            b"a\n",
            b"a\r\n\r",
            b"\xff\n\n",
            b"a\0\n\n",
            "é\n\n".as_bytes(),
        ] {
            check(bad, None);
        }
        let filled = |length| [vec![b'a'; length - 2], b"\n\n".to_vec()].concat();
        assert!(Head::read(&mut &filled(MOST_HEAD)[..]).is_ok());
        for length in [MOST_HEAD + 1, MOST_HEAD + 2 * PIECE] {
            let read = Head::read(&mut &filled(length)[..]);
            assert!(matches!(read, Err(HeadError::TooLong)), "{length}");
        }
    }

    #[test]
    fn lengths_are_read() {
        let check = |fields: &str, wanted: Result<Option<u64>, ()>| {
            let text = format!("PUT / HTTP/1.0\r\n{fields}\r\n");
            let head = Head::read(&mut text.as_bytes()).unwrap();
            assert_eq!(head.content_length().map_err(drop), wanted, "{fields}");
        };
        check("", Ok(None));
        check("Content-Length: 7\r\n", Ok(Some(7)));
        check(
            "Host: x\r\nCONTENT-length:18446744073709551615\r\n",
            Ok(Some(u64::MAX)),
        );
        for bad in ["", "x", "-1", "+1", "1 2", "1,1", "18446744073709551616"] {
            check(&format!("Content-Length: {bad}\r\n"), Err(()));
        }
        check("Content-Length: 1\r\nContent-Length: 1\r\n", Err(()));
        check("Transfer-Encoding: chunked\r\n", Err(()));
    }
}
