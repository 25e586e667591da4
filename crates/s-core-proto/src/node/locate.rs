//! A visit of the token begins: the holder's rates, and where its peers are (thesis 4.2.5).

use alloc::vec::Vec;
use core::cmp::Reverse;

use s_core_model::{Levels, Rate, ServerId, VmId};

use super::Node;
use super::holding::{Attempt, Peer, Phase};
use super::io::{Action, Destination, Report, WhyStayed};
use crate::message::{Message, QueryId};
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// The token is with a VM that runs here: its rates first.
    pub(super) fn begin_visit(&mut self, now: Instant) {
        self.give_slots();
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let (vm, mark) = (holding.token.holder_id(), holding.token.mark());
        holding.base = mark;
        self.state.visited = (mark.epoch, holding.token.round());
        holding.peers.clear();
        holding.uncounted = Rate::ZERO;
        holding.phase = Phase::Measuring {
            until: now + self.config.timing.measurement,
        };
        self.report(Report::Holding { vm, mark });
        self.actions.push_back(Action::Measure(vm));
    }

    /// "Calculate the aggregate load between that VM and all the neighbours" (4.2.5), then find the neighbours.
    pub(super) fn measured(&mut self, now: Instant, vm: VmId, peers: Vec<(VmId, Rate)>) {
        let here = self.config.server;
        let Some(holding) = self.state.holding.as_mut().filter(|h| h.is_measuring(vm)) else {
            return;
        };
        let ranges = &self.config.vm_addresses;
        let is_vm = |peer| {
            holding.token.position_of(peer).is_some()
                || self.state.locations.get(peer).is_some()
                || ranges
                    .iter()
                    .any(|&(first, last)| (first..=last).contains(&peer))
        };
        let known = |peer| peer != vm && is_vm(peer);
        (holding.peers, holding.uncounted) = known_peers(peers, self.config.bounds.peers, known);
        for peer in &mut holding.peers {
            if self.state.hosted.contains_key(&peer.vm) {
                peer.server = Some(here);
            } else if self.state.reservations.expects(peer.vm) {
                // It may have come since the last listing.
                self.actions.push_back(Action::ListHosted);
            }
        }
        if holding.peers.is_empty() {
            return self.stay(now, WhyStayed::NoTraffic);
        }
        let last_query = &mut self.state.last_query;
        let first_query = QueryId::new(last_query.wrapping_add(1));
        *last_query = last_query.wrapping_add(holding.peers.len() as u64);
        holding.phase = Phase::Locating {
            first_query,
            attempt: Attempt {
                number: 1,
                until: now + self.config.timing.answer,
            },
        };
        self.ask_for_locations(first_query, true);
        self.decide_if_located(now);
    }

    pub(super) fn not_measured(&mut self, now: Instant, vm: VmId) {
        if self
            .state
            .holding
            .as_ref()
            .is_some_and(|h| h.is_measuring(vm))
        {
            self.stay(now, WhyStayed::NotMeasured);
        }
    }

    /// All at once: a visit waits for one round trip, not for one per peer.
    fn ask_for_locations(&mut self, first_query: QueryId, use_hints: bool) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let requests: Vec<_> = (0..)
            .zip(&holding.peers)
            .filter(|(_, peer)| peer.server.is_none())
            .map(|(number, peer)| {
                let query = QueryId::new(first_query.get().wrapping_add(number));
                let hint = self.state.locations.get(peer.vm).filter(|_| use_hints);
                location_request(query, peer.vm, hint)
            })
            .collect();
        for (to, message) in requests {
            self.send(to, message);
        }
    }

    pub(super) fn location_response(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        vm: VmId,
        server: Option<ServerId>,
    ) {
        if server == Some(sender) {
            let bound = self.config.bounds.locations;
            self.state.locations.learn(vm, sender, bound);
        } else if self.state.locations.get(vm) == Some(sender) {
            self.state.locations.forget(vm);
        }
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let bound = self.config.bounds.attempts;
        let again = match &mut holding.phase {
            Phase::Locating { first_query, .. } => {
                let index = query.get().wrapping_sub(first_query.get());
                let peer = usize::try_from(index)
                    .ok()
                    .and_then(|index| holding.peers.get_mut(index))
                    .filter(|peer| peer.vm == vm && peer.server.is_none());
                let Some(peer) = peer else { return };
                if server == Some(sender) {
                    peer.server = server;
                    return self.decide_if_located(now);
                }
                peer.redirects = peer.redirects.saturating_add(1);
                peer.redirects < bound
            }
            Phase::Seeking {
                query: asked,
                redirects,
                moved,
                ..
            } if *asked == query && holding.token.holder_id() == vm => {
                if server == Some(sender) {
                    let moved = *moved;
                    return self.send_token(now, sender, moved);
                }
                *redirects = redirects.saturating_add(1);
                *redirects < bound
            }
            _ => return,
        };
        // The sender does not host it: follow its hint, or ask everybody; the timeout does when hints run in circles.
        if again {
            let here = server == Some(self.config.server);
            if here {
                self.actions.push_back(Action::ListHosted);
            }
            let hint = server.filter(|_| !here);
            let (to, message) = location_request(query, vm, hint);
            self.send(to, message);
        }
    }

    /// A VM that is being looked for may have come to this very server.
    pub(super) fn found_here(&mut self, now: Instant) {
        let here = self.config.server;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        match holding.phase {
            Phase::Locating { .. } => {
                for peer in &mut holding.peers {
                    if peer.server.is_none() && self.state.hosted.contains_key(&peer.vm) {
                        peer.server = Some(here);
                    }
                }
                self.decide_if_located(now);
            }
            Phase::Seeking { .. } if self.state.hosted.contains_key(&holding.token.holder_id()) => {
                self.hand_on(now);
            }
            _ => {}
        }
    }

    pub(super) fn location_timeout(&mut self, now: Instant) {
        let (attempts, answer) = (self.config.bounds.attempts, self.config.timing.answer);
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        match &mut holding.phase {
            Phase::Locating {
                first_query,
                attempt,
            } => {
                let first_query = *first_query;
                if attempt.again(now + answer, attempts) {
                    self.ask_for_locations(first_query, false);
                } else {
                    let vm = holding.token.holder_id();
                    let lost = holding.peers.iter().filter(|peer| peer.server.is_none());
                    let count = lost.count();
                    holding.token.unsettle();
                    self.report(Report::PeersNotFound { vm, count });
                    self.decide(now);
                }
            }
            Phase::Seeking { .. } => self.seek_again(now),
            _ => {}
        }
    }

    fn decide_if_located(&mut self, now: Instant) {
        let located = |peer: &Peer| peer.server.is_some();
        if let Some(holding) = &self.state.holding
            && holding.peers.iter().all(located)
        {
            self.decide(now);
        }
    }
}

