//! From the lists of a sweep file to its runs, with all that can be wrong with them.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use s_core_model::LinkWeights;
use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;
use toml::Spanned;

use super::Sweep;
use super::directory::MAX_ID_BYTES;
use super::error::{SweepFileError, SweepFileProblem as Problem};
use super::file::{Count, Document, Placement, ReferenceName};
use super::source::{Entry, Source};
use super::spec::{DataCentreSpec, Method, StrategyRun, TokenRun};
use crate::traffic::{Pattern, PatternError};
use crate::{GenerateError, InitialPlacement, Topology};
use crate::{MigrationCostForm, StrategyName, TokenStart};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How many VMs a server of the thesis has room for.
const THESIS_VM_SLOTS: u32 = 16;

pub(super) fn read(path: &Path) -> Result<Sweep, SweepFileError> {
    let failed = |line, problem| SweepFileError {
        file: path.to_owned(),
        line,
        problem,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(None, Problem::Read(error)))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(None, Problem::TooLarge(MAX_FILE_BYTES)));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(path, text),
        Err(error) => {
            let line = crate::snapshot::line_at(&bytes, error.valid_up_to());
            Err(failed(Some(line), Problem::NotText))
        }
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Sweep, SweepFileError> {
    let source = Source { path, text };
    let document: Document = toml::from_str(text).map_err(|error| {
        let message = error.message().trim().replace('\n', "; ");
        source.error(error.span(), Problem::Toml(message))
    })?;
    let lists = Lists::new(&source, document)?;
    source.check_count(&lists.lengths())?;
    let sweep = Sweep {
        data_centres: lists.data_centres(&source)?,
        seeds: lists.seeds,
        methods: lists.methods,
    };
    let mut ids = sweep.runs().map(|run| run.id());
    if let Some(id) = ids.find(|id| id.len() > MAX_ID_BYTES) {
        return Err(source.error(None, Problem::LongName(crate::snapshot::shown(&id))));
    }
    drop(ids);
    Ok(sweep)
}

/// The lists of a file, none with the same entry twice.
struct Lists {
    seeds: Vec<u64>,
    topologies: Vec<Entry<Topology>>,
    vm_slots: Vec<Entry<u32>>,
    /// `None`: four for every five VM slots.
    vms: Vec<Entry<Option<u32>>>,
    link_weights: Option<Entry<Vec<f64>>>,
    flows_per_vm: Vec<Entry<u32>>,
    windows: Vec<Entry<u32>>,
    vms_per_application: Vec<Entry<Option<u32>>>,
    placements: Vec<Entry<InitialPlacement>>,
    methods: Vec<Method>,
}

impl Lists {
    fn new(source: &Source<'_>, mut document: Document) -> Result<Self, SweepFileError> {
        let methods = methods(source, &mut document)?;
        let weights = |weights: Spanned<_>| Entry {
            span: Some(weights.span()),
            value: weights.into_inner(),
        };
        let topologies = document.topologies;
        let (topology, thesis) = (|topology| topology, Topology::thesis());
        let (placement, random) = (|Placement(p)| p, InitialPlacement::Random);
        let pattern = Pattern::default();
        let (flows, windows) = (document.flows_per_vm, document.windows);
        let applications = document.vms_per_application;
        let number = |Count(number)| number;
        let size = |Count(vms)| Some(vms);
        Ok(Self {
            seeds: source.seeds(document.seeds)?,
            topologies: source.list_or("topologies", topologies, topology, thesis)?,
            vm_slots: source.list_or("vm_slots", document.vm_slots, number, THESIS_VM_SLOTS)?,
            vms: source.list_or("vms", document.vms, size, None)?,
            link_weights: document.link_weights.map(weights),
            flows_per_vm: source.list_or("flows_per_vm", flows, number, pattern.flows_per_vm)?,
            windows: source.list_or("windows", windows, number, pattern.windows)?,
            vms_per_application: source.list_or(
                "vms_per_application",
                applications,
                size,
                pattern.vms_per_application,
            )?,
            placements: source.list_or("placements", document.placements, placement, random)?,
            methods,
        })
    }

    fn lengths(&self) -> [usize; 9] {
        [
            self.seeds.len(),
            self.topologies.len(),
            self.vm_slots.len(),
            self.vms.len(),
            self.flows_per_vm.len(),
            self.windows.len(),
            self.vms_per_application.len(),
            self.placements.len(),
            self.methods.len(),
        ]
    }

