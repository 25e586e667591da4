//! The switch of one emulated server.

use std::time::Duration;

use s_core_model::ServerId;

use super::DataCentre;
use crate::{FlowSource, FlowSourceError, Poll};

/// The [`FlowSource`] of one server of a [`DataCentre`].
///
/// For each pair of VMs that has an end on the server and has talked, it shows two counters, one for each
/// direction, with half of the bytes each.
#[derive(Debug)]
pub struct EmulatedFlowSource {
    pub(super) data_centre: DataCentre,
    pub(super) server: ServerId,
}

impl FlowSource for EmulatedFlowSource {
    /// Never fails.
    fn poll(&mut self, _deadline: Duration) -> Result<Poll, FlowSourceError> {
        let shared = self.data_centre.shared();
        let mut state = self.data_centre.lock();
        let counters = state.poll(self.server, shared.seed, shared.clock.now());
        Ok(Poll {
            counters,
            ..Poll::default()
        })
    }
}
