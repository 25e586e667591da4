//! What is run on the control domains: shell scripts, of words that mean nothing else to a shell ([`Hosts`]).
//!
//! They need `xl`, `timeout`, `ss`, and `socat` (stream) or `ssh`, with load also `iperf3`. Each line that they print begins with a word
//! that says what it is.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::hosts::Hosts;
use crate::run::Transport;

/// Where the target takes a migration that comes as a plain stream. Agents take theirs one port below.
const STREAM_PORT: u16 = 8004;
/// Where the target takes the load.
const LOAD_PORT: u16 = 8005;
/// Octets of payload in a datagram of the load.
const DATAGRAM: u32 = 1400;
/// Octets of its frame: UDP, IPv4 and Ethernet take 42.
const FRAME: u32 = DATAGRAM + 42;
/// What the target says when it listens.
pub(super) const READY: &str = "ready";
/// For how many seconds the load runs before the migration begins.
const LEAD: u32 = 3;
/// How long `xl migrate` may take.
pub(super) const LONGEST: Duration = Duration::from_secs(900);

/// The load in frames, in Mbit/s, of this payload.
pub(super) fn frames(payload_mbit: f64) -> f64 {
    payload_mbit * f64::from(FRAME) / f64::from(DATAGRAM)
}

/// The payload in bit/s, of a load in per cent of a link's rate in frames.
fn payload(link_mbit: f64, percent: u32) -> u64 {
    let frames = link_mbit * 1e6 * f64::from(percent) / 100.0;
    (frames * f64::from(DATAGRAM) / f64::from(FRAME)).round() as u64
}

/// Listens on the target for one migration and its load until standard input ends.
pub(super) fn target(hosts: &Hosts, target: usize, load_percent: u32) -> String {
    let address = hosts.pair[target].address;
    let mut script = String::from("out=$(mktemp -d /tmp/s-core-measure.XXXXXX) || exit 1\n");
    script += "trap 'kill $receiver $server 2>/dev/null; rm -rf \"$out\"' EXIT\n";
    let mut ports = Vec::new();
    if hosts.transport == Transport::Stream {
        script += &format!(
            "socat -b 131072 TCP-LISTEN:{STREAM_PORT},bind={address},reuseaddr EXEC:\"xl migrate-receive\" >\"$out/receiver\" 2>&1 </dev/null & receiver=$!\n"
        );
        ports.push(STREAM_PORT.to_string());
    }
    if load_percent > 0 {
        script += &format!(
            "iperf3 -s -1 -B {address} -p {LOAD_PORT} >\"$out/server\" 2>&1 </dev/null & server=$!\n"
        );
        ports.push(LOAD_PORT.to_string());
    }
    if !ports.is_empty() {
        script += &listening(&ports.join(" "));
    }
    script += &format!("echo {READY}\ncat >/dev/null\n");
    if hosts.transport == Transport::Stream {
        // What has received a VM ends by itself.
        script += "n=0\nwhile kill -0 $receiver 2>/dev/null && [ $n -lt 25 ]; do n=$((n+1)); sleep 0.2; done\n";
        script += "tail -n 3 \"$out/receiver\" | sed 's/^/receiver /'\n";
    }
    script
}

/// Waits until something listens at each of these ports.
fn listening(ports: &str) -> String {
    format!(
        "for port in {ports}; do\n\
         n=0\n\
         until ss -ltnH \"sport = :$port\" | grep -q .; do\n\
         n=$((n+1))\n\
         [ $n -lt 150 ] || {{ cat \"$out\"/* >&2; echo \"nothing listens at port $port\" >&2; exit 1; }}\n\
         sleep 0.2\n\
         done\n\
         done\n"
    )
}

