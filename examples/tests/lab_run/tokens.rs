//! What is heard of tokens, and whether one is left.

use std::collections::BTreeMap;

use s_core_model::{ServerId, VmId};

/// The epoch of a token.
pub(crate) type Epoch = (u64, ServerId);

/// Follows one token for some rounds, and finds another beside it.
#[derive(Debug)]
pub(crate) struct OneToken {
    /// How many VMs it goes round.
    vms: usize,
    epoch: Epoch,
    /// How many times each of them has held it.
    held: BTreeMap<VmId, u32>,
}

impl OneToken {
    /// Of this epoch, which has been everywhere.
    pub(crate) fn new(vms: usize, epoch: Epoch) -> Self {
        let held = BTreeMap::new();
        Self { vms, epoch, held }
    }

    /// A VM holds a token; whether all VMs have held the one token twice now. A token that went on in a new epoch, as one
    /// does that was sent in vain, is followed from there: then an older one may not be held any more.
    ///
    /// # Errors
    ///
    /// An older token is held beside it.
    pub(crate) fn hold(&mut self, vm: VmId, epoch: Epoch) -> Result<bool, String> {
        if epoch < self.epoch {
            let newest = self.epoch;
            return Err(format!("{vm} holds a token of {epoch:?} beside {newest:?}"));
        }
        if epoch > self.epoch {
            *self = Self::new(self.vms, epoch);
        }
        *self.held.entry(vm).or_default() += 1;
        Ok(self.held.len() == self.vms && self.held.values().all(|times| *times >= 2))
    }
}

#[test]
fn a_second_token_is_found() {
    let server = ServerId::new(1);
    // Epochs by which VMs 1 and 2 hold tokens in turn; whether both have held one twice, or at which place a second shows.
    let check = |epochs: &[u64], wanted: Result<bool, usize>| {
        let mut one = OneToken::new(2, (3, server));
        let mut done = Ok(false);
        for (place, epoch) in epochs.iter().enumerate() {
            let vm = VmId::new(1 + place as u32 % 2);
            done = one.hold(vm, (*epoch, server)).map_err(|_| place);
            if done != Ok(false) {
                break;
            }
        }
        assert_eq!(done, wanted, "{epochs:?}");
    };
    check(&[3, 3, 3, 3], Ok(true));
    check(&[3, 3, 3], Ok(false));
    check(&[3, 3, 2, 3], Err(2));
    check(&[3, 4, 4, 4, 4], Ok(true));
    check(&[3, 4, 4, 4], Ok(false));
    check(&[3, 4, 3, 4], Err(2));
}
