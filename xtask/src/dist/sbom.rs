//! The bill of materials, in the form of CycloneDX 1.5 (ECMA-424): every package that is needed to make the binary, with version,
//! licence, checksum and what it needs itself.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::archive::sha256;
use super::graph::Package;

/// The bill for `packages`, whose root is `name` and `version`. `time` is in seconds since 1970.
pub(super) fn bill(
    packages: &BTreeMap<(String, String), Package>,
    (name, version): (&str, &str),
    time: u64,
) -> Result<Vec<u8>> {
    let root = packages
        .get(&(name.to_owned(), version.to_owned()))
        .with_context(|| format!("{name} {version} is not among its own packages"))?;
    let components: Vec<Value> = packages
        .values()
        .filter(|package| !std::ptr::eq(*package, root))
        .map(|package| component(package, "library"))
        .collect();
    let needs: Vec<Value> = packages
        .values()
        .map(|package| {
            let needs: Vec<String> = package
                .needs
                .iter()
                .map(|(name, version)| purl(name, version))
                .collect();
            json!({ "ref": purl(&package.name, &package.version), "dependsOn": needs })
        })
        .collect();
    let seconds = i64::try_from(time).context("the time is out of range")?;
    let made = jiff::Timestamp::from_second(seconds).context("the time is out of range")?;
    let mut bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made.to_string(),
            "tools": { "components": [{ "type": "application", "name": "cargo xtask dist", "version": version }] },
            "component": component(root, "application"),
        },
        "components": components,
        "dependencies": needs,
    });
    // The same bill has the same number.
    bill["serialNumber"] = serial(&sha256(bill.to_string().as_bytes())).into();
    let mut text = serde_json::to_vec_pretty(&bill).context("the bill cannot be written")?;
    text.push(b'\n');
    Ok(text)
}

fn component(package: &Package, kind: &str) -> Value {
    let purl = purl(&package.name, &package.version);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        // "excluded": needed to build, not part of what is delivered.
        "scope": if package.inside { "required" } else { "excluded" },
    });
    if !package.description.is_empty() {
        component["description"] = package.description.as_str().into();
    }
    if !package.licence.is_empty() {
        component["licenses"] = json!([{ "expression": package.licence }]);
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// The address of a package. A `+` of a version is written as `%2B` (purl specification).
fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// A name-based UUID of version 8 (RFC 9562), from a digest.
fn serial(digest: &str) -> String {
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::dist::graph;

    use super::*;

    /// What the schema of CycloneDX 1.5 requires and what it allows, for the parts that are written here.
    fn is_valid(bill: &Value) {
        assert_eq!(
            (bill["bomFormat"].as_str(), bill["specVersion"].as_str()),
            (Some("CycloneDX"), Some("1.5"))
        );
        assert_eq!(bill["version"], 1);
        let serial = bill["serialNumber"]
            .as_str()
            .unwrap()
            .strip_prefix("urn:uuid:")
            .unwrap();
        let parts: Vec<usize> = serial.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{serial}");
        assert!(
            bill["metadata"]["timestamp"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
        let mut references = BTreeSet::new();
        let root = std::iter::once(&bill["metadata"]["component"]);
        for component in root.chain(bill["components"].as_array().unwrap()) {
            assert!(["application", "library"].contains(&component["type"].as_str().unwrap()));
            for required in ["name", "version", "purl"] {
                assert!(!component[required].as_str().unwrap().is_empty(), "{component}");
            }
            assert!(["required", "excluded"].contains(&component["scope"].as_str().unwrap()));
            assert!(
                !component["licenses"][0]["expression"].as_str().unwrap().contains('/'),
                "{component}"
            );
            for hash in component["hashes"].as_array().into_iter().flatten() {
                let content = hash["content"].as_str().unwrap();
                assert!(
                    content.len() == 64 && content.bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "{component}"
                );
            }
            assert!(
                references.insert(component["bom-ref"].as_str().unwrap().to_owned()),
                "twice: {component}"
            );
        }
        for dependency in bill["dependencies"].as_array().unwrap() {
            let needs = dependency["dependsOn"].as_array().unwrap().iter();
            for reference in needs.chain([&dependency["ref"]]) {
                assert!(
                    references.contains(reference.as_str().unwrap()),
                    "{reference} is no component"
                );
            }
        }
    }

    #[test]
    fn the_bill_of_this_workspace_is_valid_and_whole_and_the_same_twice() {
        let packages = graph::packages().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let text = bill(&packages, ("fracas", version), 1_700_000_000).unwrap();
        assert_eq!(text, bill(&packages, ("fracas", version), 1_700_000_000).unwrap());
        let bill: Value = serde_json::from_slice(&text).unwrap();
        is_valid(&bill);
        assert_eq!(bill["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
        let scope = |name: &str| {
            let all = bill["components"].as_array().unwrap();
            let found = all.iter().find(|one| one["name"] == name);
            found.map(|one| one["scope"].as_str().unwrap().to_owned())
        };
        assert_eq!(scope("tokio").as_deref(), Some("required"));
        assert_eq!(scope("fracas-guardian").as_deref(), Some("required"));
        assert_eq!(scope("serde_derive").as_deref(), Some("excluded"));
        for tests_only in ["fracas-lab", "insta", "proptest", "flate2", "xtask"] {
            assert_eq!(scope(tests_only), None, "{tests_only}");
        }
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        assert!(bill(&BTreeMap::new(), ("fracas", "1"), 0).is_err());
    }

    #[test]
    fn addresses_and_numbers_have_their_form() {
        assert_eq!(purl("a", "1.0.0+x"), "pkg:cargo/a@1.0.0%2Bx");
        assert_eq!(serial(&sha256(b"abc")), "urn:uuid:ba7816bf-8f01-8fea-a141-40de5dae2223");
    }
}
