//! Two real Xen hosts, one VM each, and a live migration: `cargo test -p s-core-xen-lab --test two_hosts -- --ignored --nocapture`.
//! It needs what `xen-lab build` and `xen-lab up` need, and takes minutes; the image and the snapshot are in the cache that
//! `S_CORE_XEN_LAB_CACHE` names, or in the default one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::path::Path;
use std::time::Duration;

use s_core_lab::{HostNumber, LabName, VmNumber, down, namespace};
use s_core_xen_lab::{Cache, Plan, Remote, Size, Status, UpOptions, build, status, up};

const FIRST: HostNumber = HostNumber(1);
const SECOND: HostNumber = HostNumber(2);

struct Down(LabName);

impl Drop for Down {
    fn drop(&mut self) {
        down(&self.0).unwrap();
        assert!(!self.0.directory().exists());
        assert!(namespace::with_prefix(&self.0.prefix()).unwrap().is_empty());
    }
}

/// The VMs of the two hosts that are at a port of their host's bridge.
fn placement(status: &Status) -> Vec<Vec<VmNumber>> {
    let of_host = |host: &s_core_xen_lab::HostStatus| {
        assert_eq!(host.emulator.as_ref().unwrap(), "running");
        let domains = host.domains.as_ref().unwrap().iter();
        domains
            .filter(|domain| domain.port.is_some())
            .filter_map(|domain| domain.vm)
            .collect()
    };
    status.hosts.iter().map(of_host).collect()
}

#[test]
#[ignore = "boots two Xen hosts in emulators: minutes"]
fn a_vm_is_migrated_between_two_hosts() {
    let cache = match env::var_os("S_CORE_XEN_LAB_CACHE") {
        Some(directory) => Cache::new(Path::new(&directory)),
        None => Cache::of_system(),
    };
    let cache = cache.unwrap();
    build(&cache, &|step| eprintln!("building {step}")).unwrap();
    let name: LabName = "xentwo".parse().unwrap();
    let size = Size {
        hosts: 2,
        domains: 1,
        ..Size::default()
    };
    let plan = Plan::new(name.clone(), size).unwrap();
    let _down = Down(name.clone());
    let tell = |host: HostNumber, stage| eprintln!("xen{}: {stage}", host.0);
    up(&plan, &cache, UpOptions::default(), &|| false, &tell).unwrap();
    let before = status(&name).unwrap();
    assert_eq!(placement(&before), [[VmNumber(1)], [VmNumber(2)]]);

    let remote = Remote::of(&name).unwrap();
    let target = plan.layout().fabric_address(SECOND);
    let within = Duration::from_secs(500);
    remote
        .run(FIRST, &format!("xl migrate v1 {target}"), "", within)
        .unwrap();
    let after = status(&name).unwrap();
    assert_eq!(placement(&after), [vec![], vec![VmNumber(2), VmNumber(1)]]);
    // Its memory went over the shaped links.
    let carried = after.links.iter().map(|link| link.counters.up).max();
    assert!(carried > Some(30 << 20), "{carried:?}");

    let vm = plan.layout().vm(VmNumber(1));
    remote
        .run(FIRST, &format!("ping -c 3 -W 10 {vm}"), "", within)
        .unwrap();
    let missing = remote.run(FIRST, "xl migrate v9 10.77.0.2", "", within);
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("v9 is an invalid domain identifier"),
        "{missing}"
    );
}
