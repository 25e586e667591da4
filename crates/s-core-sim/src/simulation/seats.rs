//! Which VM has which slot of the token.

use s_core_model::{Allocation, VmId, VmIndex};
use s_core_token::Token;

/// The VMs' dense indices and their slots' positions, each found from the other without a search.
///
/// Policies change the order of slots at the beginning of a round only.
#[derive(Debug)]
pub(super) enum Seats {
    /// All VMs ascend: the position is the index.
    Ascending,
    Listed {
        vms: Vec<VmIndex>,
        positions: Vec<u32>,
    },
}

impl Seats {
    pub(super) fn new(token: &Token, allocation: &Allocation) -> Self {
        if token.is_ascending() {
            return Self::Ascending;
        }
        let index = |id: &VmId| {
            allocation
                .vm_index(*id)
                .expect("the token was made of these VMs")
        };
        let vms: Vec<_> = token.ids().iter().map(index).collect();
        let mut positions = vec![0; vms.len()];
        for (position, vm) in (0..).zip(&vms) {
            positions[vm.usize()] = position;
        }
        Self::Listed { vms, positions }
    }

    pub(super) fn vm_at(&self, position: usize) -> VmIndex {
        match self {
            Self::Ascending => {
                VmIndex::new(u32::try_from(position).expect("there are fewer VMs than ids"))
            }
            Self::Listed { vms, .. } => vms[position],
        }
    }

    pub(super) fn position_of(&self, vm: VmIndex) -> usize {
        match self {
            Self::Ascending => vm.usize(),
            Self::Listed { positions, .. } => positions[vm.usize()] as usize,
        }
    }
}
