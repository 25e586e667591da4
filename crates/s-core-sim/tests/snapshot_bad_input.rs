//! Snapshots that are bad: each is one line that names file and line and says what to do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use s_core_model::{Capacity, Placement, ServerId, VmId};
use s_core_sim::snapshot::{ServerEntry, Settings, Snapshot, VmEntry};

const NAMES: [&str; 4] = ["data-centre.toml", "servers.csv", "vms.csv", "traffic.csv"];

const GOOD: [&str; 4] = [
    "link_weights = [1.0, 10.0]\n",
    "server,location,vm_slots,memory_mib\n10.0.0.1,a1/r1,2,4096\n10.0.0.2,a1/r2,2,4096\n",
    "vm,server,memory_mib,name\n10.1.0.1,10.0.0.1,1024,web\n10.1.0.2,10.0.0.2,1024,db\n",
    "vm_a,vm_b,bytes_per_second\n10.1.0.1,10.1.0.2,5000\n",
];

/// Reads the good files but for one; the error must be `wanted` after the directory's name.
fn check(name: &str, content: impl AsRef<[u8]>, wanted: &str) {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in NAMES.iter().zip(GOOD) {
        fs::write(dir.path().join(file), text).unwrap();
    }
    fs::write(dir.path().join(name), content).unwrap();
    check_error(dir.path(), wanted);
}

fn check_error(dir: &std::path::Path, wanted: &str) {
    let error = match Snapshot::read(dir) {
        Ok(_) => panic!("was read, but should say: {wanted}"),
        Err(error) => error.to_string(),
    };
    let shown = error.strip_prefix(&format!("{}/", dir.display())).unwrap();
    assert_eq!(shown, wanted);
}

#[test]
fn the_good_files_are_good() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in NAMES.iter().zip(GOOD) {
        fs::write(dir.path().join(file), text).unwrap();
    }
    Snapshot::read(dir.path()).unwrap();
    for file in NAMES {
        let text = fs::read(dir.path().join(file)).unwrap();
        fs::remove_file(dir.path().join(file)).unwrap();
        check_error(
            dir.path(),
            &format!(
                "{file}: cannot be read: No such file or directory (os error 2); a snapshot is a directory with data-centre.toml, servers.csv, vms.csv and traffic.csv"
            ),
        );
        fs::write(dir.path().join(file), text).unwrap();
    }
}

#[test]
fn bad_settings() {
    let check = |text: &str, wanted: &str| check("data-centre.toml", text, wanted);
    let keys = "the keys are link_weights (required), migration_cost, tags and limits";
    check(
        "",
        &format!("data-centre.toml:1: missing field `link_weights`; {keys}"),
    );
    check(
        "link_weights = [1, 2]\n\nwieghts = 3\n",
        &format!(
            "data-centre.toml:3: unknown field `wieghts`, expected one of `link_weights`, `migration_cost`, `tags`, `limits`; {keys}"
        ),
    );
    check(
        "link_weights = [1, 2]\n[limits]\nmin_gian = 3\n",
        &format!(
            "data-centre.toml:3: unknown field `min_gian`, expected `max_migrations` or `min_gain`; {keys}"
        ),
    );
    check(
        "link_weights = [1, 2]\nmigration_cost = \"10\"\n",
        &format!(
            "data-centre.toml:2: invalid type: string \"10\", expected a number or {{ relative = FRACTION }}; {keys}"
        ),
    );
    check(
        "link_weights = [1, 2]\nmigration_cost = { absolute = 1 }\n",
        &format!("data-centre.toml:2: unknown field `absolute`, expected `relative`; {keys}"),
    );
    check(
        "# weights\nlink_weights = [1, 1]\n",
        "data-centre.toml:2: link weight c_2 = 1 does not rise above c_1 = 1; weights must rise towards the core",
    );
    check(
        "link_weights = [0, 1]\n",
        "data-centre.toml:1: link weight c_1 = 0 is not a finite number above zero",
    );
    check(
        "link_weights = [1, nan]\n",
        "data-centre.toml:1: link weight c_2 = NaN is not a finite number above zero",
    );
    check(
        "link_weights = []\n",
        "data-centre.toml:1: 0 link weights given; 1 to 255 are wanted, one per level of links",
    );
    check(
        "link_weights = [1]\n",
        "data-centre.toml:1: link_weights has 1 weights and the locations in servers.csv have 2 components; give a weight for each level",
    );
    check(
        "link_weights = [1, 2]\n\nmigration_cost = -1\n",
        "data-centre.toml:3: -1 is not a migration cost: an absolute cost is finite and not negative, a relative one is from 0 % to 100 %",
    );
    check(
        "link_weights = [1, 2]\nlimits = { min_gain = inf }\n",
        "data-centre.toml:2: limits.min_gain = inf is not a finite number from 0 up",
    );
}

#[test]
fn settings_that_are_not_toml() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("data-centre.toml"),
        "link_weights = [1,\n2\nx = 3",
    )
    .unwrap();
    let error = Snapshot::read(dir.path()).unwrap_err();
    assert_eq!(error.line(), Some(3), "{error}");
    check(
        "data-centre.toml",
        b"# a\n\xff",
        "data-centre.toml:2: is not UTF-8 text; save it as UTF-8",
    );
}

