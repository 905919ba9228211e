//! Seed 0's faults, in the words of Fracas.

use fracas_core::experiment::{FaultSpec, Written};
use fracas_core::params::{
    ContainerKill, ContainerPause, ContainerRestart, CpuLimit, CpuStress, FileCorrupt, FileDelete, Inject, MemoryLimit,
    ProcessKill, Via,
};
use fracas_core::problem::codes;
use fracas_core::units::{Percent, Size};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{
    CpuParams, Fault, FileCorruptParams, FileDeleteParams, KillParams, MemoryParams, PauseParams, ProcessKillParams,
    RestartParams,
};
use super::types::{Fate, fate};
use crate::place::{Spot, quoted};
use crate::problems::Problems;
use crate::tree::{Node, Value as Tree};

/// Reads one fault, which may be several of ours; `None` if it is left out, with the reason noted.
pub(super) fn read(index: usize, fault: &Fault, root: &Node, problems: &mut Problems<'_>) -> Option<Vec<FaultSpec>> {
    let path = format!("spec.faults[{index}]");
    let mut reader = Reader { path, root, problems };
    let kind = reader.spot("type");
    if fault.exclude_producer {
        let spot = reader.spot("exclude_producer");
        // Without the exclusion it would break more than the document asks for: so the whole fault is left out.
        let what = format!(
            "{} spares the block producer, which only an Ethereum chain has",
            quoted(&fault.phase)
        );
        reader.problems.unsupported(spot, what);
        return None;
    }
    let mut duration = fault.duration;
    let mut allow_irreversible = false;
    let known = fate(&fault.kind.0)?;
    let effects = match known {
        Fate::Network => Some(reader.network(&fault.params)?),
        Fate::Dns => Some(reader.dns(&fault.params)?),
        _ => None,
    };
    if let Some(effects) = effects {
        let alone = effects.len() == 1;
        let spec = |(end, inject): (&str, Inject)| {
            let name = if alone {
                fault.phase.clone()
            } else {
                format!("{}-{end}", fault.phase)
            };
            spec(index, name, fault, inject, root)
        };
        return Some(effects.into_iter().map(spec).collect());
    }
    let inject = match known {
        Fate::Memory => reader.memory(&fault.params)?,
        Fate::Cpu => reader.cpu(&fault.params)?,
        Fate::Restart => {
            let params: RestartParams = reader.params(&fault.params)?;
            Inject::ContainerRestart(ContainerRestart {
                grace: params.grace_period.0,
                delay: params.restart_delay.0,
                stagger: params.stagger.0,
            })
        }
        Fate::Kill => {
            let params: KillParams = reader.params(&fault.params)?;
            if !params.restart {
                allow_irreversible = true;
                let next = "the container stays dead, as the document asks; the certificate lists it";
                let spot = reader.spot("params.restart");
                reader.problems.warn(
                    &codes::IRREVERSIBLE,
                    spot,
                    format!("{} has no way back", quoted(&fault.phase)),
                    next,
                );
            }
            Inject::ContainerKill(ContainerKill {
                signal: params.signal,
                via: Via::Host,
                restart: params.restart,
                restart_delay: params.restart_delay.0,
            })
        }
        Fate::Pause => {
            let params: PauseParams = reader.params(&fault.params)?;
            if let (Some(own), Some(inner)) = (duration, params.duration)
                && own != inner.0
            {
                let spot = reader.spot("params.duration");
                let what = format!("{} has two durations, {own} and {}", quoted(&fault.phase), inner.0);
                reader.problems.warn(
                    &codes::CONTRADICTION,
                    spot,
                    what,
                    format!("it is paused for {own}, the fault's own"),
                );
            }
            duration = duration.or(params.duration.map(|seconds| seconds.0));
            if !params.unpause {
                let next = "remove it, and give the fault the `duration` that it should have";
                let what = "`unpause: false` would leave the container paused, and Fracas leaves nothing";
                let spot = reader.spot("params.unpause");
                reader.problems.error_next(&codes::CONTRADICTION, spot, what, next);
                return None;
            }
            Inject::ContainerPause(ContainerPause {})
        }
        Fate::ProcessKill => {
            let params: ProcessKillParams = reader.params(&fault.params)?;
            allow_irreversible = true;
            let next = "it is done as the document asks; a supervisor or restart policy must bring the process back";
            reader.problems.warn(
                &codes::IRREVERSIBLE,
                kind,
                format!("{} has no way back", quoted(&fault.phase)),
                next,
            );
            Inject::ProcessKill(ProcessKill {
                signal: params.signal,
                pattern: params.process_pattern.as_deref().map(super::regex),
                children: params.kill_children,
                count: params.count.0,
                interval: params.interval.0,
            })
        }
        Fate::Corrupt => {
            let params: FileCorruptParams = reader.params(&fault.params)?;
            reader.kept(params.backup_first);
            Inject::FileCorrupt(FileCorrupt {
                path: params.target_path,
                bytes: Size(params.corrupt_bytes.0.into()),
                offset: (params.corrupt_offset.0 > 0).then(|| Size(params.corrupt_offset.0.into())),
                method: params.method,
            })
        }
        Fate::Delete => {
            let params: FileDeleteParams = reader.params(&fault.params)?;
            reader.kept(params.backup_first);
            Inject::FileDelete(FileDelete {
                path: params.target_path,
                recursive: params.recursive,
            })
        }
        Fate::DiskFill => reader.disk_fill(&fault.params)?,
        Fate::DiskIo => reader.disk_io(&fault.params)?,
        Fate::Clock => reader.clock_skew(&fault.params)?,
        Fate::ConnectionDrop => reader.connection_drop(&fault.params)?,
        Fate::Http => reader.http_fault(&fault.params)?,
        Fate::Network | Fate::Dns | Fate::Later => {
            let what = format!("the fault type {} is not available yet", quoted(&fault.kind.0));
            reader.problems.error(&codes::NOT_AVAILABLE, kind, what);
            return None;
        }
        Fate::Ethereum => {
            let what = format!(
                "the fault type {} only has a meaning on an Ethereum chain",
                quoted(&fault.kind.0)
            );
            reader.problems.unsupported(kind, what);
            return None;
        }
        Fate::Never => {
            let what = format!("there is no fault of the type {}", quoted(&fault.kind.0));
            let next =
                "the original tool accepted the word and then refused to inject it; name the fault that you mean";
            reader.problems.error_next(&codes::WRONG_VALUE, kind, what, next);
            return None;
        }
    };
    Some(vec![FaultSpec {
        duration,
        allow_irreversible,
        ..spec(index, fault.phase.clone(), fault, inject, root)
    }])
}

