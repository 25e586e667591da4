//! Snapshots that are good: reading, adding up, writing and reading back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use s_core_model::{
    Capacity, Level, Levels, MigrationCost, Placement, Rate, ServerId, VmId, VmIndex,
};
use s_core_sim::snapshot::{Limits, ServerEntry, Settings, Snapshot, TrafficEntry, VmEntry};

fn write_all(dir: &Path, files: [&str; 4]) {
    let names = ["data-centre.toml", "servers.csv", "vms.csv", "traffic.csv"];
    for (name, text) in names.iter().zip(files) {
        fs::write(dir.join(name), text).unwrap();
    }
}

fn read(files: [&str; 4]) -> Snapshot {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), files);
    Snapshot::read(dir.path()).unwrap()
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const FILES: [&str; 4] = [
    "link_weights = [1, 2.5]\n",
    "server,location,vm_slots,memory_mib\n10.0.0.1,a1/r1,2,4096\n10.0.0.2,a2/r1,1,2048\n",
    "vm,server,memory_mib,name\n10.1.0.1,10.0.0.1,1024,web\n10.1.0.2,10.0.0.2,2048,\n",
    "vm_a,vm_b,bytes_per_second\n10.1.0.1,10.1.0.2,100\n",
];

#[test]
fn the_parts_are_what_the_files_say() {
    let snapshot = read(FILES);
    let [web, other] = [0, 1].map(VmIndex::new);
    let allocation = snapshot.allocation();
    assert_eq!(snapshot.name(web), "web");
    assert_eq!(snapshot.name(other), "");
    assert_eq!(snapshot.link_weights().path_cost(Level::new(2)), 3.5);
    assert_eq!(snapshot.migration_cost(), MigrationCost::ZERO);
    let (x, y) = (allocation.host(web), allocation.host(other));
    assert_eq!(snapshot.locations().location(x), "a1/r1");
    assert_eq!(snapshot.locations().level(x, y), Level::new(2));
    assert_eq!(
        snapshot.capacity(x),
        Capacity {
            vm_slots: 2,
            memory_mib: 4096
        }
    );
    assert_eq!(
        allocation.free(x),
        Capacity {
            vm_slots: 1,
            memory_mib: 3072
        }
    );
    assert_eq!(
        allocation.free(y),
        Capacity {
            vm_slots: 0,
            memory_mib: 0
        }
    );
    assert_eq!(
        snapshot.traffic().rate(other, web),
        Rate::new(100.0).unwrap()
    );
}

#[test]
fn settings_have_all_their_forms() {
    let check = |text: &str, wanted: Settings| {
        let snapshot = read([text, FILES[1], FILES[2], FILES[3]]);
        assert_eq!(snapshot.settings(), &wanted, "{text}");
    };
    let plain = Settings::new([1.0, 2.5]);
    let with = |migration_cost| Settings {
        migration_cost,
        ..plain.clone()
    };
    check("link_weights = [1, 2.5]", plain.clone());
    check(
        "link_weights = [1, 2.5]\nmigration_cost = 7",
        with(MigrationCost::Absolute(7.0)),
    );
    check(
        "link_weights = [1, 2.5]\nmigration_cost = 0.5",
        with(MigrationCost::Absolute(0.5)),
    );
    check(
        "link_weights = [1, 2.5]\nmigration_cost = { relative = 0.1 }",
        with(MigrationCost::RelativeToVm(0.1)),
    );
    check(
        "link_weights = [1, 2.5]\n[migration_cost]\nrelative = 1\n",
        with(MigrationCost::RelativeToVm(1.0)),
    );
    let limits = Limits {
        max_migrations: Some(3),
        min_gain: Some(2.0),
    };
    check(
        "link_weights = [1, 2.5]\n[limits]\nmax_migrations = 3\nmin_gain = 2.0\n[tags]\nsite = 'x'\n",
        Settings {
            limits,
            tags: BTreeMap::from([("site".into(), "x".into())]),
            ..plain.clone()
        },
    );
}