#[test]
fn bad_headers_and_rows() {
    let header = "server,location,vm_slots,memory_mib";
    let check = |text: &str, wanted: &str| check("servers.csv", text, wanted);
    check(
        "",
        &format!("servers.csv: has no header; the first line must be {header}"),
    );
    check(
        "# nothing\n",
        &format!("servers.csv: has no header; the first line must be {header}"),
    );
    check(
        "#\nserver,vm_slots,memory_mib\n",
        &format!("servers.csv:2: column location is missing; the header must name {header}"),
    );
    check(
        "server,location,vm_slots,memory_mib,rack\n",
        &format!("servers.csv:1: column \"rack\" is unknown; the header must name {header}"),
    );
    check(
        "server,location,vm_slots,memory_mib,server\n",
        &format!("servers.csv:1: column \"server\" is named twice; the header must name {header}"),
    );
    check(
        "10.0.0.1,a1/r1,2,4096\n",
        &format!("servers.csv:1: column \"10.0.0.1\" is unknown; the header must name {header}"),
    );
    let fields = "fields and the header has 4; put a field with a comma in double quotes";
    check(
        &format!("{header}\n10.0.0.1,a1/r1,2\n"),
        &format!("servers.csv:2: has 3 {fields}"),
    );
    check(
        &format!("{header}\n10.0.0.1,a1/r1,2,1,1\n"),
        &format!("servers.csv:2: has 5 {fields}"),
    );
    check(
        &format!("{header}\n10.0.0.1,\"a1/r1,2,1\n10.0.0.2,a1/r1,2,1\n"),
        &format!("servers.csv:2: has 2 {fields}"),
    );
}

/// The line is that of the row, whatever stands before it and however lines end.
#[test]
fn lines_are_counted_past_comments() {
    let header = "server,location,vm_slots,memory_mib";
    let wanted =
        |line| format!("servers.csv:{line}: server \"x\" is not an IPv4 address like 10.0.0.1");
    for (text, line) in [
        (format!("{header}\nx,a/b,1,1\n"), 2),
        (format!("{header}\nx,a/b,1,1"), 2),
        (
            format!("# one\n# two\n{header}\n# four\n\n   \n # seven\nx,a/b,1,1\n# nine\n"),
            8,
        ),
        (format!("#\r\n{header}\r\n\r\n# four\r\nx,a/b,1,1\r\n"), 5),
        (
            format!("\u{feff}{header}\r\n10.0.0.1,a/b,1,1\r\nx,a/b,1,1\r\n"),
            3,
        ),
        (format!("{header}\n10.0.0.1,\"a/b\",1,1\n#\nx,a/b,1,1\n"), 4),
    ] {
        check("servers.csv", text, &wanted(line));
    }
}

#[test]
fn bad_servers() {
    let check = |rows: &str, wanted: &str| {
        let text =
            format!("server,location,vm_slots,memory_mib\n10.0.0.1,a1/r1,2,4096\n# three\n{rows}");
        check("servers.csv", text, wanted);
    };
    check(
        "10.0.0.256,a1/r1,2,1\n",
        "servers.csv:4: server \"10.0.0.256\" is not an IPv4 address like 10.0.0.1",
    );
    check(
        "10.0.0.2,a1/r1,-2,1\n",
        "servers.csv:4: vm_slots \"-2\" is not a whole number from 0 to 4294967295",
    );
    check(
        "10.0.0.2,a1/r1,2,1.5\n",
        "servers.csv:4: memory_mib \"1.5\" is not a whole number from 0 to 18446744073709551615",
    );
    check(
        "10.0.0.1,a1/r1,2,1\n",
        "servers.csv:4: server 10.0.0.1 is listed twice; remove one of the two entries",
    );
    check(
        "10.0.0.2,a1/s1/r1,2,1\n",
        "servers.csv:4: location \"a1/s1/r1\" has 3 components and those before it 2; all must have as many",
    );
    check(
        "10.0.0.2,a1//r1,2,1\n",
        "servers.csv:4: location \"a1//r1\" has a component that is empty or has white space; write it like a1/g2/r17",
    );
    check(
        "10.0.0.2,,2,1\n",
        "servers.csv:4: location \"\" has a component that is empty or has white space; write it like a1/g2/r17",
    );
    let long = "9".repeat(10_000);
    let shown = "9".repeat(60);
    check(
        &format!("{long},a/b,2,1\n"),
        &format!("servers.csv:4: server \"{shown}…\" is not an IPv4 address like 10.0.0.1"),
    );
}

#[test]
fn no_server_at_all() {
    let wanted = "servers.csv: there is no server; a data centre has at least one";
    check(
        "servers.csv",
        "server,location,vm_slots,memory_mib\n",
        wanted,
    );
}

