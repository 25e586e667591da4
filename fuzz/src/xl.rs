//! What `xl` prints.

use s_core_backend::MigrationOutcome;
use s_core_backend::xl::{
    Exit, ParseError, classify, parse_cpu, parse_info, parse_list, parse_list_long,
    parse_network_list, parse_xm_list_long,
};

use s_core_model::CpuModel;

use crate::memory::bounded;

/// The longest error message: what stands where it should not is shown shortened.
const LONGEST_ERROR: usize = 1200;

/// Parses text; an error is one line of bounded length.
fn parsed<T>(data: &[u8], parse: impl Fn(&str) -> Result<T, ParseError>) -> Option<T> {
    let text = crate::text(data)?;
    match bounded(data.len(), || parse(text)) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            is_one_short_line(&error.to_string());
            None
        }
    }
}

fn is_one_short_line(message: &str) {
    assert!(
        message.len() <= LONGEST_ERROR && !message.contains('\n'),
        "{message:?}"
    );
}

fn lines(data: &[u8]) -> usize {
    crate::text(data).map_or(0, |text| text.lines().count())
}

/// `xl list`, `xl list -v`.
pub fn xl_list(data: &[u8]) {
    let Some(domains) = parsed(data, parse_list) else {
        return;
    };
    assert!(domains.len() < lines(data), "one domain a line at most");
    let clean = |name: &str| !name.contains('\n') && name.trim_ascii() == name;
    assert!(domains.iter().all(|domain| clean(&domain.name)));
}

/// `xl list -l`.
pub fn xl_list_long(data: &[u8]) {
    if let Some(domains) = parsed(data, parse_list_long) {
        assert!(domains.len() <= data.len() / 2);
    }
}

/// `xl info`.
pub fn xl_info(data: &[u8]) {
    parsed(data, parse_info);
}

/// `xl info` and `/proc/cpuinfo`: the processor, and whether it offers what it does.
pub fn xl_cpu(data: &[u8]) {
    let [info, cpuinfo] = crate::files(data);
    let Some(cpuinfo) = crate::text(cpuinfo) else {
        return;
    };
    if let Some(Some(cpu)) = parsed(info, |info| parse_cpu(info, cpuinfo)) {
        assert_eq!(cpu.offers(&cpu), Ok(()));
        assert_eq!(CpuModel::from_bytes(&cpu.to_bytes()), cpu);
        is_one_short_line(&cpu.vendor.to_string());
    }
}

/// `xm list -l`.
pub fn xm_list_long(data: &[u8]) {
    if let Some(domains) = parsed(data, parse_xm_list_long) {
        assert!(domains.len() <= data.len() / "(domain (domid 0))".len());
    }
}

/// `xl network-list`.
pub fn xl_network_list(data: &[u8]) {
    if let Some(interfaces) = parsed(data, parse_network_list) {
        assert!(
            interfaces.len() < lines(data),
            "one interface a line at most"
        );
    }
}

/// How `xl migrate` ended: the first byte is its exit, the rest its standard error.
pub fn xl_migrate(data: &[u8]) {
    let Some((exit, stderr)) = data.split_first() else {
        return;
    };
    let exit = match exit {
        0..=0x7f => Exit::Code((*exit).into()),
        0x80..=0xfe => Exit::Signal((*exit - 0x7f).into()),
        0xff => Exit::DeadlineExceeded,
    };
    let stderr = String::from_utf8_lossy(stderr);
    match bounded(data.len(), || classify(exit, &stderr)) {
        MigrationOutcome::Moved => {
            assert!(stderr.contains("successful"), "silence is no success");
        }
        MigrationOutcome::StayedHere(reason) => {
            assert!(matches!(exit, Exit::Code(1..)), "{exit}: {reason}");
            is_one_short_line(&reason);
        }
        MigrationOutcome::Unknown(reason) => is_one_short_line(&reason),
    }
}
