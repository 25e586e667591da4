//! After a migration: does the VM run on its target, and is nothing of it left here?
//!
//! What is left is destroyed only where the server that the VM runs on has said so itself, after its part in the migration had ended
//! or must have: then the domain runs exactly once, and not from what is destroyed. Everything else is told to the operator.

use std::collections::BTreeMap;
use std::time::Duration;

use s_core_backend::{Leftover, LeftoverKind, Uuid};
use s_core_model::{ServerId, VmId};
use s_core_proto::{Arrival, Message, QueryId};
use s_core_token::Mark;

use crate::inventory::Inventory;

/// After how many listings without an answer it is said that a migration is not verified.
const PATIENCE: u32 = 6;
/// How many listings `xl` gets to clear away by itself what has failed to come.
const OWN_CLEANING: u32 = 3;
/// How long a domain may be suspended, under its own name or that of one that has left, before it is said.
const LEAVING: Duration = Duration::from_secs(60);
/// The most migrations that are followed, each way: those of many minutes.
const MOST: usize = 256;
/// Numbers of questions that are not the node's, which count from the time in nanoseconds.
const FIRST_QUERY: u64 = 1 << 63;

/// Something to do or to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(ServerId, Message),
    /// Ask whichever server hosts the VM.
    Seek(VmId, Message),
    /// The domain runs elsewhere, which its server has said.
    Remove(Uuid, LeftoverKind),
    /// It runs on its target, and nothing of it is left here.
    Verified(VmId, ServerId),
    /// It should run on its target; why that is not known.
    Doubt(VmId, ServerId, &'static str),
    /// A domain that a migration has left here, of which it is not known that it runs elsewhere.
    Left(Leftover),
}

/// The migrations whose ends are still looked at.
#[derive(Debug)]
pub(crate) struct Verification {
    departed: BTreeMap<VmId, Departed>,
    given_up: BTreeMap<VmId, GivenUp>,
    /// The mark of the last request for room for each VM, and who sent it.
    asked: BTreeMap<VmId, (Mark, ServerId)>,
    /// Since when a leftover has been listed, and whether that was said.
    left: BTreeMap<(Uuid, LeftoverKind), (Duration, bool)>,
    /// How long a domain may be arriving.
    arrival: Duration,
    last_query: u64,
}

/// A VM that has moved from here.
#[derive(Debug)]
struct Departed {
    domain: Uuid,
    target: ServerId,
    query: QueryId,
    /// The target says that it runs there, or another server that it has gone on to.
    there: bool,
    listings: u32,
}

/// A VM that has failed to come, as its source said or as it has taken longer than a migration may.
#[derive(Debug)]
struct GivenUp {
    source: ServerId,
    query: Option<QueryId>,
    /// The source says that it runs there.
    there: bool,
    listings: u32,
}

impl GivenUp {
    fn by(source: ServerId) -> Self {
        Self {
            source,
            query: None,
            there: false,
            listings: 0,
        }
    }
}

impl Verification {
    /// Of a server whose migrations take no longer than this.
    pub(crate) fn new(longest_migration: Duration) -> Self {
        Self {
            departed: BTreeMap::new(),
            given_up: BTreeMap::new(),
            asked: BTreeMap::new(),
            left: BTreeMap::new(),
            arrival: longest_migration,
            last_query: FIRST_QUERY,
        }
    }

    fn next_query(&mut self) -> QueryId {
        self.last_query = self.last_query.wrapping_add(1) | FIRST_QUERY;
        QueryId::new(self.last_query)
    }

    /// A domain has moved; its target is asked.
    pub(crate) fn moved(
        &mut self,
        vm: VmId,
        domain: Uuid,
        target: ServerId,
        mark: Mark,
    ) -> Option<Step> {
        if self.departed.len() >= MOST && !self.departed.contains_key(&vm) {
            return None;
        }
        let query = self.next_query();
        let departed = Departed {
            domain,
            target,
            query,
            there: false,
            listings: 0,
        };
        self.departed.insert(vm, departed);
        Some(Step::Ask(
            target,
            Message::OutcomeRequest { query, mark, vm },
        ))
    }

    /// A server has said something.
    pub(crate) fn heard(&mut self, sender: ServerId, message: &Message) {
        match message {
            Message::OutcomeResponse {
                query,
                vm,
                arrival: Arrival::Hosted,
            } => {
                if let Some(departed) = self.departed.get_mut(vm) {
                    departed.there |= departed.query == *query && departed.target == sender;
                }
            }
            Message::LocationResponse { query, vm, server } => {
                let its_own = *server == Some(sender);
                if let Some(departed) = self.departed.get_mut(vm) {
                    departed.there |= its_own && departed.query == *query;
                }
                if let Some(given_up) = self.given_up.get_mut(vm) {
                    let asked = given_up.query == Some(*query);
                    given_up.there |= its_own && asked && given_up.source == sender;
                }
            }
            // One that comes late, after another request, is about that no more.
            Message::Release { vm, mark }
                if self.given_up.len() < MOST
                    && self.asked.get(vm).is_none_or(|(asked, _)| asked <= mark) =>
            {
                self.given_up.insert(*vm, GivenUp::by(sender));
            }
            Message::CapacityRequest { mark, demands, .. } => {
                for demand in demands {
                    self.asked.insert(demand.vm, (*mark, sender));
                }
                let oldest = |asked: &BTreeMap<VmId, (Mark, ServerId)>| {
                    asked
                        .iter()
                        .min_by_key(|(_, (mark, _))| *mark)
                        .map(|(vm, _)| *vm)
                };
                while self.asked.len() > MOST
                    && let Some(vm) = oldest(&self.asked)
                {
                    self.asked.remove(&vm);
                }
            }
            _ => {}
        }
    }