#[test]
fn bad_vms() {
    let check = |rows: &str, wanted: &str| {
        let text = format!("vm,server,memory_mib,name\n10.1.0.9,10.0.0.1,1024,\n# three\n{rows}");
        check("vms.csv", text, wanted);
    };
    check(
        "10.1.0,10.0.0.1,1,\n",
        "vms.csv:4: vm \"10.1.0\" is not an IPv4 address like 10.0.0.1",
    );
    check(
        "10.1.0.1,host,1,\n",
        "vms.csv:4: server \"host\" is not an IPv4 address like 10.0.0.1",
    );
    check(
        "10.1.0.1,10.0.0.1,4294967296,\n",
        "vms.csv:4: memory_mib \"4294967296\" is not a whole number from 0 to 4294967295",
    );
    check(
        "10.1.0.1,10.0.0.3,1,\n",
        "vms.csv:4: VM 10.1.0.1 is on server 10.0.0.3, which is not listed; list the server or correct the VM's line",
    );
    check(
        "10.1.0.3,10.0.0.1,1,\n\n10.1.0.3,10.0.0.2,1,\n",
        "vms.csv:6: VM 10.1.0.3 is listed twice; every VM has an address of its own",
    );
    // The third VM in the order of lines, though its address is the lowest.
    check(
        "10.1.0.8,10.0.0.1,1,\n10.1.0.1,10.0.0.1,1,\n",
        "vms.csv:5: server 10.0.0.1 has no room for VM 10.1.0.1 of 1 MiB: 0 VM slots and 3071 MiB are left; move a VM away or correct the capacity",
    );
    check(
        "10.1.0.1,10.0.0.1,3073,\n",
        "vms.csv:4: server 10.0.0.1 has no room for VM 10.1.0.1 of 3073 MiB: 1 VM slots and 3072 MiB are left; move a VM away or correct the capacity",
    );
    check(
        "10.1.0.1,10.0.0.1,1,\"a\nb\"\n",
        "vms.csv:4: the name of VM 10.1.0.1 has a line break or another control character; leave it out",
    );
}

#[test]
fn bad_traffic() {
    let check = |row: &str, wanted: &str| {
        let text = format!("vm_a,vm_b,bytes_per_second\n10.1.0.1,10.1.0.2,1\n# three\n{row}\n");
        check("traffic.csv", text, wanted);
    };
    let unknown = "is not in vms.csv; list it there or remove this line";
    check(
        "10.1.0.1,10.1.0.7,1",
        &format!("traffic.csv:4: VM 10.1.0.7 {unknown}"),
    );
    check(
        "10.1.0.7,10.1.0.1,1",
        &format!("traffic.csv:4: VM 10.1.0.7 {unknown}"),
    );
    check(
        "10.1.0.7,10.1.0.7,1",
        &format!("traffic.csv:4: VM 10.1.0.7 {unknown}"),
    );
    check(
        "10.1.0.1,10.1.0.1,1",
        "traffic.csv:4: VM 10.1.0.1 is paired with itself; traffic inside a VM never reaches the network, remove this line",
    );
    check(
        "10.1.0.1,::1,1",
        "traffic.csv:4: vm_b \"::1\" is not an IPv4 address like 10.0.0.1",
    );
    let rate = "is not a rate: bytes per second are finite, not negative and at most 1e18";
    check("10.1.0.1,10.1.0.2,-1", &format!("traffic.csv:4: -1 {rate}"));
    check(
        "10.1.0.1,10.1.0.2,inf",
        &format!("traffic.csv:4: inf {rate}"),
    );
    check(
        "10.1.0.1,10.1.0.2,1e999",
        &format!("traffic.csv:4: inf {rate}"),
    );
    check(
        "10.1.0.1,10.1.0.2,NaN",
        &format!("traffic.csv:4: NaN {rate}"),
    );
    check(
        "10.1.0.1,10.1.0.2,",
        "traffic.csv:4: bytes_per_second \"\" is not a number like 1250.5",
    );
    check(
        "10.1.0.1,10.1.0.2,5 kB",
        "traffic.csv:4: bytes_per_second \"5 kB\" is not a number like 1250.5",
    );
}

#[test]
fn fields_that_are_not_text() {
    let text = b"vm,server,memory_mib,name\n10.1.0.1,10.0.0.1,1,\xff\n";
    check(
        "vms.csv",
        text,
        "vms.csv:2: is not UTF-8 text; save it as UTF-8",
    );
}

/// Parts that never were files name the file without a line.
#[test]
fn bad_parts_in_memory() {
    let server = ServerId::new(1);
    let capacity = Capacity {
        vm_slots: 1,
        memory_mib: 10,
    };
    let servers = vec![ServerEntry {
        server,
        location: "r1".into(),
        capacity,
    }];
    let placement = Placement {
        vm: VmId::new(2),
        server,
        memory_mib: 11,
    };
    let vms = vec![VmEntry {
        placement,
        name: String::new(),
    }];
    let error = Snapshot::new(Settings::new([1.0]), servers, vms, vec![]).unwrap_err();
    assert_eq!(error.line(), None);
    assert_eq!(
        error.to_string(),
        "vms.csv: server 0.0.0.1 has no room for VM 0.0.0.2 of 11 MiB: 1 VM slots and 10 MiB are left; move a VM away or correct the capacity"
    );
}
