//! The Open vSwitch of a laboratory's host, with the IP-pair rule and room for many flows.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use s_core_backend::ovs::IP_PAIR_RULE;
use s_core_backend::ovs::unixctl::Unixctl;
use s_core_lab::{DaemonState, HostNumber, LabError, VmNumber, ofctl, status, system, vsctl};

use crate::laboratory::Laboratory;

const HOST: HostNumber = HostNumber(1);
/// Flows stay for ten minutes without a packet, and there may be more than the 200,000 of the default.
const KEEP: &str = "set Open_vSwitch . other_config:max-idle=600000 other_config:flow-limit=400000";
/// How long an answer on the control socket may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A switch with the userspace datapath and two VMs.
#[derive(Debug)]
pub(crate) struct Switch {
    laboratory: Laboratory,
}

impl Switch {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, LabError> {
        let this = Self {
            laboratory: Laboratory::up()?,
        };
        this.vsctl(KEEP)?;
        let layout = this.laboratory.layout();
        let rule = ["add-flow", layout.bridge(), IP_PAIR_RULE];
        system::run(ofctl(layout, HOST).args(rule))?;
        Ok(this)
    }

    /// The namespace of a VM and its address.
    pub(crate) fn vm(&self, vm: VmNumber) -> (String, Ipv4Addr) {
        let layout = self.laboratory.layout();
        (layout.vm_namespace(vm), layout.vm(vm).addr())
    }

    /// The directory that the daemons run from.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.laboratory.layout().host_directory(HOST)
    }

    /// The process id of `ovs-vswitchd`, which is also that of its main thread.
    pub(crate) fn process(&self) -> Result<i32, LabError> {
        let hosts = status(self.laboratory.layout().name())?.hosts;
        match hosts.first().map(|host| host.switch) {
            Some(DaemonState::Running(process)) => Ok(process),
            state => Err(self.problem(format!("its switch does not run: {state:?}"))),
        }
    }

    /// Runs `ovs-vsctl` with these arguments, separated by spaces.
    pub(crate) fn vsctl(&self, arguments: &str) -> Result<(), LabError> {
        let mut command = vsctl(self.laboratory.layout(), HOST);
        system::run(command.args(arguments.split(' '))).map(drop)
    }

    /// How many flows the datapath has, and how many it may have now: the limit rises from 10,000 to what is configured.
    pub(crate) fn flows(&self) -> Result<(u32, u32), LabError> {
        let unixctl = Unixctl::new(self.run_dir());
        let text = unixctl.call("upcall/show", &[], DEADLINE);
        let text = text.map_err(|error| self.problem(error.to_string()))?;
        counts(&text).ok_or_else(|| self.problem(format!("upcall/show says {text:?}")))
    }

    fn problem(&self, problem: String) -> LabError {
        LabError::Content {
            path: self.run_dir(),
            problem,
        }
    }
}

/// The current number of flows and their limit in an answer to `upcall/show`.
fn counts(text: &str) -> Option<(u32, u32)> {
    let after = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split(')').next()?.trim().parse().ok()
    };
    Some((after("(current ")?, after("(limit ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_and_their_limit_are_read() {
        let check = |text: &str, wanted| assert_eq!(counts(text), wanted, "{text}");
        // Open vSwitch 3.1.0.
        let real = "netdev@ovs-netdev:\n  flows         : (current 12) (avg 5) (max 33) (limit 10000)\n  \
            offloaded flows : 0\n  dump duration : 1ms\n  ufid enabled : true\n\n  9: (keys 12)\n";
        check(real, Some((12, 10_000)));
        check("", None);
        check("(current 1)", None);
        check("(current x) (limit 7)", None);
    }
}
