//! Doing runs on several threads.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use super::directory::{RunState, SweepDir};
use super::execute::execute;
use super::{DataCentreSpec, RunReport, RunSpec, SweepError};
use crate::Watch;
use crate::snapshot::Snapshot;

/// Who looks on while runs are done, and may stop them. `()` is nobody.
pub trait SweepWatch: Sync {
    /// So many runs are to be done; the others are there already.
    fn planned(&self, runs: usize);

    /// A run begins.
    fn begun(&self, id: &str);

    /// About how much of a run is done, from 0 to 1. Not every method says so.
    fn progress(&self, id: &str, done: f64);

    /// A run has ended.
    fn ended(&self, id: &str, end: &Ended);

    /// Whether to end now: runs that have begun are stopped and kept as partial, no other begins.
    fn is_stopped(&self) -> bool;
}

impl SweepWatch for () {
    fn planned(&self, _: usize) {}

    fn begun(&self, _: &str) {}

    fn progress(&self, _: &str, _: f64) {}

    fn ended(&self, _: &str, _: &Ended) {}

    fn is_stopped(&self) -> bool {
        false
    }
}

/// How a run ended here.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It was done, to its end or, if its report is not complete, until it was stopped.
    Done(Box<RunReport>),
    /// Another process has done it meanwhile, or is doing it.
    Elsewhere {
        /// Whether it has been done.
        done: bool,
    },
    /// It is not possible.
    Failed(String),
}

/// What became of the runs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tally {
    /// They had been done before, or were by another process meanwhile.
    pub already: usize,
    /// They were done, each to its end.
    pub done: usize,
    /// They were stopped on the way and will be done again.
    pub partial: usize,
    /// Another process is doing them.
    pub elsewhere: usize,
    /// They are not possible.
    pub failed: Vec<FailedRun>,
    /// They have not begun.
    pub left: usize,
}

/// A run that is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRun {
    /// Its name.
    pub id: String,
    /// What is wrong.
    pub error: String,
}

/// Does those runs that are not done yet, several at a time, and writes a directory for each. The genetic algorithm has the cores that are left over for each
/// of them.
///
/// Runs of the same data centre that follow each other share it. At most `jobs` data centres are in memory.
///
/// # Errors
///
/// [`SweepError`] before the first run if a run's directory holds something else, and later if a
/// directory cannot be written: no other run begins then.
pub fn run_all(
    runs: impl IntoIterator<Item = RunSpec>,
    dir: &SweepDir,
    jobs: NonZeroUsize,
    watch: &dyn SweepWatch,
) -> Result<Tally, SweepError> {
    let mut state = State::default();
    let mut planned = 0;
    for run in runs {
        if let RunState::Complete(_) = dir.state(&run)? {
            state.tally.already += 1;
            continue;
        }
        planned += 1;
        match state.waiting.back_mut() {
            Some(group) if group.data_centre == run.data_centre => group.runs.push_back(run),
            _ => state.waiting.push_back(Group {
                data_centre: run.data_centre.clone(),
                runs: [run].into(),
            }),
        }
    }
    watch.planned(planned);
    let jobs = jobs.get().min(planned);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pool = Pool {
        threads: NonZeroUsize::new(cores / jobs.max(1)).unwrap_or(NonZeroUsize::MIN),
        dir,
        watch,
        state: Mutex::new(state),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| pool.work());
        }
    });
    let mut state = pool.state.into_inner().expect(UNPOISONED);
    let waiting = state.waiting.iter().map(|group| group.runs.len());
    let ready = state.ready.iter().map(|ready| ready.runs.len());
    state.tally.left = waiting.chain(ready).sum();
    match state.error {
        Some(error) => Err(error),
        None => Ok(state.tally),
    }
}

impl Tally {
    fn count(&mut self, id: String, end: Ended) {
        match end {
            Ended::Done(report) if report.complete => self.done += 1,
            Ended::Done(_) => self.partial += 1,
            Ended::Elsewhere { done: true } => self.already += 1,
            Ended::Elsewhere { done: false } => self.elsewhere += 1,
            Ended::Failed(error) => self.failed.push(FailedRun { id, error }),
        }
    }
}

/// Runs of the same data centre.
struct Group {
    data_centre: DataCentreSpec,
    runs: VecDeque<RunSpec>,
}

