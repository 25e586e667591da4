//! The process of one agent: `faults agent NUMBER SERVERS STATE SOCKET`. It says on standard output what happens,
//! and ends with its standard input.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s_core_agent::{Agent, AgentConfig, Event, FlowSettings, Observer, lab_key};
use s_core_model::{CostModel, LinkWeights};
use s_core_proto::wire::Keyring;
use s_core_proto::{Config, Report};
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;

use crate::network::server_id;
use crate::remote::{RemoteFlows, RemoteHypervisor};
use crate::timing::timing;

/// What an agent is told on its command line.
pub(crate) fn run(args: &[String]) {
    let [number, servers, state, socket] = args else {
        panic!("agent NUMBER SERVERS STATE SOCKET, not {args:?}");
    };
    let server = server_id(number.parse().unwrap());
    let socket = PathBuf::from(socket);
    let all = 1..=servers.parse::<u8>().unwrap();
    let locations = all.map(|n| (server_id(n), format!("a{}/r{n}", n.div_ceil(2))));
    let table = Arc::new(LocationTable::new(locations).unwrap());
    let model = CostModel::new(LinkWeights::new([1.0, 2.7]).unwrap(), table).unwrap();
    let mut node = Config::new(server, model, PolicyKind::Distributed.build().into());
    node.timing = timing();
    let mut config = AgentConfig::new(node, Keyring::new(lab_key(), []).unwrap(), state);
    config.flows = FlowSettings {
        interval: Duration::from_millis(100),
        window: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(2),
        ..FlowSettings::default()
    };
    config.inventory_interval = Duration::from_millis(200);
    config.hypervisor_deadline = Duration::from_secs(2);
    config.observer = Some(Observer::new(|_, event| tell(event)));
    let hypervisor = RemoteHypervisor {
        socket: socket.clone(),
        server,
    };
    let flows = RemoteFlows { socket, server };
    let agent = Agent::start(config, Arc::new(hypervisor), Box::new(flows)).unwrap();
    // Whoever started it has ended.
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    drop(agent);
}

/// One line for each event that the test looks at.
fn tell(event: &Event) {
    let line = match event {
        Event::Node(Report::Holding { vm, mark }) => {
            let mark: String = mark.to_bytes().iter().map(|b| format!("{b:02x}")).collect();
            format!("holding {vm} {mark}")
        }
        Event::Node(Report::Migrating { vm, .. }) => format!("migrating {vm}"),
        Event::Node(Report::OutcomeKnown { vm, .. }) => format!("outcome {vm}"),
        Event::Node(Report::Superseded { .. }) => "superseded".into(),
        Event::MarkNotStored { .. } => "unstored".into(),
        _ => return,
    };
    let mut stdout = std::io::stdout().lock();
    // If nobody reads any more, the agent ends soon.
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}
