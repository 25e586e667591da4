//! Type-length-value fields (thesis 4.2.5 suggests them for extended messages).
//!
//! A field is a one-byte type, a four-byte length and the value. Types from 128 are optional: a
//! reader that does not know one skips it.

use bytes::{BufMut, Bytes, BytesMut};

use super::body::BodyError;

pub(super) const FIELD_OVERHEAD: usize = 5;
const OPTIONAL_FROM: u8 = 128;

/// The types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Query = 1,
    Vm = 2,
    Location = 3,
    Mark = 4,
    Demand = 5,
    Capacity = 6,
    Answer = 7,
    Directed = 8,
    Token = 9,
    Round = 10,
    /// Optional: an agent that does not know it takes every processor for the same.
    Cpu = 128,
}

impl Field {
    fn from_code(code: u8) -> Option<Self> {
        [
            Self::Query,
            Self::Vm,
            Self::Location,
            Self::Mark,
            Self::Demand,
            Self::Capacity,
            Self::Answer,
            Self::Directed,
            Self::Token,
            Self::Round,
            Self::Cpu,
        ]
        .into_iter()
        .find(|field| *field as u8 == code)
    }
}

pub(super) fn put(out: &mut BytesMut, field: Field, value: &[u8]) {
    out.put_u8(field as u8);
    out.put_u32(u32::try_from(value.len()).expect("a field is below 4 GiB"));
    out.put_slice(value);
}

/// Takes the first field off a body; `None` at its end. Optional fields of unknown type are skipped.
pub(super) fn take(body: &mut Bytes) -> Result<Option<(Field, Bytes)>, BodyError> {
    while !body.is_empty() {
        let Some(head) = body.first_chunk::<FIELD_OVERHEAD>() else {
            return Err(BodyError::TruncatedField);
        };
        let [code, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if body.len() - FIELD_OVERHEAD < length {
            return Err(BodyError::TruncatedField);
        }
        let value = body.slice(FIELD_OVERHEAD..FIELD_OVERHEAD + length);
        *body = body.slice(FIELD_OVERHEAD + length..);
        match Field::from_code(code) {
            Some(field) => return Ok(Some((field, value))),
            None if code >= OPTIONAL_FROM => {}
            None => return Err(BodyError::UnknownField(code)),
        }
    }
    Ok(None)
}
