//! Responses.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use super::head::{Head, HeadError};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Ok,
    /// It is not understood.
    BadRequest,
    /// There is no such thing.
    NotFound,
    /// This cannot be done with it.
    MethodNotAllowed,
    /// Its body is too long.
    TooLarge,
    /// Its head is too long.
    HeadTooLarge,
    /// It asks for what is not there.
    NotImplemented,
    /// It cannot be done now.
    Unavailable,
    /// There is no memory for it.
    InsufficientStorage,
}

impl Status {
    const ALL: [Self; 9] = [
        Self::Ok,
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::HeadTooLarge,
        Self::NotImplemented,
        Self::Unavailable,
        Self::InsufficientStorage,
    ];

    /// Its number (RFC 9110, section 15; RFC 6585; RFC 4918).
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::HeadTooLarge => 431,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::InsufficientStorage => 507,
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| code.len() == 3 && code.parse() == Ok(status.code()))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::TooLarge => "Content Too Large",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::NotImplemented => "Not Implemented",
            Self::Unavailable => "Service Unavailable",
            Self::InsufficientStorage => "Insufficient Storage",
        };
        write!(f, "{} {phrase}", self.code())
    }
}

/// A response that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How the request ended.
    pub status: Status,
    /// What was sent along.
    pub body: Vec<u8>,
}

/// No response was read.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// The server has gone, is too slow, or cannot be read from.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What it sent is not a response of a guest.
    #[error("not a response of a guest: {0}")]
    Malformed(String),
}

impl Response {
    /// Reads a response with a body of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// [`ResponseError`] if nothing can be read in time, or it is no response of a guest.
    pub fn read(from: &mut impl Read, most: usize) -> Result<Self, ResponseError> {
        let malformed = |problem: String| Err(ResponseError::Malformed(problem));
        let head = Head::read(from).map_err(|error| match error {
            HeadError::Io(error) => ResponseError::Io(error),
            error => ResponseError::Malformed(error.to_string()),
        })?;
        let mut words = head.first_line().splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(Status::of_code);
        let (Some(status), "HTTP/1.0" | "HTTP/1.1") = (status, version) else {
            return malformed("its first line is not HTTP/1.0 with a known number".into());
        };
        let length = match head.content_length() {
            Ok(Some(length)) => length,
            Ok(None) => return malformed("it has no Content-Length".into()),
            Err(error) => return malformed(error.to_string()),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > most {
            return malformed(format!(
                "its body has {length} bytes; at most {most} are wanted"
            ));
        }
        let mut body = head.rest;
        body.truncate(length);
        from.take((length - body.len()) as u64)
            .read_to_end(&mut body)?;
        if body.len() < length {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        Ok(Self { status, body })
    }

    /// Writes the head of a response whose body of `length` bytes follows.
    ///
    /// # Errors
    ///
    /// That of what is written to.
    pub fn write_head(
        status: Status,
        kind: &str,
        length: u64,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let head = format!(
            "HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        to.write_all(head.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for status in Status::ALL {
            let mut bytes = Vec::new();
            Response::write_head(status, "text/plain", 3, &mut bytes).unwrap();
            bytes.extend_from_slice(b"abcd");
            let body = b"abc".to_vec();
            let read = Response::read(&mut &bytes[..], 3).unwrap();
            assert_eq!(read, Response { status, body });
            assert!(Response::read(&mut &bytes[..], 2).is_err());
        }
    }

    #[test]
    fn others_are_refused() {
        for bad in [
            "",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.0 299 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 +200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ] {
            assert!(Response::read(&mut bad.as_bytes(), 100).is_err(), "{bad:?}");
        }
    }
}
