//! Sweep files that are bad: each is one line that names file and line and says what to do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use s_core_sim::sweep::Sweep;

fn check(text: &str, wanted: &str) {
    let error = Sweep::parse(text, "s.toml")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert_eq!(error, wanted, "{text}");
}

const KEYS: &str = "expected one of `seeds`, `topologies`, `vm_slots`, `vms`, `flows_per_vm`, `windows`, \
`vms_per_application`, `placements`, `link_weights`, `policies`, `target_choices`, `migration_costs`, `max_rounds`, \
`starts`, `baselines`, `references`, `populations`";

#[test]
fn bad_keys_and_types() {
    check(
        "\nsead = [1]\n",
        &format!("s.toml:2: unknown field `sead`, {KEYS}"),
    );
    check("seeds = [1]\nseeds = [2]\n", "s.toml:2: duplicate key");
    check("seeds = [1,\n", "s.toml:1: unclosed array, expected `]`");
    check(
        "seeds = 5\n",
        "s.toml:1: invalid type: integer `5`, expected a list of seeds or { first = SEED, last = SEED }",
    );
    check(
        "seeds = [-1]\n",
        "s.toml:1: invalid value: integer `-1`, expected u64",
    );
    check("seeds = { first = 1 }\n", "s.toml:1: missing field `last`");
    check(
        "seeds = { first = 1, step = 2 }\n",
        "s.toml:1: unknown field `step`, expected `first` or `last`",
    );
    check(
        "\n\nvms = 5\n",
        "s.toml:3: invalid type: integer `5`, expected a sequence",
    );
    check(
        "vms = [\n1,\n0]\n",
        "s.toml:3: vms: 0 is not a whole number from 1 to 4294967295",
    );
    check(
        "starts = [\"full\"]\n",
        "s.toml:1: starts: \"full\" is not what a token can begin with; there are measured and empty",
    );
    check(
        "references = [\"multilevel\"]\npopulations = [50]\n",
        "s.toml:2: populations: only references = [\"genetic\"] has individuals; add it, or leave the key out",
    );
    check(
        "max_rounds = [0]\n",
        "s.toml:1: max_rounds: 0 is not a whole number from 1 to 4294967295",
    );
    check(
        "migration_costs = [true]\n",
        "s.toml:1: invalid type: boolean `true`, expected texts or numbers in this list",
    );
}

#[test]
fn bad_entries() {
    check(
        "policies = [\n\"global\",\n\"fastest\"]\n",
        "s.toml:3: policies: no policy is called \"fastest\": say round-robin, global, distributed or load-aware",
    );
    check(
        "target_choices = [\"best\"]\n",
        "s.toml:1: target_choices: unknown target choice; known are first-fit and best-fit",
    );
    check(
        "placements = [\"here\"]\n",
        "s.toml:1: placements: \"here\" is not a placement; there are random and rack-local",
    );
    check(
        "topologies = [\"ring:4\"]\n",
        "s.toml:1: topologies: \"ring:4\" is no topology; write it like tree:4,4,4,2x20, fat-tree:8 or leaf-spine:16x20",
    );
    check(
        "topologies = [\"tree:2,0x4\"]\n",
        "s.toml:1: topologies: \"tree:2,0x4\": a fan-out or a number of servers is 0; each must be at least 1",
    );
    let cost = "is not a migration cost; write a cost like 5000, per cent of the VM's own part 2 C(u) like 10% (at most 100%), or of the mean cost per VM C / |V| like 10%mean";
    check(
        "migration_costs = [\"much\"]\n",
        &format!("s.toml:1: migration_costs: \"much\" {cost}"),
    );
    check(
        "migration_costs = [0,\n-5]\n",
        &format!("s.toml:2: migration_costs: \"-5\" {cost}"),
    );
    check(
        "migration_costs = [inf]\n",
        &format!("s.toml:1: migration_costs: \"inf\" {cost}"),
    );
    let known = "the baselines are starling, remedy and traffic-aware, the references multilevel, genetic and exact";
    check(
        "baselines = [\"best\"]\n",
        &format!("s.toml:1: baselines: \"best\" is unknown; {known}"),
    );
    check(
        "references = [\"best\"]\n",
        &format!("s.toml:1: references: \"best\" is unknown; {known}"),
    );
    check(
        "references = [\n\"starling\"]\n",
        "s.toml:2: references: starling does not belong here but into baselines; move it there",
    );
    check(
        "baselines = [\"exact\"]\n",
        "s.toml:1: baselines: exact does not belong here but into references; move it there",
    );
}