    /// Every data centre, with seed 0 in place of the seeds, which make no difference to what is possible.
    fn data_centres(&self, source: &Source<'_>) -> Result<Vec<DataCentreSpec>, SweepFileError> {
        let mut specs = Vec::new();
        for topology in &self.topologies {
            specs.push(DataCentreSpec {
                topology: topology.value.clone(),
                link_weights: self.weights_of(topology, source)?,
                vm_slots: 0,
                vms: 0,
                flows_per_vm: 0,
                windows: 0,
                vms_per_application: None,
                placement: InitialPlacement::Random,
                seed: 0,
            });
        }
        let specs = cross(&specs, &self.vm_slots, |spec, slots| spec.vm_slots = slots);
        let specs = cross(&specs, &self.vms, |spec, vms| {
            spec.vms = vms.unwrap_or_else(|| four_fifths(spec));
        });
        let specs = cross(&specs, &self.flows_per_vm, |spec, flows| {
            spec.flows_per_vm = flows;
        });
        let specs = cross(&specs, &self.windows, |spec, windows| {
            spec.windows = windows;
        });
        let specs = cross(&specs, &self.vms_per_application, |spec, vms| {
            spec.vms_per_application = vms;
        });
        for spec in &specs {
            check(spec).map_err(|error| self.impossible(source, spec, &error))?;
        }
        let place = |spec: &mut DataCentreSpec, placement| spec.placement = placement;
        Ok(cross(&specs, &self.placements, place))
    }

    /// As many link weights as the topology has levels.
    fn weights_of(
        &self,
        topology: &Entry<Topology>,
        source: &Source<'_>,
    ) -> Result<Vec<f64>, SweepFileError> {
        let Entry {
            value: topology,
            span,
        } = topology;
        let levels = topology.levels();
        let failed =
            |span: &Option<_>, problem| source.error(span.clone(), Problem::Weights(problem));
        let Some(Entry {
            value: weights,
            span: given,
        }) = &self.link_weights
        else {
            let known = topology.link_weights().map(<[f64]>::to_vec);
            return known.ok_or_else(|| {
                failed(
                    span,
                    format!("{topology} has {levels} levels of links and only 4 weights are known; give link_weights"),
                )
            });
        };
        LinkWeights::new(weights.as_slice()).map_err(|error| failed(given, error.to_string()))?;
        let weights_given = weights.len();
        weights.get(..levels).map(<[f64]>::to_vec).ok_or_else(|| {
            failed(
                given,
                format!("{weights_given} weights given and {topology} has {levels} levels of links; give a weight for each"),
            )
        })
    }

    /// Which list made a data centre impossible, and why.
    fn impossible(
        &self,
        source: &Source<'_>,
        spec: &DataCentreSpec,
        error: &GenerateError,
    ) -> SweepFileError {
        let name = &spec.topology;
        let (key, span, problem) = match error {
            GenerateError::TooManyVms { vms, slots } => (
                "vms",
                span_of(&self.vms, &Some(*vms)),
                format!(
                    "{vms} VMs do not fit into the {slots} VM slots of {name} with {} per server; take fewer VMs, or more vm_slots or servers",
                    spec.vm_slots
                ),
            ),
            GenerateError::Traffic(PatternError::Parameter {
                parameter,
                value,
                wanted,
            }) => {
                let span = match *parameter {
                    "flows_per_vm" => span_of(&self.flows_per_vm, &spec.flows_per_vm),
                    "windows" => span_of(&self.windows, &spec.windows),
                    _ => span_of(&self.vms_per_application, &spec.vms_per_application),
                };
                (*parameter, span, format!("{value} given; {wanted}"))
            }
            GenerateError::Traffic(_) => (
                "flows_per_vm",
                span_of(&self.flows_per_vm, &spec.flows_per_vm),
                error.to_string(),
            ),
            error => (
                "topologies",
                span_of(&self.topologies, name),
                format!("{name}: {error}"),
            ),
        };
        source.error(span, Problem::DataCentre { key, problem })
    }
}

/// Each of `specs` with each of the entries.
fn cross<T: Clone>(
    specs: &[DataCentreSpec],
    entries: &[Entry<T>],
    set: impl Fn(&mut DataCentreSpec, T),
) -> Vec<DataCentreSpec> {
    let with = |spec: &DataCentreSpec, entry: &Entry<T>| {
        let mut spec = spec.clone();
        set(&mut spec, entry.value.clone());
        spec
    };
    let all = specs
        .iter()
        .flat_map(|spec| entries.iter().map(|entry| with(spec, entry)));
    all.collect()
}

/// Whether the numbers make a data centre.
fn check(spec: &DataCentreSpec) -> Result<(), GenerateError> {
    let data_centre = spec.to_data_centre();
    data_centre.pattern.flow_count(data_centre.home_racks()?)?;
    Ok(())
}