/// Runs whose data centre is in memory.
struct Ready {
    snapshot: Arc<Snapshot>,
    runs: VecDeque<RunSpec>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Group>,
    ready: Vec<Ready>,
    /// How many data centres are being made up.
    generating: usize,
    tally: Tally,
    error: Option<SweepError>,
}

const UNPOISONED: &str = "no thread panics while it has the state";

/// What the threads share.
struct Pool<'a> {
    /// How many threads a run may have.
    threads: NonZeroUsize,
    dir: &'a SweepDir,
    watch: &'a dyn SweepWatch,
    state: Mutex<State>,
    /// Told when a data centre has been made up.
    changed: Condvar,
}

enum Task {
    Run(RunSpec, Arc<Snapshot>),
    Generate(Group),
}

impl Pool<'_> {
    fn work(&self) {
        while let Some(task) = self.next() {
            match task {
                Task::Run(run, snapshot) => self.run(&run, &snapshot),
                Task::Generate(group) => self.generate(group),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    /// A run whose data centre is there, else a data centre to be made up. As nothing is made up while a run
    /// is ready, every data centre in memory but one's own has another thread that works on it.
    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        loop {
            if state.error.is_some() || self.watch.is_stopped() {
                return None;
            }
            if let Some(mut ready) = state.ready.pop() {
                let run = ready.runs.pop_front();
                let snapshot = Arc::clone(&ready.snapshot);
                if !ready.runs.is_empty() {
                    state.ready.push(ready);
                }
                if let Some(run) = run {
                    return Some(Task::Run(run, snapshot));
                }
            }
            if let Some(group) = state.waiting.pop_front() {
                state.generating += 1;
                return Some(Task::Generate(group));
            }
            if state.generating == 0 {
                return None;
            }
            state = self.changed.wait(state).expect(UNPOISONED);
        }
    }

    fn generate(&self, mut group: Group) {
        let _generating = Generating(self);
        // Other processes may have been at it.
        let mut open = VecDeque::new();
        for run in group.runs.drain(..) {
            match self.dir.state(&run) {
                Ok(RunState::Complete(_)) => self.end(&run, Ended::Elsewhere { done: true }),
                Ok(_) => open.push_back(run),
                Err(error) => return self.fail(error),
            }
        }
        if open.is_empty() {
            return;
        }
        match group.data_centre.to_data_centre().generate() {
            Ok(snapshot) => self.state().ready.push(Ready {
                snapshot: Arc::new(snapshot),
                runs: open,
            }),
            Err(error) => {
                for run in open {
                    self.end(&run, Ended::Failed(error.to_string()));
                }
            }
        }
    }

    fn run(&self, run: &RunSpec, snapshot: &Snapshot) {
        match self.try_run(run, snapshot) {
            Ok(end) => self.end(run, end),
            Err(error) => self.fail(error),
        }
    }

    fn try_run(&self, run: &RunSpec, snapshot: &Snapshot) -> Result<Ended, SweepError> {
        let Some(claim) = self.dir.claim(run)? else {
            return Ok(Ended::Elsewhere { done: false });
        };
        if let RunState::Complete(_) = self.dir.state(run)? {
            return Ok(Ended::Elsewhere { done: true });
        }
        let id = run.id();
        self.watch.begun(&id);
        let watch = RunWatch {
            watch: self.watch,
            id: &id,
        };
        match execute(run, snapshot, self.threads, &watch) {
            Ok(executed) => {
                claim.publish(&executed)?;
                Ok(Ended::Done(executed.report.into()))
            }
            Err(error) => Ok(Ended::Failed(error.to_string())),
        }
    }

    fn end(&self, run: &RunSpec, end: Ended) {
        let id = run.id();
        self.watch.ended(&id, &end);
        self.state().tally.count(id, end);
    }

    /// Lets no other run begin.
    fn fail(&self, error: SweepError) {
        self.state().error.get_or_insert(error);
    }
}

/// That a data centre is being made up, until this is dropped, also by a panic: others wait for it.
struct Generating<'a>(&'a Pool<'a>);

impl Drop for Generating<'_> {
    fn drop(&mut self) {
        self.0.state().generating -= 1;
        self.0.changed.notify_all();
    }
}

struct RunWatch<'a> {
    watch: &'a dyn SweepWatch,
    id: &'a str,
}

impl Watch for RunWatch<'_> {
    fn progress(&self, done: f64, _: f64) {
        self.watch.progress(self.id, done);
    }

    fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }
}
