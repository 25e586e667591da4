//! When nothing more is to be gained.

use s_core_proto::{Report, WhyStayed};

use crate::Event;

/// Rounds that must pass without a migration.
const QUIET_ROUNDS: u32 = 2;

/// Tells from agents' events when the cost has settled: two rounds in a row in which every VM was asked, knew
/// its rates and its peers, and did not migrate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settling {
    quiet: u32,
    /// Whether a decision of this round was made without knowing everything.
    disturbed: bool,
}

impl Settling {
    /// Takes note of the next event; says whether the cost has settled.
    pub fn is_settled_after(&mut self, event: &Event) -> bool {
        match event {
            Event::Node(Report::RoundEnded {
                migrations,
                quiet_rounds,
                ..
            }) => {
                self.end_round(*migrations, *quiet_rounds);
            }
            Event::Node(Report::Stayed { why, .. }) => {
                let knowing = matches!(
                    why,
                    WhyStayed::NoTraffic | WhyStayed::NoGain { .. } | WhyStayed::NoRoom { .. }
                );
                if !knowing {
                    self.disturb();
                }
            }
            Event::Node(
                Report::PeersNotFound { .. } | Report::Skipped { .. } | Report::Superseded { .. },
            )
            | Event::MarkNotStored { .. } => self.disturb(),
            Event::Node(_) | Event::NotMoved { .. } => {}
        }
        self.quiet >= QUIET_ROUNDS
    }

    /// A round has ended, with so many migrations, as the so many-th quiet one in a row as its token counts them; says
    /// whether the cost has settled. For events that come from another process.
    pub fn end_round(&mut self, migrations: u32, quiet_rounds: u16) -> bool {
        let quiet = migrations == 0 && quiet_rounds > 0 && !self.disturbed;
        self.quiet = if quiet { self.quiet + 1 } else { 0 };
        self.disturbed = false;
        self.quiet >= QUIET_ROUNDS
    }

    /// A decision of this round was made without knowing everything.
    pub fn disturb(&mut self) {
        self.disturbed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s_core_model::VmId;

    fn round(migrations: u32, quiet_rounds: u16) -> Event {
        Event::Node(Report::RoundEnded {
            round: 0,
            migrations,
            quiet_rounds,
        })
    }

    fn stayed(why: WhyStayed) -> Event {
        let vm = VmId::new(1);
        Event::Node(Report::Stayed { vm, why })
    }

    #[test]
    fn only_two_quiet_rounds_settle() {
        let check = |events: &[Event], wanted: &[bool]| {
            let mut settling = Settling::default();
            let said: Vec<_> = events
                .iter()
                .map(|e| settling.is_settled_after(e))
                .collect();
            assert_eq!(said, wanted, "{events:?}");
        };
        check(&[round(0, 1), round(0, 2)], &[false, true]);
        check(
            &[round(0, 1), round(1, 0), round(0, 1), round(0, 2)],
            &[false, false, false, true],
        );
        check(&[round(0, 0), round(0, 1)], &[false, false]);
        check(
            &[
                round(0, 1),
                stayed(WhyStayed::NotMeasured),
                round(0, 2),
                round(0, 3),
            ],
            &[false, false, false, false],
        );
        check(
            &[round(0, 1), stayed(WhyStayed::NoTraffic), round(0, 2)],
            &[false, false, true],
        );
    }
}
