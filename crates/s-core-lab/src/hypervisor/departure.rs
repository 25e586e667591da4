//! A migration at its source.

use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use s_core_backend::MigrationOutcome;

use super::channel::Channel;
use super::host::Host;
use super::image::{Image, PAGE};
use super::places::Place;
use super::report::{self, Ended, MigrationReport, Phase};
use super::wire::{Offer, Record, Reply};
use crate::layout::{HostNumber, VmNumber};

/// How many pages go into one write: 64 KiB.
const PAGES_AT_ONCE: usize = 16;

/// The way of one VM from this host to another.
#[derive(Debug)]
pub(super) struct Departure<'a> {
    host: &'a Host,
    vm: VmNumber,
    target: HostNumber,
    began: Instant,
    deadline: Duration,
    bytes: u64,
    rounds: u8,
    paused: Option<Instant>,
    downtime: Duration,
}

impl<'a> Departure<'a> {
    pub(super) fn new(
        host: &'a Host,
        vm: VmNumber,
        target: HostNumber,
        deadline: Duration,
    ) -> Self {
        Self {
            host,
            vm,
            target,
            began: Instant::now(),
            deadline,
            bytes: 0,
            rounds: 0,
            paused: None,
            downtime: Duration::ZERO,
        }
    }

    /// Migrates the VM, and reports.
    pub(super) fn run(mut self) -> MigrationOutcome {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let outcome = match self.depart() {
            Ok(()) => self.travel(),
            Err(outcome) => outcome,
        };
        let (ended, reason) = match &outcome {
            MigrationOutcome::Moved => (Ended::Moved, ""),
            MigrationOutcome::StayedHere(reason) => (Ended::StayedHere, reason.as_str()),
            MigrationOutcome::Unknown(reason) => (Ended::Unknown, reason.as_str()),
        };
        let report = MigrationReport {
            vm: self.vm,
            source: self.host.number,
            target: self.target,
            began: wall.unwrap_or_default().as_secs_f64(),
            seconds: self.began.elapsed().as_secs_f64(),
            downtime_seconds: self.downtime.as_secs_f64(),
            memory_mib: self.host.layout.shape().vm_memory_mib,
            bytes: self.bytes,
            rounds: self.rounds,
            ended,
            reason: reason.to_owned(),
        };
        self.host.observer.ended(&report);
        if let Err(error) = report::log(&self.host.layout, &report) {
            tracing::warn!(%error, "a migration is not in the laboratory's list");
        }
        outcome
    }

    /// Takes the VM out of what runs here undisturbed.
    fn depart(&self) -> Result<(), MigrationOutcome> {
        let not_begun = |why: String| MigrationOutcome::StayedHere(format!("not begun: {why}"));
        let (mut places, here) =
            (self.host.look()).map_err(|error| not_begun(error.to_string()))?;
        if !here.contains(&self.vm) {
            return Err(not_begun(format!("vm{} is not here", self.vm.0)));
        }
        match places.get(self.vm) {
            Some(Place::Home) => {}
            Some(Place::Leaving) => return Err(not_begun("it is leaving already".into())),
            Some(Place::Expected | Place::Arriving) | None => {
                return Err(not_begun("it is not connected here yet".into()));
            }
        }
        places.set(self.vm, Place::Leaving);
        Ok(())
    }

    fn travel(&mut self) -> MigrationOutcome {
        let copied = self.ask().and_then(|mut channel| {
            let image = self.copy(&mut channel);
            image.map(|(image, left)| (channel, image, left))
        });
        let (mut channel, image, left) = match copied {
            Ok(copied) => copied,
            Err(why) => {
                self.host.places().set(self.vm, Place::Home);
                return MigrationOutcome::StayedHere(why);
            }
        };
        let given = self
            .stop_and_copy(&mut channel, &image, &left)
            .and_then(|complete| self.give(complete));
        match given {
            Ok(()) => self.await_confirmation(&mut channel),
            Err(why) => {
                // The target need not wait for what does not come; if it cannot be told, it will notice.
                drop(channel.send(&Record::KeptHere.encode()));
                MigrationOutcome::StayedHere(self.resume(why))
            }
        }
    }

    /// Connects to the target and asks it to let the VM in.
    fn ask(&self) -> Result<Channel, String> {
        let host = self.host;
        let from = SocketAddrV4::new(host.layout.fabric_address(host.number), 0);
        let namespace = host.layout.host_namespace(host.number);
        let to = host.door(self.target);
        let mut channel = Channel::connect(&namespace, from, to, self.step("connect")?)?;
        let offer = Offer {
            vm: self.vm.0,
            uuid: host.layout.vm_uuid(self.vm),
            mac: host.layout.mac(self.vm),
            memory_mib: host.layout.shape().vm_memory_mib,
        };
        channel.within(self.step("be admitted")?);
        let reply = channel
            .send(&offer.encode())
            .and_then(|()| channel.reply())
            .map_err(|error| format!("asking h{} to admit it: {error}", self.target.0))?;
        if reply != Reply::Admitted {
            return Err(format!("h{}: {}", self.target.0, reply.explain()));
        }
        self.phase(Phase::LeavingAdmitted);
        Ok(channel)
    }

