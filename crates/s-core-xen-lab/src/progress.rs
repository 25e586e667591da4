//! What is told while something takes its time.

use std::fmt;

/// What [`build()`](crate::build()) does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildStep {
    /// Debian's packages for the control domains are brought and unpacked.
    System,
    /// The control domains' kernel and the hypervisor are brought.
    Kernel,
    /// The VMs' kernel is compiled.
    GuestKernel,
    /// The agent and the VMs' program are compiled.
    Programs,
    /// The image is put together.
    Image,
}

impl fmt::Display for BuildStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "the control domains' system, from Debian's packages (minutes)",
            Self::Kernel => "the hypervisor and the control domains' kernel (a minute)",
            Self::GuestKernel => "the VMs' kernel, compiled from its source (5 to 20 minutes)",
            Self::Programs => "the agent and the VMs' program, compiled (minutes)",
            Self::Image => "the image",
        })
    }
}

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Its emulator runs.
    Started,
    /// The hypervisor runs.
    Hypervisor,
    /// The control domain's kernel runs.
    Kernel,
    /// The control domain takes commands.
    Ssh,
    /// The control domain has started all that it should.
    Ready,
    /// The host goes on as a snapshot has it.
    Restored,
    /// So many of its VMs answer.
    Domains(u16),
    /// Its state is kept for the next time.
    Saved,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Hypervisor => f.write_str("Xen"),
            Self::Kernel => f.write_str("kernel"),
            Self::Ssh => f.write_str("ssh"),
            Self::Ready => f.write_str("ready"),
            Self::Restored => f.write_str("restored from its snapshot"),
            Self::Domains(1) => f.write_str("1 domU up"),
            Self::Domains(number) => write!(f, "{number} domUs up"),
            Self::Saved => f.write_str("snapshot taken"),
        }
    }
}
