//! The embedded data centre: runs until its cost has settled.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use s_core_agent::embedded::{
    Account, Embedded, EmbeddedConfig, EmbeddedError, Scenario, Settling,
};
use s_core_agent::{Event, on_termination};
use s_core_examples::Failure;
use s_core_examples::cli::print;
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
    let state = tempfile::Builder::new().prefix("s-core-").tempdir()?;
    let stop = Arc::new(AtomicBool::new(false));
    end_when_told(Arc::clone(&stop), state.path().to_owned())?;

    let mut view = View::new(&scenario, args);
    let mut config = EmbeddedConfig::new(state.path());
    config.policy = args.policy;
    config.target_choice = args.target_choice.into();
    config.migration_cost = args.migration_cost;
    config.cancel = Arc::clone(&stop);
    let embedded = match Embedded::start(&scenario, config) {
        Err(EmbeddedError::Cancelled) => return print("Stopped before it began.\n"),
        started => started?,
    };
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

/// Sets `stop` on the first SIGINT or SIGTERM; ends the program on the second.
fn end_when_told(stop: Arc<AtomicBool>, state: PathBuf) -> Result<(), Failure> {
    let told = move |count| {
        if count > 1 {
            // What is left of it holds nothing of value.
            drop(std::fs::remove_dir_all(&state));
            std::process::exit(1);
        }
        stop.store(true, Ordering::SeqCst);
    };
    Ok(on_termination(told)?)
}
