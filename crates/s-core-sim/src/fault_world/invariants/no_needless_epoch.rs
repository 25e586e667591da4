//! R5: without faults nobody makes a new token: keep-alives and beacons do their work.
//!
//! It is judged from the moment when nothing moves any more until the loss at the end. A new epoch after a token was
//! sent to where its VM no longer was is none of these.

use s_core_proto::{Action, Report};

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct Quiet;

impl Invariant for Quiet {
    fn name(&self) -> &'static str {
        "R5"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Action {
            host,
            action: Action::Report(report),
        } = seen
        else {
            return Ok(());
        };
        let server = world.hosts[*host].id;
        let needless = matches!(
            report,
            Report::Recovered { .. } | Report::Minted { .. } | Report::Claiming { .. }
        );
        if needless && world.is_undisturbed() {
            return Err(format!("{server} says without need: {report:?}"));
        }
        Ok(())
    }
}
