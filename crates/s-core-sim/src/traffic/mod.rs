//! Traffic after thesis 5.1.1.
//!
//! [`Pattern`] says who talks to whom and how much, with the source of each parameter; [`flows`] draws the flows of
//! a static traffic matrix, [`DynamicTraffic`] those that start and end from window to window.
//!
//! A VM has a *home rack* ([`HomeRacks`]). Most flows stay within it. The others have an end in one of the hot racks,
//! and mostly the other end in one of this rack's few partners: the matrix of racks is sparse, with few hot spots,
//! as in Fig. 5.1. Hot racks and their partners are drawn without regard to where they stand, so that
//! most of their traffic climbs to the upper levels of links.
//!
//! A flow between two VMs is *large* or *small*; nearly all bytes are in the large ones.
//!
//! All is drawn from a seed, by integer arithmetic: the same on every machine.

mod dynamic;
mod generator;
mod homes;
mod pattern;

use s_core_model::VmIndex;

pub use dynamic::{DynamicTraffic, Dynamics};
use generator::Generator;
pub(crate) use generator::shuffle;
pub use homes::HomeRacks;
pub use pattern::{Pattern, PatternError};

/// A flow between two VMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// One end.
    pub a: VmIndex,
    /// The other.
    pub b: VmIndex,
    /// How many bytes pass within a [window](Pattern::window).
    pub bytes: u64,
}

/// The flows of all [windows](Pattern::windows) of a data centre, one window after the other. None for fewer than
/// two VMs.
///
/// # Errors
///
/// [`PatternError`] if the pattern is bad or asks for too many flows.
pub fn flows(
    homes: HomeRacks,
    pattern: &Pattern,
    seed: u64,
) -> Result<impl Iterator<Item = Flow> + use<>, PatternError> {
    let count = pattern.flow_count(homes)?;
    let mut generator = Generator::new(homes, pattern, seed);
    Ok((0..count).map(move |_| generator.flow()))
}
