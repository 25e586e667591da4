//! What `xl info` and `/proc/cpuinfo` tell of the processor.

use s_core_model::{CpuModel, CpuVendor, GuestKinds};

use super::ParseError;
use super::error::{check_length, shortened};
use super::info::{number, value};

/// What the bits of `hw_caps` stand for: before Xen 4.7 words of its own, from then on those of its public
/// `cpufeatureset.h`.
const OLD_WORDS: u8 = 0;
const FEATURESET: u8 = 1;

/// Reads what the host's processor offers to guests from the output of `xl info` and the text of `/proc/cpuinfo`.
///
/// `hw_caps` has what is left after Xen's option `cpuid=`, of the first eight words of features. Xen has more of them, which `xl info`
/// does not print and guests see too: those that come with microcode (7d0), for instance. So two hosts may look alike here and differ
/// there; equal microcode on both excludes that for processors of one model. As what a guest can have been started, `virt_caps` tells.
/// `None` where `xl` prints no `hw_caps`.
///
/// # Errors
///
/// [`ParseError`] if `hw_caps` are not eight hexadecimal words, or the version of Xen is missing or no number.
pub fn parse_cpu(info: &str, cpuinfo: &str) -> Result<Option<CpuModel>, ParseError> {
    check_length(info)?;
    check_length(cpuinfo)?;
    let Some((line, words)) = value(info, "hw_caps") else {
        return Ok(None);
    };
    let features = hw_caps(words).ok_or_else(|| ParseError::Field {
        line,
        field: "hw_caps",
        wanted: "eight hexadecimal words with colons between them",
        found: shortened(words),
    })?;
    let version = |key| number::<u32>(info, key)?.ok_or(ParseError::NoLine { key });
    let xen = (version("xen_major")?, version("xen_minor")?);
    let layout = if xen >= (4, 7) { FEATURESET } else { OLD_WORDS };
    let kinds = value(info, "virt_caps").map_or("", |(_, kinds)| kinds);
    let guests = kinds.split_ascii_whitespace().map(|kind| match kind {
        "pv" => GuestKinds::PV,
        "hvm" => GuestKinds::HVM,
        "hap" => GuestKinds::HAP,
        _ => GuestKinds::default(),
    });
    let vendor = value(cpuinfo, "vendor_id").map_or("", |(_, vendor)| vendor);
    Ok(Some(CpuModel {
        vendor: CpuVendor::new(vendor),
        guests: guests.fold(GuestKinds::default(), GuestKinds::and),
        layout,
        features,
    }))
}

fn hw_caps(text: &str) -> Option<[u32; CpuModel::WORDS]> {
    let mut features = [0; CpuModel::WORDS];
    let mut words = text.split(':');
    for feature in &mut features {
        *feature = u32::from_str_radix(words.next()?, 16).ok()?;
    }
    words.next().is_none().then_some(features)
}
