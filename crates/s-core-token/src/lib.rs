//! The S-CORE token: its wire format with checked zero-copy views, and the policies that say which
//! virtual machine may decide next (thesis 4.1, Fig. 4.1, Algorithm 1).
//!
//! ```
//! use s_core_model::{Level, ServerId, VmId};
//! use s_core_token::{Limits, Mark, PolicyKind, Token, TokenView};
//!
//! let policy = PolicyKind::Distributed.build();
//! let vms = [VmId::new(0x0a00_0001), VmId::new(0x0a00_0002), VmId::new(0x0a00_0003)];
//! let origin: ServerId = "192.168.0.1".parse()?;
//! let mark = Mark::default().new_epoch(origin).ok_or("no epoch is left")?;
//! let mut token = Token::new(&vms, policy.as_ref(), mark, Limits::default())?;
//!
//! // The holder, 10.0.0.1, talks to 10.0.0.3 over the core: it writes its own level, raises its
//! // peer's, and hands the token to the next VM by Algorithm 1.
//! token.set_own_level(Level::new(3));
//! let peer = token.position_of(vms[2]).ok_or("the VM has no slot")?;
//! token.raise_level(peer, Level::new(3));
//! let step = token.pass(policy.as_ref(), false);
//! assert_eq!((step.id, step.new_round), (vms[1], false));
//!
//! // On the wire, and at the other side.
//! let frame = token.encode();
//! let view = TokenView::new_checked(frame, Limits::default())?;
//! assert_eq!(view.holder_id(), vms[1]);
//! assert_eq!(Token::decode(&view), token);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The types to know:
//!
//! - [`Token`]: the slots of all VMs, who holds it, and what a holder may do to it.
//! - [`TokenView`]: a received frame, checked once, read and patched in place and forwarded;
//!   [`wire`] shows the frame byte by byte.
//! - [`PassingPolicy`] and its four implementations, chosen by [`PolicyKind`]; users write their own.
//! - [`Mark`]: the fencing number that tells a live token from a stale one.
//!
//! # Rounds and waiting
//!
//! Within a round [`Distributed`] visits VMs in the order (level falling, id rising), and continues
//! from the level at which the holder was *visited*, before its own update. Others only raise a
//! VM's level, so a VM that is passed over in a round was raised in that round, from the part of the
//! order that was still to come into the part that was done. It is the next round that sees it,
//! unless it is raised past the cursor once more, which needs a still higher level: a VM
//! that can rise by *k* levels waits at most *k* + 1 rounds. With the two levels 0 and 1 these are
//! two rounds. The same holds for [`LoadAware`].
//!
//! A round in which a level was raised can therefore not prove that nobody wants to migrate. Such a
//! round does not count as quiet: see [`Token::quiet_rounds`].
//!
//! # What this crate does not do
//!
//! It sends nothing, authenticates nothing (the frame travels inside an authenticated message of
//! `s-core-proto`), decides no migration, and never changes a mark by itself. It knows no clock, no
//! socket and no randomness.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
mod mark;
mod policy;
mod statistic;
mod token;
pub mod wire;

pub use error::{PolicyError, PositionError, SlotsError, TokenError};
pub use mark::{Epoch, Mark};
pub use policy::{
    Distributed, Global, LoadAware, PassingPolicy, PolicyKind, RoundRobin, VisitReport,
};
pub use statistic::Statistic;
pub use token::{Step, Token, Visit, VisitOrder};
pub use wire::{Limits, Slot, SlotKind, TokenView};

/// Runs the README's example with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