/// Comments, blank lines, CRLF, spaces, a byte order mark, quotes and other orders of columns.
#[test]
fn files_may_be_laid_out_freely() {
    let wanted = read(FILES);
    let check = |place: usize, text: &str| {
        let mut files = FILES;
        files[place] = text;
        assert_eq!(read(files), wanted, "{text:?}");
    };
    check(
        0,
        "\u{feff}# weights\nlink_weights = [\n  1.0, # c_1\n  2.5,\n]\n",
    );
    check(
        1,
        "# a\n\nserver,location,vm_slots,memory_mib\n#10.0.0.9,a1,1,1\n10.0.0.2,a2/r1,1,2048\n\n10.0.0.1,a1/r1,2,4096",
    );
    check(
        1,
        "\u{feff}memory_mib,server,vm_slots,location\r\n4096,10.0.0.1,2,a1/r1\r\n  # x\r\n2048,10.0.0.2,1,a2/r1\r\n",
    );
    check(
        2,
        "vm , server , memory_mib , name\n10.1.0.1, 10.0.0.1, 1024,\"web\"\n   \n10.1.0.2,10.0.0.2,2048,\"\"\n",
    );
    check(3, "vm_a,vm_b,bytes_per_second\n10.1.0.2,10.1.0.1,1e2\n");
}

#[test]
fn a_pair_given_again_in_either_order_adds_up() {
    let check = |rows: &str, wanted: f64| {
        let traffic = format!("vm_a,vm_b,bytes_per_second\n{rows}");
        let snapshot = read([FILES[0], FILES[1], FILES[2], &traffic]);
        let [a, b] = [0, 1].map(VmIndex::new);
        assert_eq!(
            snapshot.traffic().rate(a, b).bytes_per_second(),
            wanted,
            "{rows}"
        );
        assert_eq!(
            snapshot.traffic().rate(b, a).bytes_per_second(),
            wanted,
            "{rows}"
        );
        assert_eq!(snapshot.traffic().pair_count(), usize::from(wanted > 0.0));
    };
    check("", 0.0);
    check("10.1.0.1,10.1.0.2,0\n", 0.0);
    check("10.1.0.1,10.1.0.2,1\n10.1.0.1,10.1.0.2,2\n", 3.0);
    check(
        "10.1.0.1,10.1.0.2,1\n10.1.0.2,10.1.0.1,2\n10.1.0.1,10.1.0.2,4\n",
        7.0,
    );
}

#[test]
fn written_files_have_this_form() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a/b");
    let settings = "link_weights = [1, 2.5]\nmigration_cost = { relative = 0.25 }\n[tags]\n\"q\\\"\" = \"a\\tb\"\n[limits]\nmin_gain = 1e300\n";
    read([settings, FILES[1], FILES[2], FILES[3]])
        .write(&target)
        .unwrap();
    assert_eq!(
        names_in(&target),
        ["data-centre.toml", "servers.csv", "traffic.csv", "vms.csv"]
    );
    let check = |name: &str, wanted: &str| {
        assert_eq!(fs::read_to_string(target.join(name)).unwrap(), wanted);
    };
    check(
        "data-centre.toml",
        "link_weights = [1.0, 2.5]\nmigration_cost = { relative = 0.25 }\n\n[tags]\n\"q\\\"\" = \"a\\u0009b\"\n\n[limits]\nmin_gain = 1e300\n",
    );
    check("servers.csv", FILES[1]);
    check("vms.csv", FILES[2]);
    check(
        "traffic.csv",
        "vm_a,vm_b,bytes_per_second\n10.1.0.1,10.1.0.2,100.0\n",
    );
}

#[test]
fn writing_replaces_a_snapshot_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = read(FILES);
    snapshot.write(dir.path()).unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("vms.csv"), "outdated").unwrap();
    snapshot.write(dir.path()).unwrap();
    assert_eq!(Snapshot::read(dir.path()).unwrap(), snapshot);
    assert_eq!(
        fs::read_to_string(dir.path().join("notes.txt")).unwrap(),
        "mine"
    );
    assert_eq!(names_in(dir.path()).len(), 5);

    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("vms.csv"), "mine").unwrap();
    let error = snapshot.write(foreign.path()).unwrap_err().to_string();
    assert!(error.contains("holds no snapshot"), "{error}");
    assert_eq!(names_in(foreign.path()), ["vms.csv"]);
    assert_eq!(
        fs::read_to_string(foreign.path().join("vms.csv")).unwrap(),
        "mine"
    );
}

#[test]
fn a_failed_write_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = read(FILES);
    // A directory in a file's place cannot be replaced by the file.
    fs::create_dir_all(dir.path().join("servers.csv/x")).unwrap();
    fs::write(dir.path().join("summary.json"), "{}").unwrap();
    let error = snapshot.write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be written"), "{error}");
    assert_eq!(names_in(dir.path()), ["servers.csv", "summary.json"]);
    let file = dir.path().join("summary.json");
    assert!(snapshot.write(&file).is_err());
    assert_eq!(fs::read_to_string(file).unwrap(), "{}");
}

