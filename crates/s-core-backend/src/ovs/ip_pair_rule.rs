//! The rule that makes a bridge keep pairs of IPv4 addresses.

use std::path::Path;
use std::time::Duration;

use super::openflow::OpenFlow;
use crate::command::{Budget, Said};
use crate::{FlowSourceError, InterfaceName, ProgramError};

/// The rule's mark, by which it is known again: "IPPAIR" and a number.
pub const IP_PAIR_COOKIE: u64 = 0x4950_5041_4952_0001;

/// The rule as `ovs-ofctl add-flow` takes it, without a mark: for those who set it by hand.
pub const IP_PAIR_RULE: &str = "priority=1,ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],NORMAL";

/// After how many polls the bridge is looked at again.
const POLLS_PER_LOOK: u32 = 5;

/// How long the removal may take: whoever ends the agent waits for it.
const REMOVAL: Duration = Duration::from_millis(800);

/// Keeps the rule on a bridge, and takes it away when it is dropped.
///
/// It stands just above the rule of priority 0, which has to be NORMAL alone, so that nothing is done to any packet that
/// was not done before; of other rules none is touched.
#[derive(Debug)]
pub(super) struct IpPairRule {
    bridge: InterfaceName,
    openflow: OpenFlow,
    found: Found,
    polls: u32,
    /// Whether it is this object's to take away: it was set by it, or found and adopted.
    ours: bool,
    failing: bool,
}

/// What becomes of a rule with the mark that stood there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is put right and taken away at the end: it was left by a process that was killed.
    Adopted,
    /// It stays as it is, at the end too: somebody else keeps it.
    Left,
}

impl IpPairRule {
    pub(super) fn new(run_dir: &Path, bridge: InterfaceName, found: Found) -> Self {
        Self {
            openflow: OpenFlow::new(run_dir, &bridge),
            bridge,
            found,
            polls: 0,
            ours: false,
            failing: false,
        }
    }

    /// The bridge is looked at in the next poll: the switch may be another process, which knows no rules.
    pub(super) fn doubt(&mut self) {
        self.polls = 0;
    }

    /// Sees to it, now and then, that the rule is there.
    pub(super) fn keep(&mut self, deadline: Duration) {
        let due = self.polls.is_multiple_of(POLLS_PER_LOOK);
        self.polls = self.polls.wrapping_add(1);
        if !due {
            return;
        }
        match self.ensure(&Budget::new(deadline)) {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(bridge = %self.bridge, %error, "the IP-pair rule is not set; flows are read as the switch keeps them");
            }
            Err(error) => tracing::debug!(%error, "the IP-pair rule still is not set"),
        }
    }

    fn ensure(&mut self, budget: &Budget) -> Result<(), FlowSourceError> {
        let there = self.rules(&filter(), budget)?;
        if !there.is_empty() && self.found == Found::Left {
            return Ok(());
        }
        if let [rule] = there.as_slice()
            && rule.ends_with(&shown())
        {
            self.ours = true;
            return Ok(());
        }
        if !there.is_empty() {
            // Of another version.
            self.ofctl("del-flows", &filter(), budget)?;
        }
        let rules = self.rules("table=0", budget)?;
        if !is_normal(&rules) {
            return Err(FlowSourceError::Refused {
                what: format!("bridge {}", self.bridge),
                message: "its rule of priority 0 is not NORMAL alone, and the IP-pair rule would change what becomes of packets; \
                          set one that suits this bridge by hand, and leave flows.ip_pair_rule out"
                    .to_owned(),
            });
        }
        // Another rule of this priority that some packet matches too is not replaced: the switch refuses.
        let rule = format!("check_overlap,cookie={IP_PAIR_COOKIE:#x},{IP_PAIR_RULE}");
        self.ofctl("add-flow", &rule, budget)?;
        if self.ours {
            tracing::info!(bridge = %self.bridge, "the IP-pair rule was gone and is set again");
        }
        self.ours = true;
        Ok(())
    }

    /// The rules that match `filter`, one a line, without their counters.
    fn rules(&self, filter: &str, budget: &Budget) -> Result<Vec<String>, ProgramError> {
        let said = self.ofctl("dump-flows", filter, budget)?;
        let lines = said.stdout.lines().map(|line| line.trim().to_owned());
        Ok(lines.filter(|line| !line.is_empty()).collect())
    }

    fn ofctl(&self, command: &str, argument: &str, budget: &Budget) -> Result<Said, ProgramError> {
        let command = ["--no-stats", command];
        self.openflow
            .run(&command, &[argument], String::new(), budget)
    }
}

impl Drop for IpPairRule {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        if let Err(error) = self.ofctl("del-flows", &filter(), &Budget::new(REMOVAL)) {
            tracing::warn!(bridge = %self.bridge, %error, "the IP-pair rule is left behind, which does no harm; remove it with: ovs-ofctl del-flows {} {}", self.bridge, filter());
        }
    }
}

/// The rule as a bridge shows it.
fn shown() -> String {
    IP_PAIR_RULE.replace(",actions=", " actions=")
}

/// All rules with the mark.
fn filter() -> String {
    format!("cookie={IP_PAIR_COOKIE:#x}/-1")
}

/// Whether packets that no other of these rules is for are switched as by a plain bridge.
fn is_normal(rules: &[String]) -> bool {
    let mut lowest = rules.iter().filter_map(|rule| {
        let (_, rest) = rule.split_once("priority=0")?;
        // Not one of priority 01, which there is none, but one with a match: `priority=0,ip actions=…`.
        (rest.starts_with(' ') || rest.starts_with(',')).then_some(rest)
    });
    lowest.next() == Some(" actions=NORMAL") && lowest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_bridge_gets_the_rule() {
        let check = |rules: &[&str], expected: bool| {
            let rules: Vec<_> = rules.iter().map(|rule| (*rule).to_owned()).collect();
            assert_eq!(is_normal(&rules), expected, "{rules:?}");
        };
        let normal = "priority=0 actions=NORMAL";
        check(&[normal], true);
        check(&["cookie=0x7, priority=0 actions=NORMAL"], true);
        check(
            &[
                "cookie=0x5, priority=100,udp,tp_dst=4747 actions=drop",
                normal,
            ],
            true,
        );
        check(&["priority=01"], false);
        check(&[], false);
        check(&["priority=0 actions=drop"], false);
        check(&["priority=0 actions=resubmit(,10)"], false);
        check(&["priority=0 actions=NORMAL,output:1"], false);
        check(&[normal, "priority=0,in_port=1 actions=drop"], false);
        check(&["priority=10,ip actions=NORMAL"], false);
    }
}
