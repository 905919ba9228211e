//! `cpu_limit`: a CFS quota on the target's control group.
//!
//! The quota is so much of the period that the group has already: v1 `cpu.cfs_quota_us` beside `cpu.cfs_period_us`, v2 both in
//! `cpu.max`. The period stays, so that one value is changed and one restored. Limits see Documentation/scheduler/sched-bwc.rst.

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use serde::{Deserialize, Serialize};

use crate::kernel_file::{KernelFile, field, group_of, lives};
use crate::say::{OrSay, missed, refuse};
use crate::{Context, Fault, Needs, Resource, cpu_stress};

/// See [`params::CpuLimit`].
#[derive(Debug)]
pub struct CpuLimit;

/// The file with the quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    file: KernelFile,
    /// Whom it is for.
    #[serde(default)]
    target: Option<ProcessIdentity>,
    /// The period, in microseconds.
    period: u64,
    /// How many periods had passed when it was planned.
    periods: u64,
    /// In how many of them the group was throttled.
    throttled: u64,
}

/// The kernel takes no quota below 1 ms (`min_cfs_quota_period`, kernel/sched/core.c).
const SMALLEST: u64 = 1000;

/// The quota of a group: microseconds per period, `None` without one; and the period.
type Quota = (Option<u64>, u64);

impl Fault for CpuLimit {
    const NAME: &'static str = "cpu_limit";
    type Params = params::CpuLimit;
    type Undo = Undo;

