//! What runs on this host and what there is room for (thesis 4.2.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use s_core_backend::ovs::Attachments;
use s_core_backend::{Domain, Hypervisor, HypervisorError, Leftover, Uuid};
use s_core_flow::MacAddr;
use s_core_model::{Capacity, CpuModel, VmId};

use crate::clock::Throttle;
use crate::driver::Incoming;
use crate::flows::Flows;

/// What the hypervisor said.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// How many migrations, from here or to here, the main thread knew to have ended when it was asked.
    pub(crate) generation: u64,
    /// The domain and memory in MiB of each VM.
    pub(crate) vms: BTreeMap<VmId, (Uuid, u32)>,
    /// The memory in MiB of each VM that is on its way here.
    pub(crate) arriving: BTreeMap<VmId, u32>,
    /// The domain of each of them.
    pub(crate) arriving_domains: BTreeMap<VmId, Uuid>,
    /// How many more domains are, of which it is not known which VMs they are.
    pub(crate) arriving_unknown: usize,
    pub(crate) free: Capacity,
    /// What the processor offers, if that matters.
    pub(crate) cpu: Option<CpuModel>,
    /// What migrations have left, or are at work on.
    pub(crate) leftovers: Vec<Leftover>,
    /// The VMs that have no working port at the switch; nothing if it was not asked or did not answer.
    pub(crate) unattached: Option<BTreeSet<VmId>>,
}

/// The thread that asks the hypervisor.
#[derive(Debug)]
pub(crate) struct Inventories {
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) flows: Arc<Flows>,
    pub(crate) identities: BTreeMap<MacAddr, VmId>,
    pub(crate) interval: Duration,
    pub(crate) deadline: Duration,
    pub(crate) migrations_ended: Arc<AtomicU64>,
    pub(crate) attachments: Option<Attachments>,
    /// What the processor offers, once the hypervisor has told.
    pub(crate) cpu: Option<Option<CpuModel>>,
    /// The address of each domain that has shown one, as long as it runs here.
    pub(crate) learnt: BTreeMap<Uuid, VmId>,
    pub(crate) warnings: Throttle,
}

