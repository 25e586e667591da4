//! Lengths of messages, from the codec itself, and what a round is made of.

use s_core_agent::lab_key;
use s_core_examples::Failure;
use s_core_model::{ServerId, VmId};
use s_core_proto::wire::{Cluster, Codec, Keyring};
use s_core_proto::{Message, QueryId, TokenVerdict};
use s_core_token::{Limits, Mark, PolicyKind, Token};

/// Lengths of messages with all that agents put around them, without the headers of UDP, TCP and IP.
#[derive(Debug)]
pub(crate) struct Frames {
    codec: Codec,
    /// The acknowledgement of a token, and the word that it was handed on.
    pub(crate) acknowledgement: usize,
    pub(crate) location_request: usize,
    pub(crate) location_response: usize,
}

impl Frames {
    pub(crate) fn new() -> Result<Self, Failure> {
        let here = ServerId::new(1);
        let keyring = Keyring::new(lab_key(), [])?;
        let mut codec = Codec::new(Cluster(0), here, keyring, usize::MAX);
        let (query, vm) = (QueryId::new(1), VmId::new(1));
        let mut length = |message| codec.seal(None, &message).len();
        Ok(Self {
            acknowledgement: length(Message::TokenAck {
                mark: Mark::default(),
                verdict: TokenVerdict::Accepted,
            }),
            location_request: length(Message::LocationRequest {
                query,
                vm,
                directed: true,
            }),
            location_response: length(Message::LocationResponse {
                query,
                vm,
                server: Some(here),
            }),
            codec,
        })
    }

    /// The length of the message that carries a token of so many VMs, of a policy with basic slots.
    pub(crate) fn token(&mut self, vms: u32) -> Result<usize, Failure> {
        let ids: Vec<_> = (1..=vms).map(VmId::new).collect();
        let policy = PolicyKind::RoundRobin.build();
        let token = Token::new(&ids, &*policy, Mark::default(), Limits::default())?;
        let message = Message::Token(token.encode().freeze());
        Ok(self.codec.seal(None, &message).len())
    }
}

/// What a round is made of once all servers know where the VMs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// How often the token goes from one server to another; within a server it is not sent.
    pub(crate) handovers: u64,
    /// Location requests of all decisions; peers on the own server need none.
    pub(crate) requests: u64,
    pub(crate) responses: u64,
}

impl Round {
    /// Bytes of all messages: each handover is a token, an acknowledgement, and word to the server before.
    pub(crate) fn bytes(self, frames: &Frames, token: usize) -> u64 {
        let handover = token + 2 * frames.acknowledgement;
        self.handovers * handover as u64
            + self.requests * frames.location_request as u64
            + self.responses * frames.location_response as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_five_bytes_for_each_vm() {
        let mut frames = Frames::new().unwrap();
        // 36 + 32 of the frame, 5 of the field, 54 of the token's header: docs/protocol.md.
        for vms in [1, 2, 1_000] {
            let wanted = 36 + 32 + 5 + 54 + 5 * vms as usize;
            assert_eq!(frames.token(vms).unwrap(), wanted);
        }
        // Fields: query 13, VM 9, directed 6; query, location 13; mark 25, verdict 6.
        let others = [
            frames.location_request,
            frames.location_response,
            frames.acknowledgement,
        ];
        assert_eq!(others, [68 + 28, 68 + 26, 68 + 31]);
    }

    #[test]
    fn a_round_is_the_sum_of_its_messages() {
        let frames = Frames::new().unwrap();
        let check = |handovers, requests, responses, wanted| {
            let round = Round {
                handovers,
                requests,
                responses,
            };
            assert_eq!(round.bytes(&frames, 1_000), wanted, "{round:?}");
        };
        check(0, 0, 0, 0);
        check(3, 0, 0, 3 * (1_000 + 2 * 99));
        check(1, 10, 9, 1_198 + 10 * 96 + 9 * 94);
    }
}