/// What every fault has, whatever its type is.
fn spec(index: usize, name: String, fault: &Fault, inject: Inject, root: &Node) -> FaultSpec {
    FaultSpec {
        name,
        description: fault.description.clone(),
        target: fault.target.clone(),
        inject,
        written: Some(Written {
            kind: fault.kind.0.clone(),
            parameters: written(root.nearest(&format!("spec.faults[{index}].params"))),
        }),
        start: fault.delay,
        duration: fault.duration,
        follows: false,
        allow_irreversible: false,
    }
}

/// What stands in the document, as its author wrote it: whoever compares the report with it finds the same numbers and texts.
fn written(node: &Node) -> Value {
    let scalar = match &node.value {
        Tree::Map(entries) => {
            let entries = entries.iter();
            return entries
                .map(|entry| (entry.key.clone(), written(&entry.value)))
                .collect();
        }
        Tree::List(items) => return items.iter().map(written).collect(),
        Tree::Scalar(scalar) => scalar,
    };
    if scalar.is_null() {
        return Value::Null;
    }
    if let Some(truth) = scalar.as_bool() {
        return Value::Bool(truth);
    }
    match scalar.as_number().filter(|_| scalar.plain) {
        // 512, not 512.0. Up to here every whole number has a floating-point number of its own.
        Some(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => Value::from(number as i64),
        Some(number) => Value::from(number),
        None => Value::from(scalar.text.as_str()),
    }
}

/// What a fault is read with.
pub(super) struct Reader<'a, 'p> {
    pub(super) path: String,
    root: &'a Node,
    pub(super) problems: &'a mut Problems<'p>,
}

impl Reader<'_, '_> {
    pub(super) fn spot(&self, key: &str) -> Spot {
        self.root.nearest(&format!("{}.{key}", self.path)).spot
    }

    pub(super) fn params<T: DeserializeOwned>(&mut self, params: &Map<String, Value>) -> Option<T> {
        match serde_json::from_value(Value::Object(params.clone())) {
            Ok(params) => Some(params),
            // The shape has checked the parameters of this type already.
            Err(error) => {
                let spot = self.spot("params");
                self.problems.error(
                    &codes::WRONG_VALUE,
                    spot,
                    format!("`{}.params` is not understood: {error}", self.path),
                );
                None
            }
        }
    }

    /// Seed 0 kept what was there only if it was told to.
    fn kept(&mut self, backup_first: bool) {
        if !backup_first {
            let what = "`backup_first: false` would leave nothing to put back, and Fracas leaves everything as it was";
            let spot = self.spot("params.backup_first");
            let next = "what was there is kept, and put back";
            self.problems.warn(&codes::CONTRADICTION, spot, what, next);
        }
    }

    fn memory(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: MemoryParams = self.params(params)?;
        if params.method != "limit" {
            let what = format!(
                "memory pressure by {} is not what the original tool did",
                quoted(&params.method)
            );
            let spot = self.spot("params.method");
            self.problems.warn(
                &codes::WRONG_VALUE,
                spot,
                what,
                "the container's memory is limited, as the original tool always did",
            );
        }
        let bytes = params.memory_mb.0 * 1_048_576.0;
        if bytes > i64::MAX as f64 {
            let spot = self.spot("params.memory_mb");
            self.problems.error(
                &codes::WRONG_VALUE,
                spot,
                format!("`{}.params.memory_mb` is more than the kernel can count", self.path),
            );
            return None;
        }
        Some(Inject::MemoryLimit(MemoryLimit {
            limit: Size(bytes.round() as u64),
        }))
    }

    fn cpu(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: CpuParams = self.params(params)?;
        let percent = Percent(params.cpu_percent.0 * f64::from(params.cores.0));
        if params.method == "stress" {
            return Some(Inject::CpuStress(CpuStress {
                percent,
                cores: Some(params.cores.0),
            }));
        }
        if params.method != "limit" {
            let what = format!("CPU stress by {} is not known", quoted(&params.method));
            let next = format!(
                "the container's CPU time is limited to {percent}, as the original tool did; write `limit` or `stress`"
            );
            let spot = self.spot("params.method");
            self.problems.warn(&codes::WRONG_VALUE, spot, what, next);
        }
        Some(Inject::CpuLimit(CpuLimit { percent }))
    }
}