impl Inventories {
    /// Asks at every interval and whenever `requests` says so, until its other end is dropped.
    pub(crate) fn run(mut self, requests: &Receiver<()>, inbox: &SyncSender<Incoming>) {
        let mut failing = false;
        loop {
            match self.take() {
                Ok(inventory) => {
                    failing = false;
                    if inbox.send(Incoming::Hosted(inventory)).is_err() {
                        return;
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "cannot ask the hypervisor what runs here");
                }
                Err(error) => tracing::debug!(%error, "cannot ask the hypervisor"),
            }
            match requests.recv_timeout(self.interval) {
                // Requests that came while the hypervisor was asked are answered by one listing.
                Ok(()) => while requests.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    pub(crate) fn take(&mut self) -> Result<Inventory, HypervisorError> {
        let generation = self.migrations_ended.load(Ordering::SeqCst);
        // Asked first: what arrives in between is listed twice, not overlooked.
        let mut coming = self.hypervisor.arriving(self.deadline)?;
        let domains = self.hypervisor.domains(self.deadline)?;
        coming.retain(|domain| domains.iter().all(|here| here.uuid != domain.uuid));
        let leftovers = self.hypervisor.leftovers(self.deadline)?;
        let cpu = match self.cpu {
            Some(cpu) => cpu,
            None => *self.cpu.insert(self.hypervisor.cpu(self.deadline)?),
        };
        let free = self.hypervisor.free_capacity(self.deadline)?;
        self.learnt
            .retain(|uuid, _| domains.iter().any(|domain| domain.uuid == *uuid));
        let vms = self.identify(&domains);
        let coming_known = self.identify_coming(&coming);
        let arriving = coming_known
            .iter()
            .map(|(vm, domain)| (*vm, domain.memory_mib));
        let arriving_domains = coming_known.iter().map(|(vm, domain)| (*vm, domain.uuid));
        Ok(Inventory {
            generation,
            arriving: arriving.collect(),
            arriving_domains: arriving_domains.collect(),
            arriving_unknown: coming.len() - coming_known.len(),
            cpu,
            leftovers,
            unattached: self.unattached(&domains, &vms),
            vms,
            free: Capacity {
                vm_slots: free.vm_slots,
                memory_mib: free.memory_mib.into(),
            },
        })
    }

    /// Which VM each domain is: first those that the configuration or the hypervisor knows, then those whose flows
    /// tell. An address that is known is nobody else's, and one that two domains learnt is neither's.
    fn identify(&mut self, domains: &[Domain]) -> BTreeMap<VmId, (Uuid, u32)> {
        let mut vms = BTreeMap::new();
        let mut interfaces = self.identities.clone();
        let (mut taken, mut unknown) = (BTreeSet::new(), Vec::new());
        taken.extend(self.identities.values().copied());
        for domain in domains {
            let Some(vm) = self.known(domain) else {
                unknown.push(domain);
                continue;
            };
            taken.insert(vm);
            interfaces.extend(domain.macs.iter().map(|mac| (*mac, vm)));
            let (other, _) = *vms.entry(vm).or_insert((domain.uuid, domain.memory_mib));
            if other != domain.uuid {
                self.dispute(vm, domain);
            }
        }
        // From here on their flows are theirs, whatever addresses these show.
        self.flows.know(interfaces);
        let mut claims: BTreeMap<VmId, Vec<&Domain>> = BTreeMap::new();
        for domain in unknown {
            match self.learnt(domain) {
                None => tracing::debug!(domain = domain.name, "no address is known yet"),
                Some(vm) if taken.contains(&vm) => self.dispute(vm, domain),
                Some(vm) => claims.entry(vm).or_default().push(domain),
            }
        }
        for (vm, claimants) in claims {
            if let [domain] = *claimants {
                vms.insert(vm, (domain.uuid, domain.memory_mib));
                continue;
            }
            for domain in claimants {
                self.dispute(vm, domain);
            }
        }
        vms
    }

    /// Which VM each arriving domain is, as configured or as the hypervisor knows it: it has shown no flows here.
    fn identify_coming<'a>(&self, coming: &'a [Domain]) -> BTreeMap<VmId, &'a Domain> {
        let mut vms = BTreeMap::new();
        for domain in coming {
            match self.known(domain) {
                Some(vm) => drop(vms.insert(vm, domain)),
                None => {
                    tracing::debug!(domain = domain.name, uuid = %domain.uuid, "arriving; its address is not known");
                }
            }
        }
        vms
    }

    /// The VMs without a port, if the switch can be asked.
    fn unattached(
        &mut self,
        domains: &[Domain],
        vms: &BTreeMap<VmId, (Uuid, u32)>,
    ) -> Option<BTreeSet<VmId>> {
        match self.attachments.as_ref()?.missing(domains, self.deadline) {
            Ok(missing) => {
                let missing: BTreeSet<Uuid> =
                    missing.into_iter().map(|at| domains[at].uuid).collect();
                let named = vms.iter().filter(|(_, (uuid, _))| missing.contains(uuid));
                Some(named.map(|(vm, _)| *vm).collect())
            }
            Err(error) => {
                if self.warnings.permits() {
                    tracing::warn!(%error, "cannot see whether the VMs have their ports");
                }
                None
            }
        }
    }

    fn dispute(&mut self, vm: VmId, domain: &Domain) {
        if self.warnings.permits() {
            tracing::warn!(%vm, domain = domain.name, uuid = %domain.uuid, "not taken for this VM: another domain has the same address; name the addresses of both by MAC address in the configuration");
        }
    }

    /// As configured, else as the hypervisor knows it.
    fn known(&self, domain: &Domain) -> Option<VmId> {
        let configured = domain.macs.iter().find_map(|mac| self.identities.get(mac));
        configured.copied().or(domain.address.map(VmId::from))
    }

    /// As the domain's flows show it. An address stays until they have not shown it for as long as flows are
    /// remembered, and show another: a VM that sends with another's address does not become that other.
    fn learnt(&mut self, domain: &Domain) -> Option<VmId> {
        let before = self.learnt.get(&domain.uuid).copied();
        if before.is_some_and(|vm| self.flows.shows(vm, &domain.macs)) {
            return before;
        }
        let mut macs = domain.macs.iter();
        let shown = macs.find_map(|mac| self.flows.address_of(*mac));
        let vm = shown.or(before)?;
        self.learnt.insert(domain.uuid, vm);
        Some(vm)
    }
}

#[cfg(test)]
mod tests {
    use s_core_backend::{
        End, FlowCounter, FlowSource, FlowSourceError, FreeCapacity, MigrationOutcome, Poll,
    };
    use s_core_model::ServerId;

