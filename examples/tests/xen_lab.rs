//! `xen-lab` as its users call it, as far as that starts no host.

mod program;

use program::program;

#[test]
fn wrong_calls_are_refused() {
    let check = |arguments: &[&str], code, says: &str| {
        let output = program("xen-lab")
            .args(arguments)
            .output()
            .expect("it was built");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    };
    for (arguments, says) in [
        (&["up", "--hosts", "0"][..], "hosts: 0 is not 1 to 16"),
        (
            &["up", "--memory", "32"],
            "memory: 32 MiB are not 40 to 256",
        ),
        (
            &["up", "--domains", "13"],
            "domains: a host has room for 12 of 40 MiB",
        ),
        (
            &["build", "--cache", "/a,b"],
            "cache: /a,b has other characters than",
        ),
        (
            &["down", "--name", "../etc"],
            "is not 1 to 8 lower-case letters and digits",
        ),
        (&["measure", "--loads", "0,101"], "101 is not in 0..=100"),
        (&["measure", "--dirty", "x"], "give a number from 0 to 1000"),
        (
            &["measure", "--hosts", "f", "--transport", "ssh"],
            "cannot be used with",
        ),
        (
            &["fault", "no-memory", "cut-prcopy"],
            "there is no fault cut-prcopy: --list names all",
        ),
        (&["fault"], "required arguments were not provided"),
        (&["console", "x"], "invalid value 'x' for '<HOST>'"),
        (&[], "Usage: xen-lab"),
    ] {
        check(arguments, 2, says);
    }
    let absent = "there is no laboratory xennone";
    check(&["console", "1", "--name", "xennone"], 1, absent);
    check(&["fault", "all", "--name", "xennone"], 1, absent);
    check(&["ssh", "--name", "xennone", "1", "xl", "list"], 1, absent);
    check(&["measure", "--name", "xennone"], 1, absent);
    // Without an image: what would make it, if nothing is missing before.
    let cache = std::env::temp_dir().join("s-core-no-such-cache");
    let cache = cache
        .to_str()
        .expect("a temporary directory has a plain path");
    let output = program("xen-lab")
        .args(["up", "--name", "xennone", "--cache", cache])
        .output();
    let output = output.expect("it was built");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let said = [
        format!("(xen-lab build --cache {cache})"),
        "needs root".into(),
        "apt-get install".into(),
        "are needed".into(),
    ];
    assert!(said.iter().any(|said| err.contains(said)), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn faults_are_listed() {
    let output = program("xen-lab").args(["fault", "--list"]).output();
    let output = output.expect("it was built");
    assert!(output.status.success());
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(
        listed.contains("cut-handshake") && listed.contains("destroy-domain"),
        "{listed}"
    );
}
