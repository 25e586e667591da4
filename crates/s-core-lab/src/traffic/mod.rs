//! Traffic between the VMs of a laboratory, its true amount, and what the VMs feel of migrations.
//!
//! [`Traffic`] sends: one process for all VMs, a thread per VM in the VM's network. A [`PairTraffic`] says how much two VMs
//! exchange and in which [`Mix`] of large TCP flows, short ones and UDP, with the sizes of thesis 5.1.1 ([`FlowSizes`];
//! large flows are smaller by [`LARGE_FLOW_DIVISOR`]). Pairs come from a snapshot, or from communicating [`Groups`].
//!
//! [`Truth`] tells what was really sent: [`Payload`] is what programs gave to their kernels, [`Frames`] what
//! these kernels sent, headers, acknowledgements and retransmissions included. Flow sources are measured against the latter.
//!
//! [`Probes`] measure round-trip times and losses between VMs, [`Sampler`] what pairs send and receive over time.

mod connection;
mod counts;
mod endpoint;
mod error;
mod groups;
mod load;
mod mix;
mod pace;
mod probe;
mod receiver;
mod record;
mod run;
mod sizes;
mod source;
mod throughput;
mod truth;
mod wire;
mod worker;

pub use counts::Payload;
pub use endpoint::{Endpoint, Network};
pub use error::TrafficError;
pub use groups::Groups;
pub use mix::{Mix, PairTraffic};
pub use probe::{ECHO_PORT, Probe, ProbeSeries, ProbeSettings, Probes};
pub use record::{snapshot, write_probes, write_throughput};
pub use run::{TRAFFIC_PORT, Traffic, TrafficSettings};
pub use sizes::{FlowSizes, LARGE_FLOW_DIVISOR};
pub use throughput::{Sampler, Throughput, ThroughputSeries};
pub use truth::{Frames, Reading, Truth};