    /// Rounds of pre-copy. Returns the memory and the pages that the target does not have as they are now.
    fn copy(&mut self, channel: &mut Channel) -> Result<(Image, Vec<u32>), String> {
        let settings = &self.host.settings;
        let mut image = Image::new(self.vm, self.host.layout.shape().vm_memory_mib);
        let mut left: Vec<u32> = (0..image.pages()).collect();
        while self.rounds == 0
            || (self.rounds < settings.most_rounds && left.len() > settings.few_pages as usize)
        {
            let began = Instant::now();
            self.send(channel, &image, &left)?;
            // Otherwise the VM would stand still later for what is still on its way now.
            self.expect(channel, Record::RoundEnds, Reply::RoundIsHere)?;
            let written =
                began.elapsed().as_secs_f64() * f64::from(settings.dirty_pages_per_second);
            left = image.write(written as u64);
            self.rounds += 1;
            if self.rounds == 1 {
                self.phase(Phase::LeavingCopied);
            }
        }
        Ok((image, left))
    }

    /// Pauses the VM and sends the rest of its memory. Returns when the target had all of it.
    fn stop_and_copy(
        &mut self,
        channel: &mut Channel,
        image: &Image,
        left: &[u32],
    ) -> Result<Instant, String> {
        let step = self.step("pause")?;
        self.paused = Some(Instant::now());
        let paused = self.host.ports.detach(self.vm, step);
        paused.map_err(|error| error.to_string())?;
        self.phase(Phase::LeavingPaused);
        self.send(channel, image, left)?;
        self.expect(channel, Record::Whole(image.whole()), Reply::Complete)?;
        let complete = Instant::now();
        self.phase(Phase::LeavingComplete);
        Ok(complete)
    }

    /// Gives the paused VM to the target, which had its memory then. An error leaves it here.
    fn give(&self, complete: Instant) -> Result<(), String> {
        let mut places = self.host.places();
        // The target keeps the room for two steps.
        if complete.elapsed() > self.host.settings.step {
            return Err("too late to hand it over: the target may have given it up".into());
        }
        let step = self.step("hand it over")?;
        let given = self.host.ports.give(self.vm, self.target, step);
        // Where the interface is decides, whatever the command said.
        let here = self.host.ports.here().map(|here| here.contains(&self.vm));
        match (given, here) {
            (Err(error), Ok(true) | Err(_)) => Err(error.to_string()),
            (Err(_), Ok(false)) | (Ok(()), _) => {
                places.forget(self.vm);
                Ok(())
            }
        }
    }

    /// Tells the target that the VM is its own, and waits until it says that it runs.
    fn await_confirmation(&mut self, channel: &mut Channel) -> MigrationOutcome {
        self.phase(Phase::LeavingGiven);
        channel.within(self.rest());
        let sent = channel.send(&Record::Given.encode());
        let reply = sent.and_then(|()| channel.reply());
        self.stood();
        let why = match reply {
            Ok(Reply::Runs) => return MigrationOutcome::Moved,
            Ok(other) => other.explain().to_owned(),
            Err(error) => error.to_string(),
        };
        let target = self.target.0;
        MigrationOutcome::Unknown(format!(
            "h{target} has its interface and did not confirm that it runs: {why}"
        ))
    }

    /// Lets the paused VM run on here. What cannot be done now is tried again until it succeeds, by the thread that
    /// looks for interfaces without a port.
    fn resume(&mut self, why: String) -> String {
        let attached = self.host.ports.attach(self.vm, self.rest());
        self.stood();
        let mut places = self.host.places();
        match attached {
            Ok(()) => {
                places.set(self.vm, Place::Home);
                why
            }
            Err(error) => {
                places.forget(self.vm);
                format!("{why}; it is not connected again yet: {error}")
            }
        }
    }

    fn stood(&mut self) {
        self.downtime = self.paused.map_or(Duration::ZERO, |since| since.elapsed());
    }

    fn send(&mut self, channel: &mut Channel, image: &Image, pages: &[u32]) -> Result<(), String> {
        let mut buffer = Vec::with_capacity(PAGES_AT_ONCE * (Record::LENGTH + PAGE));
        let mut octets = [0; PAGE];
        let slow = self.host.faults().bytes_per_second;
        for some in pages.chunks(PAGES_AT_ONCE) {
            buffer.clear();
            for &page in some {
                image.read(page, &mut octets);
                buffer.extend(Record::Page(page).encode());
                buffer.extend(octets);
            }
            if let Some(rate) = slow {
                let time = (some.len() * PAGE) as f64 / rate.max(1) as f64;
                thread::sleep(Duration::from_secs_f64(time).min(self.step("copy")?));
            }
            channel.within(self.step("copy")?);
            let sent = channel.send(&buffer);
            sent.map_err(|error| format!("copying its memory to h{}: {error}", self.target.0))?;
            self.bytes += (some.len() * PAGE) as u64;
        }
        Ok(())
    }

    /// Sends a record and waits for the reply that it should have.
    fn expect(&self, channel: &mut Channel, says: Record, wants: Reply) -> Result<(), String> {
        channel.within(self.step("copy")?);
        let reply = channel.send(&says.encode()).and_then(|()| channel.reply());
        match reply {
            Ok(reply) if reply == wants => Ok(()),
            Ok(other) => Err(format!("h{}: {}", self.target.0, other.explain())),
            Err(error) => Err(format!("copying its memory to h{}: {error}", self.target.0)),
        }
    }

    /// How long the next step may take, with time left for handing the VM over or letting it run on here.
    fn step(&self, what: &str) -> Result<Duration, String> {
        let step = self.host.settings.step;
        let kept = step.min(self.deadline / 4);
        let left = (self.deadline.saturating_sub(kept)).saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return Err(format!("too late to {what} within {:?}", self.deadline));
        }
        Ok(left.min(step))
    }

    /// How long the last step may take.
    fn rest(&self) -> Duration {
        let left = self.deadline.saturating_sub(self.began.elapsed());
        left.min(self.host.settings.step)
    }

    fn phase(&self, phase: Phase) {
        self.host.observer.phase(self.vm, phase);
    }
}