/// Where an entry stands, if the file names it.
fn span_of<T: PartialEq>(entries: &[Entry<T>], value: &T) -> Option<Range<usize>> {
    entries
        .iter()
        .find(|entry| entry.value == *value)?
        .span
        .clone()
}

/// Four for every five VM slots, but at least one; too many where the slots are too many to be made up.
fn four_fifths(spec: &DataCentreSpec) -> u32 {
    let servers = spec.topology.server_count().unwrap_or_default();
    let slots = u64::from(servers) * u64::from(spec.vm_slots);
    u32::try_from((slots / 5 * 4 + slots % 5 * 4 / 5).max(1)).unwrap_or(u32::MAX)
}

/// Every way of running the token, and the strategies.
fn methods(source: &Source<'_>, document: &mut Document) -> Result<Vec<Method>, SweepFileError> {
    let policies = source.list("policies", document.policies.take())?;
    let policies = match policies {
        Some(policies) => policies.into_iter().map(|policy| policy.value).collect(),
        None => PolicyKind::ALL.to_vec(),
    };
    let choices = document.target_choices.take();
    let choices = source.list_or(
        "target_choices",
        choices,
        |choice| choice,
        TargetChoice::default(),
    )?;
    let costs = document.migration_costs.take();
    let free = MigrationCostForm::Absolute(0.0);
    let costs = source.list_or("migration_costs", costs, |cost| cost, free)?;
    let rounds = document.max_rounds.take();
    let rounds = source.list_or(
        "max_rounds",
        rounds,
        |Count(rounds)| Some(rounds.into()),
        None,
    )?;
    let starts = document.starts.take();
    let starts = source.list_or("starts", starts, |start| start, TokenStart::Measured)?;
    let lengths = [
        policies.len(),
        choices.len(),
        costs.len(),
        rounds.len(),
        starts.len(),
    ];
    source.check_count(&lengths)?;

    let mut methods = Vec::new();
    for policy in policies {
        for target_choice in &choices {
            for migration_cost in &costs {
                for max_rounds in &rounds {
                    methods.extend(starts.iter().map(|start| {
                        Method::Token(TokenRun {
                            policy,
                            target_choice: target_choice.value,
                            migration_cost: migration_cost.value,
                            max_rounds: max_rounds.value,
                            start: start.value,
                        })
                    }));
                }
            }
        }
    }
    let baselines = source.list("baselines", document.baselines.take())?;
    for Entry { value, span } in baselines.into_iter().flatten() {
        let run = strategy(source, "baselines", false, value, span)?;
        methods.push(Method::Strategy(run));
    }
    let populations = document.populations.take();
    let populations_at = populations.as_ref().map(Spanned::span);
    let populations =
        source.list_or("populations", populations, |Count(count)| Some(count), None)?;
    let references = source.list("references", document.references.take())?;
    for Entry { value, span } in references.into_iter().flatten() {
        if let ReferenceName(Some(name)) = value {
            let reference = strategy(source, "references", true, name, span)?;
            methods.extend(with_populations(reference, &populations));
        }
    }
    let is_genetic = |method: &Method| method.name() == StrategyName::Genetic.name();
    if populations_at.is_some() && !methods.iter().any(is_genetic) {
        let problem =
            "only references = [\"genetic\"] has individuals; add it, or leave the key out";
        return Err(source.error(
            populations_at,
            Problem::Entry {
                key: "populations",
                problem: problem.into(),
            },
        ));
    }
    if methods.is_empty() {
        return Err(source.error(None, Problem::NoMethods));
    }
    Ok(methods)
}

/// A strategy of a list, if it is of the list's kind.
fn strategy(
    source: &Source<'_>,
    key: &'static str,
    references: bool,
    name: StrategyName,
    span: Option<Range<usize>>,
) -> Result<StrategyRun, SweepFileError> {
    let entry = name.name();
    let other = if references {
        "baselines"
    } else {
        "references"
    };
    if name.is_reference() != references {
        let problem = Problem::OtherList { key, entry, other };
        return Err(source.error(span, problem));
    }
    Ok(StrategyRun {
        name,
        population: None,
    })
}

/// The genetic algorithm with each of these populations; others as they are.
fn with_populations(
    reference: StrategyRun,
    populations: &[Entry<Option<u32>>],
) -> impl Iterator<Item = Method> {
    let is_genetic = reference.name == StrategyName::Genetic;
    let populations = populations.iter().map(|entry| entry.value);
    let populations = populations.take(if is_genetic { usize::MAX } else { 1 });
    populations.map(move |population| {
        Method::Strategy(StrategyRun {
            population: population.filter(|_| is_genetic),
            ..reference
        })
    })
}
