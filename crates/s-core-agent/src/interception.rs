//! The thread that keeps the interception in step with the VMs that run here (thesis 4.2.3).

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use s_core_backend::interception::{Interception, InterceptionError, InterceptionState};
use s_core_model::VmId;

use crate::status::InterceptionStatus;

/// How long the rules may take to be read and changed, or to be removed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// What the thread and the main thread share.
#[derive(Debug, Default)]
struct Shared {
    vms: BTreeSet<VmId>,
    status: InterceptionStatus,
}

/// The thread's work.
#[derive(Debug)]
pub(crate) struct Interceptor {
    interception: Arc<dyn Interception>,
    shared: Arc<Mutex<Shared>>,
    told: Receiver<()>,
    /// How often to look whether the rules are still there.
    interval: Duration,
    /// The VMs of the last time that succeeded.
    kept: Option<BTreeSet<VmId>>,
    /// Whether the last time failed, or found something that somebody else had changed: said once.
    failing: bool,
    disturbed: bool,
}

/// The main thread's end; the rules are removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Intercepted {
    shared: Arc<Mutex<Shared>>,
    tell: SyncSender<()>,
}

/// A thread that is yet to run, and what tells it which VMs run here.
pub(crate) fn interceptor(
    interception: Arc<dyn Interception>,
    interval: Duration,
) -> (Interceptor, Intercepted) {
    let (tell, told) = sync_channel(1);
    let shared = Arc::default();
    let interceptor = Interceptor {
        interception,
        shared: Arc::clone(&shared),
        told,
        interval,
        kept: None,
        failing: false,
        disturbed: false,
    };
    (interceptor, Intercepted { shared, tell })
}

impl Intercepted {
    /// These VMs run here now.
    pub(crate) fn follow(&self, vms: BTreeSet<VmId>) {
        lock(&self.shared).vms = vms;
        // One that waits already will see them.
        let _ = self.tell.try_send(());
    }

    pub(crate) fn status(&self) -> InterceptionStatus {
        lock(&self.shared).status
    }
}

impl Interceptor {
    /// Keeps the rules until the other end is dropped, then removes them. First of all goes what a process before this
    /// one has left for VMs that may be elsewhere by now.
    pub(crate) fn run(mut self) {
        loop {
            self.keep();
            match self.told.recv_timeout(self.interval) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = self.interception.remove(DEADLINE) {
            tracing::error!(%error, "the interception's rules could not be removed; `dom0-agent clean` does it");
        }
    }

    fn keep(&mut self) {
        let vms = lock(&self.shared).vms.clone();
        let result = self.interception.keep(&vms, DEADLINE);
        let mut shared = lock(&self.shared);
        shared.status.in_place = result.is_ok();
        if let Ok(state) = &result {
            shared.status.intercepted = state.intercepted;
            shared.status.dropped = state.dropped;
        }
        drop(shared);
        match result {
            Ok(state) => self.succeeded(vms, state),
            Err(error) => self.failed(&error),
        }
    }

    fn succeeded(&mut self, vms: BTreeSet<VmId>, state: InterceptionState) {
        let InterceptionState {
            missing, unwanted, ..
        } = state;
        if self.failing {
            tracing::info!("the interception's rules are in place");
        }
        match &self.kept {
            None if unwanted > 0 => {
                tracing::info!(
                    unwanted,
                    "removed rules of an interception before this agent"
                );
            }
            Some(kept) if *kept == vms && !self.failing => {
                if !state.is_in_place() && !self.disturbed {
                    tracing::warn!(
                        missing,
                        unwanted,
                        "the interception's rules were not as they should be, and were set again; ports of the bridge have changed, or somebody else changes the rules"
                    );
                }
                self.disturbed = !state.is_in_place();
            }
            _ => {}
        }
        self.failing = false;
        self.kept = Some(vms);
    }

    fn failed(&mut self, error: &InterceptionError) {
        if self.failing {
            tracing::debug!(%error, "the interception's rules cannot be kept");
        } else {
            tracing::error!(%error, "the interception's rules cannot be kept; this is tried again");
        }
        self.failing = true;
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    // What is in it is whole at any time.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
