//! The parsers of `xl`'s output, on output of a real Xen 4.17 (`data/xen`) and on what it must not believe.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

use proptest::prelude::*;
use s_core_backend::Uuid;
use s_core_backend::xl::{
    DomainConfig, DomainState, HostInfo, ListedDomain, MAX_OUTPUT, NetworkInterface, ParseError,
    parse_info, parse_list, parse_list_long, parse_network_list,
};

/// A recorded output without the lines that say how it was recorded.
fn recorded(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("# "))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn xen2_guests() -> [(u32, &'static str, Uuid, &'static str); 3] {
    [
        (
            1,
            "vm2",
            "716a40ad-7f00-4f79-a53e-e1794377271a",
            "00:16:3e:00:01:0c",
        ),
        (
            2,
            "vm6",
            "13ceaa74-098e-45ca-94fb-a4071a819c39",
            "00:16:3e:00:01:10",
        ),
        (
            4,
            "vm1",
            "dee2aba0-dc6d-4283-bd54-ab54af8916e5",
            "00:16:3e:00:01:0b",
        ),
    ]
    .map(|(domid, name, uuid, mac)| (domid, name, uuid.parse().unwrap(), mac))
}

#[test]
fn list_long_of_a_real_host() {
    let expected = xen2_guests().map(|(domid, name, uuid, mac)| DomainConfig {
        domid,
        uuid,
        name: name.to_owned(),
        memory_mib: Some(80),
        macs: vec![Some(mac.parse().unwrap())],
        address: None,
    });
    assert_eq!(
        parse_list_long(include_str!("data/xen/xl-list-l.xen2.json")).unwrap(),
        expected
    );
}

