//! The S-CORE cost model.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod ids;
mod level;
mod rate;

pub use ids::{ServerId, ServerIndex, VmId, VmIndex};
pub use level::{Level, Levels};
pub use rate::{InvalidRate, Rate};
