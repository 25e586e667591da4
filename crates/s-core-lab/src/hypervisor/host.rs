//! What all threads of one host's hypervisor share.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s_core_backend::{Domain, Gate};

use super::places::Places;
use super::ports::{self, Ports};
use super::report::Observer;
use super::settings::{Faults, MigrationSettings};
use crate::error::LabError;
use crate::layout::{HostNumber, Layout, VmNumber};

#[derive(Debug)]
pub(super) struct Host {
    pub(super) layout: Layout,
    pub(super) number: HostNumber,
    pub(super) settings: MigrationSettings,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) ports: Ports,
    pub(super) faults: Mutex<Faults>,
    pub(super) gate: Mutex<Option<Arc<dyn Gate>>>,
    places: Mutex<Places>,
    /// The hypervisor is given up: nothing new is begun.
    pub(super) ends: AtomicBool,
    /// How many VMs are being taken in at the moment, or ask for it.
    pub(super) connections: AtomicUsize,
}

impl Host {
    pub(super) fn new(
        layout: Layout,
        number: HostNumber,
        settings: MigrationSettings,
        observer: Arc<dyn Observer>,
        ports: Ports,
    ) -> Self {
        Self {
            layout,
            number,
            settings,
            observer,
            ports,
            faults: Mutex::default(),
            gate: Mutex::default(),
            places: Mutex::default(),
            ends: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        lock(&self.places)
    }

    /// What is known of VMs and which of them are here, seen at one moment: no VM of this host moves meanwhile.
    pub(super) fn look(&self) -> Result<(MutexGuard<'_, Places>, BTreeSet<VmNumber>), LabError> {
        let places = self.places();
        let here = self.ports.here()?;
        Ok((places, here))
    }

    pub(super) fn faults(&self) -> Faults {
        lock(&self.faults).clone()
    }

    pub(super) fn gate(&self) -> Option<Arc<dyn Gate>> {
        lock(&self.gate).clone()
    }

    pub(super) fn domain(&self, vm: VmNumber) -> Domain {
        ports::domain(&self.layout, vm)
    }

    /// Where a host takes VMs in.
    pub(super) const fn door(&self, host: HostNumber) -> SocketAddrV4 {
        SocketAddrV4::new(self.layout.fabric_address(host), self.settings.port)
    }

    /// The other host that has this address on the network of the VMs.
    pub(super) fn neighbour(&self, address: Ipv4Addr) -> Option<HostNumber> {
        let mut others = self.layout.hosts().filter(|host| *host != self.number);
        others.find(|host| self.layout.fabric_address(*host) == address)
    }
}

/// A thread that panicked while it held the lock leaves nothing half done that matters to the others.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