    /// Room has been promised to the VM: whatever comes of it from now on is another attempt.
    pub(crate) fn promised(&mut self, vm: VmId) {
        self.given_up.remove(&vm);
    }

    /// What a listing that began after all this shows.
    pub(crate) fn listed(&mut self, now: Duration, inventory: &Inventory, mark: Mark) -> Vec<Step> {
        let mut steps = Vec::new();
        self.departures(inventory, mark, &mut steps);
        self.failed_arrivals(inventory, &mut steps);
        self.leftovers(now, inventory, &mut steps);
        steps
    }

    fn departures(&mut self, inventory: &Inventory, mark: Mark, steps: &mut Vec<Step>) {
        let last_query = &mut self.last_query;
        self.departed.retain(|vm, departed| {
            let target = departed.target;
            if inventory.vms.contains_key(vm) {
                steps.push(Step::Doubt(*vm, target, "it is listed here"));
                return false;
            }
            let kind = LeftoverKind::MigratedAway;
            let is_it = |left: &Leftover| left.uuid == departed.domain && left.kind == kind;
            let left = inventory.leftovers.iter().any(is_it);
            if departed.there {
                steps.push(match left {
                    true => Step::Remove(departed.domain, kind),
                    false => Step::Verified(*vm, target),
                });
                return left;
            }
            departed.listings = departed.listings.saturating_add(1);
            if departed.listings == PATIENCE {
                let why = "the target does not say that it runs there";
                steps.push(Step::Doubt(*vm, target, why));
            }
            *last_query = last_query.wrapping_add(1) | FIRST_QUERY;
            let (query, vm) = (QueryId::new(*last_query), *vm);
            departed.query = query;
            steps.push(Step::Ask(
                target,
                Message::OutcomeRequest { query, mark, vm },
            ));
            if departed.listings > 1 {
                // It may have gone on from there.
                let directed = false;
                let question = Message::LocationRequest {
                    query,
                    vm,
                    directed,
                };
                steps.push(Step::Seek(vm, question));
            }
            true
        });
    }

    fn failed_arrivals(&mut self, inventory: &Inventory, steps: &mut Vec<Step>) {
        let last_query = &mut self.last_query;
        self.given_up.retain(|vm, given_up| {
            let Some(domain) = inventory.arriving_domains.get(vm) else {
                return false;
            };
            if given_up.there {
                // Until it is not listed any more.
                steps.push(Step::Remove(*domain, LeftoverKind::Incoming));
                return true;
            }
            given_up.listings = given_up.listings.saturating_add(1);
            if given_up.listings >= OWN_CLEANING {
                *last_query = last_query.wrapping_add(1) | FIRST_QUERY;
                let query = QueryId::new(*last_query);
                given_up.query = Some(query);
                let (vm, directed) = (*vm, true);
                let question = Message::LocationRequest {
                    query,
                    vm,
                    directed,
                };
                steps.push(Step::Ask(given_up.source, question));
            }
            true
        });
    }

    fn leftovers(&mut self, now: Duration, inventory: &Inventory, steps: &mut Vec<Step>) {
        let listed = &inventory.leftovers;
        let mut late = Vec::new();
        let key = |left: &Leftover| (left.uuid, left.kind);
        self.left
            .retain(|old, _| listed.iter().any(|left| key(left) == *old));
        for left in listed {
            let (since, said) = self.left.entry(key(left)).or_insert((now, false));
            let patience = match left.kind {
                LeftoverKind::MigratedAway | LeftoverKind::Suspended => LEAVING,
                LeftoverKind::Incoming => self.arrival,
            };
            if !*said && now.saturating_sub(*since) >= patience {
                *said = true;
                steps.push(Step::Left(left.clone()));
                late.extend((left.kind == LeftoverKind::Incoming).then_some(left.uuid));
            }
        }
        for domain in late {
            self.must_have_failed(domain, inventory);
        }
    }

    /// A VM that arrives for longer than a migration may take: whoever asked for its room has given it up, though nothing was
    /// heard of that.
    fn must_have_failed(&mut self, domain: Uuid, inventory: &Inventory) {
        let mut arriving = inventory.arriving_domains.iter();
        let vm = arriving.find_map(|(vm, uuid)| (*uuid == domain).then_some(*vm));
        let asked = vm.and_then(|vm| Some((vm, self.asked.get(&vm)?.1)));
        if let Some((vm, source)) = asked
            && self.given_up.len() < MOST
        {
            self.given_up.entry(vm).or_insert(GivenUp::by(source));
        }
    }

    /// The VMs that should have moved and of which it was said that it is not known, with their targets.
    pub(crate) fn unverified(&self) -> Vec<(VmId, ServerId)> {
        let late = |departed: &Departed| departed.listings >= PATIENCE && !departed.there;
        let departed = self.departed.iter();
        let late = departed.filter(|(_, departed)| late(departed));
        late.map(|(vm, departed)| (*vm, departed.target)).collect()
    }

    /// The domains that were left here, as far as that was said.
    pub(crate) fn left(&self) -> Vec<Uuid> {
        let said = self.left.iter().filter(|(_, (_, said))| *said);
        said.map(|((domain, _), _)| *domain).collect()
    }
}

#[cfg(test)]
mod tests;
