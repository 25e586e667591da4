//! The parameters of the traffic.

use std::fmt::Display;
use std::time::Duration;

use s_core_model::Rate;

use super::{Flow, HomeRacks};

/// The most flows that a pattern may ask for: as many take 1 GiB.
const MAX_FLOWS: u64 = 1 << 26;

/// The largest size of a flow, far beyond what a link carries in a window: sums of sizes stay exact.
const MAX_BYTES: u64 = 1 << 40;

const MAX_WINDOW: Duration = Duration::from_secs(86_400);

/// Who talks to whom, and how much; [`Default`] is thesis 5.1.1.
///
/// Reference numbers are those of the thesis's bibliography: \[4\] Greenberg et al., VL2 (SIGCOMM 2009);
/// \[16\] Kandula et al., The nature of data center traffic (IMC 2009); \[48\] Kandula et al., Flyways (HotNets
/// 2009); \[49\] Benson et al., Network traffic characteristics of data centers in the wild (IMC 2010); \[50\]
/// Zaharia et al., Job scheduling for multi-user MapReduce clusters (2009). Figures of \[4\],
/// \[16\] and \[49\] are those of thesis 2.2, which cites the first and the last also as \[14\] and \[19\]. *Chosen*
/// is what they leave open.
///
/// ```
/// use s_core_sim::traffic::Pattern;
///
/// let dense = Pattern { windows: 5, ..Pattern::default() }; // 50 flows per VM
/// dense.check()?;
/// let bad = Pattern { share_within_rack: 1.5, ..Pattern::default() };
/// assert_eq!(bad.check().unwrap_err().to_string(), "share_within_rack is 1.5; a number from 0 to 1 is wanted");
/// # Ok::<(), s_core_sim::traffic::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// How many flows a VM has on average, 1 to 1000. A flow counts at both its ends, so that there are half as many
    /// flows per VM. 10: 5.1.1 after \[4\] and \[49\].
    pub flows_per_vm: u32,
    /// The share of flows that are small, 0 to 1. 0.9: 5.1.1.
    pub share_of_small: f64,
    /// Small flows have fewer bytes, large ones at least as many; 2 to 2⁴⁰. 10 KB: 5.1.1 after \[49\]. That all small
    /// sizes from 1 byte up are equally likely is chosen; they make up less than 0.1 % of the bytes.
    pub small_bytes: u64,
    /// The most likely size of a large flow, in bytes, from `small_bytes` up. 128 MiB, a chunk of MapReduce:
    /// 5.1.1 after \[4\], \[16\] and \[50\].
    pub large_mode_bytes: u64,
    /// The largest size of a flow, in bytes, from `large_mode_bytes` up to 2⁴⁰. 1 GiB: in \[4\], nine tenths of the
    /// bytes are in flows of 100 MB to 1 GB. That the density rises evenly from `small_bytes` to the mode, and
    /// falls evenly from there, is chosen. Of all that is chosen here, this alone matters much to what the policies
    /// save from random placement: 88 % with it, about 84 % if all large flows are of 64 to 192 MiB.
    pub large_most_bytes: u64,
    /// The share of flows with both ends in one home rack, 0 to 1. 0.8: 5.1.1 after \[16\] and \[49\].
    pub share_within_rack: f64,
    /// The share of racks that are hot, 0 to 1, but at least two racks. Every flow that leaves its rack has an end in
    /// a hot one. 0.2: 5.1.1 after \[16\], \[48\] and \[49\].
    pub share_of_hot_racks: f64,
    /// How many other hot racks a hot rack mostly talks with, 1 to 100. It is mutual, and with few hot racks some
    /// of them may coincide. 3, chosen: "only a few" in 5.1.1.
    pub partners: u32,
    /// Of the flows that leave a hot rack, the share that go to partners, 0 to 1; the rest go to any other rack. 0.9,
    /// chosen: "much of their data" in 5.1.1 after \[48\], \[16\] and \[49\].
    pub share_with_partners: f64,
    /// Of a hot rack's flows with partners, the share of its first partner, 0 to 1. The second has the same share
    /// of the remaining ones, and so on; the last has what is left. 0.5, chosen.
    pub share_of_first_partner: f64,
    /// The time over which rates are measured, up to a day. 10 s: Fig. 5.1.
    pub window: Duration,
    /// Over how many windows rates are averaged, 1 to 1000. 1: Fig. 5.1. Each window has flows of its own, between
    /// racks that stay partners: more windows make more pairs of VMs and flatten the rates, and leave the bytes per
    /// second as they are.
    pub windows: u32,
    /// The VMs of an application, at least 2: flows within a rack have both ends in one application. Without, and where
    /// a VM is alone in its application, both ends are any VMs of the rack. None: 5.1.1 knows no applications.
    pub vms_per_application: Option<u32>,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            flows_per_vm: 10,
            share_of_small: 0.9,
            small_bytes: 10_000,
            large_mode_bytes: 128 << 20,
            large_most_bytes: 1 << 30,
            share_within_rack: 0.8,
            share_of_hot_racks: 0.2,
            partners: 3,
            share_with_partners: 0.9,
            share_of_first_partner: 0.5,
            window: Duration::from_secs(10),
            windows: 1,
            vms_per_application: None,
        }
    }
}

