//! Plans as commands for Xen's `xl`.

use std::borrow::Cow;
use std::fmt::Write as _;

use s_core_sim::snapshot::Snapshot;

use crate::plan::Plan;

/// A line per migration, in their order, to be run on the host that its comment names.
///
/// `xl` knows VMs by name only. Where `vms.csv` gives none that it could understand, the line is a
/// comment as a whole.
pub(crate) fn commands(snapshot: &Snapshot, plan: &Plan) -> String {
    let mut text = String::new();
    for migration in &plan.outcome.migrations {
        let vm = plan.allocation.vm_at(migration.vm);
        let source = plan.allocation.server_at(migration.source);
        let target = plan.allocation.server_at(migration.target);
        match domain(snapshot.name(migration.vm)) {
            Ok(domain) => writeln!(text, "xl migrate {domain} {target} # on {source}, VM {vm}"),
            Err(why) => writeln!(text, "# on {source}: move VM {vm} to {target}; {why}"),
        }
        .expect("a String takes any text");
    }
    text
}

/// The argument by which `xl` finds a VM, or why there is none.
fn domain(name: &str) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err("vms.csv gives no name for xl migrate");
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("xl migrate would take its name for a domain number");
    }
    let options_end = if name.starts_with('-') { "-- " } else { "" };
    Ok(format!("{options_end}{}", quoted(name)))
}

/// A word that a POSIX shell takes as it is.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
    if word.bytes().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_safe_in_a_shell() {
        for (name, wanted) in [
            ("web-1.example", Ok("web-1.example")),
            ("two words", Ok("'two words'")),
            ("it's", Ok(r"'it'\''s'")),
            ("$(reboot)", Ok("'$(reboot)'")),
            ("~root", Ok("'~root'")),
            ("größe", Ok("'größe'")),
            ("-h", Ok("-- -h")),
            ("7b", Ok("7b")),
            (
                "17",
                Err("xl migrate would take its name for a domain number"),
            ),
            ("", Err("vms.csv gives no name for xl migrate")),
        ] {
            assert_eq!(domain(name), wanted.map(str::to_owned));
        }
    }
}