#[test]
fn bad_lists() {
    for key in [
        "seeds",
        "topologies",
        "vm_slots",
        "vms",
        "placements",
        "target_choices",
        "migration_costs",
        "max_rounds",
        "flows_per_vm",
    ] {
        check(
            &format!("\n{key} = []\n"),
            &format!("s.toml:2: {key} is empty; name at least one, or leave the key out"),
        );
    }
    check(
        "policies = []\nreferences = [\"none\"]\n",
        "s.toml: asks for nothing to run: policies, baselines and references are empty; name one, or leave policies out for all four",
    );
    check(
        "seeds = [1, 2, 1]\n",
        "s.toml:1: seeds names 1 twice; leave one out",
    );
    check(
        "policies = [\"global\",\n\"global\"]\n",
        "s.toml:2: policies names global twice; leave one out",
    );
    check(
        "migration_costs = [\"10%\", 0, \"10.0%\"]\n",
        "s.toml:1: migration_costs names 10% twice; leave one out",
    );
    check(
        "seeds = { first = 9, last = 3 }\n",
        "s.toml:1: seeds: the last, 3, is below the first, 9; swap them",
    );
}

#[test]
fn too_many_runs_are_refused_before_there_are_any() {
    let advice = "and a sweep has at most 100000; shorten its lists or split it";
    check(
        "\nseeds = { first = 0, last = 18446744073709551615 }\n",
        &format!("s.toml:2: asks for 18446744073709551616 runs, {advice}"),
    );
    check(
        "seeds = { first = 1, last = 25001 }\n",
        &format!("s.toml: asks for 100004 runs, {advice}"),
    );
    let thousand: Vec<String> = (1..=1000).map(|number| number.to_string()).collect();
    let list = thousand.join(",");
    check(
        &format!(
            "vms = [{list}]\nvm_slots = [{list}]\nwindows = [{list}]\nmax_rounds = [{list}]\nmigration_costs = [{list}]\npolicies = [\"global\"]\n"
        ),
        &format!("s.toml: asks for 1000000 runs, {advice}"),
    );
    check(
        &format!(
            "vms = [{list}]\nvm_slots = [{list}]\nwindows = [{list}]\nflows_per_vm = [{list}]\n"
        ),
        &format!("s.toml: asks for 4000000000000 runs, {advice}"),
    );
    let most = Sweep::parse("seeds = { first = 1, last = 25000 }\n", "s.toml").unwrap();
    assert_eq!(most.run_count(), 100_000);
}

#[test]
fn impossible_data_centres() {
    check(
        "topologies = [\"tree:2,2x2\"]\nvm_slots = [4]\nvms = [32,\n33]\n",
        "s.toml:4: vms: 33 VMs do not fit into the 32 VM slots of tree:2,2x2 with 4 per server; take fewer VMs, or more vm_slots or servers",
    );
    let large =
        "a made-up data centre has at most 4194304 servers, as many VMs and 67108864 VM slots";
    check(
        "vm_slots = [4000000000]\n",
        &format!("s.toml: topologies: tree:4,4,4,2x20: {large}"),
    );
    check(
        "flows_per_vm = [10,\n1001]\n",
        "s.toml:2: flows_per_vm: 1001 given; a whole number from 1 to 1000 is wanted",
    );
    check(
        "windows = [1001]\n",
        "s.toml:1: windows: 1001 given; a whole number from 1 to 1000 is wanted",
    );
    check(
        "vms_per_application = [1]\n",
        "s.toml:1: vms_per_application: 1 given; a whole number from 2 to 4294967295 is wanted",
    );
    check(
        "flows_per_vm = [1000]\nwindows = [10]\n",
        "s.toml:1: flows_per_vm: 32768 VMs would have 163840000 flows, more than 67108864; lower flows_per_vm or windows, or take fewer VMs",
    );
    check(
        "topologies = [\"tree:2,2,2,2,2x2\"]\n",
        "s.toml:1: link_weights: tree:2,2,2,2,2x2 has 5 levels of links and only 4 weights are known; give link_weights",
    );
    check(
        "link_weights = [1, 2]\n",
        "s.toml:1: link_weights: 2 weights given and tree:4,4,4,2x20 has 4 levels of links; give a weight for each",
    );
    check(
        "\nlink_weights = [1, 2, 2, 4]\n",
        "s.toml:2: link_weights: link weight c_3 = 2 does not rise above c_2 = 2; weights must rise towards the core",
    );
    let weights: Vec<String> = (1..=16)
        .map(|weight| format!("{weight}.123456789012345"))
        .collect();
    let text = format!(
        "topologies = [\"tree:{}x1\"]\nlink_weights = [{}]\n",
        vec!["1"; 16].join(","),
        weights.join(",")
    );
    let error = Sweep::parse(&text, "s.toml")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("would be longer than 240 bytes; use fewer or shorter link_weights"),
        "{error}"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    let check = |content: Option<&[u8]>, wanted: &str| {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = Sweep::read(&path).map(drop).unwrap_err().to_string();
        assert_eq!(error, format!("{}:{wanted}", path.display()));
    };
    check(
        None,
        " cannot be read: No such file or directory (os error 2)",
    );
    check(Some(b"# a\n\xff"), "2: is not UTF-8 text; save it as UTF-8");
    check(
        Some(&[b'#'; (1 << 20) + 1]),
        " is larger than 1048576 bytes; split the sweep",
    );
}
