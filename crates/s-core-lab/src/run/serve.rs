//! What the process of an agent does.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use s_core_agent::{Agent, ConfigFile, EventFile, Said, on_termination};
use s_core_sim::snapshot::read_locations;

use super::configuration::HypervisorFile;
use super::error::RunError;
use crate::hypervisor::{LabHypervisor, MigrationSettings};
use crate::layout::{HostNumber, Layout};

/// How often to look whether the agent has ended by itself.
const LOOK: Duration = Duration::from_millis(100);

/// How long an agent that ends waits for a migration of its own, and then for VMs that its host has admitted.
pub(super) const FINISH: Duration = Duration::from_secs(10);

/// Runs the agent of a host of a laboratory, in whose network this process is, until SIGTERM, SIGINT or the end of its
/// standard input. What happens it says on standard output, as an [`EventFile`].
///
/// A migration that is in flight then, from here or to here, has ten seconds to end; what is not whole by then stays at its
/// source.
///
/// # Errors
///
/// [`RunError`] if its configuration does not do, or it cannot start.
pub fn serve(layout: &Layout, host: HostNumber, configuration: &Path) -> Result<(), RunError> {
    let file = ConfigFile::read(configuration)?;
    let locations = read_locations(file.servers_file())?;
    let mut config = file.agent_config(locations)?;
    let events = EventFile::open(Path::new("-"))?;
    config.observer = Some(events.observer());
    let HypervisorFile {
        dirty_pages_per_second,
        faults,
    } = HypervisorFile::read_beside(configuration)?;
    let migrations = MigrationSettings {
        dirty_pages_per_second,
        ..MigrationSettings::default()
    };
    let hypervisor = LabHypervisor::start(layout, host, migrations, Arc::new(()))?;
    hypervisor.set_faults(faults);
    let hypervisor = Arc::new(hypervisor);
    let (told, ends) = channel();
    let parent = told.clone();
    on_termination(move |count| {
        if count > 1 {
            std::process::exit(1);
        }
        // It fails only when the agent has ended.
        let _ = told.send(());
    })?;
    std::thread::spawn(move || {
        // Whoever started this process keeps the other end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = parent.send(());
    });
    let agent = Agent::start(config, hypervisor.clone(), file.flow_source())?;
    events.say(Said::Ready);
    while !agent.is_finished() {
        if ends.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            agent.shutdown();
            break;
        }
    }
    let joined = agent.join();
    hypervisor.await_arrivals(FINISH);
    Ok(joined?)
}
