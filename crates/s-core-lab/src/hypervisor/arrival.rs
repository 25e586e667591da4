//! A migration at its target.

use std::io::{self, BufReader, Read as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use s_core_backend::Gate;

use super::channel::{Channel, record};
use super::host::Host;
use super::image::{Digests, PAGE, PAGES_PER_MIB};
use super::places::{NoPlace, Place};
use super::report::Phase;
use super::settings::{MOST_ROUNDS, MigrationSettings};
use super::wire::{Offer, Record, Reply};
use crate::layout::VmNumber;

/// How often to look whether the interface of a VM has come.
const LOOK: Duration = Duration::from_millis(20);

/// When a VM that has arrived is announced again, each after the other.
const ANNOUNCE_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];

/// The octets that are read at once.
const BUFFER: usize = 128 * 1024;

/// Talks with a source until its VM runs here or will not come.
pub(super) fn receive(host: &Host, stream: TcpStream) -> io::Result<()> {
    let channel = Channel::new(stream, host.settings.step)?;
    let mut channel = BufReader::with_capacity(BUFFER, channel);
    let mut offer = [0; Offer::LENGTH];
    channel.read_exact(&mut offer)?;
    let admitted = admit(host, &offer);
    channel.get_mut().within(host.settings.step);
    let mut room = match admitted {
        Ok(room) => room,
        Err(refusal) => return channel.get_mut().send(&refusal.encode()),
    };
    room.phase(Phase::ArrivingAdmitted);
    channel.get_mut().send(&Reply::Admitted.encode())?;
    if !room.take_memory(&mut channel)? {
        return channel.get_mut().send(&Reply::Incomplete.encode());
    }
    room.phase(Phase::ArrivingComplete);
    // From here on the source may give the VM's interface, whether it can say so or not.
    let told = channel.get_mut().send(&Reply::Complete.encode());
    if room.await_interface(&mut channel, told) && room.connect() {
        channel.get_mut().within(host.settings.step);
        let told = channel.get_mut().send(&Reply::Runs.encode());
        let vm = room.vm;
        drop(room);
        announce_again(host, vm);
        return told;
    }
    Ok(())
}

/// Keeps room for the VM that is offered and asks the gate, or says why it cannot come.
fn admit<'a>(host: &'a Host, offer: &[u8; Offer::LENGTH]) -> Result<KeptRoom<'a>, Reply> {
    let offer = Offer::decode(offer).ok_or(Reply::NotThisOne)?;
    let vm = host.layout.vm_with_uuid(offer.uuid);
    let vm = vm.ok_or(Reply::NotThisOne)?;
    let as_laid_out = offer.vm == vm.0
        && offer.mac == host.layout.mac(vm)
        && offer.memory_mib == host.layout.shape().vm_memory_mib;
    if !as_laid_out {
        return Err(Reply::NotThisOne);
    }
    let faults = host.faults();
    if faults.refuse {
        return Err(Reply::Refuses);
    }
    if faults.full {
        return Err(Reply::Full);
    }
    {
        let (mut places, here) = host.look().map_err(|_| Reply::Refuses)?;
        let slots = host.layout.shape().vm_slots.into();
        let expected = places.expect(vm, &here, slots);
        expected.map_err(|why| match why {
            NoPlace::HasOne => Reply::NotThisOne,
            NoPlace::Full => Reply::Full,
        })?;
    }
    let mut room = KeptRoom {
        host,
        vm,
        gate: None,
        runs: false,
    };
    if let Some(gate) = host.gate() {
        // Half of what the source waits: it has to hear of it in time.
        if !gate.admit(&host.domain(vm), host.settings.step / 2) {
            return Err(Reply::NotAdmitted);
        }
        room.gate = Some(gate);
    }
    host.places().set(vm, Place::Arriving);
    Ok(room)
}

/// A loaded link may have lost the first announcement, and with it all frames to a VM that only listens.
fn announce_again(host: &Host, vm: VmNumber) {
    for pause in ANNOUNCE_AGAIN {
        thread::sleep(pause);
        // By then it may have left again.
        if let Err(error) = host.ports.announce(vm, host.settings.step) {
            tracing::debug!(vm = vm.0, %error, "not announced again");
        }
    }
}