    use super::*;
    use crate::clock::Clock;

    /// The MAC address of domain `n`.
    fn mac(n: u8) -> MacAddr {
        MacAddr::new([2, 0, 0, 0, 0, n])
    }

    fn ip(n: u8) -> std::net::Ipv4Addr {
        [10, 0, 0, n].into()
    }

    /// Domains 1, 2, …, some of them with an address that the hypervisor knows.
    #[derive(Debug)]
    struct Domains(Vec<Option<u8>>);

    fn domain((n, address): (u8, &Option<u8>)) -> Domain {
        Domain {
            uuid: Uuid::new([n; 16]),
            name: format!("vm{n}"),
            macs: vec![mac(n)],
            address: address.map(ip),
            memory_mib: 1,
        }
    }

    impl Hypervisor for Domains {
        fn domains(&self, _: Duration) -> Result<Vec<Domain>, HypervisorError> {
            Ok((1..).zip(&self.0).map(domain).collect())
        }

        /// Two that come, and the last of the others, which has come since.
        fn arriving(&self, _: Duration) -> Result<Vec<Domain>, HypervisorError> {
            let others = [(101, &Some(101)), (102, &None)].map(domain);
            let last = (1..).zip(&self.0).last().map(domain);
            Ok(others.into_iter().chain(last).collect())
        }

        fn free_capacity(&self, _: Duration) -> Result<FreeCapacity, HypervisorError> {
            Ok(FreeCapacity::default())
        }

        fn migrate(&self, _: Uuid, _: ServerId, _: Duration) -> MigrationOutcome {
            MigrationOutcome::StayedHere(String::new())
        }
    }

    /// Flows of these domains with these addresses to an address elsewhere.
    #[derive(Debug)]
    struct Shown(Vec<(u8, u8)>, u64);

    impl FlowSource for Shown {
        fn poll(&mut self, _: Duration) -> Result<Poll, FlowSourceError> {
            self.1 += 100;
            let flow = |&(domain, address): &(u8, u8)| FlowCounter {
                id: u64::from(address) << 8 | u64::from(domain),
                src: End::Ipv4(ip(address)),
                dst: End::Ipv4(ip(99)),
                src_mac: Some(mac(domain)),
                dst_mac: None,
                transport: None,
                packets: self.1,
                bytes: self.1,
            };
            let counters = self.0.iter().map(flow).collect();
            Ok(Poll {
                counters,
                ..Poll::default()
            })
        }
    }