/// The VMs among `peers` with their rates added up, ascending; the `bound` busiest if there are
/// more, and the rate of the others.
fn known_peers(
    mut peers: Vec<(VmId, Rate)>,
    bound: usize,
    known: impl Fn(VmId) -> bool,
) -> (Vec<Peer>, Rate) {
    peers.retain(|(vm, rate)| !rate.is_zero() && known(*vm));
    peers.sort_by_key(|(vm, _)| *vm);
    peers.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 = first.1 + next.1;
        }
        same
    });
    let mut others = Rate::ZERO;
    if peers.len() > bound {
        peers.sort_unstable_by_key(|(vm, rate)| (Reverse(*rate), *vm));
        others = peers.drain(bound..).map(|(_, rate)| rate).sum();
        peers.sort_unstable_by_key(|(vm, _)| *vm);
    }
    let peer = |(vm, rate)| Peer {
        vm,
        rate,
        server: None,
        redirects: 0,
    };
    (peers.into_iter().map(peer).collect(), others)
}

/// To one server if there is a hint, else to whichever hosts the VM.
pub(super) fn location_request(
    query: QueryId,
    vm: VmId,
    hint: Option<ServerId>,
) -> (Destination, Message) {
    let to = hint.map_or(Destination::HostOf(vm), Destination::Server);
    let directed = hint.is_some();
    (
        to,
        Message::LocationRequest {
            query,
            vm,
            directed,
        },
    )
}
