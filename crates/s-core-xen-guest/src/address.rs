//! The address of the domain.

use std::net::Ipv4Addr;

/// A kernel's command line has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `ip=` is not there.
    #[error(
        "the kernel's command line has no ip=; ip=ADDRESS::GATEWAY:NETMASK::eth0:off is wanted"
    )]
    None,
    /// `ip=` does not begin with an address that a domain can have.
    #[error("ip={0} on the kernel's command line does not begin with an IPv4 address of a machine")]
    Bad(String),
}

/// The address that the kernel has given to its interface, by its command line: the first field of `ip=` (the kernel's
/// `Documentation/admin-guide/nfs/nfsroot.rst`). Of several, the last counts, as it does for the kernel.
///
/// ```
/// use s_core_xen_guest::address_of;
///
/// let address = address_of("console=hvc0 ip=10.1.0.7::10.1.0.1:255.255.0.0::eth0:off")?;
/// assert_eq!(address.octets(), [10, 1, 0, 7]);
/// # Ok::<(), s_core_xen_guest::AddressError>(())
/// ```
///
/// # Errors
///
/// [`AddressError`] if there is none; also if the kernel was to ask for it (`ip=dhcp`), for then only the kernel knows.
pub fn address_of(command_line: &str) -> Result<Ipv4Addr, AddressError> {
    let mut values = command_line
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("ip="));
    let value = values.next_back().ok_or(AddressError::None)?;
    let client = value.split_once(':').map_or(value, |(client, _)| client);
    let address = client.parse::<Ipv4Addr>().ok();
    let usable = |address: &Ipv4Addr| {
        !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
    };
    address.filter(usable).ok_or_else(|| {
        let shown = value.chars().take(64).collect();
        AddressError::Bad(shown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_on_command_lines() {
        let check = |line: &str, wanted: Option<[u8; 4]>| {
            let found = address_of(line).ok().map(|address| address.octets());
            assert_eq!(found, wanted, "{line}");
        };
        check("ip=10.0.0.1", Some([10, 0, 0, 1]));
        check("quiet ip=10.0.0.1:: x", Some([10, 0, 0, 1]));
        check("ip=10.0.0.1::: ip=10.0.0.2:::\n", Some([10, 0, 0, 2]));
        for bad in [
            "",
            "quiet",
            "ip=",
            "ip=dhcp",
            "ip=:::::eth0:dhcp",
            "zip=10.0.0.1",
            "ip=10.0.0.256",
            "ip=0.0.0.0",
            "ip=224.0.0.1",
            "ip=255.255.255.255",
        ] {
            check(bad, None);
        }
        let long = format!("ip={}", "x".repeat(10_000));
        assert!(address_of(&long).unwrap_err().to_string().len() < 200);
    }
}
