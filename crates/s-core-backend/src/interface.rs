//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

/// The longest name of a network interface.
const MAX_NAME: usize = 15;

/// The name of a network interface, bridges included, or the beginning of one: 1 to 15 letters, digits, `.`, `_` and `-`,
/// the first a letter or digit. So it means nothing else in a path, in a rule, or to a program.
///
/// ```
/// use s_core_backend::InterfaceName;
///
/// assert_eq!("xenbr0".parse::<InterfaceName>()?.as_str(), "xenbr0");
/// assert!("../br0".parse::<InterfaceName>().is_err());
/// # Ok::<(), s_core_backend::InvalidInterfaceName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// A name of a few letters.
    pub(crate) fn of_letters(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidInterfaceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if text.len() > MAX_NAME || !begins || !text.chars().all(plain) {
            return Err(InvalidInterfaceName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Text that names no network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a network interface: 1 to 15 letters, digits, '.', '_' and '-' are wanted, the first a letter or digit"
)]
pub struct InvalidInterfaceName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_a_rule_could_take_for_something_else() {
        for name in ["xenbr0", "vif1.0", "br-lan", "a", "0123456789abcde"] {
            assert_eq!(name.parse::<InterfaceName>().unwrap().as_str(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            "a b",
            "a/b",
            "a\"",
            "a\nb",
            "vif*",
            "br,0",
            "ä",
            "0123456789abcdef",
        ] {
            assert!(name.parse::<InterfaceName>().is_err(), "{name}");
        }
    }
}
