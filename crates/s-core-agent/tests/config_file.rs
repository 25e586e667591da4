//! What is wrong with a configuration is said with its place.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use s_core_agent::{Addressing, AgentError, ConfigFile};
use s_core_model::MigrationCost;
use s_core_proto::{MigrationLimits, PairShare, TargetChoice};
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;

const BASE: &str = r#"server = "10.0.0.1"
servers = "servers.csv"
link_weights = [1, 2.7]
state_dir = "state"
#top
[keys]
active = "key"
#keys
[flows]
socket = "ovs.ctl"
#flows
[hypervisor]
kind = "xl"
vm_slots = 16
#hypervisor
"#;

/// The base with these lines put in at their places, such as `#top`.
fn with(lines: &[(&str, &str)]) -> String {
    let mut text = BASE.to_owned();
    for (place, line) in lines {
        text = text.replace(place, line);
    }
    text
}

/// Everything that `check-config` does, but for the servers.
fn load(text: &str) -> Result<(ConfigFile, s_core_agent::AgentConfig), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    fs::write(&path, text).unwrap();
    for (file, mode) in [("key", 0o600), ("open-key", 0o644), ("other-key", 0o600)] {
        let id = if file == "other-key" { "2:" } else { "" };
        fs::write(dir.path().join(file), format!("{id}{}\n", "5a".repeat(32))).unwrap();
        fs::set_permissions(dir.path().join(file), Permissions::from_mode(mode)).unwrap();
    }
    fs::write(dir.path().join("vms"), "# all\n10.1.0.1\n\n10.1.0.2 # db\n").unwrap();
    fs::write(dir.path().join("bad-vms"), "10.1.0.1\nweb\n").unwrap();
    let shorten = |error: &dyn std::fmt::Display| {
        error
            .to_string()
            .replace(&format!("{}/", dir.path().display()), "")
    };
    let servers = [("10.0.0.1", "a1/r1"), ("10.0.0.2", "a1/r2")];
    let servers = servers.map(|(server, path)| (server.parse().unwrap(), path));
    let file = ConfigFile::read(&path).map_err(|error| shorten(&error))?;
    let config = file.agent_config(LocationTable::new(servers).unwrap());
    let config = config.map_err(|error| shorten(&error))?;
    file.hypervisor().map_err(|error| shorten(&error))?;
    Ok((file, config))
}

