//! Bytes on the wire for a round of the token (thesis 5.2.3): computed from the wire format, and counted.

mod computed;
mod counted;

use s_core_examples::Failure;

use crate::progress::Progress;
pub(crate) use computed::{Frames, Round};
pub(crate) use counted::Counted;

/// Computed for any size, counted for some.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Bytes of a token message by the number of VMs.
    pub(crate) tokens: Vec<(u32, usize)>,
    /// Bytes of a round by the number of VMs, if each hop leads to another server, and if servers have
    /// [`VMS_PER_SERVER`] VMs and the token comes to all of a server's before it leaves.
    pub(crate) rounds: Vec<(u32, [u64; 2])>,
    pub(crate) frames: Frames,
    pub(crate) counted: Result<Vec<Counted>, String>,
}

/// The thesis's hypervisors have 16 VMs (5.2.2).
pub(crate) const VMS_PER_SERVER: u32 = 16;

/// Computes up to `most` VMs; counts with these numbers of servers and VMs.
pub(crate) fn measure(
    most: u32,
    runs: &[(u16, u16)],
    progress: &Progress,
) -> Result<Wire, Failure> {
    let mut frames = Frames::new()?;
    let (mut tokens, mut rounds) = (Vec::new(), Vec::new());
    for vms in (1..=6).map(|exponent| 10_u32.pow(exponent)) {
        if vms > most {
            break;
        }
        progress.step(&format!("the token of {vms} VMs"))?;
        let bytes = frames.token(vms)?;
        tokens.push((vms, bytes));
        let of = |per_server| {
            let round = Round {
                handovers: handovers(vms.div_ceil(per_server)),
                requests: 0,
                responses: 0,
            };
            round.bytes(&frames, bytes)
        };
        rounds.push((vms, [of(1), of(VMS_PER_SERVER)]));
    }
    Ok(Wire {
        tokens,
        rounds,
        counted: counted::measure(runs, &mut frames, progress)?,
        frames,
    })
}

/// In a round, if the token comes to each server once; a single server keeps it.
fn handovers(servers: u32) -> u64 {
    if servers > 1 { servers.into() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_server_sends_nothing() {
        assert_eq!([1, 2, 7].map(handovers), [0, 2, 7]);
    }
}
