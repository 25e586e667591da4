//! Faults made on purpose while agents migrate a VM, and whether what must hold afterwards does.

mod hold;
mod judge;
mod observe;
mod play;
mod scenario;
mod stage;

use std::time::{Duration, Instant};

use s_core_lab::run::{RunError, RunLock};
use s_core_lab::{LabError, LabName};

pub use judge::Broken;
pub use scenario::{Fault, UnknownFault};

use crate::ssh::Remote;
use stage::Stage;

/// Is told what happens while it happens, and may end it.
pub trait FaultWatcher {
    /// Something is done, or was seen.
    fn step(&mut self, what: &str) {
        let _ = what;
    }

    /// A fault was seen to its end; also told if the testbed cannot be mended then.
    fn ended(&mut self, outcome: FaultOutcome);

    /// Whether no more is to be done but to mend what was broken.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// What came of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOutcome {
    /// Which.
    pub fault: Fault,
    /// What was seen, in words.
    pub seen: String,
    /// How long after the fault, or after its mending where it is mended, the token had come to every host with VMs.
    pub token: Option<Duration>,
    /// How long it may take.
    pub bound: Duration,
    /// How long all of it took.
    pub took: Duration,
    /// What does not hold; nothing if all does.
    pub broken: Vec<Broken>,
}

/// Why a fault is not seen to its end.
#[derive(Debug)]
enum Halt {
    Interrupted,
    Failed(RunError),
}

impl From<LabError> for Halt {
    fn from(error: LabError) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes these faults one after the other on the testbed of this name, each while agents migrate a VM.
///
/// For each, VMs are put where [`up`](crate::up()) had them (created anew where they are not), two on different hosts exchange
/// traffic, agents start, and the fault is made when one of them migrates its VM. What must hold is judged until it does, or the
/// time for it is over. In the end everything is mended, agents have ended, and VMs are where they were.
///
/// The watcher hears of each outcome; a fault that could not be made has [`Broken::NotMade`]. If the watcher stops it, the fault
/// that is under way has no outcome.
///
/// # Errors
///
/// [`RunError`] if there is no such testbed, it has a single host or hosts without VMs, another process has its VMs send, or it
/// could not be mended.
pub fn make_faults(
    name: &LabName,
    faults: &[Fault],
    watcher: &mut dyn FaultWatcher,
) -> Result<(), RunError> {
    let remote = Remote::of(name)?;
    let _lock = RunLock::take(remote.plan().layout())?;
    for fault in faults {
        let mut stage = Stage::new(&remote, *fault, watcher)?;
        let began = Instant::now();
        let played = play::play(&mut stage, *fault);
        stage.step("mending");
        let mended = stage.tidy();
        let outcome = match played {
            Ok(outcome) => outcome,
            Err(Halt::Interrupted) => {
                mended?;
                break;
            }
            Err(Halt::Failed(error)) => FaultOutcome {
                fault: *fault,
                seen: String::new(),
                token: None,
                bound: scenario::token_bound(remote.plan().layout(), &fault.agents()),
                took: began.elapsed(),
                broken: vec![Broken::NotMade(error.to_string())],
            },
        };
        drop(stage);
        watcher.ended(outcome);
        mended?;
    }
    Ok(())
}
