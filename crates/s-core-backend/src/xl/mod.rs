//! Xen through the `xl` program (thesis 4.2.4, where it was `xm`).
//!
//! [`Xl`] runs `xl` and implements [`Hypervisor`](crate::Hypervisor). What `xl` prints is read by pure
//! functions, which are of use without a Xen host too: [`parse_list`], [`parse_list_long`],
//! [`parse_info`], [`parse_cpu`], [`parse_network_list`]; and [`parse_xm_list_long`] for the thesis's `xm`, whose other tables are alike. How a migration ended is told by [`classify`].
//!
//! ```
//! use s_core_backend::xl::{DomainState, parse_list};
//!
//! let listed = parse_list(
//!     "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
//!      Domain-0                                     0   400     1     r-----     283.2\n\
//!      vm5                                          2    80     1     -b----      69.0\n",
//! )?;
//! assert_eq!((listed[1].domid, listed[1].name.as_str()), (2, "vm5"));
//! assert_eq!(listed[1].state, DomainState::Runnable);
//! # Ok::<(), s_core_backend::xl::ParseError>(())
//! ```
//!
//! # Names
//!
//! While a domain migrates, `xl` calls it `NAME--incoming` on the target, where it is paused, and once
//! the target may start it, `NAME--migratedaway` on the source, where it is suspended. A domain with
//! such a name is never reported as one that runs here, nor is one that is suspended under its own name; they take up room
//! nevertheless. The former are reported as [arriving](crate::Hypervisor::arriving), all as [leftovers](crate::Hypervisor::leftovers).

mod config;
mod cpu;
mod driver;
mod error;
mod info;
mod left_out;
mod list;
mod list_long;
mod network_list;
mod outcome;
mod receive;
mod sxp;
mod xm;

pub use crate::command::{Exit, MAX_OUTPUT};
pub use config::{Dialect, InvalidXlConfig, MigrationTransport, XlConfig};
pub use cpu::parse_cpu;
pub use driver::Xl;
pub use error::ParseError;
pub use info::{HostInfo, parse_info};
pub use list::{DomainState, ListedDomain, parse_list};
pub use list_long::{DomainConfig, parse_list_long};
pub use network_list::{NetworkInterface, parse_network_list};
pub use outcome::classify;
pub use receive::{ReceiveError, receive};
pub use xm::parse_xm_list_long;
