//! Guests in the VMs of a laboratory, removed when dropped, also by a panic.

use std::io::{self, Write as _};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_lab::traffic::{Endpoint, PairTraffic};
use s_core_lab::{Layout, Shape, VmNumber, down, namespace, prerequisites, up};
use s_core_model::VmId;
use s_core_xen_guest::{ClientError, Counters, GuestClient};

/// The program, in the profile of the tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_xen-guest");
/// Longer than anything takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(20);

/// A laboratory with guests.
pub(crate) struct GuestLab {
    layout: Layout,
    /// What was started, and has not been ended.
    pub(crate) guests: Vec<Child>,
}

impl GuestLab {
    /// A host with this many VMs, or `None`, said on standard error, where that is impossible.
    pub(crate) fn new(test: &str, suffix: char, vms: u16) -> Option<Self> {
        if let Err(missing) = prerequisites() {
            let required = std::env::var_os("S_CORE_REQUIRE_OVS").is_some_and(|v| v == "1");
            assert!(
                !required,
                "{test} must run (S_CORE_REQUIRE_OVS=1), but {missing}"
            );
            // Past the test harness, which shows nothing of tests that pass.
            let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
            return None;
        }
        let shape = Shape {
            hosts: 1,
            vms_per_host: vms,
            fan_out: vec![1],
            ..Shape::default()
        };
        let name = format!("{}{suffix}", std::process::id());
        let layout = Layout::new(name.parse().unwrap(), shape).unwrap();
        let this = Self {
            layout,
            guests: Vec::new(),
        };
        up(&this.layout).unwrap();
        Some(this)
    }

    /// The id of VM `n`, from 1.
    pub(crate) fn vm(&self, n: u32) -> VmId {
        self.layout.vm(VmNumber(n))
    }

    /// Where VM `n` is.
    pub(crate) fn endpoint(&self, n: u32) -> Endpoint {
        Endpoint::all(&self.layout).remove(n as usize - 1)
    }

    /// Starts a program in VM `n`, given the VM's address as its last argument, and waits until it answers; its process.
    pub(crate) fn start(&mut self, n: u32, program: &[&str]) -> Pid {
        let namespace = self.layout.vm_namespace(VmNumber(n));
        let mut command = namespace::command(&namespace, program[0]);
        let address = self.vm(n).addr().to_string();
        let child = command.args(&program[1..]).arg(address).spawn().unwrap();
        self.guests.push(child);
        wait_for("a guest that answers", || {
            self.ask(n, |client| client.counters()).ok()
        });
        pid(self.guests.last().unwrap())
    }

    /// Asks the guest of VM `n`, from the last VM.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        n: u32,
        what: impl FnOnce(&GuestClient) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let client = GuestClient::new(self.vm(n));
        let outside = self.layout.vms().last().unwrap();
        let outside = self.layout.vm_namespace(outside);
        let asked = namespace::spawn_in(&outside, move || what(&client)).unwrap();
        asked.join().unwrap().unwrap()
    }

    /// What the guests of VMs 1 to `n` have counted.
    pub(crate) fn counters(&self, n: u32) -> Vec<Counters> {
        let ask = |n| self.ask(n, |client| client.counters()).unwrap();
        (1..=n).map(ask).collect()
    }

    /// Tells the guests of VMs 1 to `n` by which pairs to send.
    pub(crate) fn plan(&self, n: u32, pairs: &[PairTraffic]) {
        for n in 1..=n {
            let pairs = pairs.to_vec();
            self.ask(n, move |client| client.plan(&pairs)).unwrap();
        }
    }
}

impl Drop for GuestLab {
    fn drop(&mut self) {
        // Nothing better can be done with a failure while a panic is on its way.
        let _ = down(self.layout.name());
        for guest in &mut self.guests {
            let _ = guest.wait();
        }
    }
}

/// Sends a signal to a process, and waits until that ends what was started here.
pub(crate) fn end(process: &mut Child, to: Pid, signal: Signal) -> ExitStatus {
    kill_process(to, signal).unwrap();
    wait_for("the end of a process", || process.try_wait().unwrap())
}

/// The children of a process, those that have ended and were not collected among them.
pub(crate) fn children(process: Pid) -> Vec<Pid> {
    let id = process.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let pids = children.split_ascii_whitespace();
    pids.map(|id| Pid::from_raw(id.parse().unwrap()).unwrap())
        .collect()
}

/// The id of a process that was started here.
pub(crate) fn pid(process: &Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap()
}

/// Tries until there is something.
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "there is not {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
