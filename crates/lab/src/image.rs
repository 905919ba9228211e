//! The image of test containers: nothing but the lab's program.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use fracas_core::problem::codes::SYSTEM;
use fracas_core::problem::{Problem, Result};
use fracas_docker::Engine;

use crate::app;

/// The image's name without its tag.
const REPOSITORY: &str = "fracas-lab";

/// The program's path inside the image.
pub(crate) const INSIDE: &str = "/app";

/// The name of the image with its tag; the tag changes with the program.
pub fn image_name() -> Result<String> {
    static NAME: OnceLock<String> = OnceLock::new();
    if let Some(name) = NAME.get() {
        return Ok(name.clone());
    }
    let mut hash = DefaultHasher::new();
    hash.write(&program()?);
    Ok(NAME
        .get_or_init(|| format!("{REPOSITORY}:{:016x}", hash.finish()))
        .clone())
}

/// Makes the image if the engine does not have it, and gives its name. It stays in the engine: every test wants it.
pub async fn image(engine: &Engine) -> Result<String> {
    let name = image_name()?;
    let (repository, tag) = name.split_once(':').unwrap_or((&name, "latest"));
    if !engine.has_image(repository, tag).await? {
        let _turn = turn().await?;
        if engine.has_image(repository, tag).await? {
            return Ok(name);
        }
        engine.import_image(archive(&program()?)?, repository, tag).await?;
    }
    Ok(name)
}

/// One import at a time on this machine: a second one would take the name away from the first, under the feet of its containers.
async fn turn() -> Result<File> {
    let path = app().with_file_name("fracas-lab-image.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        Ok(file)
    });
    locked
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| Problem::new(&SYSTEM, "the lock of the lab's image cannot be taken").because(&error))
}

fn program() -> Result<Vec<u8>> {
    std::fs::read(app()).map_err(|error| Problem::new(&SYSTEM, "the lab's program cannot be read").because(&error))
}

/// A file system with one file.
fn archive(program: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, INSIDE.trim_start_matches('/'), program)
        .and_then(|()| archive.into_inner())
        .map_err(|error| Problem::new(&SYSTEM, "the image cannot be packed").because(&error))
}
