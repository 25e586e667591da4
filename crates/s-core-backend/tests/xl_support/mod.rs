//! A program that stands in for `xl`, in a directory of its own.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use s_core_backend::xl::{Xl, XlConfig};
use tempfile::TempDir;

/// Notes its arguments, then runs the script, or prints the answer, of the command it is asked for.
const DISPATCH: &str = r#"#!/bin/sh
here=${0%/*}
echo "$*" >> "$here/calls"
case "$1" in
    list) name=list$2 ;;
    *) name=$1 ;;
esac
if [ -e "$here/$name.sh" ]; then . "$here/$name.sh"; else grep -v '^# ' "$here/$name"; fi
"#;

pub(crate) struct FakeXl {
    here: TempDir,
}

impl FakeXl {
    /// Answers every question as a real host did.
    pub(crate) fn new() -> Self {
        let fake = Self {
            here: TempDir::new().unwrap(),
        };
        fake.executable("xl", DISPATCH);
        let network_list = include_str!("../data/xen/xl-network-list.txt");
        let (_, vm1) = network_list.split_once("\n## vm1\n").unwrap();
        let (vm1, _) = vm1.split_once("## ").unwrap();
        fake.answer("network-list", vm1);
        fake.answer("info", include_str!("../data/xen/xl-info.xen2.txt"));
        fake.answer("list-v", include_str!("../data/xen/xl-list-v.txt"));
        fake.answer("list-l", include_str!("../data/xen/xl-list-l.xen2.json"));
        fake
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    /// Sets what a command prints.
    pub(crate) fn answer(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Leaves only this guest in what `xl list -v` prints.
    pub(crate) fn keep_guest(&self, name: &str) {
        let list = include_str!("../data/xen/xl-list-v.txt");
        let kept = list
            .lines()
            .filter(|line| !line.starts_with("vm") || line.starts_with(&format!("{name} ")));
        self.answer("list-v", &(kept.collect::<Vec<_>>().join("\n") + "\n"));
    }

    /// Sets what a command does instead; `$here` is the directory.
    pub(crate) fn script(&self, name: &str, script: &str) {
        self.executable(&format!("{name}.sh"), &format!("#!/bin/sh\n{script}\n"));
    }

    /// Another process writes the file: while this one held it open for writing, a process that another
    /// thread starts could inherit it, and the file could not be run.
    fn executable(&self, name: &str, text: &str) {
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(self.path(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(writer.wait().unwrap().success());
    }

    pub(crate) fn config(&self) -> XlConfig {
        let mut config = XlConfig::new(16);
        config.program = self.path("xl");
        config
    }

    pub(crate) fn driver(&self) -> Xl {
        Xl::new(self.config()).unwrap()
    }

    /// The arguments of each call so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap();
        calls.lines().map(str::to_owned).collect()
    }

    /// The process whose number a script wrote into this file.
    pub(crate) fn process(&self, file: &str) -> RunningProcess {
        let pid = fs::read_to_string(self.path(file)).unwrap();
        RunningProcess(pid.trim().parse().unwrap())
    }
}

pub(crate) struct RunningProcess(i32);

impl RunningProcess {
    /// The letter that the system shows for the process's state; `None` if there is no such process.
    pub(crate) fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let (_name, rest) = stat.rsplit_once(") ")?;
        rest.chars().next()
    }

    /// Whether it has ended; an orphan may wait as a zombie for the system's first process.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state(), None | Some('Z' | 'X'))
    }

    pub(crate) fn kill(&self) {
        let killed = Command::new("kill").arg(self.0.to_string()).status();
        assert!(killed.unwrap().success());
    }
}
