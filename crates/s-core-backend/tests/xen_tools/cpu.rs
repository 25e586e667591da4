//! The processor, from `xl info` and `/proc/cpuinfo`.

use s_core_backend::Hypervisor as _;
use s_core_backend::xl::{Xl, parse_cpu};
use s_core_model::{CpuMismatch, CpuModel, CpuVendor, GuestKinds};

use crate::AMPLE;
use crate::xl_support::FakeXl;

const INFO: &str = include_str!("../data/xen/xl-info.xen2.txt");
const CPUINFO: &str = include_str!("../data/xen/proc-cpuinfo.xen1.txt");
/// The same emulated processor, by an older emulator.
const OLDER: &str = include_str!("../data/xen/xl-info.xen1.txt");

fn recorded() -> CpuModel {
    CpuModel {
        vendor: CpuVendor::new("AuthenticAMD"),
        guests: GuestKinds::PV.and(GuestKinds::HVM).and(GuestKinds::HAP),
        layout: 1,
        features: [
            0x0fcb_f3fd,
            0xc2f8_220b,
            0xec50_0800,
            0x0000_0177,
            0,
            0x219c_4189,
            0x0040_000c,
            0,
        ],
    }
}

#[test]
fn the_processor_of_a_real_host() {
    let check = |from: &str, to: &str, cpuinfo, wanted: Option<CpuModel>| {
        assert!(INFO.contains(from));
        assert_eq!(
            parse_cpu(&INFO.replace(from, to), cpuinfo),
            Ok(wanted),
            "{to}"
        );
    };
    let cpu = recorded();
    check("", "", CPUINFO, Some(cpu));
    let vendor = CpuVendor::default();
    check("", "", "", Some(CpuModel { vendor, ..cpu }));
    let guests = GuestKinds::HVM;
    let old = CpuModel { guests, ..cpu };
    check("pv hvm hap shadow", "hvm hvm_directio", CPUINFO, Some(old));
    let guests = GuestKinds::default();
    check(
        "virt_caps",
        "other",
        CPUINFO,
        Some(CpuModel { guests, ..cpu }),
    );
    let layout = 0;
    check(
        "xen_minor              : 17",
        "xen_minor : 6",
        CPUINFO,
        Some(CpuModel { layout, ..cpu }),
    );
    check("hw_caps", "other", CPUINFO, None);
}

#[test]
fn a_newer_host_takes_the_vms_of_an_older_one_and_not_the_other_way_round() {
    let cpu = |info| parse_cpu(info, CPUINFO).unwrap().unwrap();
    let (older, newer) = (cpu(OLDER), cpu(INFO));
    assert_eq!(newer.offers(&older), Ok(()));
    let lacking = [
        0,
        0x0020_0000,
        0,
        0x0000_0102,
        0,
        0x2014_0000,
        0x0040_0000,
        0,
    ];
    assert_eq!(older.offers(&newer), Err(CpuMismatch::Features(lacking)));
}

#[test]
fn what_is_no_list_of_features_is_named() {
    let check = |from: &str, to: &str, wanted: &str| {
        assert!(INFO.contains(from));
        let error = parse_cpu(&INFO.replace(from, to), CPUINFO).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    };
    let eight = "hw_caps is eight hexadecimal words";
    check("0fcbf3fd:", "", eight);
    check("0fcbf3fd:", "0fcbf3fd:0:", eight);
    check("0fcbf3fd:", "1_0fcbf3fd:", eight);
    check("0fcbf3fd:", "g:", eight);
    check("xen_minor", "other", "xen_minor");
    check(
        "xen_major              : 4",
        "xen_major : four",
        "xen_major is a number",
    );
}

#[test]
fn a_host_tells_of_its_processor() {
    let fake = FakeXl::new();
    let with = |cpuinfo: &str| {
        let mut config = fake.config();
        config.cpuinfo = fake.path(cpuinfo);
        Xl::new(config).unwrap().cpu(AMPLE)
    };
    fake.answer("cpuinfo", CPUINFO);
    assert_eq!(with("cpuinfo").unwrap(), Some(recorded()));
    let error = with("nowhere").unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
    fake.script("info", "exit 1");
    with("cpuinfo").unwrap_err();
}