#[test]
fn an_interrupted_write_leaves_no_mix_that_looks_whole() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = read(FILES);
    snapshot.write(dir.path()).unwrap();
    fs::remove_file(dir.path().join("traffic.csv")).unwrap();
    fs::create_dir(dir.path().join("traffic.csv")).unwrap();
    snapshot.write(dir.path()).unwrap_err();
    assert_eq!(
        names_in(dir.path()),
        ["servers.csv", "traffic.csv", "vms.csv"]
    );
    // A crash leaves also what was written to first; such a directory may be written again.
    Snapshot::check_target(dir.path()).unwrap_err();
    fs::remove_dir(dir.path().join("traffic.csv")).unwrap();
    fs::create_dir(dir.path().join(".snapshot-1")).unwrap();
    Snapshot::check_target(dir.path()).unwrap();
    snapshot.write(dir.path()).unwrap();
    assert_eq!(Snapshot::read(dir.path()).unwrap(), snapshot);
}

/// Snapshots of up to 5 servers and 12 VMs whose servers always have room.
fn snapshots() -> impl Strategy<Value = Snapshot> {
    let settings = (
        prop::collection::vec(1e-3..1e6f64, 3..6),
        prop_oneof![
            (0.0..1e9f64).prop_map(MigrationCost::Absolute),
            (0.0..1.0f64).prop_map(MigrationCost::RelativeToVm),
        ],
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
        (any::<Option<u32>>(), prop::option::of(0.0..1e9f64)),
    );
    let settings = settings.prop_map(|(mut link_weights, migration_cost, tags, limits)| {
        link_weights.sort_by(f64::total_cmp);
        link_weights.dedup();
        let (max_migrations, min_gain) = (limits.0.map(u64::from), limits.1);
        let limits = Limits {
            max_migrations,
            min_gain,
        };
        Settings {
            link_weights,
            migration_cost,
            tags,
            limits,
        }
    });
    let location = "[a-c,\"#é]{1,2}/[a-c]/r[0-9]";
    let server = (location, 12..20u32, any::<u32>());
    let servers = prop::collection::btree_map(any::<u32>(), server, 1..5);
    let vm = (any::<prop::sample::Index>(), 0..1000u32, "\\PC{0,6}");
    let vms = prop::collection::btree_map(any::<u32>(), vm, 1..12);
    let pair = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0.0..1e12f64,
    );
    let pairs = prop::collection::vec(pair, 0..20);
    (settings, servers, vms, pairs).prop_map(|(settings, servers, vms, pairs)| {
        let ids: Vec<_> = servers.keys().copied().map(ServerId::new).collect();
        let vm_ids: Vec<_> = vms.keys().copied().map(VmId::new).collect();
        let servers = servers
            .into_iter()
            .map(|(id, (location, vm_slots, memory))| ServerEntry {
                server: ServerId::new(id),
                location,
                capacity: Capacity {
                    vm_slots,
                    memory_mib: 12_000 + u64::from(memory),
                },
            });
        let vms = vms
            .into_iter()
            .map(|(id, (host, memory_mib, name))| VmEntry {
                placement: Placement {
                    vm: VmId::new(id),
                    server: *host.get(&ids),
                    memory_mib,
                },
                name,
            });
        let traffic = pairs.iter().map(|(a, b, rate)| TrafficEntry {
            vm_a: *a.get(&vm_ids),
            vm_b: *b.get(&vm_ids),
            rate: Rate::new(*rate).unwrap(),
        });
        let traffic = traffic.filter(|entry| entry.vm_a != entry.vm_b).collect();
        Snapshot::new(settings, servers.collect(), vms.collect(), traffic).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back(snapshot in snapshots()) {
        let dir = tempfile::tempdir().unwrap();
        snapshot.write(dir.path()).unwrap();
        let read = Snapshot::read(dir.path()).unwrap();
        prop_assert_eq!(read, snapshot);
    }

    /// No file's content, however odd, makes reading panic.
    #[test]
    fn any_file_is_read_or_refused(place in 0..4usize, cut in 0..200usize, noise in "(\\PC|[,\"\n#]){0,20}") {
        let mut text = FILES[place].to_owned();
        let mut cut = cut % (text.len() + 1);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.insert_str(cut, &noise);
        let mut files = FILES;
        files[place] = &text;
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path(), files);
        if let Err(error) = Snapshot::read(dir.path()) {
            let line = error.to_string();
            prop_assert!(!line.contains('\n'), "{}", line);
            prop_assert!(error.line() <= Some(1 + text.matches('\n').count() as u64));
        }
    }
}
