//! The flow table's edge cases, one by one.

use std::net::Ipv4Addr;
use std::time::Duration;

use s_core_flow::{
    Dropped, Flow, FlowKey, FlowTable, FlowTableConfig, InvalidFlowTableConfig, MAX_LIMIT, MacAddr,
};

const CONFIG: FlowTableConfig = FlowTableConfig {
    limit: 100,
    window: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(120),
    seed: 987_654_321,
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn mac(last: u8) -> MacAddr {
    MacAddr::new([0, 0x16, 0x3e, 0, 0, last])
}

fn pair(src: u8, dst: u8) -> FlowKey {
    FlowKey::ip_pair(ip(src), ip(dst))
}

fn tcp(src: u8, src_port: u16, dst: u8, dst_port: u16) -> FlowKey {
    FlowKey {
        src: ip(src),
        dst: ip(dst),
        protocol: 6,
        src_port,
        dst_port,
    }
}

fn table() -> FlowTable {
    FlowTable::new(CONFIG, s(0)).expect("the parameters are in range")
}

#[test]
fn parameters_are_checked() {
    #[track_caller]
    fn check(config: FlowTableConfig, want: &str) {
        let error = FlowTable::new(config, s(0)).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    }
    let limit = |limit| FlowTableConfig { limit, ..CONFIG };
    let times = |window, idle_timeout| FlowTableConfig {
        window,
        idle_timeout,
        ..CONFIG
    };
    check(limit(0), "limit 0 is out of range");
    check(limit(MAX_LIMIT + 1), "choose 1 to 2147483647");
    check(times(s(0), s(9)), "window 0ns is too short");
    check(times(Duration::from_micros(999), s(9)), "at least 1ms");
    check(times(s(60), s(59)), "idle timeout 59s is shorter");
    for config in [
        limit(1),
        limit(MAX_LIMIT),
        times(Duration::from_millis(1), s(1)),
        times(s(60), s(60)),
        times(Duration::MAX, Duration::MAX),
    ] {
        assert_eq!(
            FlowTable::new(config, s(0)).map(|_| ()),
            Ok(()),
            "{config:?}"
        );
    }
    assert_eq!(
        FlowTable::new(limit(0), s(0)).unwrap_err(),
        InvalidFlowTableConfig::Limit { limit: 0 }
    );
}

#[test]
fn a_flow_and_its_reverse_share_an_entry_and_its_times() {
    let mut table = table();
    let key = tcp(2, 40_000, 1, 80);
    table.record(s(1), key, 100, None);
    assert_eq!(table.flow(key.reversed()), None);
    table.record(s(3), key.reversed(), 7, None);
    table.record(s(4), key, 20, None);
    let want = |key, bytes| Flow {
        key,
        bytes,
        first_seen: s(1),
        last_seen: s(4),
    };
    assert_eq!(table.len(), 1);
    assert_eq!(table.flow(key), Some(want(key, 120)));
    assert_eq!(table.flow(key.reversed()), Some(want(key.reversed(), 7)));
    assert_eq!(table.bidirectional(key), Some(want(key, 127)));
    assert_eq!(
        table.bidirectional(key.reversed()),
        Some(want(key.reversed(), 127))
    );
    let flow = table.flow(key).unwrap();
    assert_eq!(flow.duration(), s(3));
    assert_eq!(flow.age(s(11)), s(10));
    assert_eq!(flow.age(s(2)), s(3));
}

#[test]
fn every_field_of_the_key_tells_flows_apart() {
    let mut table = table();
    let key = tcp(1, 40_000, 2, 80);
    let others = [
        FlowKey {
            protocol: 17,
            ..key
        },
        FlowKey { src: ip(3), ..key },
        FlowKey { dst: ip(3), ..key },
        FlowKey {
            src_port: 80,
            ..key
        },
        FlowKey {
            dst_port: 81,
            ..key
        },
        FlowKey {
            src_port: 80,
            dst_port: 40_000,
            ..key
        },
        pair(1, 2),
    ];
    table.record(s(1), key, 1, None);
    for other in others {
        assert_eq!(table.bidirectional(other), None, "{other:?}");
        table.record(s(1), other, 2, None);
    }
    assert_eq!(table.len(), 1 + others.len());
    assert_eq!(table.flow(key).unwrap().bytes, 1);
}

#[test]
fn traffic_of_an_address_with_itself_is_kept_and_is_no_peer() {
    let mut table = table();
    table.record(s(1), pair(1, 1), 10, Some(mac(1)));
    table.record(s(1), tcp(1, 5, 1, 6), 20, None);
    table.record(s(1), tcp(1, 6, 1, 5), 30, None);
    assert_eq!(table.len(), 2);
    assert_eq!(table.flow(pair(1, 1)).unwrap().bytes, 10);
    assert_eq!(table.bidirectional(pair(1, 1)).unwrap().bytes, 10);
    assert_eq!(table.bidirectional(tcp(1, 6, 1, 5)).unwrap().bytes, 50);
    assert_eq!(table.flows_of(ip(1)).count(), 3);
    assert_eq!(table.rates(ip(1), s(1)), []);
    assert_eq!(
        table.clear(ip(1)),
        Dropped {
            entries: 2,
            bytes: 60
        }
    );
    assert!(table.is_empty());
    assert_eq!(table.mac_of(ip(1)), None);
}

#[test]
fn the_latest_mac_address_counts() {
    let mut table = table();
    #[track_caller]
    fn check(table: &FlowTable, macs: [Option<u8>; 3], ips: [Option<u8>; 3]) {
        for n in 0..3 {
            let number = u8::try_from(n + 1).unwrap();
            assert_eq!(
                table.mac_of(ip(number)),
                macs[n].map(mac),
                "MAC of {number}"
            );
            assert_eq!(table.ip_of(mac(number)), ips[n].map(ip), "IP of {number}");
        }
    }
    check(&table, [None, None, None], [None, None, None]);
    table.record(s(1), pair(1, 2), 1, Some(mac(1)));
    check(&table, [Some(1), None, None], [Some(1), None, None]);
    table.record(s(1), pair(1, 2), 1, None);
    table.record(s(1), pair(1, 2), 1, Some(MacAddr::new([0xff; 6])));
    check(&table, [Some(1), None, None], [Some(1), None, None]);
    // Another interface takes the address.
    table.record(s(2), pair(1, 2), 1, Some(mac(2)));
    check(&table, [Some(2), None, None], [None, Some(1), None]);
    // The interface takes another address, and the first again.
    table.record(s(3), pair(3, 2), 1, Some(mac(2)));
    check(&table, [Some(2), None, Some(2)], [None, Some(3), None]);
    table.record(s(4), pair(1, 2), 1, Some(mac(2)));
    check(&table, [Some(2), None, Some(2)], [None, Some(1), None]);
    table.clear(ip(3));
    check(&table, [Some(2), None, None], [None, Some(1), None]);
    // The last flow takes the address with it.
    table.clear(ip(2));
    check(&table, [None, None, None], [None, None, None]);
}

#[test]
fn a_full_table_gives_up_what_was_recorded_longest_ago() {
    let config = FlowTableConfig { limit: 2, ..CONFIG };
    let mut table = FlowTable::new(config, s(0)).unwrap();
    table.record(s(1), pair(1, 2), 10, Some(mac(1)));
    table.record(s(1), pair(1, 3), 20, None);
    table.record(s(2), pair(2, 1), 5, None);
    assert_eq!(table.evicted(), Dropped::default());
    table.record(s(3), pair(4, 5), 40, None);
    assert_eq!(
        table.evicted(),
        Dropped {
            entries: 1,
            bytes: 20
        }
    );
    table.record(s(3), pair(6, 5), 80, None);
    assert_eq!(
        table.evicted(),
        Dropped {
            entries: 2,
            bytes: 35
        }
    );
    assert_eq!(table.len(), 2);
    assert_eq!(table.mac_of(ip(1)), None);
    assert_eq!(table.flows().map(|f| f.bytes).collect::<Vec<_>>(), [40, 80]);
}

#[test]
fn idle_entries_expire_and_busy_ones_stay() {
    let mut table = table();
    table.record(s(10), pair(1, 2), 10, None);
    table.record(s(20), pair(1, 3), 20, None);
    table.record(s(30), pair(2, 1), 0, None);
    assert_eq!(table.expire(s(139)), Dropped::default());
    assert_eq!(
        table.expire(s(140)),
        Dropped {
            entries: 1,
            bytes: 20
        }
    );
    assert_eq!(table.expire(s(149)), Dropped::default());
    assert_eq!(
        table.expire(s(u64::MAX)),
        Dropped {
            entries: 1,
            bytes: 10
        }
    );
    assert!(table.is_empty());
}

#[test]
fn rates_cover_the_time_measured_and_add_up_per_peer() {
    let mut table = FlowTable::new(CONFIG, s(100)).unwrap();
    table.record(s(100), tcp(1, 1, 2, 2), 500, None);
    assert_eq!(table.rates(ip(1), s(100)), []);
    assert_eq!(table.covered(s(100)), s(0));
    // 3 s old, so divided by 3 and not by 60.
    table.record(s(103), tcp(1, 3, 4, 4), 90, None);
    table.record(s(103), tcp(2, 2, 1, 1), 100, None);
    table.record(s(103), tcp(2, 9, 1, 9), 60, None);
    assert_eq!(table.rates(ip(1), s(103)), [(ip(2), 220.0), (ip(4), 30.0)]);
    assert_eq!(table.rates(ip(4), s(103)), [(ip(1), 30.0)]);
    assert_eq!(table.rates(ip(9), s(103)), []);
    // The grid of half windows is at 90, 120, 150, ... : at 149 the window reaches back to 100, at
    // 150 to 120.
    assert_eq!(table.covered(s(149)), s(49));
    assert_eq!(table.rates(ip(4), s(149)), [(ip(1), 90.0 / 49.0)]);
    assert_eq!(table.covered(s(150)), s(30));
    assert_eq!(table.rates(ip(4), s(150)), []);
    assert_eq!(table.covered(s(179)), s(59));
    assert_eq!(table.covered(s(180)), s(30));
    // Entries without traffic in the window are kept, their bytes too.
    assert_eq!(table.flow(tcp(1, 3, 4, 4)).unwrap().bytes, 90);
}

#[test]
fn rates_into_reuses_its_buffer() {
    let mut table = table();
    table.record(s(1), pair(1, 2), 10, None);
    let mut rates = vec![(ip(9), 1.0); 4];
    let at = rates.as_ptr();
    table.rates_into(ip(1), s(1), &mut rates);
    assert_eq!(
        (rates.as_slice(), rates.as_ptr()),
        (&[(ip(2), 10.0)][..], at)
    );
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut table = table();
    table.record(s(50), pair(1, 2), 10, None);
    table.record(s(10), pair(1, 2), 10, None);
    table.record(s(10), pair(1, 3), 10, None);
    let flow = table.flow(pair(1, 2)).unwrap();
    assert_eq!(
        (flow.first_seen, flow.last_seen, flow.bytes),
        (s(50), s(50), 20)
    );
    assert_eq!(table.flow(pair(1, 3)).unwrap().first_seen, s(50));
    assert_eq!(table.covered(s(0)), s(50));
    assert_eq!(table.rates(ip(1), s(0)), [(ip(2), 0.4), (ip(3), 0.2)]);
    assert_eq!(table.expire(s(0)), Dropped::default());
}

#[test]
fn sums_saturate_and_the_end_of_time_is_no_panic() {
    let mut table = table();
    for _ in 0..2 {
        table.record(Duration::MAX, pair(1, 2), u64::MAX, None);
        table.record(Duration::MAX, pair(2, 1), u64::MAX, None);
    }
    assert_eq!(table.bidirectional(pair(1, 2)).unwrap().bytes, u64::MAX);
    assert_eq!(table.rates(ip(1), Duration::MAX).len(), 1);
    assert_eq!(table.expire(Duration::MAX), Dropped::default());
    assert_eq!(
        table.clear(ip(2)),
        Dropped {
            entries: 1,
            bytes: u64::MAX
        }
    );
}

#[test]
fn the_printed_form_keeps_the_seed_to_itself() {
    let text = format!("{:?}", table());
    assert!(
        text.contains("limit: 100") && !text.contains("987654321"),
        "{text}"
    );
}

#[test]
fn an_entry_takes_104_bytes() {
    let config = FlowTableConfig {
        limit: 1 << 14,
        ..CONFIG
    };
    let mut table = FlowTable::new(config, s(0)).unwrap();
    let empty = table.memory_usage();
    for n in 0..1u32 << 14 {
        let key = FlowKey::ip_pair(
            Ipv4Addr::from_bits(n / 1000),
            Ipv4Addr::from_bits((n % 1000) | (1 << 24)),
        );
        table.record(s(1), key, 1, None);
    }
    let per_entry = (table.memory_usage() - empty) as f64 / f64::from(1u32 << 14);
    // The entry, its index at a load of one half, and 1017 endpoints for all.
    assert!(
        (114.0..118.0).contains(&per_entry),
        "{per_entry} bytes per entry"
    );
}
