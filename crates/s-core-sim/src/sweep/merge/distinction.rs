//! What tells groups of runs apart.

use super::Group;
use crate::migration_cost::shortest;
use crate::sweep::RunSpec;

/// The parameters of groups, those that all have in common apart from the others.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Distinction {
    /// What all groups have in common: name and value, where there is one.
    pub shared: Vec<(&'static str, String)>,
    /// The names of the other parameters.
    pub columns: Vec<&'static str>,
    /// For each group the values of these; empty where the parameter means nothing to its method.
    pub rows: Vec<Vec<String>>,
}

impl Distinction {
    /// What tells these groups apart.
    pub fn of(groups: &[Group<'_>]) -> Self {
        let rows: Vec<_> = groups
            .iter()
            .map(|group| parameters(group.parameters()))
            .collect();
        let Some(first) = rows.first() else {
            return Self::default();
        };
        let varies = |column: &usize| rows.iter().any(|row| row[*column] != first[*column]);
        let (apart, shared): (Vec<usize>, Vec<usize>) = (0..first.len()).partition(varies);
        let shared = shared
            .iter()
            .map(|column| (PARAMETERS[*column], first[*column].clone()));
        Self {
            shared: shared.filter(|(_, value)| !value.is_empty()).collect(),
            columns: apart.iter().map(|column| PARAMETERS[*column]).collect(),
            rows: (rows.iter())
                .map(|row| apart.iter().map(|column| row[*column].clone()).collect())
                .collect(),
        }
    }
}

/// The names of a run's parameters but for the seed.
pub(super) const PARAMETERS: [&str; 14] = [
    "topology",
    "vm_slots",
    "vms",
    "link_weights",
    "flows_per_vm",
    "windows",
    "vms_per_application",
    "placement",
    "method",
    "target_choice",
    "migration_cost",
    "max_rounds",
    "start",
    "population",
];

/// The parameters of a run in this order.
pub(super) fn parameters(run: &RunSpec) -> [String; PARAMETERS.len()] {
    let (data_centre, token) = (&run.data_centre, run.method.token());
    let weights = data_centre.link_weights.iter().copied().map(shortest);
    let text = |text: Option<String>| text.unwrap_or_default();
    let rounds = token.and_then(|token| token.max_rounds);
    [
        data_centre.topology.to_string(),
        data_centre.vm_slots.to_string(),
        data_centre.vms.to_string(),
        weights.collect::<Vec<_>>().join(" "),
        data_centre.flows_per_vm.to_string(),
        data_centre.windows.to_string(),
        text(data_centre.vms_per_application.map(|vms| vms.to_string())),
        data_centre.placement_name().to_owned(),
        run.method.name().to_owned(),
        text(token.map(|token| token.target_choice.to_string())),
        text(token.map(|token| token.migration_cost.to_string())),
        text(rounds.map(|rounds| rounds.to_string())),
        text(token.map(|token| token.start.to_string())),
        text(run.method.population().map(|count| count.to_string())),
    ]
}
