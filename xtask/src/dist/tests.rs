//! The packages of a program that is none, as archives.

use std::collections::BTreeSet;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::archive::sha256;
use super::*;

fn parts() -> Parts {
    let text = |text: &str| text.as_bytes().to_vec();
    Parts {
        version: "1.2.3".to_owned(),
        time: 1_000_000,
        binary: text("binary"),
        manuals: vec![("fracas.1".to_owned(), text("page"))],
        bash: text("bash"),
        zsh: text("zsh"),
        fish: text("fish"),
        settings: text("settings"),
        unit: text("unit"),
        papers: vec![
            ("README.md".to_owned(), text("read")),
            ("CHANGELOG.md".to_owned(), text("changes")),
            ("LICENSE-MIT".to_owned(), text("mit")),
            ("LICENSE-APACHE".to_owned(), text("apache")),
        ],
        copyright: text("copyright"),
        third_party: text("others"),
        bill: text("{}"),
        examples: vec![("demo/a.yaml".to_owned(), text("a"))],
    }
}

fn find(name: &str) -> Vec<u8> {
    let files = artefacts(&parts()).unwrap();
    files.into_iter().find(|(file, _)| file == name).unwrap().1
}

fn entries(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let all = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    });
    all.collect()
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut all).unwrap();
    all
}

/// The members of an `ar` file.
fn members(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    bytes = bytes.strip_prefix(b"!<arch>\n").unwrap();
    let mut members = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(60);
        let size: usize = std::str::from_utf8(&head[48..58]).unwrap().trim().parse().unwrap();
        let name = std::str::from_utf8(&head[..16]).unwrap().trim().to_owned();
        members.push((name, rest[..size].to_vec()));
        bytes = &rest[size + size % 2..];
    }
    members
}

#[test]
fn sums_are_of_all_files() {
    let files = artefacts(&parts()).unwrap();
    let (last, sums) = files.last().unwrap();
    assert_eq!(last, "SHA256SUMS");
    let sums = String::from_utf8(sums.clone()).unwrap();
    assert_eq!(sums.lines().count(), files.len() - 1);
    for (name, bytes) in &files[..files.len() - 1] {
        assert!(sums.contains(&format!("{}  {name}\n", sha256(bytes))), "{name}");
    }
}

#[test]
fn the_archive_has_everything_in_one_folder() {
    let all = entries(&unzip(&find("fracas-1.2.3-x86_64-linux.tar.gz")));
    assert!(
        all.iter()
            .all(|(path, _)| path.starts_with("fracas-1.2.3-x86_64-linux/"))
    );
    let names: BTreeSet<&str> = all
        .iter()
        .filter_map(|(path, _)| path.split_once('/'))
        .map(|(_, name)| name)
        .collect();
    for name in [
        "fracas",
        "man/man1/fracas.1",
        "completions/_fracas",
        "THIRD-PARTY.txt",
        "LICENSE-APACHE",
    ] {
        assert!(names.contains(name), "{name} of {names:?}");
    }
}

#[test]
fn the_package_for_debian_has_its_members_in_order_and_no_script() {
    let members = members(&find("fracas_1.2.3_amd64.deb"));
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    // deb(5): in this order.
    assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
    assert_eq!(members[0].1, b"2.0\n");
    let control = entries(&unzip(&members[1].1));
    let names: Vec<&str> = control.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["conffiles", "control"]);
    let text = String::from_utf8(control[1].1.clone()).unwrap();
    for field in [
        "Package: fracas\n",
        "Version: 1.2.3\n",
        "Architecture: amd64\n",
        "Description: ",
    ] {
        assert!(text.contains(field), "{text}");
    }
    let data = entries(&unzip(&members[2].1));
    let conffiles = String::from_utf8(control[0].1.clone()).unwrap();
    for path in conffiles.lines() {
        assert!(
            data.iter().any(|(name, _)| name == path.trim_start_matches('/')),
            "{path}"
        );
    }
    let changes = data.iter().find(|(name, _)| name.ends_with("/changelog.gz")).unwrap();
    assert_eq!(unzip(&changes.1), b"changes");
}

#[test]
fn every_digest_of_the_image_is_that_of_its_blob() {
    let all = entries(&find("fracas-1.2.3-image.tar"));
    let file = |path: &str| {
        &all.iter()
            .find(|(name, _)| name == path)
            .unwrap_or_else(|| panic!("{path}"))
            .1
    };
    let json = |path: &str| serde_json::from_slice::<Value>(file(path)).unwrap();
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"]
            .as_str()
            .unwrap()
            .strip_prefix("sha256:")
            .unwrap()
            .to_owned();
        let path = format!("blobs/sha256/{digest}");
        assert_eq!(sha256(file(&path)), digest);
        assert_eq!(descriptor["size"], file(&path).len());
        path
    };
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let manifest = json(&blob(&json("index.json")["manifests"][0]));
    let config_path = blob(&manifest["config"]);
    let config = json(&config_path);
    let layer_path = blob(&manifest["layers"][0]);
    let layer = unzip(file(&layer_path));
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&layer)));
    let older = &json("manifest.json")[0];
    assert_eq!(older["Config"], config_path);
    assert_eq!(older["Layers"][0], layer_path);
    assert_eq!(older["RepoTags"][0], "fracas:1.2.3");
    let inside = entries(&layer);
    let program = config["config"]["Entrypoint"][0]
        .as_str()
        .unwrap()
        .trim_start_matches('/');
    assert!(inside.iter().any(|(name, bytes)| name == program && bytes == b"binary"));
}

#[test]
fn another_time_is_all_that_makes_other_bytes() {
    assert_eq!(artefacts(&parts()).unwrap(), artefacts(&parts()).unwrap());
    let later = Parts {
        time: 1_000_001,
        ..parts()
    };
    assert_ne!(artefacts(&parts()).unwrap(), artefacts(&later).unwrap());
}

#[test]
fn a_program_that_is_not_static_is_not_shipped() {
    if cfg!(target_feature = "crt-static") {
        return;
    }
    let error = run(Source::Binary(&std::env::current_exe().unwrap()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("only a static program"), "{error}");
    assert!(run(Source::Binary(Path::new("/nonexistent/program"))).is_err());
}