#[test]
fn the_flow_source_is_the_one_that_was_chosen() {
    let check = |flows: &str, wanted: &str| {
        let (file, _) = load(&with(&[("#flows", flows)])).unwrap();
        let source = format!("{:?}", file.flow_source());
        assert!(source.starts_with(wanted), "{source}");
        assert_eq!(
            source.contains("IpPairRule"),
            flows.contains("ip_pair_rule = true")
        );
    };
    check("", "OvsFlowSource");
    check("ovsdb = \"db.sock\"\nbridge = \"br0\"", "OvsFlowSource");
    check("bridge = \"br0\"\nip_pair_rule = true", "OvsFlowSource");
    let netflow = "source = \"netflow\"\novsdb = \"db.sock\"\nbridge = \"br0\"";
    check(netflow, "NetFlowSource");
    #[cfg(feature = "netlink")]
    check("source = \"netlink\"", "OvsFlowSource { unixctl: Unixctl");
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let check = |lines: &[(&str, &str)], wanted: &[&str]| {
        let error = load(&with(lines)).expect_err(wanted[0]);
        for part in wanted {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
        assert!(!error.contains('\n'), "{error:?}");
    };
    check(
        &[("#top", "colour = 1")],
        &["agent.toml:5:1:", "unknown field `colour`"],
    );
    check(
        &[("#flows", "ip_pair_rule = true")],
        &["flows.bridge: is missing"],
    );
    check(
        &[("#flows", "ip_pair_rule = true\nbridge = \"../br0\"")],
        &["agent.toml:12:10:", "not the name of a network interface"],
    );
    let netflow = "source = \"netflow\"\novsdb = \"db.sock\"\n";
    check(&[("#flows", netflow)], &["flows.bridge: is missing"]);
    check(
        &[("#flows", "source = \"netflow\"\nbridge = \"br0\"")],
        &["flows.ovsdb: is missing"],
    );
    #[cfg(not(feature = "netlink"))]
    check(
        &[("#flows", "source = \"netlink\"")],
        &["flows.source", "--features netlink", "\"datapath\""],
    );
    let both = format!("{netflow}bridge = \"br0\"\nip_pair_rule = true");
    check(&[("#flows", &both)], &["flows.ip_pair_rule", "leave one"]);
    check(
        &[("#flows", "source = \"sflow\"")],
        &["agent.toml:11:10:", "`datapath`"],
    );
    check(
        &[("#flows", "\nspeed = 1")],
        &["agent.toml:12:1:", "`speed`"],
    );
    check(
        &[("server = \"10.0.0.1\"\n", "")],
        &["missing field `server`"],
    );
    check(&[("10.0.0.1", "host1")], &["agent.toml:1:10:", "IPv4"]);
    check(
        &[("[1, 2.7]", "[2, 1]")],
        &["agent.toml:3:16:", "must rise"],
    );
    check(&[("[1, 2.7]", "[1]")], &["link_weights"]);
    check(
        &[("#top", "policy = \"random\"")],
        &["agent.toml:5:10:", "round-robin"],
    );
    check(
        &[("#top", "target_choice = \"worst\"")],
        &["agent.toml:5:17:", "best-fit"],
    );
    check(
        &[("#top", "addressing = \"names\"")],
        &["agent.toml:5:14:", "servers and vms"],
    );
    check(
        &[("#top", "migration_cost = -1")],
        &["agent.toml:5:18:", "not negative"],
    );
    check(
        &[("#top", "migration_cost = { relative = 2 }")],
        &["agent.toml:5:18:", "from 0 % to 100 %"],
    );
    check(
        &[("#top", "migration_cost = \"low\"")],
        &["agent.toml:5:18:", "relative"],
    );
    check(&[("#top", "port = 70000")], &["agent.toml:5:8:"]);
    check(&[("#top", "port = 0")], &["port", "4747"]);
    check(
        &[("#flows", "interval = -1")],
        &["agent.toml:11:12:", "number of seconds"],
    );
    check(
        &[("#flows", "interval = nan")],
        &["agent.toml:11:12:", "number of seconds"],
    );
    check(
        &[("#flows", "interval = 40")],
        &["flows.interval", "choose less"],
    );
    check(
        &[("#flows", "deadline = 604800")],
        &["agent.toml:11:12:", "from 0 to 86400"],
    );
    check(&[("#flows", "limit = 0")], &["flows:", "choose 1 to"]);
    check(
        &[("#flows", "idle_timeout = 1")],
        &["flows:", "idle timeout 1s", "at least the window"],
    );
    for time in [
        "measurement",
        "answer",
        "acknowledgement",
        "migration",
        "reservation",
        "rest",
        "idle",
        "keep_alive",
        "custody",
        "beacon",
        "silence",
        "outcome",
    ] {
        let (line, key) = (format!("[timing]\n{time} = 0"), format!("timing.{time}: "));
        check(&[("#hypervisor", &line)], &[&key, "is 0ns; choose 1ms"]);
    }
    check(
        &[("#hypervisor", "[timing]\nmigration = 3600")],
        &[
            "timing.reservation: is 900s",
            "at least 3960.8s",
            "migration is 3600s",
        ],
    );
    check(
        &[("#hypervisor", "[timing]\nkeep_alive = 3")],
        &["timing.custody: is 5s", "at least 6s"],
    );
    check(
        &[("#hypervisor", "[timing]\nsilence = 20")],
        &["timing.silence: is 20s", "at least 25.8s"],
    );
    check(
        &[("#hypervisor", "[bounds]\nopen_migrations = 1024")],
        &["bounds.open_migrations: is 1024", "choose 1 to 1023"],
    );
    check(
        &[("#hypervisor", "[bounds]\nquiet_rounds = 0")],
        &["bounds.quiet_rounds: is 0", "choose 1"],
    );
    for share in ["0", "1.5", "nan"] {
        let line = format!("[limits]\npair_share = {share}");
        check(
            &[("#hypervisor", &line)],
            &["agent.toml:16:14:", "above 0 and at most 1"],
        );
    }
    check(
        &[("#hypervisor", "[limits]\npinned = [\"web\"]")],
        &["agent.toml:16:", "IPv4"],
    );
    check(
        &[("#hypervisor", "[limits]\npinnned = []")],
        &["agent.toml:16:1:", "`pinnned`"],
    );
    check(
        &[("#hypervisor", "[limits]\ncool_down = 90000")],
        &["agent.toml:16:13:", "from 0 to 86400"],
    );
    check(&[("\"xl\"", "\"kvm\"")], &["agent.toml:13:8:", "`xl`"]);
    check(
        &[("\"xl\"", "\"xm\""), ("#hypervisor", "ssh = \"ssh\"")],
        &["hypervisor.ssh", "xend carries the memory"],
    );
    check(
        &[("\"xl\"", "\"xm\""), ("#hypervisor", "receive = true")],
        &["hypervisor.receive", "xend receives"],
    );
    check(
        &[("\"xl\"", "\"external\"")],
        &["hypervisor.kind", "of its own"],
    );
    check(
        &[("vm_slots = 16", "")],
        &["hypervisor.vm_slots", "how many"],
    );
    check(
        &[("#hypervisor", "ssh = \"ssh\"\ncommand = \"x {target}\"")],
        &["hypervisor.command", "remove one"],
    );
    check(
        &[("#hypervisor", "command = \"socat\"")],
        &["hypervisor", "{target}"],
    );
    check(
        &[(
            "#hypervisor",
            "[[vm]]\nmac = \"00:16\"\naddress = \"10.1.0.1\"",
        )],
        &["agent.toml:16:7:", "MAC"],
    );
    check(
        &[(
            "#hypervisor",
            "[[vm]]\nmac = \"00:16:3e:00:00:01\"\naddress = \"10.1.0.1\"\n[[vm]]\nmac = \"00:16:3e:00:00:01\"\naddress = \"10.1.0.2\"",
        )],
        &["vm.mac", "twice"],
    );
    check(
        &[("[keys]\nactive = \"key\"", "")],
        &["keys.active", "lab = true"],
    );
    check(&[("#top", "lab = true")], &["lab", "remove one"]);
    check(
        &[("\"key\"", "\"open-key\"")],
        &["keys.active", "chmod 600"],
    );
    check(
        &[("\"key\"", "\"none\"")],
        &["keys.active", "none", "No such file"],
    );
    check(
        &[("#keys", "accepted = \"key\"")],
        &["keys.accepted", "id 1"],
    );
    check(
        &[("#hypervisor", "[token]\nmint = \"bad-vms\"")],
        &["bad-vms:2:", "web"],
    );
    check(
        &[("#hypervisor", "[token]\nmint = \"none\"")],
        &["none", "cannot be read"],
    );
    check(&[("[flows]", "[flows")], &["agent.toml:9:"]);
}

#[test]
fn what_is_wrong_with_an_interception_is_said() {
    let check = |top: &str, section: &str, wanted: &[&str]| {
        let section = format!("[interception]\n{section}");
        let error = load(&with(&[("#top", top), ("#hypervisor", &section)])).expect_err(wanted[0]);
        for part in wanted {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    let vms = "addressing = \"vms\"";
    check(
        vms,
        "kind = \"none\"",
        &["addressing", "openflow or bridge", "external"],
    );
    check(
        "",
        "kind = \"nft\"",
        &["agent.toml:16:8:", "`openflow`", "`external`"],
    );
    check("", "kind = \"bridge\"", &["interception.bridge", "xenbr0"]);
    check(
        "",
        "kind = \"openflow\"",
        &["interception.bridge", "xenbr0"],
    );
    let flows = "[interception]\nkind = \"bridge\"";
    let error = load(&with(&[
        ("#flows", "bridge = \"br0\""),
        ("#hypervisor", flows),
    ]));
    let error = error.expect_err("a bridge of Open vSwitch is no Linux bridge");
    assert!(error.contains("interception.bridge"), "{error}");
    check(
        "",
        "kind = \"bridge\"\nbridge = \"a b\"",
        &["agent.toml:17:10:", "network interface"],
    );
    check(
        "",
        "kind = \"bridge\"\nvm_ports = [\"vif*\"]",
        &["agent.toml:17:12:", "network interface"],
    );
    check(
        vms,
        "kind = \"bridge\"\nbridge = \"br0\"\nrequests = false",
        &["interception.requests"],
    );
    check(
        "",
        "kind = \"none\"\ndrop = true",
        &["unknown field `drop`"],
    );
    let error = load(&with(&[("#top", vms)])).unwrap_err();
    assert!(error.contains("addressing"), "{error}");
}

/// Whether there is an interception, and whether the agent's sockets take packets for VMs.
#[test]
fn an_interception_is_for_those_who_want_it() {
    let check = |top: &str, section: &str, wanted: Option<bool>| {
        let (_, config) = load(&with(&[("#top", top), ("#hypervisor", section)])).unwrap();
        let transparent = config.interception.map(|of| of.is_transparent());
        assert_eq!(transparent, wanted, "{top} {section}");
    };
    let vms = "addressing = \"vms\"";
    let openflow = "[interception]\nkind = \"openflow\"\nbridge = \"br0\"";
    check("", "", None);
    check("", "[interception]\ndrop_from_vms = true", None);
    // Where a bridge is named, VMs are kept from the agents' port unless somebody says otherwise.
    check("", "[interception]\nbridge = \"br0\"", Some(false));
    check(vms, "[interception]\nbridge = \"br0\"", Some(true));
    check(
        "",
        "[interception]\nkind = \"none\"\nbridge = \"br0\"",
        None,
    );
    check(vms, "[interception]\nkind = \"external\"", None);
    check(vms, openflow, Some(true));
    check("", openflow, Some(false));
    check("", &format!("{openflow}\nrequests = true"), Some(true));
    check(vms, &openflow.replace("openflow", "bridge"), Some(false));
}

#[test]
fn vms_are_kept_from_the_agents_port_where_flows_names_a_bridge() {
    let check = |socket: &str, flows: &str, section: &str, wanted: Option<&str>| {
        let socket = (r#"socket = "ovs.ctl""#, socket);
        let lines = [socket, ("#flows", flows), ("#hypervisor", section)];
        let (file, _) = load(&with(&lines)).unwrap();
        let interception = file.interception().unwrap();
        let shown = interception.map(|of| format!("{of:?}"));
        match (&shown, wanted) {
            (Some(shown), Some(wanted)) => {
                assert!(shown.starts_with("OpenFlowTproxy"), "{shown}");
                assert!(shown.contains("drop_from_vms: true"), "{shown}");
                assert!(shown.contains(wanted), "{shown}");
            }
            (None, None) => {}
            _ => panic!("{flows} {section}: {shown:?}"),
        }
    };
    let (socket, bridge) = (
        "socket = \"/run/two/ovs-vswitchd.7.ctl\"",
        "bridge = \"xenbr7\"",
    );
    check("", bridge, "", Some("unix:/run/openvswitch/xenbr7.mgmt"));
    check(socket, bridge, "", Some("unix:/run/two/xenbr7.mgmt"));
    let directory = "socket = \"/run/two\"";
    check(directory, bridge, "", Some("unix:/run/two/xenbr7.mgmt"));
    let other = "[interception]\nbridge = \"br1\"\nrun_dir = \"/run/three\"";
    check(socket, bridge, other, Some("unix:/run/three/br1.mgmt"));
    check(socket, "", "", None);
    for kind in ["none", "external"] {
        let section = format!("[interception]\nkind = \"{kind}\"");
        check(socket, bridge, &section, None);
    }
}

#[test]
fn everything_can_be_set() {
    let text = with(&[
        (
            "#top",
            "port = 5000\ncluster = 7\nmigration_cost = { relative = 0.1 }\npolicy = \"load-aware\"\n\
             target_choice = \"best-fit\"\naddressing = \"vms\"\nlab = false",
        ),
        ("#keys", "accepted = \"other-key\""),
        (
            "#flows",
            "datapath = \"system@ovs-system\"\novsdb = \"db.sock\"\ninterval = 0.5\ndeadline = 1\nwindow = 10\nidle_timeout = 20\nlimit = 1000\nanswered_only = true",
        ),
        (
            "#hypervisor",
            "reserve_mib = 256\nprogram = \"/usr/sbin/xl\"\nssh = \"ssh -p 22\"\n[timing]\nrest = 0.25\nmigration = 60\nmigration_grace = 0\nsilence = 90\n\
             stagger = 0\n[bounds]\nopen_migrations = 2\nnewcomers = 9\nquiet_rounds = 1\n\
             [limits]\npair_share = 0.5\npinned = [\"10.1.0.1\", \"10.1.0.2\"]\ntakes_none = true\ncool_down = 600\n\
             [interception]\nkind = \"openflow\"\nbridge = \"xenbr0\"\nrun_dir = \"run\"\nrequests = true\ndrop_from_vms = false\nvm_ports = [\"vif\"]\n\
             [token]\nmint = \"vms\"\ndelay = 5\n[[vm]]\nmac = \"00:16:3e:00:00:01\"\naddress = \"10.1.0.1\"",
        ),
    ]);
    let (_, config) = load(&text).unwrap();
    assert_eq!((config.port, config.cluster.0), (5000, 7));
    assert_eq!(config.node.migration_cost, MigrationCost::RelativeToVm(0.1));
    assert_eq!(config.node.policy.code(), PolicyKind::LoadAware.code());
    assert_eq!(config.node.target_choice, TargetChoice::BestFit);
    assert_eq!(config.addressing, Addressing::Vms);
    assert_eq!(config.flows.interval, Duration::from_millis(500));
    assert_eq!(config.flows.limit, 1000);
    assert!(config.flows.answered_only);
    let limits = MigrationLimits {
        pair_share: PairShare::new(0.5).unwrap(),
        pinned: ["10.1.0.1", "10.1.0.2"]
            .map(|vm| vm.parse().unwrap())
            .into(),
        takes_none: true,
        cool_down: Duration::from_secs(600),
    };
    assert_eq!(config.node.limits, limits);
    assert_eq!(config.node.timing.rest, Duration::from_millis(250));
    assert_eq!(config.node.timing.silence, Duration::from_secs(90));
    assert_eq!(config.node.timing.stagger, Duration::ZERO);
    let bounds = config.node.bounds;
    assert_eq!((bounds.open_migrations, bounds.newcomers), (2, 9));
    assert_eq!(bounds.quiet_rounds, 1);
    assert_eq!(config.migration_grace, Duration::ZERO);
    assert_eq!(config.identities.len(), 1);
    let mint = config.mint.unwrap();
    assert_eq!((mint.vms.len(), mint.delay), (2, Duration::from_secs(5)));
}

/// Whoever sets no limits has none.
#[test]
fn limits_are_off() {
    let (_, config) = load(BASE).unwrap();
    assert_eq!(config.node.limits, MigrationLimits::default());
    assert!(!config.flows.answered_only);
}

#[test]
fn the_end_waits_as_long_as_a_migration_may_take() {
    let text = with(&[("#hypervisor", "[timing]\nmigration = 300")]);
    let (_, config) = load(&text).unwrap();
    assert_eq!(config.migration_grace, Duration::from_secs(300));
}

#[test]
fn a_laboratory_needs_no_key_file() {
    let text = with(&[("[keys]\nactive = \"key\"", ""), ("#top", "lab = true")]);
    load(&text).unwrap();
}

#[test]
fn an_agent_does_not_start_beside_another_or_elsewhere() {
    use s_core_agent::Agent;
    use s_core_backend::emulated::{DataCentre, EmulatedServer};
    use std::sync::Arc;

    let (_, mut config) = load(BASE).unwrap();
    let state = tempfile::tempdir().unwrap();
    config.state_dir = state.path().to_owned();
    let server = EmulatedServer {
        id: config.node.server,
        vm_slots: 1,
        memory_mib: 1,
    };
    let data_centre = DataCentre::builder().build([server], [], []).unwrap();
    let start = |config| {
        let hypervisor = Arc::new(data_centre.hypervisor(server.id).unwrap());
        Agent::start(
            config,
            hypervisor,
            Box::new(data_centre.flows(server.id).unwrap()),
        )
    };
    // 10.0.0.1 is not this machine's.
    assert!(matches!(
        start(config.clone()),
        Err(AgentError::Socket {
            protocol: "UDP",
            ..
        })
    ));
    let mut wrong = config.clone();
    wrong.node.timing.answer = Duration::ZERO;
    assert!(matches!(
        start(wrong),
        Err(AgentError::Setting {
            setting: "timing.answer",
            ..
        })
    ));
    let mut wrong = config.clone();
    wrong.flows.limit = 0;
    assert!(matches!(start(wrong), Err(AgentError::Flows(_))));
    fs::write(state.path().join("mark"), "s-core-mark 1 00").unwrap();
    assert!(matches!(start(config), Err(AgentError::MarkFile(_))));
}
