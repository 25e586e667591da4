//! The bodies of the messages.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use s_core_model::{Capacity, CpuModel, ServerId, VmId};
use s_core_token::Mark;

use super::tlv::{self, FIELD_OVERHEAD, Field};
use crate::message::{Arrival, CapacityAnswer, Demand, Message, QueryId, TokenVerdict};

/// How many VMs one capacity request may name at most.
pub const MAX_DEMANDS: usize = 64;

const LOCATION_REQUEST: u8 = 1;
const LOCATION_RESPONSE: u8 = 2;
const CAPACITY_REQUEST: u8 = 3;
const CAPACITY_RESPONSE: u8 = 4;
const RELEASE: u8 = 5;
const TOKEN: u8 = 6;
const TOKEN_ACK: u8 = 7;
const KEEP_ALIVE: u8 = 8;
const CUSTODY_REQUEST: u8 = 9;
const BEACON: u8 = 10;
const CLAIM: u8 = 11;
const YIELD: u8 = 12;
const JOIN: u8 = 13;
const OUTCOME_REQUEST: u8 = 14;
const OUTCOME_RESPONSE: u8 = 15;

const RESERVED: u8 = 0;
const FULL: u8 = 1;
const STALE: u8 = 2;
const UNSUITABLE: u8 = 3;

const ACCEPTED: u8 = 0;
const STALE_TOKEN: u8 = 1;
const NOT_HOSTED: u8 = 2;
const MALFORMED: u8 = 3;
const HANDED_ON: u8 = 4;

const HOSTED: u8 = 0;
const ARRIVING: u8 = 1;
const ABSENT: u8 = 2;

/// The kind byte of a message's frame.
pub(super) const fn kind(message: &Message) -> u8 {
    match message {
        Message::LocationRequest { .. } => LOCATION_REQUEST,
        Message::LocationResponse { .. } => LOCATION_RESPONSE,
        Message::CapacityRequest { .. } => CAPACITY_REQUEST,
        Message::CapacityResponse { .. } => CAPACITY_RESPONSE,
        Message::Release { .. } => RELEASE,
        Message::Token(_) => TOKEN,
        Message::TokenAck { .. } => TOKEN_ACK,
        Message::KeepAlive { .. } => KEEP_ALIVE,
        Message::CustodyRequest { .. } => CUSTODY_REQUEST,
        Message::Beacon { .. } => BEACON,
        Message::Claim { .. } => CLAIM,
        Message::Yield { .. } => YIELD,
        Message::Join { .. } => JOIN,
        Message::OutcomeRequest { .. } => OUTCOME_REQUEST,
        Message::OutcomeResponse { .. } => OUTCOME_RESPONSE,
    }
}

/// The exact length of the body of a message; a token is not copied to find it.
pub(super) fn encoded_len(message: &Message) -> usize {
    match message {
        Message::Token(token) => FIELD_OVERHEAD + token.len(),
        _ => {
            let mut body = BytesMut::new();
            encode(message, &mut body);
            body.len()
        }
    }
}

pub(super) fn encode(message: &Message, out: &mut BytesMut) {
    match message {
        Message::LocationRequest {
            query,
            vm,
            directed,
        } => {
            put_query(out, *query);
            put_vm(out, *vm);
            tlv::put(out, Field::Directed, &[u8::from(*directed)]);
        }
        Message::LocationResponse { query, vm, server } => {
            put_query(out, *query);
            // One field for both, so that no answer is longer than its request.
            match server {
                Some(server) => {
                    let mut value = [0; 8];
                    value[..4].copy_from_slice(&vm.get().to_be_bytes());
                    value[4..].copy_from_slice(&server.get().to_be_bytes());
                    tlv::put(out, Field::Location, &value);
                }
                None => put_vm(out, *vm),
            }
        }
        Message::CapacityRequest {
            query,
            mark,
            demands,
            cpu,
        } => {
            put_query(out, *query);
            put_mark(out, *mark);
            for demand in demands {
                let mut value = [0; 8];
                value[..4].copy_from_slice(&demand.vm.get().to_be_bytes());
                value[4..].copy_from_slice(&demand.memory_mib.to_be_bytes());
                tlv::put(out, Field::Demand, &value);
            }
            put_cpu(out, cpu.as_ref());
        }
        Message::CapacityResponse { query, answer, cpu } => {
            put_query(out, *query);
            put_capacity_answer(out, *answer);
            put_cpu(out, cpu.as_ref());
        }
        Message::Release { mark, vm } => {
            put_mark(out, *mark);
            put_vm(out, *vm);
        }
        Message::Token(token) => tlv::put(out, Field::Token, token),
        Message::TokenAck { mark, verdict } => {
            put_mark(out, *mark);
            put_verdict(out, *verdict);
        }
        Message::KeepAlive { mark, current } => {
            put_mark(out, *mark);
            put_mark(out, *current);
        }
        Message::CustodyRequest { mark, highest, vm } => {
            put_mark(out, *mark);
            put_mark(out, *highest);
            put_vm(out, *vm);
        }
        Message::Beacon { mark, round } | Message::Claim { mark, round } => {
            put_mark(out, *mark);
            tlv::put(out, Field::Round, &round.to_be_bytes());
        }
        Message::Yield { mark, vm } => {
            put_mark(out, *mark);
            if let Some(vm) = vm {
                put_vm(out, *vm);
            }
        }
        Message::Join { vm } => put_vm(out, *vm),
        Message::OutcomeRequest { query, mark, vm } => {
            put_query(out, *query);
            put_mark(out, *mark);
            put_vm(out, *vm);
        }
        Message::OutcomeResponse { query, vm, arrival } => {
            put_query(out, *query);
            put_vm(out, *vm);
            let code = match arrival {
                Arrival::Hosted => HOSTED,
                Arrival::Arriving => ARRIVING,
                Arrival::Absent => ABSENT,
            };
            tlv::put(out, Field::Answer, &[code]);
        }
    }
}

