//! What an agent tells whoever watches it.

use std::fmt;
use std::sync::Arc;

use s_core_model::{ServerId, VmId};
use s_core_proto::Report;
use s_core_token::Mark;

/// Something that happened in an agent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// What the node reports.
    Node(Report),
    /// A migration ended otherwise than with the VM on its target; what the hypervisor said.
    NotMoved {
        /// The VM.
        vm: VmId,
        /// Where it should have gone.
        target: ServerId,
        /// Why not, or what is not known.
        why: String,
    },
    /// A mark could not be made durable: nothing is done under it.
    MarkNotStored {
        /// The mark.
        mark: Mark,
        /// What the system said.
        why: String,
    },
}

/// Is told every event of an agent, in order, on the agent's main thread: it must return at once.
#[derive(Clone)]
pub struct Observer(Arc<Observe>);

type Observe = dyn Fn(ServerId, &Event) + Send + Sync;

impl Observer {
    /// An observer that calls this with the agent's server and the event.
    pub fn new(observe: impl Fn(ServerId, &Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(crate) fn tell(&self, server: ServerId, event: &Event) {
        (self.0)(server, event);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
