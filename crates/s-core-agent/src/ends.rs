//! What the agent does and says about the ends of migrations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use s_core_backend::{LeftoverKind, Uuid};
use s_core_model::{ServerId, VmId};
use s_core_proto::{Destination, Input, Message};

use crate::driver::Driver;
use crate::inventory::Inventory;
use crate::verify::Step;

impl Driver {
    /// A VM has moved: both ends are looked at until they say the same.
    pub(crate) fn verify(&mut self, vm: VmId, target: ServerId) {
        let Some(domain) = self.departing.remove(&vm) else {
            return;
        };
        let mark = self.node.mark();
        if let Some(step) = self.verification.moved(vm, domain, target, mark) {
            self.take_step(step);
        }
    }

    pub(crate) fn take_step(&mut self, step: Step) {
        match step {
            Step::Ask(server, message) => self.post.send(Destination::Server(server), &message),
            Step::Seek(vm, message) => self.post.send(Destination::HostOf(vm), &message),
            Step::Remove(domain, kind) => self.remove_leftover(domain, kind),
            Step::Verified(vm, target) => {
                tracing::info!(%vm, %target, "verified: it runs there, and nothing of it is left here");
            }
            Step::Doubt(vm, target, why) => {
                tracing::warn!(%vm, %target, why, "it should have moved; look with `xl list -v` on both hosts where its domain is");
            }
            Step::Left(left) => match left.kind {
                LeftoverKind::MigratedAway => {
                    tracing::warn!(domain = left.name, uuid = %left.uuid, "suspended here since its migration, which may be all that there is of it; \
                        look for its UUID with `xl list -v` on all hosts, and only if it runs on one of them, `xl destroy` it here");
                }
                LeftoverKind::Suspended => {
                    tracing::warn!(domain = left.name, uuid = %left.uuid, "suspended under its own name, so it does not run: it is being saved, or its migration was \
                        cut off before the target could start it; unless `xl save` or `xl migrate` is at work on it, and if `xl list -v` shows its UUID on no other host, \
                        `xl resume` it (where this Xen has that), or `xl destroy` it here and start it anew");
                }
                LeftoverKind::Incoming => {
                    tracing::warn!(domain = left.name, uuid = %left.uuid, "arriving for longer than a migration may take; look for its UUID with \
                        `xl list -v` on all hosts, and only if it runs on one of them, `xl destroy` it here");
                }
            },
        }
    }

    /// In a thread of its own: it may take seconds. If it fails, the next listing shows what is left, and it is tried again.
    fn remove_leftover(&self, domain: Uuid, kind: LeftoverKind) {
        if self.cleaning.swap(true, Ordering::SeqCst) {
            return;
        }
        let (hypervisor, cleaning) = (Arc::clone(&self.hypervisor), Arc::clone(&self.cleaning));
        let deadline = self.hypervisor_deadline;
        let work = move || {
            match hypervisor.remove_leftover(domain, kind, deadline) {
                Ok(true) => {
                    tracing::info!(uuid = %domain, ?kind, "destroyed what a migration had left here: the domain runs elsewhere");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(uuid = %domain, ?kind, %error, "cannot destroy what a migration has left here");
                }
            }
            cleaning.store(false, Ordering::SeqCst);
        };
        let thread = std::thread::Builder::new().name("s-core-clean".into());
        if let Err(error) = thread.spawn(work) {
            self.cleaning.store(false, Ordering::SeqCst);
            tracing::warn!(%error, "cannot start a thread");
        }
    }

    /// Remembers who has asked for room for which VM.
    pub(crate) fn note_expected(&mut self, sender: ServerId, message: &Message) {
        let Message::CapacityRequest { demands, .. } = message else {
            return;
        };
        self.expected.retain(|vm, _| self.node.is_expected(*vm));
        for demand in demands {
            self.expected_before += 1;
            self.expected
                .insert(demand.vm, (sender, self.expected_before));
        }
    }

    /// Lets the VM in for which that server has last reserved room.
    pub(crate) fn admit_from(&mut self, source: ServerId) -> Option<VmId> {
        let expected = self.expected.iter();
        let expected = expected.filter(|(vm, (server, _))| {
            *server == source && self.node.is_expected(**vm) && !self.node.is_arriving(**vm)
        });
        let Some((&vm, _)) = expected.max_by_key(|(_, (_, before))| *before) else {
            tracing::warn!(%source, "a migration from there is not let in: no room is reserved for it");
            return None;
        };
        self.admitted = false;
        self.handle(Input::Arriving { vm });
        self.admitted.then_some(vm)
    }

    /// The next listing, which begins after now, shows whether it has come.
    pub(crate) fn arrival_ended(&mut self, vm: VmId) {
        self.ended.insert(vm);
        self.migrations_ended.fetch_add(1, Ordering::SeqCst);
        self.list();
    }

    /// Those that have neither come nor left anything have failed. One that has left something is arriving as long as that is there.
    pub(crate) fn fail_ended_arrivals(&mut self, inventory: &Inventory) {
        let is_gone = |vm: &VmId| {
            let comes = inventory.arriving.contains_key(vm) || inventory.arriving_unknown > 0;
            !comes && !inventory.vms.contains_key(vm)
        };
        let failed: Vec<VmId> = self.ended.iter().copied().filter(is_gone).collect();
        self.ended
            .retain(|vm| inventory.arriving.contains_key(vm) || inventory.arriving_unknown > 0);
        for vm in failed {
            self.handle(Input::ArrivalFailed { vm });
        }
    }

    /// Says which VMs have come and have their ports, and which have none at two listings in a row: a script adds it a
    /// moment after the domain has begun to run.
    pub(crate) fn look_at_ports(&mut self, inventory: &Inventory) {
        let Some(missing) = &inventory.unattached else {
            return;
        };
        let arrived = inventory.vms.keys();
        let arrived = arrived.filter(|vm| self.node.is_expected(**vm) && !missing.contains(vm));
        for vm in arrived {
            tracing::info!(%vm, "it has come, and its port is at the bridge");
        }
        let still: BTreeSet<VmId> = missing.intersection(&self.portless).copied().collect();
        for vm in still.difference(&self.unattached) {
            tracing::warn!(%vm, "it has no working port at the bridge; see `ovs-vsctl --columns=name,ofport,error,external_ids list interface` \
                for its attached-mac or xen-vm-uuid, and what its vif script has logged");
        }
        for vm in self.unattached.difference(&still) {
            tracing::info!(%vm, "its port is at the bridge, or it is gone");
        }
        self.unattached = still;
        self.portless.clone_from(missing);
    }
}
