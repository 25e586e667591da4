//! From what `xl migrate` wrote to what became of the domain.
//!
//! The sender's part of a migration, by the lines that it writes:
//!
//! 1. It starts the transport (ssh) and waits for the receiver's banner. Until then nothing has begun.
//! 2. It copies memory while the guest runs, suspends the guest and copies the rest. If this fails:
//!    `Migration failed, resuming at sender.` If `xl` is killed while the guest is suspended, nobody resumes it: it stays
//!    here, suspended under its own name, and runs nowhere.
//! 3. It renames the domain to `NAME--migratedaway` and then writes `migration sender: Giving target
//!    permission to start.` From here on the guest may run on the target.
//! 4. It waits for the target's report. `migration sender: Target reports successful startup.`: the
//!    guest runs there, and what is left here is destroyed, then `Migration successful.` Or the target
//!    reports failure and hands the permission back: `Migration failed due to problems at target.`
//!    Or no report comes: `Migration failed during final handshake`.

use super::error::shortened;
use super::list::ListedDomain;
use crate::MigrationOutcome;
use crate::command::Exit;

/// Tells from the exit of `xl migrate` and its standard error what became of the domain.
///
/// - `Moved` if the target reported that it started the guest.
/// - `StayedHere` if `xl` says that it failed at a stage at which the target may not have started the guest.
/// - `Unknown` for everything else. This includes exit code 0 without the line that tells of success:
///   `xl migrate` does not end like this, so whatever did is not understood. It includes the end by a signal and at
///   the deadline, too. Where the domain is then seen at home on this host, it is `StayedHere` after all.
///
/// The reason is the first line that names an error, which is the cause; errors that follow from it come later.
pub fn classify(exit: Exit, stderr: &str) -> MigrationOutcome {
    let says = |what: &str| lines(stderr).any(|line| line.contains(what));
    if says("Migration failed during final handshake") || says("Domain state is now undefined") {
        return MigrationOutcome::Unknown(reason(exit, stderr));
    }
    if says("migration sender: Target reports successful startup")
        || (exit == Exit::Code(0) && says("Migration successful."))
    {
        return MigrationOutcome::Moved;
    }
    let stayed = if says("migration sender: Giving target permission to start") {
        says("Migration failed due to problems at target") && says("migration sender: Resumed OK")
    } else {
        NOT_GIVEN_AWAY.iter().any(|what| says(what))
    };
    match exit {
        Exit::Code(code) if code != 0 && stayed => {
            MigrationOutcome::StayedHere(reason(exit, stderr))
        }
        Exit::Code(_) | Exit::Signal(_) | Exit::DeadlineExceeded => {
            MigrationOutcome::Unknown(reason(exit, stderr))
        }
    }
}

/// What `xl` says when it gives up before the target may start the guest.
const NOT_GIVEN_AWAY: [&str; 6] = [
    "Migration failed, resuming at sender.",
    "Migration failed, failed to suspend at sender.",
    "reading banner from migration receiver stream",
    "is an invalid domain identifier",
    "No config file stored for running domain",
    "unable to retrieve domain configuration",
];

/// What a look at this host showed after a migration.
#[derive(Debug)]
pub(super) enum Sighting {
    /// The domain with the UUID, as it is listed now.
    Listed(ListedDomain),
    /// No such domain is listed.
    Absent,
    /// The look failed.
    Failed(String),
}

impl Sighting {
    /// In words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Listed(domain) => {
                format!("here it is listed as {:?}, {:?}", domain.name, domain.state)
            }
            Self::Absent => "here it is not listed any more".to_owned(),
            Self::Failed(error) => format!("could not look here: {error}"),
        }
    }
}

/// Corrects what `xl` said by what is seen here.
pub(super) fn settle(said: MigrationOutcome, seen: &Sighting) -> MigrationOutcome {
    use MigrationOutcome::{Moved, StayedHere, Unknown};
    match (said, seen) {
        (Moved, _) => Moved,
        (StayedHere(why) | Unknown(why), Sighting::Listed(domain)) if domain.is_at_home() => {
            StayedHere(why)
        }
        (StayedHere(why), Sighting::Failed(_)) => StayedHere(why),
        (StayedHere(why) | Unknown(why), _) => Unknown(format!("{why}; {}", seen.told())),
    }
}

/// The first line that names an error, else the last line; and how the program ended where that is not plain failure.
pub(super) fn reason(exit: Exit, stderr: &str) -> String {
    const SIGNS: [&str; 9] = [
        "error",
        "failed",
        "denied",
        "refused",
        "invalid",
        "timed out",
        "no route",
        "not found",
        "closed by",
    ];
    let names_an_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        SIGNS.iter().any(|sign| line.contains(sign))
    };
    let telling = lines(stderr)
        .find(names_an_error)
        .or_else(|| lines(stderr).last())
        .map_or_else(|| "nothing on standard error".to_owned(), shortened);
    match exit {
        Exit::Code(1) => telling,
        Exit::Code(_) | Exit::Signal(_) | Exit::DeadlineExceeded => format!("{exit}: {telling}"),
    }
}

/// The lines that are not blank; ssh ends its own with a carriage return, and progress is told with one.
fn lines(stderr: &str) -> impl Iterator<Item = &str> {
    stderr
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xl::DomainState;

    fn listed(name: &str, state: DomainState) -> Sighting {
        Sighting::Listed(ListedDomain {
            name: name.to_owned(),
            domid: 4,
            memory_mib: 80,
            vcpus: 1,
            state,
            cpu_seconds: 81.3,
            uuid: None,
        })
    }

    #[test]
    fn what_is_seen_here_corrects_what_xl_said() {
        use DomainState::{Dying, Paused, Runnable, ShutDown, Suspended};
        use MigrationOutcome::{Moved, StayedHere, Unknown};
        type Said = fn(String) -> MigrationOutcome;
        let moved: Said = |_| Moved;
        let check = |said: Said, seen: Sighting, expected: Said| {
            let outcome = settle(said("why".to_owned()), &seen);
            let wanted = std::mem::discriminant(&expected(String::new()));
            assert_eq!(
                std::mem::discriminant(&outcome),
                wanted,
                "{seen:?}: {outcome:?}"
            );
        };
        // What is left of a domain that moved may be listed for a while.
        check(moved, listed("vm1--migratedaway", Suspended), moved);
        check(moved, Sighting::Absent, moved);

        check(Unknown, listed("vm1", Runnable), StayedHere);
        check(Unknown, listed("vm1", Paused), StayedHere);
        check(Unknown, listed("vm1", ShutDown), Unknown);
        check(Unknown, listed("vm1", Suspended), Unknown);
        check(Unknown, listed("vm1--migratedaway", Suspended), Unknown);
        check(Unknown, listed("vm1--incoming", Paused), Unknown);
        check(Unknown, listed("(null)", Dying), Unknown);
        check(Unknown, Sighting::Absent, Unknown);
        check(Unknown, Sighting::Failed(String::new()), Unknown);

        check(StayedHere, listed("vm1", Runnable), StayedHere);
        check(StayedHere, Sighting::Failed(String::new()), StayedHere);
        // `xl` could not resume it, or it has gone meanwhile.
        check(StayedHere, listed("vm1", Suspended), Unknown);
        check(StayedHere, Sighting::Absent, Unknown);
    }
}
