//! A bounded bidirectional flow table.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod mac;

pub use mac::{InvalidMac, MacAddr};
