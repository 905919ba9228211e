//! Lines in containers' logs as probes, of running and of ended containers.
//!
//! The engine compares whole seconds, so lines of the second in which the first injection began count too: one line too many is seen
//! by a person, one too few is not. At most the last [`MOST_LINES`] of a container are looked at, as in seed 0; a count that reaches
//! it may be larger in truth.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use fracas_core::probe::{Log, Reading};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::Target;
use fracas_docker::Engine;
use futures_util::{StreamExt, TryStreamExt};
use regex::Regex;
use tokio::sync::OnceCell;

use crate::prober::ReadContext;

/// The most lines of one container that are looked at.
const MOST_LINES: usize = 5000;

/// The most containers of one probe.
const MOST_CONTAINERS: usize = 1000;

/// So many logs are read at a time: each may take 16 MiB of memory.
const AT_ONCE: usize = 4;

/// The container engine, connected when the first probe asks for it. A failure is not kept: the next reading tries again.
#[derive(Debug)]
pub(crate) struct Logs {
    address: Option<String>,
    engine: OnceCell<Engine>,
}

impl Logs {
    pub(crate) fn new(address: Option<String>) -> Self {
        Self {
            address,
            engine: OnceCell::new(),
        }
    }

    async fn engine(&self) -> Result<&Engine> {
        self.engine
            .get_or_try_init(|| Engine::connect(self.address.as_deref()))
            .await
    }

    /// Takes a reading. The caller bounds the time.
    pub(crate) async fn read(&self, source: &Log, context: &ReadContext<'_>) -> Reading {
        match self.count(source, context).await {
            Ok(count) => Reading::of(count as f64),
            Err(problem) => Reading::failed(problem.line()),
        }
    }

    /// Checks before anything is touched: the patterns are patterns, and the engine answers. That the containers are there is
    /// only known later.
    pub(crate) async fn check(&self, source: &Log) -> Result<()> {
        Patterns::of(source)?;
        self.engine().await.map(|_| ())
    }

    async fn count(&self, source: &Log, context: &ReadContext<'_>) -> Result<usize> {
        let patterns = Patterns::of(source)?;
        let engine = self.engine().await?;
        let containers = containers(engine, source, &patterns, context.targets).await?;
        let Some(since) = context.since_injection else {
            // Nothing was injected yet, so nothing was logged since.
            return Ok(0);
        };
        let since = seconds(since);
        futures_util::stream::iter(containers)
            .map(|(id, name)| {
                let line = &patterns.line;
                async move {
                    let lines = engine.logs(&id, Some(since), MOST_LINES).await.map_err(|problem| {
                        Problem::new(problem.code, format!("the logs of {name} cannot be read")).because(&*problem)
                    })?;
                    Ok(lines.iter().filter(|text| line.is_match(text)).count())
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |sum, count| async move { Ok(sum + count) })
            .await
    }
}

/// The regular expressions of a probe.
struct Patterns {
    line: Regex,
    container: Option<Regex>,
}

impl Patterns {
    fn of(source: &Log) -> Result<Self> {
        if source.target.is_none() && source.container.is_none() {
            return Err(
                Problem::new(&codes::MISSING_KEY, "the log probe does not say whose logs")
                    .next("add `target` or `container`"),
            );
        }
        Ok(Self {
            line: pattern("pattern", &source.pattern)?,
            container: source
                .container
                .as_deref()
                .map(|text| pattern("container", text))
                .transpose()?,
        })
    }
}

/// Compiles a regular expression of a document; `key` is where it stands.
pub(crate) fn pattern(key: &str, text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| {
        Problem::new(&codes::WRONG_VALUE, format!("`{key}` is not a regular expression")).because(&error)
    })
}

/// Whose logs: ids with their names, at least one.
async fn containers(
    engine: &Engine,
    source: &Log,
    patterns: &Patterns,
    targets: &[Target],
) -> Result<BTreeMap<String, String>> {
    let mut found: BTreeMap<String, String> = targets
        .iter()
        .filter(|target| source.target.as_ref() == Some(&target.alias))
        .filter_map(Target::container)
        .map(|container| (container.id.clone(), container.name.clone()))
        .collect();
    if let Some(name) = &patterns.container {
        let all = engine.list(true).await?;
        found.extend(
            all.into_iter()
                .filter(|container| name.is_match(&container.name))
                .map(|container| (container.id, container.name)),
        );
    }
    let problem = |what| Err(Problem::new(&codes::PROBE_ANSWER, what));
    match found.len() {
        0 => problem(match (&source.target, &source.container) {
            (Some(alias), None) => format!("no chosen target of alias `{alias}` is a container"),
            (None, Some(name)) => format!("no container, running or ended, has a name that matches `{name}`"),
            _ => "no container matches `target` or `container`".to_owned(),
        }),
        1..=MOST_CONTAINERS => Ok(found),
        many => problem(format!("{many} containers match, at most {MOST_CONTAINERS} are read")),
    }
}

/// Whole seconds since 1970, rounded down.
fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
