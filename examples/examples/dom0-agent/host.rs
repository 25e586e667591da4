//! The agent of a real host.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use s_core_agent::{
    Agent, AgentConfig, AgentHandle, ConfigFile, EventFile, FlowSourceKind, Mint, Observation,
    Said, observe, on_termination,
};
use s_core_backend::xl::receive as receive_at;
use s_core_examples::Failure;
use s_core_examples::cli::print;
use s_core_model::{Capacity, Levels as _, Placement};
use s_core_sim::snapshot::{
    ServerEntry, Settings, Snapshot, TrafficEntry, VmEntry, read_locations,
};
use s_core_token::Mark;

/// How often to look whether the agent has ended by itself.
const LOOK: Duration = Duration::from_millis(200);

/// How long removing an interception's rules may take.
const CLEAN: Duration = Duration::from_secs(10);

/// Everything that can be told about a configuration without asking the hypervisor or the switch.
fn load(path: &Path) -> Result<(ConfigFile, AgentConfig), Failure> {
    let file = ConfigFile::read(path)?;
    let locations = read_locations(file.servers_file())?;
    if locations.index_of(file.server).is_none() {
        return Err(Failure::failed(format!(
            "{}: server: {} is not in {}; add it there with its location",
            path.display(),
            file.server,
            file.servers_file().display()
        )));
    }
    let config = file.agent_config(locations)?;
    file.hypervisor()?;
    Ok((file, config))
}

pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    load(path)?;
    print("ok\n")
}

/// Removes what an agent's interception has set.
pub(crate) fn clean(path: &Path) -> Result<(), Failure> {
    let Some(interception) = ConfigFile::read(path)?.interception()? else {
        return print(
            "nothing to remove: the configuration has no interception of the agent's own\n",
        );
    };
    interception.remove(CLEAN)?;
    print("ok\n")
}

/// Runs until SIGTERM or SIGINT; a second one does not wait for a migration in flight.
///
/// With `mint` it makes a token although there was one before.
pub(crate) fn serve(path: &Path, mint: bool, events: Option<&Path>) -> Result<(), Failure> {
    let (file, mut config) = load(path)?;
    let mut mint = mint
        .then(|| {
            let missing = "--mint: token.mint is missing; name there a file with the VMs";
            let mint = config.mint.take();
            mint.ok_or_else(|| Failure::failed(format!("{}: {missing}", path.display())))
        })
        .transpose()?;
    let events = events.map(open_events).transpose()?;
    config.observer = events.as_ref().map(EventFile::observer);
    let (told, ends) = channel();
    on_termination(move |count| {
        if count > 1 {
            std::process::exit(1);
        }
        // It fails only when the agent has ended.
        let _ = told.send(());
    })?;
    let agent = Agent::start(config, file.hypervisor()?, file.flow_source())?;
    if let Some(events) = &events {
        events.say(Said::Ready);
    }
    let (began, mark) = (Instant::now(), agent.status()?.mark);
    while !agent.is_finished() {
        if ends.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            agent.shutdown();
            break;
        }
        if let Some(mint) = mint.take_if(|mint| mint.delay <= began.elapsed()) {
            mint_again(&agent, mint, mark)?;
        }
    }
    Ok(agent.join()?)
}

fn open_events(path: &Path) -> Result<EventFile, Failure> {
    EventFile::open(path)
        .map_err(|error| Failure::failed(format!("--events {}: {error}", path.display())))
}

/// Makes a token, unless one has passed since the highest mark was `mark`.
fn mint_again(agent: &AgentHandle, mint: Mint, mark: Mark) -> Result<(), Failure> {
    let seen = agent.status()?.mark;
    if seen == mark {
        agent.mint(mint.vms)?;
    } else {
        tracing::warn!(mark = %seen, "a token was seen, so it is not lost; none is made");
    }
    Ok(())
}

