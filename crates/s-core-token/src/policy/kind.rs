//! The four policies by name and by code.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use super::{Distributed, Global, LoadAware, PassingPolicy, RoundRobin};
use crate::PolicyError;

/// The passing policies of thesis 4.1.
///
/// ```
/// use s_core_token::PolicyKind;
///
/// let kind: PolicyKind = "load-aware".parse()?;
/// assert_eq!(kind.build().code(), 3);
/// assert_eq!(PolicyKind::from_code(3)?, kind);
/// # Ok::<(), s_core_token::PolicyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PolicyKind {
    /// [`RoundRobin`].
    RoundRobin,
    /// [`Global`].
    Global,
    /// [`Distributed`].
    Distributed,
    /// [`LoadAware`].
    LoadAware,
}

impl PolicyKind {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [
        Self::RoundRobin,
        Self::Global,
        Self::Distributed,
        Self::LoadAware,
    ];

    /// The name on command lines and in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Global => "global",
            Self::Distributed => "distributed",
            Self::LoadAware => "load-aware",
        }
    }

    /// The byte in the token's header.
    pub const fn code(self) -> u8 {
        match self {
            Self::RoundRobin => 0,
            Self::Global => 1,
            Self::Distributed => 2,
            Self::LoadAware => 3,
        }
    }

    /// The policy with this code.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the code is reserved or a user's own.
    pub const fn from_code(code: u8) -> Result<Self, PolicyError> {
        match code {
            0 => Ok(Self::RoundRobin),
            1 => Ok(Self::Global),
            2 => Ok(Self::Distributed),
            3 => Ok(Self::LoadAware),
            4..=127 => Err(PolicyError::Reserved(code)),
            128..=255 => Err(PolicyError::UserDefined(code)),
        }
    }

    /// The policy itself.
    pub fn build(self) -> Box<dyn PassingPolicy> {
        match self {
            Self::RoundRobin => Box::new(RoundRobin),
            Self::Global => Box::new(Global),
            Self::Distributed => Box::new(Distributed),
            Self::LoadAware => Box::new(LoadAware),
        }
    }
}

impl FromStr for PolicyKind {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| PolicyError::UnknownName(String::from(name)))
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_and_codes_lead_back() {
        for kind in PolicyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(PolicyKind::from_code(kind.code()), Ok(kind));
            let policy = kind.build();
            assert_eq!((policy.code(), policy.name()), (kind.code(), kind.name()));
        }
    }

    #[test]
    fn names_and_codes_of_others_are_refused() {
        let unknown = "Global".parse::<PolicyKind>().unwrap_err();
        assert_eq!(unknown, PolicyError::UnknownName("Global".into()));
        assert_eq!(PolicyKind::from_code(4), Err(PolicyError::Reserved(4)));
        assert_eq!(PolicyKind::from_code(127), Err(PolicyError::Reserved(127)));
        assert_eq!(
            PolicyKind::from_code(128),
            Err(PolicyError::UserDefined(128))
        );
        assert_eq!(
            PolicyKind::from_code(255),
            Err(PolicyError::UserDefined(255))
        );
    }
}