fn put_vm(out: &mut BytesMut, vm: VmId) {
    tlv::put(out, Field::Vm, &vm.get().to_be_bytes());
}

fn put_query(out: &mut BytesMut, query: QueryId) {
    tlv::put(out, Field::Query, &query.get().to_be_bytes());
}

fn put_mark(out: &mut BytesMut, mark: Mark) {
    tlv::put(out, Field::Mark, &mark.to_bytes());
}

fn put_cpu(out: &mut BytesMut, cpu: Option<&CpuModel>) {
    if let Some(cpu) = cpu {
        tlv::put(out, Field::Cpu, &cpu.to_bytes());
    }
}

fn put_capacity_answer(out: &mut BytesMut, answer: CapacityAnswer) {
    match answer {
        CapacityAnswer::Reserved => tlv::put(out, Field::Answer, &[RESERVED]),
        CapacityAnswer::Full(free) => {
            tlv::put(out, Field::Answer, &[FULL]);
            let mut value = [0; 12];
            value[..4].copy_from_slice(&free.vm_slots.to_be_bytes());
            value[4..].copy_from_slice(&free.memory_mib.to_be_bytes());
            tlv::put(out, Field::Capacity, &value);
        }
        CapacityAnswer::Stale(highest) => {
            tlv::put(out, Field::Answer, &[STALE]);
            put_mark(out, highest);
        }
        CapacityAnswer::Unsuitable => tlv::put(out, Field::Answer, &[UNSUITABLE]),
    }
}

/// A stale token's answer names two marks: first the token's own, then the highest seen.
fn put_verdict(out: &mut BytesMut, verdict: TokenVerdict) {
    match verdict {
        TokenVerdict::Accepted => tlv::put(out, Field::Answer, &[ACCEPTED]),
        TokenVerdict::Stale(highest) => {
            tlv::put(out, Field::Answer, &[STALE_TOKEN]);
            put_mark(out, highest);
        }
        TokenVerdict::HandedOn => tlv::put(out, Field::Answer, &[HANDED_ON]),
        TokenVerdict::NotHosted => tlv::put(out, Field::Answer, &[NOT_HOSTED]),
        TokenVerdict::Malformed => tlv::put(out, Field::Answer, &[MALFORMED]),
    }
}

/// The fields of a body, each taken at most once by the message that wants it.
#[derive(Debug, Default)]
struct Fields {
    query: Option<[u8; 8]>,
    vm: Option<[u8; 4]>,
    marks: [Option<[u8; Mark::LEN]>; 2],
    demands: Vec<[u8; 8]>,
    capacity: Option<[u8; 12]>,
    answer: Option<[u8; 1]>,
    directed: Option<[u8; 1]>,
    token: Option<Bytes>,
    location: Option<[u8; 8]>,
    round: Option<[u8; 4]>,
    cpu: Option<[u8; CpuModel::LEN]>,
}

impl Fields {
    fn read(body: &Bytes) -> Result<Self, BodyError> {
        let mut fields = Self::default();
        let mut rest = body.clone();
        while let Some((field, value)) = tlv::take(&mut rest)? {
            match field {
                Field::Query => set(&mut fields.query, field, &value)?,
                Field::Vm => set(&mut fields.vm, field, &value)?,
                Field::Mark if fields.marks[0].is_none() => {
                    set(&mut fields.marks[0], field, &value)?;
                }
                Field::Mark => set(&mut fields.marks[1], field, &value)?,
                Field::Demand => {
                    if fields.demands.len() == MAX_DEMANDS {
                        return Err(BodyError::TooManyDemands);
                    }
                    fields.demands.push(sized(field, &value)?);
                }
                Field::Capacity => set(&mut fields.capacity, field, &value)?,
                Field::Answer => set(&mut fields.answer, field, &value)?,
                Field::Directed => set(&mut fields.directed, field, &value)?,
                Field::Token if fields.token.is_none() => fields.token = Some(value),
                Field::Token => return Err(BodyError::RepeatedField(field as u8)),
                Field::Location => set(&mut fields.location, field, &value)?,
                Field::Round => set(&mut fields.round, field, &value)?,
                Field::Cpu => set(&mut fields.cpu, field, &value)?,
            }
        }
        Ok(fields)
    }