/// Migrates from the source, under load, and says what it took.
pub(super) fn source(hosts: &Hosts, source: usize, load_percent: u32) -> String {
    let [from, to] = [source, 1 - source].map(|at| hosts.pair[at].address);
    let vm = &hosts.vm;
    let mut script = String::from("out=$(mktemp -d /tmp/s-core-measure.XXXXXX) || exit 1\n");
    script += "trap 'kill $load 2>/dev/null; rm -rf \"$out\"' EXIT\n";
    script += "export S_CORE_OUT=\"$out\"\n";
    if load_percent > 0 {
        script += &load(from, to, payload(hosts.link_mbit, load_percent));
    }
    let (carrier, seconds) = (carrier(hosts.transport, to), LONGEST.as_secs());
    script += &format!(
        "read -r began rest </proc/uptime\n\
         timeout -k 10 {seconds} xl migrate -s '' {vm} '{carrier}; code=$?; cat /proc/$$/io >\"$S_CORE_OUT/io\"; exit $code' \
         >\"$out/xl\" 2>&1 </dev/null\n\
         code=$?\n\
         read -r ended rest </proc/uptime\n"
    );
    if load_percent > 0 {
        script += "kill $load 2>/dev/null\nwait $load\nload=\n";
    }
    // What carries the stream may end a moment after xl.
    script += "n=0\nwhile [ ! -s \"$out/io\" ] && [ $n -lt 25 ]; do n=$((n+1)); sleep 0.2; done\n";
    script += "echo \"exit $code\"\necho \"began $began\"\necho \"ended $ended\"\n";
    script += "[ -s \"$out/io\" ] && sed -n 's/^wchar: /bytes /p' \"$out/io\"\n";
    script += "tail -n 5 \"$out/xl\" | sed 's/^/xl /'\n";
    script += "[ ! -e \"$out/load\" ] || sed 's/^/load /' \"$out/load\"\n";
    script
}

/// What brings a stream to `xl` on the target. `xl` has a shell run it, which then knows how much it has written.
fn carrier(transport: Transport, to: Ipv4Addr) -> String {
    match transport {
        Transport::Stream => format!("socat -b 131072 - TCP:{to}:{STREAM_PORT}"),
        Transport::Ssh => format!("ssh -o BatchMode=yes {to} xl migrate-receive"),
    }
}

/// Starts the load, and ends here if it does not run.
fn load(from: Ipv4Addr, to: Ipv4Addr, rate: u64) -> String {
    format!(
        "iperf3 -u -c {to} -B {from} -p {LOAD_PORT} -b {rate} -l {DATAGRAM} -i 0 -t 3600 -J >\"$out/load\" 2>&1 </dev/null & load=$!\n\
         sleep {LEAD}\n\
         kill -0 $load 2>/dev/null || {{ sed 's/^/load /' \"$out/load\"; exit 0; }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "vm = 'v1'\naddress = '10.0.1.1'\nlink_mbit = 100\n\
                         host = [{ ssh = 'a', address = '10.0.0.1' }, { ssh = 'b', address = '10.0.0.2' }]\n";

    fn hosts(transport: &str) -> Hosts {
        Hosts::parse(&format!("transport = '{transport}'\n{HOSTS}")).unwrap()
    }

    #[test]
    fn golden_scripts() {
        let stream = hosts("stream");
        assert_eq!(
            target(&stream, 1, 70),
            include_str!("../../tests/data/measure-target.sh")
        );
        assert_eq!(
            source(&stream, 0, 70),
            include_str!("../../tests/data/measure-source.sh")
        );
    }

    #[test]
    fn without_load_over_ssh() {
        let ssh = hosts("ssh");
        let (source, target) = (source(&ssh, 1, 0), target(&ssh, 0, 0));
        assert!(
            source.contains(
                "xl migrate -s '' v1 'ssh -o BatchMode=yes 10.0.0.1 xl migrate-receive; code=$?;"
            ),
            "{source}"
        );
        for script in [source, target] {
            assert!(
                !script.contains("iperf3") && !script.contains("socat"),
                "{script}"
            );
        }
    }

    #[test]
    fn a_load_is_of_frames() {
        assert_eq!(payload(100.0, 100), 97_087_379);
        assert_eq!(payload(1000.0, 10), 97_087_379);
        assert!((frames(97.087_379) - 100.0).abs() < 1e-5);
    }
}
