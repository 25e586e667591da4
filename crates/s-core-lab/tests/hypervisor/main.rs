//! Live migration between real switches in network namespaces. All of it needs root and Open vSwitch.

mod kills;
mod lab;
mod outcomes;
mod running;
