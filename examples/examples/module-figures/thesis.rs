//! The figures of thesis 5.2.2 and 5.2.3, where the text gives numbers.

/// Fig. 5.6: bytes of the flow table by its number of flows, type 1 and type 2.
pub(crate) const TABLE_BYTES: [[(f64, f64); 2]; 2] =
    [[(1e4, 16e6), (1e5, 91e6)], [(1e4, 4e6), (1e5, 46e6)]];

/// 5.2.2: bytes of the flow table of a server with 16 VMs that have 10 flows each, and 100 flows each.
pub(crate) const SERVER_BYTES: [f64; 2] = [24.75e3, 186.47e3];

/// Fig. 5.7: seconds to add so many flows.
///
/// The text gives five times for four numbers of flows: "100, 1000, 10,000 and 100,000 … 0s, 0s, 0.001s, 0.07s and 0.94s".
/// They are read from the end, for from the beginning a flow would have been added in 0.1 µs by Python; those of 0 s, which its
/// clock could not tell, are left out.
pub(crate) const ADD_SECONDS: [(f64, f64); 3] = [(1e3, 0.001), (1e4, 0.07), (1e5, 0.94)];

/// Fig. 5.8: per cent of a CPU by the polling interval in seconds, with so many flows.
pub(crate) const POLLING_PERCENT: [(u32, [(f64, f64); 2]); 2] = [
    (1_000, [(1.0, 0.01), (5.0, 0.002)]),
    (10_000, [(1.0, 3.6), (5.0, 1.0)]),
];

/// 5.2.2: seconds to evaluate a VM with so many peers.
pub(crate) const DECISION_SECONDS: [(f64, f64); 3] =
    [(10.0, 0.32), (100.0, 2.97), (1_000.0, 30.54)];

/// 5.2.3: bytes of the token's slot of a VM; the token is nothing else.
pub(crate) const SLOT_BYTES: f64 = 5.0;
