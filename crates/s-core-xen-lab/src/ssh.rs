//! Commands on the control domains.

use std::process::Command;
use std::time::Duration;

use s_core_lab::{HostNumber, LabError, LabName, namespace, system};

use crate::build::Image;
use crate::plan::Plan;
use crate::record;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(60);

/// The way into the control domains, over the management network.
#[derive(Clone, Debug)]
pub struct Remote {
    plan: Plan,
    image: Image,
}

impl Remote {
    /// The way into the hosts of the testbed of this name.
    ///
    /// # Errors
    ///
    /// As [`load`](crate::load).
    pub fn of(name: &LabName) -> Result<Self, LabError> {
        let (plan, image) = record::load(name)?;
        Ok(Self::new(plan, image))
    }

    pub(crate) const fn new(plan: Plan, image: Image) -> Self {
        Self { plan, image }
    }

    /// The testbed.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// `ssh` into a control domain, with the terminal if there is one; words of a command may follow. It has no time limit.
    pub fn interactive(&self, host: HostNumber) -> Command {
        let namespace = self.plan.layout().fabric_namespace();
        let mut command = namespace::command(&namespace, "ssh");
        command.args(self.arguments(host));
        command
    }

    /// `ssh` into a control domain that ends after a time whatever happens; words of a command follow.
    pub fn command(&self, host: HostNumber, within: Duration) -> Command {
        let namespace = self.plan.layout().fabric_namespace();
        let mut command = namespace::command(&namespace, "timeout");
        command.args(["--kill-after=5".into(), within.as_secs().to_string()]);
        command.arg("ssh").arg("-T").args(self.arguments(host));
        command
    }

    /// Runs a shell's script on a control domain with this standard input, and returns its standard output. After the time it
    /// ends there, too, not only the connection to it.
    ///
    /// # Errors
    ///
    /// [`LabError::Failed`] with the end of its standard error if it fails or does not end in time.
    pub fn run(
        &self,
        host: HostNumber,
        script: &str,
        input: &str,
        within: Duration,
    ) -> Result<String, LabError> {
        let script = bounded(script, within);
        system::run_with_input(self.command(host, within).arg(script), input)
    }

    /// As [`run`](Self::run), but ends soon when `stopped` says so, as if it had failed.
    pub(crate) fn run_unless(
        &self,
        host: HostNumber,
        script: &str,
        input: &str,
        within: Duration,
        stopped: &dyn Fn() -> bool,
    ) -> Result<String, LabError> {
        // `timeout` hands the signal on.
        system::run_unless(self.command(host, within).arg(script), input, stopped)
    }

    /// The program that reaches control domains from here, and its words before the host's [`login`](Self::login).
    pub(crate) fn ssh_words(&self) -> Vec<String> {
        let namespace = self.plan.layout().fabric_namespace();
        let words = ["ip", "netns", "exec", &namespace, "ssh", "-T"].map(str::to_owned);
        words.into_iter().chain(self.options()).collect()
    }

    /// What `ssh` calls a control domain.
    pub(crate) fn login(&self, host: HostNumber) -> String {
        format!("root@{}", self.plan.layout().management_address(host))
    }

    fn arguments(&self, host: HostNumber) -> Vec<String> {
        let mut words = self.options();
        words.push(self.login(host));
        words
    }

    fn options(&self) -> Vec<String> {
        let file = |name| self.image.file(name).display().to_string();
        let options = [
            format!("IdentityFile={}", file("key")),
            format!("UserKnownHostsFile={}", file("known_hosts")),
            "GlobalKnownHostsFile=/dev/null".into(),
            "StrictHostKeyChecking=yes".into(),
            "IdentitiesOnly=yes".into(),
            "BatchMode=yes".into(),
            "LogLevel=ERROR".into(),
            format!("ConnectTimeout={}", CONNECT.as_secs()),
            "ServerAliveInterval=15".into(),
            "ServerAliveCountMax=4".into(),
        ];
        // Nobody's own configuration has a say.
        let mut words = vec!["-F".to_owned(), "/dev/null".into()];
        words.extend(options.into_iter().flat_map(|option| ["-o".into(), option]));
        words
    }
}

/// The same script for a shell, which ends after this time.
fn bounded(script: &str, within: Duration) -> String {
    let quoted = script.replace('\'', r"'\''");
    format!(
        "timeout --kill-after=5 {} sh -c '{quoted}'",
        within.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Size;

    #[test]
    fn a_bounded_script_says_the_same_and_ends() {
        let check = |script: &str, seconds, wanted: &str| {
            let script = bounded(script, Duration::from_secs(seconds));
            let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&ended.stdout), wanted, "{script}");
            ended.status.code()
        };
        let words = r#"echo 'it'\''s' "$((1 + 1))"; echo two | cat; exit 3"#;
        assert_eq!(check(words, 60, "it's 2\ntwo\n"), Some(3));
        assert_eq!(
            check("echo a; while :; do sleep 0.1; done", 1, "a\n"),
            Some(124)
        );
    }

    #[test]
    fn golden_command_line() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let remote = Remote::new(plan, Image::from_directory("/c/image-1".into()));
        let command = remote.command(HostNumber(2), Duration::from_secs(30));
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        assert_eq!(
            words.join(" "),
            "netns exec score-demo-fabric timeout --kill-after=5 30 ssh -T -F /dev/null -o IdentityFile=/c/image-1/key \
             -o UserKnownHostsFile=/c/image-1/known_hosts -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
             -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR -o ConnectTimeout=60 -o ServerAliveInterval=15 \
             -o ServerAliveCountMax=4 root@192.168.77.2"
        );
    }
}
