//! The guests that `xl list -l` passes over.

use std::collections::BTreeMap;

use super::{DomainState, ListedDomain};
use crate::Uuid;

/// The running guests that `xl list -l` left out when it was last asked, and whether that was said.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<Uuid, bool>);

impl LeftOut {
    /// Which of the guests that were left out now are to be told of: each once, when it was left out before too.
    ///
    /// One that is being built is paused, and left out until it is complete. One that has just begun to run, or has gone on,
    /// may have been seen by one of two lists.
    pub(super) fn note<'a>(&mut self, guests: &[&'a ListedDomain]) -> Vec<&'a ListedDomain> {
        let before = std::mem::take(&mut self.0);
        let mut told = Vec::new();
        for guest in guests {
            let Some(uuid) = guest.uuid else { continue };
            if guest.state != DomainState::Runnable {
                continue;
            }
            let said = before.get(&uuid);
            if said == Some(&false) {
                told.push(*guest);
            }
            self.0.insert(uuid, said.is_some());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_guest_that_is_left_out_again_is_told_of_once() {
        let guest = |state| ListedDomain {
            name: "vm1".to_owned(),
            domid: 4,
            memory_mib: 80,
            vcpus: 1,
            state,
            cpu_seconds: 81.3,
            uuid: Some(Uuid::new([1; 16])),
        };
        let (paused, runs) = (guest(DomainState::Paused), guest(DomainState::Runnable));
        let check = |listings: &[Option<&ListedDomain>], expected: &[bool]| {
            let mut left_out = LeftOut::default();
            let told = listings
                .iter()
                .map(|guest| !left_out.note(guest.as_slice()).is_empty());
            assert!(told.eq(expected.iter().copied()), "{listings:?}");
        };
        check(&[Some(&paused); 3], &[false; 3]);
        check(&[Some(&runs); 4], &[false, true, false, false]);
        check(&[Some(&paused), Some(&runs), None], &[false; 3]);
        check(
            &[Some(&runs), None, Some(&runs), Some(&runs)],
            &[false, false, false, true],
        );
    }
}
