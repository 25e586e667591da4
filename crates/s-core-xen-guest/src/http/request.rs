//! Requests.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use super::head::{Head, HeadError};
use super::{Refusal, RequestError, Status};

/// The longest body of a request in bytes.
pub const MOST_BODY: usize = 64 << 10;

/// What a request is to do with what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Get it.
    Get,
    /// Set it.
    Put,
    /// Have it no more.
    Delete,
}

impl Method {
    const ALL: [Self; 3] = [Self::Get, Self::Put, Self::Delete];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        })
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// With what: a path from `/`, of printable ASCII without spaces.
    pub path: String,
    /// What is sent along, at most [`MOST_BODY`] bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let (path, body) = (path.into(), Vec::new());
        Self { method, path, body }
    }

    /// Reads a request. What comes behind it is not looked at.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if nothing can be read in time, or it is not a request that can be understood.
    pub fn read(from: &mut impl Read) -> Result<Self, RequestError> {
        let head = Head::read(from)?;
        let (method, path) = request_line(head.first_line())?;
        let path = path.to_owned();
        let length = head.content_length()?.unwrap_or(0);
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        if most > MOST_BODY {
            let reason = format!("the body has {length} bytes; {MOST_BODY} are possible");
            return Err(Refusal::new(Status::TooLarge, reason).into());
        }
        let mut body = head.rest;
        body.truncate(most);
        let missing = most - body.len();
        from.take(missing as u64).read_to_end(&mut body)?;
        if body.len() < most {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        Ok(Self { method, path, body })
    }

    /// Writes the request.
    ///
    /// # Errors
    ///
    /// That of what is written to.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Self { method, path, body } = self;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        to.write_all(head.as_bytes())?;
        to.write_all(body)
    }
}

/// Method and path of a request line.
fn request_line(line: &str) -> Result<(Method, &str), Refusal> {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    let [method, path, version] = words[..] else {
        return Err(Refusal::bad("a request begins with METHOD PATH HTTP/1.0"));
    };
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(Refusal::bad("the version is not HTTP/1.0 or HTTP/1.1"));
    }
    if !path.starts_with('/') || path.contains('\t') {
        return Err(Refusal::bad("the path does not begin with /"));
    }
    let known = Method::ALL
        .into_iter()
        .find(|known| known.to_string() == method);
    let unknown = || Refusal::new(Status::NotImplemented, "methods are GET, PUT and DELETE");
    Ok((known.ok_or_else(unknown)?, path))
}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        let status = match error {
            HeadError::Io(error) => return Self::Io(error),
            HeadError::TooLong => Status::HeadTooLarge,
            HeadError::NotText | HeadError::Length => Status::BadRequest,
            HeadError::Encoding => Status::NotImplemented,
        };
        Self::Refused(Refusal::new(status, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Request, Option<Status>> {
        Request::read(&mut { bytes }).map_err(|error| match error {
            RequestError::Io(_) => None,
            RequestError::Refused(refusal) => Some(refusal.status),
        })
    }

    #[test]
    fn requests_are_read_and_refused() {
        let check = |text: &str, wanted: Result<(Method, &str, &str), Option<Status>>| {
            let wanted = wanted.map(|(method, path, body)| Request {
                body: body.into(),
                ..Request::new(method, path)
            });
            assert_eq!(read(text.as_bytes()), wanted, "{text:?}");
        };
        let bad = Err(Some(Status::BadRequest));
        let (large, missing) = (
            Err(Some(Status::TooLarge)),
            Err(Some(Status::NotImplemented)),
        );
        check("GET / HTTP/1.0\r\n\r\n", Ok((Method::Get, "/", "")));
        check(
            "GET /a HTTP/1.1\nHost: b\n\nmore",
            Ok((Method::Get, "/a", "")),
        );
        check(
            "DELETE /x?y HTTP/1.0\r\n\r\n",
            Ok((Method::Delete, "/x?y", "")),
        );
        let put = "PUT /plan HTTP/1.0\r\nContent-Length: ";
        check(
            &format!("{put}2\r\n\r\n{{}}x"),
            Ok((Method::Put, "/plan", "{}")),
        );
        check(&format!("{put}3\r\n\r\n{{}}"), Err(None));
        check(&format!("{put}-3\r\n\r\n{{}}"), bad);
        check(&format!("{put}65537\r\n\r\n{{}}"), large);
        check(&format!("{put}18446744073709551615\r\n\r\n"), large);
        check(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            missing,
        );
        check("POST / HTTP/1.0\r\n\r\n", missing);
        check("get / HTTP/1.0\r\n\r\n", missing);
        for line in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.0",
            "GET / HTTP/1.0 ",
            "GET x HTTP/1.0",
            "GET / HTTP/2",
            "GET /a b HTTP/1.0",
            "\r",
        ] {
            check(&format!("{line}\r\n\r\n"), bad);
        }
        check("", Err(None));
        check("GET / HTTP/1.0\r\n", Err(None));
        let head = format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(5000));
        check(&head, Err(Some(Status::HeadTooLarge)));
    }

    #[test]
    fn what_is_written_is_read() {
        let body = [vec![0, 255, b'\n'], vec![7; 5000]].concat();
        let request = Request {
            body,
            ..Request::new(Method::Put, "/plan")
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes).unwrap();
        assert_eq!(read(&bytes), Ok(request));
    }
}
