//! Eq. 3.1 while the token goes round (Fig. 5.2).

use serde::{Deserialize, Serialize};

use crate::Migration;

/// Eq. 3.1 after a hop of the token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostPoint {
    /// How many times a VM has held the token.
    pub hops: u64,
    /// The time since the first hop in seconds, where a model of time is at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Eq. 3.1, in bytes per second times link weight.
    pub cost: f64,
}

impl From<&Migration> for CostPoint {
    fn from(migration: &Migration) -> Self {
        Self {
            hops: migration.step,
            seconds: None,
            cost: migration.total_cost,
        }
    }
}

/// Eq. 3.1 from the first hop to the last: it stays as it is from one point to the next.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CostCurve {
    points: Vec<CostPoint>,
}

impl CostCurve {
    /// A curve of at most `max_points` points, at least two, besides those of the beginning and the end.
    ///
    /// Of more points, as many as allowed are taken at equal distances in their order: where much happens,
    /// the curve is fine.
    pub fn new(
        begin: CostPoint,
        points: impl ExactSizeIterator<Item = CostPoint>,
        end: CostPoint,
        max_points: usize,
    ) -> Self {
        let (count, kept) = (points.len(), points.len().min(max_points.max(2)));
        let mut curve = vec![begin];
        let mut next = 0;
        for (place, point) in points.enumerate() {
            // The first is at place 0, the last at place `count` − 1.
            if place == next * (count - 1) / (kept - 1).max(1) {
                curve.push(point);
                next += 1;
            }
        }
        curve.push(end);
        Self { points: curve }
    }

    /// The points in their order.
    pub fn points(&self) -> &[CostPoint] {
        &self.points
    }
}
