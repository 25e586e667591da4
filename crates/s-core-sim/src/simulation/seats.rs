//! Which VM has which slot of the token.

use s_core_model::VmIndex;
use s_core_token::Token;

/// The VM of each position, found without a search. The other way round is [`Token::position_of_rank`]: token and
/// allocation both number their VMs by rising id.
///
/// Policies change the order of slots at the beginning of a round only.
#[derive(Debug)]
pub(super) enum Seats {
    /// All VMs ascend: the position is the index.
    Ascending,
    Listed(Vec<VmIndex>),
}

impl Seats {
    pub(super) fn new(token: &Token) -> Self {
        if token.is_ascending() {
            return Self::Ascending;
        }
        let mut vms = vec![VmIndex::new(0); token.len()];
        for (rank, vm) in (0..token.len()).zip((0..).map(VmIndex::new)) {
            vms[token.position_of_rank(rank)] = vm;
        }
        Self::Listed(vms)
    }

    pub(super) fn vm_at(&self, position: usize) -> VmIndex {
        match self {
            Self::Ascending => {
                VmIndex::new(u32::try_from(position).expect("there are fewer VMs than ids"))
            }
            Self::Listed(vms) => vms[position],
        }
    }
}