#[test]
fn list_long_with_what_xl_leaves_out() {
    let uuid = "716a40ad-7f00-4f79-a53e-e1794377271a";
    let check = |fields: &str, memory_mib, macs: &[Option<&str>]| {
        let json =
            format!(r#"[{{"domid": 9, "config": {{"c_info": {{"uuid": "{uuid}"}}{fields}}}}}]"#);
        let [domain] = parse_list_long(&json).unwrap().try_into().unwrap();
        let expected = DomainConfig {
            domid: 9,
            uuid: uuid.parse().unwrap(),
            name: String::new(),
            memory_mib,
            macs: macs
                .iter()
                .map(|mac| mac.map(|mac| mac.parse().unwrap()))
                .collect(),
            address: None,
        };
        assert_eq!(domain, expected, "{json}");
    };
    check("", None, &[]);
    check(r#", "b_info": {}, "nics": []"#, None, &[]);
    check(r#", "b_info": {"max_memkb": 1}"#, Some(1), &[]);
    check(r#", "b_info": {"max_memkb": 81921}"#, Some(81), &[]);
    check(r#", "nics": [{"devid": 0}]"#, None, &[None]);
    check(
        r#", "nics": [{"mac": "00:16:3e:00:01:0c"}, {"devid": 1}]"#,
        None,
        &[Some("00:16:3e:00:01:0c"), None],
    );
}

#[test]
fn list_long_with_addresses() {
    let check = |nics: &str, address: Option<&str>| {
        let json = format!(
            r#"[{{"domid": 9, "config": {{"c_info": {{"uuid": "716a40ad-7f00-4f79-a53e-e1794377271a"}}, "nics": [{nics}]}}}}]"#
        );
        let [domain] = parse_list_long(&json).unwrap().try_into().unwrap();
        assert_eq!(
            domain.address,
            address.map(|address| address.parse().unwrap()),
            "{json}"
        );
    };
    check(r#"{"ip": "10.0.1.11"}"#, Some("10.0.1.11"));
    check(
        r#"{"ip": "fe80::1 10.0.1.11 10.0.1.12"}"#,
        Some("10.0.1.11"),
    );
    check(r#"{}, {"ip": "10.0.1.12"}"#, Some("10.0.1.12"));
    check(r#"{"ip": "10.0.1.0/24"}"#, None);
    check(r#"{"ip": ""}"#, None);
}

#[test]
fn list_long_says_which_field_of_which_domain() {
    let check = |json: &str, message: &str| {
        let error = parse_list_long(json).unwrap_err().to_string();
        assert!(error.contains(message), "{json}: {error}");
    };
    check("", "line 1, column 0: EOF");
    check("[\n  {\"domid\": 3}", "line 2, column 14: EOF");
    check(
        "{}",
        "line 1, column 0: invalid type: map, expected a sequence",
    );
    check(r#"[{"config": {}}]"#, "missing field `domid`");
    check(r#"[{"domid": -1}]"#, "line 1, column 13: invalid value");
    check(
        r#"[{"domid": 3, "config": {"c_info": {"uuid": "716a"}}}]"#,
        r#"domain 3: uuid is 32 hexadecimal digits; found "716a""#,
    );
    let with = |rest: &str| {
        format!(
            r#"[{{"domid": 3, "config": {{"c_info": {{"uuid":
            "716a40ad-7f00-4f79-a53e-e1794377271a"}}, {rest}}}}}]"#
        )
    };
    check(
        &with(r#""nics": [{"mac": "00:16:3e"}]"#),
        r#"domain 3: mac is six pairs of hexadecimal digits; found "00:16:3e""#,
    );
    check(
        &with(r#""b_info": {"max_memkb": 18446744073709551615}"#),
        "domain 3: max_memkb is a number of KiB below 2^42",
    );
    check(&"[".repeat(100_000), "invalid type: sequence");
    let deep = "[".repeat(100_000);
    check(
        &format!(r#"[{{"unknown": {deep}"#),
        "EOF while parsing a list",
    );
}

fn listed(domid: u32, name: &str, memory_mib: u32, flags: &str, time: f64) -> ListedDomain {
    ListedDomain {
        name: name.to_owned(),
        domid,
        memory_mib,
        vcpus: 1,
        state: DomainState::from_flags(flags).unwrap(),
        cpu_seconds: time,
        uuid: None,
    }
}

#[test]
fn list_of_real_hosts() {
    assert_eq!(
        parse_list(&recorded(include_str!("data/xen/xl-list.xen1.txt"))).unwrap(),
        [
            listed(0, "Domain-0", 400, "r-----", 283.2),
            listed(2, "vm5", 80, "-b----", 69.0),
        ]
    );
    assert_eq!(
        parse_list(&recorded(include_str!("data/xen/xl-list.xen2.txt"))).unwrap(),
        [
            listed(0, "Domain-0", 400, "r-----", 390.0),
            listed(1, "vm2", 80, "-b----", 122.5),
            listed(2, "vm6", 80, "-b----", 83.1),
            listed(4, "vm1", 80, "------", 77.9),
        ]
    );
    let verbose = parse_list(&recorded(include_str!("data/xen/xl-list-v.txt"))).unwrap();
    assert_eq!(verbose[0].uuid, Some(Uuid::new([0; 16])));
    let guests = verbose[1..]
        .iter()
        .map(|domain| (domain.domid, domain.name.as_str(), domain.uuid.unwrap()));
    assert!(guests.eq(xen2_guests().map(|(domid, name, uuid, _)| (domid, name, uuid))));
}

/// Only ASCII white space stands between columns; any other is of the name, be it inside or at its end.
#[test]
fn names_with_other_white_space() {
    for name in ["vm\u{a0}5", "vm5\u{a0}", "\u{85}", "\u{3000}vm 5"] {
        let text = format!("{LIST_HEADER}{name}  2    80     1     -b----      69.0\n");
        let expected = [listed(2, name, 80, "-b----", 69.0)];
        assert_eq!(parse_list(&text).unwrap(), expected);
    }
    let text = format!("{LIST_HEADER}v \u{85}A0 \n");
    assert!(matches!(parse_list(&text), Err(ParseError::Field { .. })));
}

#[test]
fn states() {
    let check =
        |flags: &str, expected| assert_eq!(DomainState::from_flags(flags), expected, "{flags}");
    check("r-----", Some(DomainState::Runnable));
    check("-b----", Some(DomainState::Runnable));
    check("------", Some(DomainState::Runnable));
    check("--p---", Some(DomainState::Paused));
    check("---ss-", Some(DomainState::Suspended));
    check("---s--", Some(DomainState::ShutDown)); // powered off
    check("---sr-", Some(DomainState::ShutDown)); // to be started again
    check("---sc-", Some(DomainState::ShutDown)); // crashed
    check("----c-", Some(DomainState::ShutDown)); // crashed, by xm
    check("---ssd", Some(DomainState::Dying));
    check("--ps-d", Some(DomainState::Dying));
    check("-----", None);
    check("-------", None);
    check("b-----", None);
    check("-----x", None);
}

const LIST_HEADER: &str =
    "Name                                        ID   Mem VCPUs\tState\tTime(s)\n";

#[test]
fn list_says_which_line_and_column() {
    let check = |text: String, message: &str| {
        assert_eq!(parse_list(&text).unwrap_err().to_string(), message);
    };
    let no_header = r#"line 1: no header that begins with "Name"; found "#;
    check(String::new(), &format!(r#"{no_header}"""#));
    check(
        "xl: command not found\n".to_owned(),
        &format!(r#"{no_header}"xl: command not found""#),
    );
    let row = |row: &str| format!("{LIST_HEADER}Domain-0 0 400 1 r----- 1.0\n{row}\n");
    check(
        row("vm1 4 80 1 ------ soon"),
        r#"line 3: Time(s) is a number; found "soon""#,
    );
    check(
        row("vm1 4 80 1 run 1.0"),
        r#"line 3: State is six flags; found "run""#,
    );
    check(
        row("vm1 x 80 1 ------ 1.0"),
        r#"line 3: ID is a number; found "x""#,
    );
    check(row("1.0"), r#"line 3: Time(s) is a number; found """#);
    let verbose = LIST_HEADER.replace('\n', "   UUID   Reason-Code\tSecurity Label\n");
    check(
        format!("{verbose}vm1 4 80 1 ------ 1.0 716a - -\n"),
        r#"line 2: UUID is 32 hexadecimal digits; found "716a""#,
    );
}

#[test]
fn info_of_a_real_host() {
    let text = recorded(include_str!("data/xen/xl-info.xen2.txt"));
    let expected = HostInfo {
        nr_cpus: 1,
        total_memory_mib: 1023,
        free_memory_mib: 370,
        outstanding_claims_mib: 0,
    };
    assert_eq!(parse_info(&text).unwrap(), expected);

    let without = |key: &str| -> String {
        text.lines()
            .filter(|line| !line.starts_with(key))
            .flat_map(|line| [line, "\n"])
            .collect()
    };
    assert_eq!(
        parse_info(&without("outstanding_claims")).unwrap(),
        expected
    );
    assert_eq!(
        parse_info(&without("free_memory")),
        Err(ParseError::NoLine { key: "free_memory" })
    );
    let check = |from: &str, to: &str, message: &str| {
        let error = parse_info(&text.replace(from, to)).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    check(
        ": 370",
        ": lots",
        r#"line 14: free_memory is a number; found "lots""#,
    );
    check(
        ": 370",
        ": -1",
        r#"line 14: free_memory is a number; found "-1""#,
    );
    check("nr_cpus", "cpus", r#"no line "nr_cpus""#);
}

#[test]
fn network_list_of_real_domains() {
    let text = recorded(include_str!("data/xen/xl-network-list.txt"));
    let macs = [
        "00:16:3e:00:01:0b",
        "00:16:3e:00:01:0c",
        "00:16:3e:00:01:10",
    ];
    let tables: Vec<_> = text.split("## ").skip(1).collect();
    assert_eq!(tables.len(), macs.len());
    for (table, mac) in tables.iter().zip(macs) {
        let (_domain, table) = table.split_once('\n').unwrap();
        let expected = NetworkInterface {
            index: 0,
            backend_domid: 0,
            mac: mac.parse().unwrap(),
        };
        assert_eq!(parse_network_list(table).unwrap(), [expected]);
    }
    let check = |text: &str, message: &str| {
        assert_eq!(parse_network_list(text).unwrap_err().to_string(), message);
    };
    check("", r#"line 1: no header that begins with "Idx"; found """#);
    check(
        "Idx BE\n0 0 nic",
        r#"line 2: Mac Addr. is a MAC address; found "nic""#,
    );
    check("Idx BE\n0", r#"line 2: BE is a number; found """#);
}

#[test]
fn too_long_is_refused_before_it_is_read() {
    let text = " ".repeat(MAX_OUTPUT + 1);
    let expected = ParseError::TooLong {
        bytes: MAX_OUTPUT + 1,
    };
    assert_eq!(parse_list(&text), Err(expected.clone()));
    assert_eq!(parse_list_long(&text), Err(expected.clone()));
    assert_eq!(parse_info(&text), Err(expected.clone()));
    assert_eq!(parse_network_list(&text), Err(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What `xl list` prints for any domains is read back, names with spaces and flags included.
    #[test]
    fn list_is_read_back(domains in prop::collection::vec(
        ("[!-~]([ -~]{0,60}[!-~])?", 0_u32..100_000, 0_u32..4_000_000, 0..4_usize, 0_u32..1_000_000),
        0..20,
    )) {
        let flags = ["------", "--p---", "---ss-", "-b---d"];
        let expected: Vec<_> = domains
            .iter()
            .map(|(name, domid, memory, state, tenths)| {
                listed(*domid, name, *memory, flags[*state], f64::from(*tenths) / 10.0)
            })
            .collect();
        let mut text = LIST_HEADER.to_owned();
        for (name, domid, memory, state, tenths) in &domains {
            text += &format!(
                "{name:<40} {domid:5} {memory:5} {:5}     {}  {:8.1}\n",
                1, flags[*state], f64::from(*tenths) / 10.0
            );
        }
        prop_assert_eq!(parse_list(&text).unwrap(), expected);
    }

    /// Damaged output is an error or another reading, never a panic.
    #[test]
    fn damage_is_survived(at in any::<prop::sample::Index>(), with in "\\PC{0,6}", cut in any::<bool>()) {
        let files = [
            include_str!("data/xen/xl-list-v.txt"),
            include_str!("data/xen/xl-list-l.xen2.json"),
            include_str!("data/xen/xl-info.xen2.txt"),
            include_str!("data/xen/xl-network-list.txt"),
        ];
        for file in files {
            let at = at.index(file.len());
            let rest = if cut { "" } else { &file[at + 1..] };
            let damaged = format!("{}{with}{rest}", &file[..at]);
            let _ = parse_list(&damaged);
            let _ = parse_list_long(&damaged);
            let _ = parse_info(&damaged);
            let _ = parse_network_list(&damaged);
        }
    }
}