/// Runs `xl migrate-receive`, or says why not.
pub(crate) fn receive(path: &Path, from: Option<Ipv4Addr>) -> Result<(), Failure> {
    let file = ConfigFile::read(path)?;
    if !file.hypervisor.receive {
        let missing = "hypervisor.receive is not true, so that the agent does not listen";
        return Err(Failure::failed(format!("{}: {missing}", path.display())));
    }
    let from = from.or_else(peer).ok_or_else(|| {
        Failure::failed("neither SOCAT_PEERADDR nor SSH_CONNECTION says where the migration comes from; give --from")
    })?;
    let program = file.hypervisor.program.clone();
    let program = program.unwrap_or_else(|| "xl".into());
    let ended = receive_at(&file.receive_socket(), from, &program)?;
    if !ended.success() {
        return Err(Failure::failed(format!(
            "{} migrate-receive: {ended}",
            program.display()
        )));
    }
    Ok(())
}

/// Who is at the other end, as socat or sshd (address and port of the client, then the own) tells. sshd passes on nothing of
/// socat's, but a socat that was started over ssh does of sshd's.
fn peer() -> Option<Ipv4Addr> {
    let socat = std::env::var("SOCAT_PEERADDR").ok();
    let ssh = std::env::var("SSH_CONNECTION").ok();
    let address = socat.or_else(|| ssh?.split(' ').next().map(str::to_owned))?;
    address.parse().ok()
}

pub(crate) fn capture(path: &Path, out: &Path) -> Result<(), Failure> {
    let (mut file, config) = load(path)?;
    // An agent may run here, and what it has set on the switch stays as it is.
    file.flows.source = FlowSourceKind::Datapath;
    file.flows.ip_pair_rule = false;
    let seen = observe(&config, file.hypervisor()?, file.flow_source())?;
    let locations = config.node.model.levels();
    let here = locations
        .index_of(file.server)
        .ok_or_else(|| Failure::failed("this server is not in the location table"))?;
    let server = ServerEntry {
        server: file.server,
        location: locations.location(here).to_owned(),
        capacity: whole_capacity(&seen),
    };
    let mut settings = Settings::new(file.link_weights.iter().collect::<Vec<_>>());
    settings.migration_cost = file.migration_cost;
    let vms = seen.vms.iter().map(|vm| VmEntry {
        placement: Placement {
            vm: vm.vm,
            server: file.server,
            memory_mib: vm.memory_mib,
        },
        name: vm.name.clone(),
    });
    let (traffic, missing) = traffic(&seen);
    let snapshot = Snapshot::new(settings, vec![server], vms.collect(), traffic)?;
    snapshot.write(out)?;
    print(&report(&seen, missing, out))
}

fn whole_capacity(seen: &Observation) -> Capacity {
    let memory: u64 = seen.vms.iter().map(|vm| u64::from(vm.memory_mib)).sum();
    let vms = u32::try_from(seen.vms.len()).unwrap_or(u32::MAX);
    Capacity {
        vm_slots: seen.free.vm_slots.saturating_add(vms),
        memory_mib: seen.free.memory_mib.saturating_add(memory),
    }
}

/// The pairs of VMs of this host, and how many peers and bytes per second are elsewhere.
fn traffic(seen: &Observation) -> (Vec<TrafficEntry>, (usize, f64)) {
    let mut pairs = Vec::new();
    let mut missing = (0, 0.0);
    for vm in &seen.vms {
        for (peer, rate) in &vm.peers {
            if seen.vms.binary_search_by_key(peer, |vm| vm.vm).is_err() {
                missing = (missing.0 + 1, missing.1 + rate.bytes_per_second());
            } else if vm.vm < *peer {
                pairs.push(TrafficEntry {
                    vm_a: vm.vm,
                    vm_b: *peer,
                    rate: *rate,
                });
            }
        }
    }
    (pairs, missing)
}

fn report(seen: &Observation, (peers, bytes): (usize, f64), out: &Path) -> String {
    let mut text = format!("{} VMs written to {}\n", seen.vms.len(), out.display());
    if peers > 0 {
        text += &format!(
            "not in it: {peers} peers elsewhere, with {bytes:.0} B/s; put the snapshots of all hosts together for these\n"
        );
    }
    if !seen.nameless.is_empty() {
        text += &format!(
            "not in it: domains whose address is not known ({}); give it in [[vm]]\n",
            seen.nameless.join(", ")
        );
    }
    text
}
