//! Which hosts, which VM, and how they are reached.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s_core_lab::run::RunLock;
use s_core_lab::traffic::{Endpoint, Network};
use s_core_lab::{HostNumber, LabName, VmNumber, system};
use serde::Deserialize;

use super::MeasureError;
use crate::run::agents::end_agents;
use crate::run::{AgentSettings, Transport};
use crate::ssh::Remote;

/// The most octets of a file of hosts.
const MOST_FILE: u64 = 64 << 10;
/// The fastest link, in Mbit/s.
const MOST_MBIT: f64 = 1e6;

/// Two Xen hosts, a VM that is migrated between them, and how this machine reaches all three.
#[derive(Debug)]
pub struct Hosts {
    pub(super) ssh: Vec<String>,
    pub(super) pair: [Host; 2],
    pub(super) vm: String,
    pub(super) address: Ipv4Addr,
    pub(super) link_mbit: f64,
    pub(super) transport: Transport,
    pub(super) prober: Endpoint,
    /// On a testbed nothing else is to have the VMs send meanwhile.
    _lock: Option<RunLock>,
}

/// A control domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    /// What `ssh` on this machine calls it.
    pub(super) ssh: String,
    /// Its address on the network over which migrations and the load go.
    pub(super) address: Ipv4Addr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsFile {
    #[serde(default = "plain_ssh")]
    ssh: Vec<String>,
    vm: String,
    address: Ipv4Addr,
    link_mbit: f64,
    #[serde(default)]
    transport: Transport,
    host: Vec<Host>,
}

fn plain_ssh() -> Vec<String> {
    [
        "ssh",
        "-T",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=20",
        "-o",
        "ServerAliveInterval=15",
        "-o",
        "ServerAliveCountMax=4",
    ]
    .map(str::to_owned)
    .into()
}

impl Hosts {
    /// The hosts that a TOML file names.
    ///
    /// ```toml
    /// vm = "v1"                 # what Xen calls the VM
    /// address = "10.0.1.1"      # where it answers probes: s-core-xen-guest runs in it
    /// link_mbit = 1000          # the rate of the link that the hosts share
    /// transport = "stream"      # or "ssh"
    ///
    /// [[host]]
    /// ssh = "root@xen1"         # what ssh calls the control domain
    /// address = "10.0.0.1"      # its address on that link
    ///
    /// [[host]]
    /// ssh = "root@xen2"
    /// address = "10.0.0.2"
    /// ```
    ///
    /// `ssh`, a list of words, replaces `ssh -T -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o
    /// ServerAliveCountMax=4`.
    ///
    /// # Errors
    ///
    /// [`MeasureError::File`] if it cannot be read, [`MeasureError::Content`] says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, MeasureError> {
        let error = |source| MeasureError::File {
            path: path.into(),
            source,
        };
        if fs::metadata(path).map_err(error)?.len() > MOST_FILE {
            return Err(MeasureError::content(
                path,
                format!("has more than {MOST_FILE} octets"),
            ));
        }
        let text = fs::read_to_string(path).map_err(error)?;
        Self::parse(&text).map_err(|problem| MeasureError::content(path, problem))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let file: HostsFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let pair: [Host; 2] = (file.host.try_into())
            .map_err(|all: Vec<_>| format!("host: two are wanted, not {}", all.len()))?;
        if file.ssh.is_empty() {
            return Err("ssh: no program".into());
        }
        for (what, name) in [
            ("vm", &file.vm),
            ("host.ssh", &pair[0].ssh),
            ("host.ssh", &pair[1].ssh),
        ] {
            if !is_plain(name) {
                return Err(format!(
                    "{what}: {name:?} is not 1 to 100 letters, digits, '.', '_', '-', '@', ':', and first a letter or digit"
                ));
            }
        }
        let [one, other] = &pair;
        if one.ssh == other.ssh || one.address == other.address {
            return Err("host: the two are one".into());
        }
        if !(1.0..=MOST_MBIT).contains(&file.link_mbit) {
            return Err(format!("link_mbit: {} is not 1 to 10⁶", file.link_mbit));
        }
        Ok(Self {
            ssh: file.ssh,
            pair,
            vm: file.vm,
            address: file.address,
            link_mbit: file.link_mbit,
            transport: file.transport,
            prober: Endpoint::here(Ipv4Addr::UNSPECIFIED),
            _lock: None,
        })
    }

    /// The first two hosts of the testbed of this name, and its first VM. The link is the slowest between them. Agents that a run has
    /// left which was killed end first: they would move the VM.
    ///
    /// # Errors
    ///
    /// [`MeasureError::Lab`] if there is no such testbed, it has one host only, a host does not answer, or another process has its VMs send.
    pub fn of_testbed(name: &LabName, transport: Transport) -> Result<Self, MeasureError> {
        let remote = Remote::of(name)?;
        let (plan, [one, other]) = (remote.plan(), [1, 2].map(HostNumber));
        let layout = plan.layout();
        if layout.shape().hosts < 2 {
            let what = "hosts";
            let problem = "a migration needs two".into();
            return Err(s_core_lab::LabError::Layout { what, problem }.into());
        }
        let lock = RunLock::take(layout)?;
        end_agents(&remote, &AgentSettings::default())?;
        let fabric = layout.fabric_namespace();
        let (prober, core) = (plan.fabric_operator_address(), layout.core_switch());
        let line = format!("addr replace {prober}/16 dev {core}");
        system::ip_batch(&fabric, &[line])?;
        let host_mbit = f64::from(layout.shape().host_mbit);
        let link_mbit = if layout.location(one) == layout.location(other) {
            host_mbit
        } else {
            host_mbit.min(layout.link_mbit(1))
        };
        let host = |host| Host {
            ssh: remote.login(host),
            address: layout.fabric_address(host),
        };
        let vm = VmNumber(1);
        Ok(Self {
            ssh: remote.ssh_words(),
            pair: [host(one), host(other)],
            vm: plan.domain(vm),
            address: layout.vm(vm).addr(),
            link_mbit,
            transport,
            prober: Endpoint {
                address: prober,
                network: Network::Namespace(fabric),
            },
            _lock: Some(lock),
        })
    }

    /// What ssh calls the hosts.
    pub fn names(&self) -> [&str; 2] {
        [&self.pair[0], &self.pair[1]].map(|host| host.ssh.as_str())
    }

    /// What Xen calls the VM.
    pub fn vm(&self) -> &str {
        &self.vm
    }

    /// The rate of the link, in Mbit/s.
    pub const fn link_mbit(&self) -> f64 {
        self.link_mbit
    }

    /// How the memory gets from host to host.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Runs a script on a control domain; it ends after this time whatever happens.
    ///
    /// `timeout` stands first: it makes a process group of its own, so that Ctrl-C lets a migration end and be recorded.
    pub(super) fn command(&self, host: usize, script: &str, within: Duration) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5".into(), within.as_secs().to_string()]);
        command
            .args(&self.ssh)
            .arg(&self.pair[host].ssh)
            .arg(script);
        command
    }
}

