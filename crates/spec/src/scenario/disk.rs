//! Seed 0's faults of disks.

use fracas_core::params::{DiskFill, DiskIo, Inject, Operation};
use fracas_core::problem::codes;
use fracas_core::units::{Percent, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;
use crate::lenient::{Number, Whole};
use crate::place::quoted;

/// Parameters of `disk_fill`: a file without a name takes the room.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct DiskFillParams {
    /// A directory in the container, on the file system that is filled.
    pub(crate) target_path: Option<String>,
    /// Another name of `target_path`.
    pub(crate) path: Option<String>,
    /// How much, in MiB. Either this or `fill_percent`.
    pub(crate) size_mb: Option<Number>,
    /// How full the file system is afterwards, in per cent. Either this or `size_mb`.
    pub(crate) fill_percent: Option<Number>,
    /// Read with a warning: the file has no name, so that nothing is left if Fracas is killed.
    pub(crate) file_name: Option<String>,
    /// Also on the device of the host's root directory, where most containers have their files. Not a parameter of the original tool,
    /// which filled it without asking. Default false.
    #[serde(default)]
    pub(crate) allow_root_device: bool,
}

/// Parameters of `disk_io` and `disk_io_stress`: workers read and write in the container's control group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct DiskIoParams {
    /// Not a latency but how many workers, as the original tool had it: below 100 one, below 200 two, else three. Default 200.
    #[serde(default = "two_hundred")]
    pub(crate) io_latency_ms: Number,
    /// A directory in the container, on the disk that is made busy. Default `/tmp`.
    pub(crate) target_path: Option<String>,
    /// Another name of `target_path`.
    pub(crate) path: Option<String>,
    /// What the workers do. Default `all`.
    #[serde(default)]
    pub(crate) operation: Operation,
    /// `dd`. `dm-delay` is refused, as by the original tool; others are read with a warning. Default `dd`.
    #[serde(default = "dd")]
    pub(crate) method: String,
    /// How many workers, whatever `io_latency_ms` says.
    pub(crate) workers: Option<Whole>,
    /// How much in one go: `4k`, `1M`. Default 1MiB.
    #[serde(default = "mebibyte")]
    pub(crate) block_size: Size,
}

fn two_hundred() -> Number {
    Number(200.0)
}
fn dd() -> String {
    "dd".to_owned()
}
fn mebibyte() -> Size {
    Size::mib(1)
}

impl Reader<'_, '_> {
    pub(super) fn disk_fill(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: DiskFillParams = self.params(params)?;
        if let Some(name) = &params.file_name {
            let spot = self.spot("params.file_name");
            let what = format!("the file is not called {}", quoted(name));
            let next =
                "it has no name at all, so that the kernel frees it even if Fracas is killed; remove the parameter";
            self.problems.warn(&codes::WRONG_VALUE, spot, what, next);
        }
        let path = self.one_path(params.target_path, params.path, None)?;
        Some(Inject::DiskFill(DiskFill {
            path,
            // The kernel counts less than a float can say: what is more than it can count is refused in the plan.
            size: params.size_mb.map(|size| Size((size.0 * 1_048_576.0).round() as u64)),
            percent: params.fill_percent.map(|percent| Percent(percent.0)),
            allow_root_device: params.allow_root_device,
        }))
    }

    pub(super) fn disk_io(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: DiskIoParams = self.params(params)?;
        let spot = self.spot("params.method");
        match params.method.as_str() {
            "dd" => {}
            "dm-delay" => {
                let what = "a container's disk cannot be put behind `dm-delay` while it is in use";
                let next = "write `dd` for a busy disk; a native experiment can limit a disk with `disk_throttle`";
                self.problems.error_next(&codes::NOT_AVAILABLE, spot, what, next);
                return None;
            }
            other => {
                let what = format!("disk load by {} is not known", quoted(other));
                let next = "a worker of Fracas reads and writes, as `dd` did in the original tool";
                self.problems.warn(&codes::WRONG_VALUE, spot, what, next);
            }
        }
        let path = self.one_path(params.target_path, params.path, Some("/tmp"))?;
        let workers = params.workers.map_or_else(
            || match params.io_latency_ms.0 {
                below if below < 100.0 => 1,
                below if below < 200.0 => 2,
                _ => 3,
            },
            |workers| workers.0,
        );
        Some(Inject::DiskIo(DiskIo {
            path,
            workers,
            operation: params.operation,
            block_size: params.block_size,
        }))
    }

    /// The path under one of its two names; `None` if there are both, or none of them and no default, which is noted.
    fn one_path(&mut self, target_path: Option<String>, path: Option<String>, default: Option<&str>) -> Option<String> {
        if target_path.is_some() && path.is_some() {
            let spot = self.spot("params.path");
            let what = format!("`{}.params` has both `target_path` and `path`", self.path);
            let next = "they are two names of one parameter: remove one";
            self.problems.error_next(&codes::CONTRADICTION, spot, what, next);
            return None;
        }
        let path = target_path.or(path).or_else(|| default.map(str::to_owned));
        if path.is_none() {
            let spot = self.spot("params");
            let what = format!("`{}.params` needs `target_path`", self.path);
            self.problems.error(&codes::MISSING_KEY, spot, what);
        }
        path
    }
}
