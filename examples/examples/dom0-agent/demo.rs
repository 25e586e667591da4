//! The embedded data centre: runs until its cost has settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use s_core_agent::embedded::{Account, Embedded, EmbeddedConfig, Scenario, Settling};
use s_core_agent::{Event, on_termination};
use s_core_examples::Failure;
use s_core_proto::Report;

use crate::args::DemoArgs;
use crate::record::Record;
use crate::view::View;

/// After so long without any event the token is taken for lost.
const SILENCE: Duration = Duration::from_secs(30);
/// How often to look whether the user wants to end.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let scenario = Scenario::testbed(args.servers, args.vms, args.seed).map_err(Failure::usage)?;
    let mut record = Record::new(&scenario, args)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    on_termination(move |_| told.store(true, Ordering::SeqCst))?;

    let mut view = View::new(&scenario, args);
    let state = StateDir::new()?;
    let mut config = EmbeddedConfig::new(&state.0);
    config.policy = args.policy;
    config.target_choice = args.target_choice.into();
    config.migration_cost = args.migration_cost;
    let embedded = Embedded::start(&scenario, config)?;
    view.started(embedded.port());
    let computed_before = embedded.cpu_time();
    embedded.mint()?;
    let mut account = Account::new(&scenario);
    let settled = watch(&embedded, &mut account, &mut record, &mut view, &stop);
    let computed = embedded.cpu_time().saturating_sub(computed_before);
    let placement = embedded.data_centre().placement();
    embedded.stop()?;
    let settled = settled?;
    view.ended(&account, settled);
    for (vm, server) in placement {
        if account.allocation().server_of(vm) != Some(server) {
            return Err(Failure::failed(format!(
                "VM {vm} is on {server}, which no agent has told"
            )));
        }
    }
    record.write(&scenario, &account, computed)
}

/// Follows the token; says whether the cost has settled, or else the user wants to end.
fn watch(
    embedded: &Embedded,
    account: &mut Account,
    record: &mut Record,
    view: &mut View,
    stop: &AtomicBool,
) -> Result<bool, Failure> {
    let mut settling = Settling::default();
    let mut heard = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let Some((server, event)) = embedded.next_event(LOOK) else {
            if heard.elapsed() > SILENCE {
                return Err(Failure::failed("the token was lost; please report this"));
            }
            continue;
        };
        heard = Instant::now();
        let gain = match &event {
            Event::Node(Report::Migrated { vm, target, .. }) => {
                Some(account.migrate(*vm, *target)?)
            }
            _ => None,
        };
        record.event(&event, gain, account);
        view.event(server, &event, gain, account);
        if settling.is_settled_after(&event) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A directory for the agents' marks that goes away with the program.
struct StateDir(std::path::PathBuf);

impl StateDir {
    fn new() -> Result<Self, Failure> {
        let name = format!("s-core-dom0-agent-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)
            .map_err(|error| Failure::failed(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // What is left of it holds nothing of value.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