    /// Which domain is which VM after each of these polls.
    fn check(
        domains: &[Option<u8>],
        configured: &[(u8, u8)],
        polls: &[&[(u8, u8)]],
        expected: &[(u8, u8)],
    ) -> Inventories {
        let flows = Flows::new(crate::FlowSettings::default(), 7, Clock::start());
        let identities = configured.iter().map(|&(n, vm)| (mac(n), ip(vm).into()));
        let mut inventories = Inventories {
            hypervisor: Arc::new(Domains(domains.to_vec())),
            flows: Arc::new(flows.expect("the default settings do")),
            identities: identities.collect(),
            interval: Duration::MAX,
            deadline: Duration::MAX,
            migrations_ended: Arc::default(),
            attachments: None,
            cpu: None,
            learnt: BTreeMap::new(),
            warnings: Throttle::new(Duration::ZERO),
        };
        let mut counters = inventories.flows.counters();
        let mut found = Vec::new();
        let (mut arriving, mut arriving_unknown) = (BTreeMap::new(), 0);
        for shown in polls {
            let mut source = Shown(shown.to_vec(), 0);
            inventories
                .flows
                .poll(&mut source, &mut counters)
                .expect("the source does not fail");
            let inventory = inventories.take().expect("the hypervisor does not fail");
            (arriving, arriving_unknown) = (inventory.arriving, inventory.arriving_unknown);
            found = inventory
                .vms
                .iter()
                .map(|(vm, (uuid, _))| (uuid.octets()[0], vm.addr().octets()[3]))
                .collect();
        }
        assert_eq!(found, expected, "{domains:?} {configured:?} {polls:?}");
        assert_eq!(
            (arriving, arriving_unknown),
            (BTreeMap::from([(ip(101).into(), 1)]), 1)
        );
        inventories
    }

    #[test]
    fn nobody_takes_an_address_that_is_known_to_be_anothers() {
        // Configured, here or elsewhere, or known to the hypervisor; in either order of the domains.
        check(&[None, None], &[(1, 1)], &[&[(2, 1)]], &[(1, 1)]);
        check(&[None, None], &[(2, 1)], &[&[(1, 1)]], &[(2, 1)]);
        check(&[Some(1), None], &[], &[&[(2, 1)]], &[(1, 1)]);
        check(&[None, Some(1)], &[], &[&[(1, 1)]], &[(2, 1)]);
        check(&[None], &[(9, 1)], &[&[(1, 1)]], &[]);
        // The configuration counts more than the hypervisor.
        check(&[Some(5)], &[(1, 1)], &[&[]], &[(1, 1)]);
    }

    #[test]
    fn of_two_that_learnt_one_address_neither_has_it() {
        let first: &[(u8, u8)] = &[(1, 1), (2, 2), (3, 1)];
        let then: &[(u8, u8)] = &[(3, 1), (2, 2), (1, 1)];
        check(&[None; 3], &[], &[&first[..2], first], &[(2, 2)]);
        check(&[None; 3], &[], &[&first[..2], &then[..1]], &[(2, 2)]);
    }

    #[test]
    fn a_learnt_address_stays_while_flows_show_it() {
        let polls: [&[(u8, u8)]; 3] = [&[(1, 5)], &[(1, 5), (1, 9)], &[(1, 9), (1, 5)]];
        check(&[None], &[], &polls, &[(1, 5)]);
        check(&[None], &[], &[&[(1, 5)], &[(1, 9)], &[]], &[(1, 5)]);
        check(&[None], &[], &[&[], &[(1, 9)]], &[(1, 9)]);
    }

    #[test]
    fn bytes_of_a_known_interface_are_its_vms_whatever_they_show() {
        let inventories = check(&[Some(1)], &[], &[&[(1, 5)], &[(1, 5)]], &[(1, 1)]);
        let mut counters = inventories.flows.counters();
        let mut source = Shown(vec![(1, 5)], 0);
        for _ in 0..2 {
            inventories
                .flows
                .poll(&mut source, &mut counters)
                .expect("no failure");
        }
        assert_eq!(inventories.flows.address_of(mac(1)), Some(ip(1).into()));
        assert_eq!(inventories.flows.totals().attributed, 100);
    }
}
