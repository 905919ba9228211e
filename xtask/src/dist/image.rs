//! The image `FROM scratch`, made without an engine and without a registry: an OCI image layout (image-spec 1.1, image-layout.md) in a
//! tar, with the `manifest.json` beside it by which engines that are older than that know what to load (`docker save`, Docker 1.10 to 24).

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::archive::{self, Tree, sha256};
use super::parts::Parts;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The name of the image, without its tag.
pub(super) const NAME: &str = "fracas";

/// The tar that `docker load` and `podman load` take.
pub(super) fn image(parts: &Parts) -> Result<Vec<u8>> {
    let layer = files(parts).tar("", parts.time)?;
    let diff = sha256(&layer);
    let layer = archive::gzip(&layer)?;
    let seconds = i64::try_from(parts.time).context("the time is out of range")?;
    let made = jiff::Timestamp::from_second(seconds)
        .context("the time is out of range")?
        .to_string();
    let mut layout = Tree::default();
    let config = blob(&mut layout, &json_bytes(&config(&parts.version, &diff, &made))?);
    let layer = blob(&mut layout, &layer);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config.digest(), "size": config.size },
        "layers": [{ "mediaType": LAYER, "digest": layer.digest(), "size": layer.size }],
    });
    let manifest = blob(&mut layout, &json_bytes(&manifest)?);
    let tag = format!("{NAME}:{}", parts.version);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": manifest.digest(),
            "size": manifest.size,
            "platform": { "architecture": "amd64", "os": "linux" },
            "annotations": {
                "org.opencontainers.image.ref.name": parts.version,
                "io.containerd.image.name": format!("docker.io/library/{tag}"),
            },
        }],
    });
    let older = json!([{ "Config": config.path(), "RepoTags": [tag], "Layers": [layer.path()] }]);
    layout.text("index.json", json_bytes(&index)?);
    layout.text("manifest.json", json_bytes(&older)?);
    layout.text("oci-layout", json_bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?);
    layout.tar("", parts.time)
}

/// The file system: the binary, its licences, and a `/tmp` for the stop file.
fn files(parts: &Parts) -> Tree {
    let mut tree = Tree::default();
    tree.program("usr/bin/fracas", &parts.binary);
    let doc = "usr/share/doc/fracas";
    for (name, paper) in parts.papers.iter().filter(|(name, _)| name.starts_with("LICENSE")) {
        tree.text(format!("{doc}/{name}"), paper.as_slice());
    }
    tree.text(format!("{doc}/THIRD-PARTY.txt"), parts.third_party.as_slice());
    tree.text(format!("{doc}/sbom.cdx.json"), parts.bill.as_slice());
    tree.folder("tmp", 0o1777);
    tree
}

/// No `Volumes`: an anonymous volume would take the ledger away with the container. Who runs faults mounts the machine's
/// /var/lib/fracas, as README shows.
fn config(version: &str, diff: &str, made: &str) -> Value {
    json!({
        "created": made,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/fracas"],
            "Cmd": ["--help"],
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "fracas",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
                "org.opencontainers.image.created": made,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff}")] },
        "history": [{ "created": made, "created_by": "cargo xtask dist" }],
    })
}

/// Something in `blobs/`.
struct Blob {
    sum: String,
    size: usize,
}

impl Blob {
    fn digest(&self) -> String {
        format!("sha256:{}", self.sum)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.sum)
    }
}

fn blob(layout: &mut Tree, bytes: &[u8]) -> Blob {
    let blob = Blob {
        sum: sha256(bytes),
        size: bytes.len(),
    };
    layout.text(blob.path(), bytes);
    blob
}

fn json_bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("JSON cannot be written")
}