/// Room that is kept for a VM. When dropped it is given back, unless the VM runs here.
#[derive(Debug)]
struct KeptRoom<'a> {
    host: &'a Host,
    vm: VmNumber,
    /// The gate that let it in.
    gate: Option<Arc<dyn Gate>>,
    /// It runs here.
    runs: bool,
}

impl KeptRoom<'_> {
    /// Takes pages until the source says that these were all; says whether all are here as they were last.
    fn take_memory(&self, channel: &mut BufReader<Channel>) -> io::Result<bool> {
        let memory_mib = self.host.layout.shape().vm_memory_mib;
        let mut memory = Digests::new(memory_mib * PAGES_PER_MIB);
        let mut octets = [0; PAGE];
        let (mut pages, mut rounds) = (0, 0);
        loop {
            if self.host.ends.load(Ordering::Relaxed) {
                return Err(io::Error::other("this hypervisor ends"));
            }
            channel.get_mut().within(self.host.settings.step);
            match record(channel)? {
                Record::Page(page) => {
                    channel.read_exact(&mut octets)?;
                    pages += 1;
                    if pages == 1 {
                        self.phase(Phase::ArrivingCopied);
                    }
                    self.cut_on_request(pages)?;
                    let too_many = pages > MigrationSettings::most_pages(memory_mib);
                    if too_many || !memory.put(page, &octets) {
                        return Ok(false);
                    }
                }
                Record::RoundEnds if rounds == MOST_ROUNDS => return Ok(false),
                Record::RoundEnds => {
                    rounds += 1;
                    channel.get_mut().send(&Reply::RoundIsHere.encode())?;
                }
                Record::Whole(digest) => return Ok(digest == memory.whole()),
                Record::Given | Record::KeptHere => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn cut_on_request(&self, pages: u64) -> io::Result<()> {
        let cut_after = self.host.faults().cut_after;
        if cut_after.is_some_and(|bytes| pages * PAGE as u64 >= bytes) {
            return Err(io::Error::other("cut on request"));
        }
        Ok(())
    }

    /// Waits for the VM's interface; says whether it has come.
    ///
    /// When the source can tell nothing any more, the interface may still come, until the source has no time left for
    /// it: so long room is kept for it.
    fn await_interface(&self, channel: &mut BufReader<Channel>, told: io::Result<()>) -> bool {
        let patience = self.host.settings.step * 2;
        let until = Instant::now() + patience;
        channel.get_mut().within(patience);
        match told.and_then(|()| record(channel)) {
            Ok(Record::KeptHere) => return false,
            Ok(_) => self.phase(Phase::ArrivingGiven),
            Err(error) => {
                tracing::warn!(vm = self.vm.0, %error, "the source is silent: waiting for the interface");
            }
        }
        loop {
            let here = self.host.ports.here();
            if here.is_ok_and(|here| here.contains(&self.vm)) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    /// Connects the VM, whose interface is here; says whether it could. If not, it is tried again later, as with any
    /// interface that is here and not connected.
    fn connect(&mut self) -> bool {
        match self.host.ports.attach(self.vm, self.host.settings.step) {
            Ok(()) => {
                self.host.places().set(self.vm, Place::Home);
                self.runs = true;
                self.phase(Phase::ArrivingAttached);
                true
            }
            Err(error) => {
                tracing::warn!(vm = self.vm.0, %error, "has arrived and is not connected yet");
                false
            }
        }
    }

    fn phase(&self, phase: Phase) {
        self.host.observer.phase(self.vm, phase);
    }
}

impl Drop for KeptRoom<'_> {
    fn drop(&mut self) {
        if self.runs {
            return;
        }
        let mut places = self.host.places();
        places.forget(self.vm);
        let here = self.host.ports.here();
        drop(places);
        // One that is here and could not be connected yet has arrived all the same.
        let arrived = here.is_ok_and(|here| here.contains(&self.vm));
        if let (false, Some(gate)) = (arrived, &self.gate) {
            gate.failed(&self.host.domain(self.vm));
        }
    }
}
