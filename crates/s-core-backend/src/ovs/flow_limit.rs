//! Whether the switch keeps as many flows as it may.

use std::time::Duration;

use super::unixctl::Unixctl;
use crate::FlowSourceError;

/// After how many polls it is asked again.
const POLLS_PER_LOOK: u32 = 15;

/// Looks at it now and then, and warns once.
#[derive(Debug, Default)]
pub(super) struct FlowLimit {
    polls: u32,
    reached: bool,
}

impl FlowLimit {
    pub(super) fn watch(&mut self, unixctl: &Unixctl, deadline: Duration) {
        let due = self.polls.is_multiple_of(POLLS_PER_LOOK);
        self.polls = self.polls.wrapping_add(1);
        if !due {
            return;
        }
        match look(unixctl, deadline) {
            Ok(Some((flows, limit))) => self.judge(flows, limit),
            Ok(None) => tracing::debug!("upcall/show tells no flows and limit"),
            Err(error) => tracing::debug!(%error, "upcall/show"),
        }
    }

    fn judge(&mut self, flows: u64, limit: u64) {
        // Past nine tenths the switch throws flows out early, and past the limit it makes none.
        let reached = flows >= limit / 10 * 9;
        if reached && !self.reached {
            tracing::warn!(
                flows,
                limit,
                "the switch keeps as many flows as it may: packets of others are switched slowly and in no counter; \
                 set the IP-pair rule (flows.ip_pair_rule), or raise other_config:flow-limit of Open_vSwitch"
            );
        } else if self.reached && !reached {
            tracing::info!(
                flows,
                limit,
                "the switch keeps fewer flows than it may again"
            );
        }
        self.reached = reached;
    }
}

/// The flows of the fullest datapath, and how many it may keep.
fn look(unixctl: &Unixctl, deadline: Duration) -> Result<Option<(u64, u64)>, FlowSourceError> {
    let text = unixctl.call("upcall/show", &[], deadline)?;
    let flows = text.lines().filter_map(flows_and_limit);
    Ok(flows.max_by_key(|(flows, limit)| flows.saturating_mul(1000) / (*limit).max(1)))
}

/// `flows : (current 2) (avg 2) (max 3) (limit 10000)`.
fn flows_and_limit(line: &str) -> Option<(u64, u64)> {
    let counts = line.trim().strip_prefix("flows")?;
    let count = |name: &str| {
        let (_, rest) = counts.split_once(name)?;
        rest.split_once(')')?.0.parse().ok()
    };
    Some((count("(current ")?, count("(limit ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upcall_show_tells() {
        // Open vSwitch 3.1.0.
        let text = "netdev@ovs-netdev:\n  flows         : (current 1043) (avg 22) (max 1043) (limit 1000)\n  \
            offloaded flows : 0\n  dump duration : 1ms\n  ufid enabled : true\n\n  11: (keys 2)\n";
        let found: Vec<_> = text.lines().filter_map(flows_and_limit).collect();
        assert_eq!(found, [(1043, 1000)]);
        assert_eq!(flows_and_limit("flows : (current -1) (limit 9)"), None);
        assert_eq!(flows_and_limit("flows : (current 1"), None);
    }

    #[test]
    fn it_is_reached_from_nine_tenths_on() {
        let mut limit = FlowLimit::default();
        for (flows, reached) in [
            (10, false),
            (899, false),
            (900, true),
            (1043, true),
            (5, false),
        ] {
            limit.judge(flows, 1000);
            assert_eq!(limit.reached, reached, "{flows}");
        }
    }
}