/// Whether a word means nothing else to a shell or to ssh.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:".contains(&byte);
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= 100
        && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
vm = "web"
address = "10.0.1.1"
link_mbit = 1000
transport = "ssh"
[[host]]
ssh = "root@xen1"
address = "10.0.0.1"
[[host]]
ssh = "root@xen2"
address = "10.0.0.2"
"#;

    #[test]
    fn a_file_of_real_hosts() {
        let hosts = Hosts::parse(FILE).unwrap();
        assert_eq!(hosts.transport(), Transport::Ssh);
        let command = hosts.command(1, "xl list", Duration::from_secs(90));
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        assert_eq!(
            words.join(" "),
            "--kill-after=5 90 ssh -T -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 \
             -o ServerAliveCountMax=4 root@xen2 xl list"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, says) in [
            ("1000", "0", "link_mbit: 0 is not 1 to 10⁶"),
            ("1000", "nan", "link_mbit: NaN is not 1 to 10⁶"),
            ("\"web\"", "\"a;b\"", "vm: \"a;b\" is not"),
            ("\"web\"", "\"\"", "vm: \"\" is not"),
            ("root@xen2", "-oProxyCommand=x", "host.ssh: "),
            ("root@xen2", "root@xen1", "host: the two are one"),
            ("\"ssh\"", "\"carrier\"", "unknown variant `carrier`"),
            ("10.0.1.1", "web", "invalid IPv4 address"),
            ("vm =", "domain =", "unknown field `domain`"),
            (
                "[[host]]\nssh = \"root@xen2\"\naddress = \"10.0.0.2\"\n",
                "",
                "two are wanted, not 1",
            ),
        ] {
            let refused = Hosts::parse(&FILE.replacen(from, to, 1)).unwrap_err();
            assert!(refused.contains(says), "{from} → {to}: {refused}");
        }
        let no_program = Hosts::parse(&format!("ssh = []{FILE}")).unwrap_err();
        assert_eq!(no_program, "ssh: no program");
    }
}
