//! The OpenFlow rules, each known by its cookie.

use std::collections::{BTreeMap, BTreeSet};

use s_core_model::VmId;

use super::config::InterceptionConfig;
use super::ledger::{Count, Verdict};

/// The upper 24 bits of the cookie of every rule; the others tell one rule from another.
pub const COOKIE_OWNER: u64 = 0x0053_434f << COOKIE_BITS;
/// How many bits of a cookie are below the owner's.
pub(super) const COOKIE_BITS: u32 = 40;
/// The priority of rules that drop what VMs send to the agents' port.
pub const DROP_PRIORITY: u16 = 47_471;
/// The priority of rules that bring packets for VMs to the control domain.
pub const INTERCEPT_PRIORITY: u16 = 47_470;

/// What of a switch's ports the rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    /// The address of the bridge's own port.
    pub(super) bridge_mac: String,
    /// The numbers of the ports that are VMs'.
    pub(super) vms: BTreeSet<u32>,
}

/// Rules by cookie; each is what stands behind the cookie in `ovs-ofctl add-flows`.
pub(super) type Rules = BTreeMap<u64, String>;

/// The rules that there should be.
pub(super) fn wanted(config: &InterceptionConfig, ports: &Ports, vms: &BTreeSet<VmId>) -> Rules {
    let port = config.port;
    let mut rules = Rules::new();
    for protocol in ["udp", "tcp"] {
        if config.drop_from_vms {
            for from in &ports.vms {
                let text = format!(
                    "priority={DROP_PRIORITY},{protocol},in_port={from},tp_dst={port},actions=drop"
                );
                rules.insert(cookie(Verdict::Drop, &text), text);
            }
        }
        if config.requests {
            let mac = &ports.bridge_mac;
            for vm in vms {
                let vm = vm.addr();
                let text = format!(
                    "priority={INTERCEPT_PRIORITY},{protocol},nw_dst={vm},tp_dst={port},actions=mod_dl_dst:{mac},LOCAL"
                );
                rules.insert(cookie(Verdict::Intercept, &text), text);
            }
        }
    }
    rules
}

/// The owner, a fingerprint of the rule, and in the lowest bit whether it drops.
fn cookie(verdict: Verdict, rule: &str) -> u64 {
    let low = (1 << COOKIE_BITS) - 2;
    COOKIE_OWNER | fingerprint(rule) & low | u64::from(verdict == Verdict::Drop)
}

/// Whether a cookie is that of one of these rules.
pub(super) const fn is_ours(cookie: u64) -> bool {
    cookie >> COOKIE_BITS == COOKIE_OWNER >> COOKIE_BITS
}

/// The counter of a rule of ours.
pub(super) const fn count(cookie: u64, packets: u64) -> Count {
    Count {
        rule: cookie,
        verdict: if cookie & 1 == 1 {
            Verdict::Drop
        } else {
            Verdict::Intercept
        },
        packets,
    }
}

/// FNV-1a: the same in every process and version, as what was set is compared with what should be.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_known_by_all_that_is_in_it() {
        let bridge = "br0".parse().unwrap();
        let config = InterceptionConfig::new("10.0.0.1".parse().unwrap(), 4747, bridge);
        let ports = Ports {
            bridge_mac: "02:00:00:00:00:01".into(),
            vms: [1, 2].into(),
        };
        let vms = BTreeSet::from(["10.1.0.5".parse().unwrap()]);
        let rules = wanted(&config, &ports, &vms);
        let texts: BTreeSet<_> = rules.values().map(String::as_str).collect();
        let golden = [
            "priority=47470,tcp,nw_dst=10.1.0.5,tp_dst=4747,actions=mod_dl_dst:02:00:00:00:00:01,LOCAL",
            "priority=47470,udp,nw_dst=10.1.0.5,tp_dst=4747,actions=mod_dl_dst:02:00:00:00:00:01,LOCAL",
            "priority=47471,tcp,in_port=1,tp_dst=4747,actions=drop",
            "priority=47471,tcp,in_port=2,tp_dst=4747,actions=drop",
            "priority=47471,udp,in_port=1,tp_dst=4747,actions=drop",
            "priority=47471,udp,in_port=2,tp_dst=4747,actions=drop",
        ];
        assert_eq!(texts, golden.into());
        assert!(rules.keys().all(|cookie| is_ours(*cookie)));
        let drops = rules
            .keys()
            .filter(|c| count(**c, 0).verdict == Verdict::Drop);
        assert_eq!(drops.count(), 4);

        let other = Ports {
            bridge_mac: "02:00:00:00:00:02".into(),
            ..ports
        };
        let moved = wanted(&config, &other, &vms);
        let same = rules.keys().filter(|cookie| moved.contains_key(cookie));
        assert_eq!(same.count(), 4, "only those that hold the address differ");
    }
}