impl Pattern {
    /// Looks whether all parameters are in their ranges.
    ///
    /// # Errors
    ///
    /// [`PatternError::Parameter`] for the first that is not.
    pub fn check(&self) -> Result<(), PatternError> {
        in_range("flows_per_vm", self.flows_per_vm, 1, 1000)?;
        share("share_of_small", self.share_of_small)?;
        in_range("small_bytes", self.small_bytes, 2, MAX_BYTES)?;
        let (small, mode) = (self.small_bytes, self.large_mode_bytes);
        in_range("large_mode_bytes", mode, small, MAX_BYTES)?;
        in_range("large_most_bytes", self.large_most_bytes, mode, MAX_BYTES)?;
        share("share_within_rack", self.share_within_rack)?;
        share("share_of_hot_racks", self.share_of_hot_racks)?;
        in_range("partners", self.partners, 1, 100)?;
        share("share_with_partners", self.share_with_partners)?;
        share("share_of_first_partner", self.share_of_first_partner)?;
        if self.window.is_zero() || self.window > MAX_WINDOW {
            let wanted = "more than 0 s and at most a day (86400 s) is wanted";
            let value = format!("{:?}", self.window);
            return Err(bad("window", value, wanted));
        }
        in_range("windows", self.windows, 1, 1000)?;
        match self.vms_per_application {
            Some(vms) => in_range("vms_per_application", vms, 2, u32::MAX),
            None => Ok(()),
        }
    }

    /// How many flows these VMs have in all windows; none if there are fewer than two VMs.
    ///
    /// # Errors
    ///
    /// [`PatternError`] if the pattern is bad or asks for more than 2²⁶ flows.
    pub fn flow_count(&self, homes: HomeRacks) -> Result<u64, PatternError> {
        self.check()?;
        let flows = self.flows_per_window(homes) * u64::from(self.windows);
        match flows {
            0..=MAX_FLOWS => Ok(flows),
            _ => Err(PatternError::TooManyFlows {
                flows,
                vms: homes.vm_count(),
            }),
        }
    }

    pub(super) fn flows_per_window(&self, homes: HomeRacks) -> u64 {
        match homes.vm_count() {
            0 | 1 => 0,
            vms => u64::from(vms) * u64::from(self.flows_per_vm) / 2,
        }
    }

    /// What a flow adds to λ of its VMs, averaged over all windows.
    ///
    /// # Panics
    ///
    /// If the pattern does not pass its [`check`](Self::check).
    pub fn rate(&self, flow: Flow) -> Rate {
        self.rate_over(flow, self.windows)
    }

    pub(super) fn rate_over(&self, flow: Flow, windows: u32) -> Rate {
        let window =
            u64::try_from(self.window.as_nanos()).expect("a checked window is at most a day");
        Rate::from_bytes_over(flow.bytes, window * u64::from(windows))
    }
}

/// Refuses what is no share.
pub(super) fn share(parameter: &'static str, value: f64) -> Result<(), PatternError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(bad(parameter, value, "a number from 0 to 1 is wanted"))
    }
}

/// Refuses what is not from `least` to `most`.
pub(super) fn in_range<T: PartialOrd + Display>(
    parameter: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), PatternError> {
    if least <= value && value <= most {
        return Ok(());
    }
    let wanted = format!("a whole number from {least} to {most} is wanted");
    Err(bad(parameter, value, wanted))
}

fn bad(parameter: &'static str, value: impl ToString, wanted: impl Into<String>) -> PatternError {
    PatternError::Parameter {
        parameter,
        value: value.to_string(),
        wanted: wanted.into(),
    }
}

/// Parameters that make no traffic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A parameter is out of its range.
    #[error("{parameter} is {value}; {wanted}")]
    Parameter {
        /// The field of [`Pattern`] or [`Dynamics`](super::Dynamics).
        parameter: &'static str,
        /// What it is.
        value: String,
        /// What is wanted instead.
        wanted: String,
    },
    /// More flows than fit into memory with ease.
    #[error(
        "{vms} VMs would have {flows} flows, more than {MAX_FLOWS}; lower flows_per_vm or windows, or take fewer VMs"
    )]
    TooManyFlows {
        /// VMs.
        vms: u32,
        /// Flows of all windows.
        flows: u64,
    },
}
