//! Where Debian's packages come from: this machine's own mirrors if it is a Debian that names them, otherwise Debian's.

use std::fs;
use std::path::Path;

/// The release that everything is of.
pub(super) const SUITE: &str = "bookworm";
/// What its archives are signed with.
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where its security updates are.
const SECURITY: &str = "bookworm-security";

/// The sources for the image, as lines of `sources.list`.
pub(super) fn sources() -> String {
    let mut texts = vec![read(Path::new("/etc/apt/sources.list"))];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        texts.extend(paths.iter().map(|path| read(path)));
    }
    lines(&texts)
}

fn read(path: &Path) -> String {
    // What is not there names no mirror.
    fs::read_to_string(path).unwrap_or_default()
}

fn lines(texts: &[String]) -> String {
    let pairs: Vec<_> = texts.iter().flat_map(|text| mirrors(text)).collect();
    let mirror = |suite: &str, archive: &str| {
        let is_meant = |(uri, of): &&(String, String)| {
            of == suite && uri.trim_end_matches('/').ends_with(&format!("/{archive}"))
        };
        let found = pairs.iter().find(is_meant).map(|(uri, _)| uri.clone());
        found.unwrap_or_else(|| format!("http://deb.debian.org/{archive}"))
    };
    let line = |suite: &str, archive: &str| {
        let mirror = mirror(suite, archive);
        format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n")
    };
    line(SUITE, "debian") + &line(SECURITY, "debian-security")
}

/// Pairs of mirror and suite, of a file in either of apt's two formats.
fn mirrors(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| -> Vec<String> {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name));
            line.into_iter()
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect()
        };
        for uri in field("URIs:") {
            pairs.extend(
                field("Suites:")
                    .into_iter()
                    .map(|suite| (uri.clone(), suite)),
            );
        }
    }
    let one_line = text.lines().filter_map(|line| {
        let line = line.strip_prefix("deb ")?.trim_start();
        let line = match line.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => line,
        };
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    pairs.extend(one_line);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_of_both_formats() {
        let check = |text: &str, debian: &str, security: &str| {
            let wanted = format!(
                "deb [signed-by={KEYRING}] {debian} bookworm main\n\
                 deb [signed-by={KEYRING}] {security} bookworm-security main\n"
            );
            assert_eq!(lines(&[text.to_owned()]), wanted, "{text}");
        };
        let (debian, security) = (
            "http://deb.debian.org/debian",
            "http://deb.debian.org/debian-security",
        );
        check("", debian, security);
        check(
            "deb [arch=amd64 signed-by=/k] http://m.example/debian/ bookworm main\n",
            "http://m.example/debian/",
            security,
        );
        check(
            "# deb http://m.example/debian bookworm main\ndeb http://m.example/debian trixie main\n",
            debian,
            security,
        );
        check(
            "deb https://packages.example/apt bookworm main\n",
            debian,
            security,
        );
        let stanzas = "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                       Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\n";
        check(
            stanzas,
            "http://a.example/debian",
            "http://a.example/debian-security",
        );
    }
}
