//! The settings file to begin with: every setting, none of them on.

use std::fmt::Write as _;

use super::known::{KNOWN, Known};

const HEAD: &str = "\
## Settings of Fracas. Nothing here is on: what stands behind each is what holds without it, or an example where nothing does.
## To change one, remove the `# ` before it and before the group that it is in. `fracas config` shows what holds, and why.
##
## Flags win over the environment, that over this file. `${NAME}` and `${NAME:-default}` come from the environment.
## The file must belong to the user who runs Fracas, and nobody else may be able to write it.
";

/// What stands behind settings that have no default, or one that depends on the user.
const INSTEAD: [(&str, &str); 9] = [
    ("state.dir", "/var/lib/fracas"),
    ("docker.host", "unix:///var/run/docker.sock"),
    ("docker.sidecar_socket", "/var/run/docker.sock"),
    ("prometheus.url", "http://localhost:9090"),
    ("kurtosis.enclave_name", "my-enclave"),
    ("telemetry.otlp_endpoint", "http://localhost:4318"),
    ("telemetry.otlp_headers", "x-tenant=reliability"),
    ("telemetry.metrics_listen", "127.0.0.1:9464"),
    ("notify.webhook", "https://hooks.example.com/fracas"),
];

/// The file. Lines that begin with `##` are words; without the `# ` of the others it is a settings file that changes nothing.
pub(crate) fn template() -> String {
    let mut text = HEAD.to_owned();
    let mut last = "";
    for known in KNOWN {
        let Some((group, key)) = known.key.split_once('.') else {
            continue;
        };
        // Writing into a String cannot fail.
        if group != last {
            let _ = write!(text, "\n# {group}:\n");
            last = group;
        }
        let _ = writeln!(text, "##  {}\n#   {key}: {}", known.meaning, shown(known));
    }
    text
}

fn shown(known: &Known) -> &'static str {
    let instead = INSTEAD.iter().find(|(key, _)| *key == known.key);
    known.default.or(instead.map(|(_, value)| *value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::file;

    use super::*;

    fn read(text: String) -> Vec<(String, String)> {
        let read = file::read(Path::new("config.yaml"), text, &|_| None).unwrap();
        read.into_iter().map(|(key, (text, _))| (key, text)).collect()
    }

    #[test]
    fn it_is_a_settings_file_that_says_nothing() {
        assert_eq!(read(template()), []);
    }

    #[test]
    fn without_its_marks_it_sets_every_setting_to_what_is_shown() {
        let on: String = template()
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let mut all: Vec<(String, String)> = KNOWN
            .iter()
            .map(|known| (known.key.to_owned(), shown(known).to_owned()))
            .collect();
        all.sort();
        assert_eq!(read(on), all);
    }

    #[test]
    fn every_setting_is_named_with_its_meaning() {
        let text = template();
        for known in KNOWN {
            assert!(text.contains(known.meaning), "{}", known.key);
            assert_eq!(known.kind.check(shown(known)), Ok(()), "{}", known.key);
        }
    }
}