    fn query(&mut self) -> Result<QueryId, BodyError> {
        let bytes = self.query.take().ok_or(missing(Field::Query))?;
        Ok(QueryId::new(u64::from_be_bytes(bytes)))
    }

    fn vm(&mut self) -> Result<VmId, BodyError> {
        let bytes = self.vm.take().ok_or(missing(Field::Vm))?;
        Ok(VmId::new(u32::from_be_bytes(bytes)))
    }

    fn mark(&mut self, which: usize) -> Result<Mark, BodyError> {
        let bytes = self.marks[which].take().ok_or(missing(Field::Mark))?;
        Ok(Mark::from_bytes(bytes))
    }

    fn location(&mut self) -> Result<(VmId, Option<ServerId>), BodyError> {
        let Some([a, b, c, d, server @ ..]) = self.location.take() else {
            return Ok((self.vm()?, None));
        };
        let server = ServerId::new(u32::from_be_bytes(server));
        Ok((VmId::new(u32::from_be_bytes([a, b, c, d])), Some(server)))
    }

    fn round(&mut self) -> Result<u32, BodyError> {
        let bytes = self.round.take().ok_or(missing(Field::Round))?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn cpu(&mut self) -> Option<CpuModel> {
        Some(CpuModel::from_bytes(&self.cpu.take()?))
    }

    fn answer(&mut self) -> Result<u8, BodyError> {
        Ok(self.answer.take().ok_or(missing(Field::Answer))?[0])
    }

    fn demands(&mut self) -> Result<Vec<Demand>, BodyError> {
        if self.demands.is_empty() {
            return Err(missing(Field::Demand));
        }
        let demand = |[a, b, c, d, e, f, g, h]: [u8; 8]| Demand {
            vm: VmId::new(u32::from_be_bytes([a, b, c, d])),
            memory_mib: u32::from_be_bytes([e, f, g, h]),
        };
        Ok(self.demands.drain(..).map(demand).collect())
    }

    fn capacity_answer(&mut self) -> Result<CapacityAnswer, BodyError> {
        Ok(match self.answer()? {
            RESERVED => CapacityAnswer::Reserved,
            FULL => {
                let [a, b, c, d, memory @ ..] =
                    self.capacity.take().ok_or(missing(Field::Capacity))?;
                CapacityAnswer::Full(Capacity {
                    vm_slots: u32::from_be_bytes([a, b, c, d]),
                    memory_mib: u64::from_be_bytes(memory),
                })
            }
            STALE => CapacityAnswer::Stale(self.mark(0)?),
            UNSUITABLE => CapacityAnswer::Unsuitable,
            code => return Err(BodyError::UnknownAnswer(code)),
        })
    }

    fn verdict(&mut self) -> Result<TokenVerdict, BodyError> {
        Ok(match self.answer()? {
            ACCEPTED => TokenVerdict::Accepted,
            STALE_TOKEN => TokenVerdict::Stale(self.mark(1)?),
            HANDED_ON => TokenVerdict::HandedOn,
            NOT_HOSTED => TokenVerdict::NotHosted,
            MALFORMED => TokenVerdict::Malformed,
            code => return Err(BodyError::UnknownAnswer(code)),
        })
    }

    fn arrival(&mut self) -> Result<Arrival, BodyError> {
        Ok(match self.answer()? {
            HOSTED => Arrival::Hosted,
            ARRIVING => Arrival::Arriving,
            ABSENT => Arrival::Absent,
            code => return Err(BodyError::UnknownAnswer(code)),
        })
    }

    /// Refuses a field that belongs to another kind of message.
    fn finish(self) -> Result<(), BodyError> {
        let Self {
            query,
            vm,
            marks,
            demands,
            capacity,
            answer,
            directed,
            token,
            location,
            round,
            cpu,
        } = self;
        let left = [
            query.map(|_| Field::Query),
            vm.map(|_| Field::Vm),
            marks[0].or(marks[1]).map(|_| Field::Mark),
            demands.first().map(|_| Field::Demand),
            capacity.map(|_| Field::Capacity),
            answer.map(|_| Field::Answer),
            directed.map(|_| Field::Directed),
            token.map(|_| Field::Token),
            location.map(|_| Field::Location),
            round.map(|_| Field::Round),
            cpu.map(|_| Field::Cpu),
        ];
        match left.into_iter().flatten().next() {
            Some(field) => Err(BodyError::UnexpectedField(field as u8)),
            None => Ok(()),
        }
    }
}

fn missing(field: Field) -> BodyError {
    BodyError::MissingField(field as u8)
}

fn sized<const N: usize>(field: Field, value: &[u8]) -> Result<[u8; N], BodyError> {
    value.try_into().map_err(|_| BodyError::WrongFieldLength {
        field: field as u8,
        length: value.len(),
        wanted: N,
    })
}

fn set<const N: usize>(
    slot: &mut Option<[u8; N]>,
    field: Field,
    value: &[u8],
) -> Result<(), BodyError> {
    match slot.replace(sized(field, value)?) {
        None => Ok(()),
        Some(_) => Err(BodyError::RepeatedField(field as u8)),
    }
}

pub(super) fn decode(kind: u8, body: &Bytes) -> Result<Message, BodyError> {
    let mut fields = Fields::read(body)?;
    let message = match kind {
        LOCATION_REQUEST => Message::LocationRequest {
            query: fields.query()?,
            vm: fields.vm()?,
            directed: match fields.directed.take().ok_or(missing(Field::Directed))? {
                [0] => false,
                [1] => true,
                [other] => return Err(BodyError::UnknownAnswer(other)),
            },
        },
        LOCATION_RESPONSE => {
            let query = fields.query()?;
            let (vm, server) = fields.location()?;
            Message::LocationResponse { query, vm, server }
        }
        CAPACITY_REQUEST => Message::CapacityRequest {
            query: fields.query()?,
            mark: fields.mark(0)?,
            demands: fields.demands()?,
            cpu: fields.cpu(),
        },
        CAPACITY_RESPONSE => Message::CapacityResponse {
            query: fields.query()?,
            answer: fields.capacity_answer()?,
            cpu: fields.cpu(),
        },
        RELEASE => Message::Release {
            mark: fields.mark(0)?,
            vm: fields.vm()?,
        },
        TOKEN => Message::Token(fields.token.take().ok_or(missing(Field::Token))?),
        TOKEN_ACK => Message::TokenAck {
            mark: fields.mark(0)?,
            verdict: fields.verdict()?,
        },
        KEEP_ALIVE => Message::KeepAlive {
            mark: fields.mark(0)?,
            current: fields.mark(1)?,
        },
        CUSTODY_REQUEST => Message::CustodyRequest {
            mark: fields.mark(0)?,
            highest: fields.mark(1)?,
            vm: fields.vm()?,
        },
        BEACON => Message::Beacon {
            mark: fields.mark(0)?,
            round: fields.round()?,
        },
        CLAIM => Message::Claim {
            mark: fields.mark(0)?,
            round: fields.round()?,
        },
        YIELD => Message::Yield {
            mark: fields.mark(0)?,
            vm: fields.vm.is_some().then(|| fields.vm()).transpose()?,
        },
        JOIN => Message::Join { vm: fields.vm()? },
        OUTCOME_REQUEST => Message::OutcomeRequest {
            query: fields.query()?,
            mark: fields.mark(0)?,
            vm: fields.vm()?,
        },
        OUTCOME_RESPONSE => Message::OutcomeResponse {
            query: fields.query()?,
            vm: fields.vm()?,
            arrival: fields.arrival()?,
        },
        _ => return Err(BodyError::UnknownKind(kind)),
    };
    fields.finish()?;
    Ok(message)
}

/// The body of a properly sealed frame that makes no sense: the sender speaks another dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A kind of message that does not exist.
    #[error("message kind {0} is not known")]
    UnknownKind(u8),
    /// A field that begins or goes on beyond the end of the body.
    #[error("a field ends beyond the end of the message")]
    TruncatedField,
    /// A field of unknown type that is not optional.
    #[error("field type {0} is not known")]
    UnknownField(u8),
    /// A field that the message needs is not there.
    #[error("field type {0} is missing")]
    MissingField(u8),
    /// A field that belongs to other messages.
    #[error("field type {0} does not belong to this kind of message")]
    UnexpectedField(u8),
    /// A field that may come once came twice.
    #[error("field type {0} comes more than once")]
    RepeatedField(u8),
    /// A field of the wrong length.
    #[error("field type {field} has {length} bytes, not {wanted}")]
    WrongFieldLength {
        /// The field's type.
        field: u8,
        /// Its length in bytes.
        length: usize,
        /// The length that it must have.
        wanted: usize,
    },
    /// An answer code that does not exist.
    #[error("answer code {0} is not known")]
    UnknownAnswer(u8),
    /// More VMs than one request may name.
    #[error("a capacity request names more than {MAX_DEMANDS} VMs")]
    TooManyDemands,
}
