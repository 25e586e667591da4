//! A run's parameters as `run.json` has them.

use serde::{Deserialize, Serialize};

use super::spec::{DataCentreSpec, Method, RunSpec, StrategyRun, TokenRun, placement_name};
use crate::{InitialPlacement, TokenStart};

/// A [`RunSpec`] as names and numbers. An unknown one would change what the others mean, so it is an error.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    topology: String,
    vm_slots: u32,
    vms: u32,
    link_weights: Vec<f64>,
    flows_per_vm: u32,
    windows: u32,
    vms_per_application: Option<u32>,
    placement: String,
    seed: u64,
    method: String,
    target_choice: Option<String>,
    migration_cost: Option<String>,
    max_rounds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    population: Option<u32>,
}

impl From<RunSpec> for Parameters {
    fn from(run: RunSpec) -> Self {
        let token = run.method.token();
        let placement = run.data_centre.placement_name();
        Self {
            topology: run.data_centre.topology.to_string(),
            vm_slots: run.data_centre.vm_slots,
            vms: run.data_centre.vms,
            link_weights: run.data_centre.link_weights,
            flows_per_vm: run.data_centre.flows_per_vm,
            windows: run.data_centre.windows,
            vms_per_application: run.data_centre.vms_per_application,
            placement: placement.into(),
            seed: run.data_centre.seed,
            method: run.method.name().into(),
            target_choice: token.map(|token| token.target_choice.to_string()),
            migration_cost: token.map(|token| token.migration_cost.to_string()),
            max_rounds: token.and_then(|token| token.max_rounds),
            start: token.map(|token| token.start.to_string()),
            population: run.method.population(),
        }
    }
}

impl TryFrom<Parameters> for RunSpec {
    type Error = Box<dyn std::error::Error>;

    fn try_from(parameters: Parameters) -> Result<Self, Self::Error> {
        let method = match (&parameters.target_choice, &parameters.migration_cost) {
            (Some(target_choice), Some(migration_cost)) if parameters.population.is_none() => Method::Token(TokenRun {
                policy: parameters.method.parse()?,
                target_choice: target_choice.parse()?,
                migration_cost: migration_cost.parse()?,
                max_rounds: parameters.max_rounds,
                // Early files do not say so.
                start: match &parameters.start {
                    Some(start) => start.parse()?,
                    None => TokenStart::Measured,
                },
            }),
            (None, None) if parameters.max_rounds.is_none() && parameters.start.is_none() => {
                Method::Strategy(StrategyRun {
                    name: parameters.method.parse()?,
                    population: parameters.population,
                })
            }
            _ => return Err("a policy has a target_choice and a migration_cost and no population, others have neither and no max_rounds or start".into()),
        };
        Ok(Self {
            data_centre: DataCentreSpec {
                topology: parameters.topology.parse()?,
                vm_slots: parameters.vm_slots,
                vms: parameters.vms,
                link_weights: parameters.link_weights,
                flows_per_vm: parameters.flows_per_vm,
                windows: parameters.windows,
                vms_per_application: parameters.vms_per_application,
                placement: placement(&parameters.placement)?,
                seed: parameters.seed,
            },
            method,
        })
    }
}

/// The placement with this name.
pub(super) fn placement(name: &str) -> Result<InitialPlacement, String> {
    let all = [InitialPlacement::Random, InitialPlacement::RackLocal];
    let known = all.into_iter().find(|known| placement_name(*known) == name);
    known.ok_or_else(|| {
        let name = crate::snapshot::shown(name);
        format!("{name:?} is not a placement; there are random and rack-local")
    })
}