    fn undo_class(_: &params::CpuLimit) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::CpuLimit) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::CpuLimit, target: &Target, _: &Context) -> Result<Undo> {
        let refuse = |why: String| refuse(Self::NAME, target, why);
        let group = group_of(Self::NAME, target, Controller::Cpu)?;
        let unreadable = || {
            format!(
                "{} on {target}: the quota of the control group cannot be read",
                Self::NAME
            )
        };
        let allowed = cpu_stress::allowed(target.process().pid).or_say(&codes::TARGET_READ, || {
            format!("{} on {target}: its processors cannot be read", Self::NAME)
        })?;
        let processors = allowed.unwrap_or_else(cpu_stress::processors);
        if params.percent.0 > processors as f64 * 100.0 {
            return Err(refuse(format!(
                "{} of a CPU is more than the {processors} CPUs that the target may use, and limits nothing",
                params.percent
            )));
        }
        let (before, period) = quota(&group).or_say(&codes::TARGET_READ, unreadable)?;
        let ours = exact(params.percent.0, period).map_err(&refuse)?;
        if before.is_some_and(|before| before <= ours) {
            return Err(refuse(format!(
                "{} of a CPU is not below the present limit of {}%",
                params.percent,
                before.unwrap_or_default() as f64 * 100.0 / period as f64
            )));
        }
        let burst = burst(&group).or_say(&codes::TARGET_READ, unreadable)?;
        if burst > ours {
            // tg_set_cfs_bandwidth, kernel/sched: the burst may not be above the quota.
            return Err(refuse(format!(
                "the group may burst by {burst} µs, and the kernel takes no quota below that"
            )));
        }
        let (name, value) = match group.version() {
            Version::V1 => ("cpu.cfs_quota_us", ours.to_string()),
            Version::V2 => ("cpu.max", format!("{ours} {period}")),
        };
        let stat = group.read("cpu.stat").or_say(&codes::TARGET_READ, unreadable)?;
        Ok(Undo {
            file: KernelFile::of(&group, name, value).or_say(&codes::TARGET_READ, unreadable)?,
            target: Some(target.process().clone()),
            period,
            periods: field(&stat, "nr_periods"),
            throttled: field(&stat, "nr_throttled"),
        })
    }

    fn change(params: &params::CpuLimit, undo: &Undo) -> String {
        let before = match undo.file.before.split_whitespace().next() {
            Some("-1" | "max") | None => "unlimited".to_owned(),
            Some(quota) => format!("{quota} of {} µs", undo.period),
        };
        format!("CPU limit {before} → {}, then back", params.percent)
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        crate::kernel_file::resources_of(std::slice::from_ref(&undo.file))
    }

    async fn apply(_: &params::CpuLimit, undo: &Undo, _: &Context) -> Result<()> {
        undo.file.apply()
    }

    async fn measure(params: &params::CpuLimit, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("CPU limit {} of a CPU", params.percent);
        if !lives(undo.target.as_ref())? {
            return Ok(missed(asked, "the target is gone"));
        }
        let Some(group) = undo.file.open()? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let unreadable = || format!("the quota of {} cannot be read", undo.file.cgroup.path);
        let (quota, period) = quota(&group).or_say(&codes::FAULT_MEASURE, unreadable)?;
        let stat = group.read("cpu.stat").or_say(&codes::FAULT_MEASURE, unreadable)?;
        let delivered = match quota {
            None => "no limit".to_owned(),
            Some(quota) => format!("{quota} of {period} µs in {}", undo.file.file),
        };
        // The share is compared, not the text: a changed period beside our quota is another limit.
        let landed = match quota.map(|quota| quota as f64 * 100.0 / period as f64) {
            Some(share) if (share - params.percent.0).abs() < 1e-6 => Landed::Yes,
            Some(share) => Landed::No(format!("the limit is {share}%")),
            None => Landed::No("there is no limit".to_owned()),
        };
        let periods = field(&stat, "nr_periods").saturating_sub(undo.periods);
        let throttled = field(&stat, "nr_throttled").saturating_sub(undo.throttled);
        let effect = if throttled > 0 {
            format!("throttled in {throttled} of {periods} periods")
        } else {
            "in force, never reached".to_owned()
        };
        Ok(Dose {
            asked,
            delivered,
            landed,
            effect: Some(effect),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        undo.file.revert()
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.file.observe()
    }

    fn manual(undo: &Undo) -> Vec<String> {
        vec![undo.file.manual()]
    }
}

/// The quota that is exactly this share of the period, in whole microseconds as the kernel counts.
fn exact(percent: f64, period: u64) -> Result<u64, String> {
    let quota = percent / 100.0 * period as f64;
    if percent < 1.0 {
        return Err(format!("{percent}% of a CPU is below 1%"));
    }
    let whole = quota.round();
    if (quota - whole).abs() > 1e-6 {
        return Err(format!(
            "{percent}% of the period of {period} µs is no whole number of microseconds; {}% would be",
            whole * 100.0 / period as f64
        ));
    }
    if (whole as u64) < SMALLEST {
        return Err(format!(
            "{percent}% of the period of {period} µs is below the {SMALLEST} µs that the kernel takes"
        ));
    }
    Ok(whole as u64)
}

fn quota(group: &Cgroup) -> std::io::Result<Quota> {
    let number = |text: &str| text.parse::<u64>().map_err(std::io::Error::other);
    match group.version() {
        Version::V1 => {
            let quota = group.read("cpu.cfs_quota_us")?;
            let quota = if quota.starts_with('-') {
                None
            } else {
                Some(number(&quota)?)
            };
            Ok((quota, number(&group.read("cpu.cfs_period_us")?)?))
        }
        Version::V2 => {
            let text = group.read("cpu.max")?;
            let (quota, period) = text.split_once(' ').unwrap_or((&text, "100000"));
            let quota = if quota == "max" { None } else { Some(number(quota)?) };
            Ok((quota, number(period)?))
        }
    }
}

/// By how much the group may exceed its quota; 0 where the kernel has no such thing (before 5.14).
fn burst(group: &Cgroup) -> std::io::Result<u64> {
    let file = match group.version() {
        Version::V1 => "cpu.cfs_burst_us",
        Version::V2 => "cpu.max.burst",
    };
    if group.has(file)? {
        group.read(file)?.parse().map_err(std::io::Error::other)
    } else {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn a_share_is_exact_or_refused() {
        assert_eq!(exact(37.0, 100_000), Ok(37_000));
        assert_eq!(exact(150.0, 100_000), Ok(150_000));
        assert_eq!(exact(1.0, 100_000), Ok(1000));
        assert!(exact(33.3335, 10_000).unwrap_err().contains("33.33% would be"));
        assert!(exact(5.0, 10_000).unwrap_err().contains("below the 1000"));
        assert!(exact(0.5, 1_000_000).unwrap_err().contains("below 1%"));
        assert!(exact(f64::NAN, 100_000).is_err());
    }
}
