//! What is done to the requests of some paths alone.

use fracas_core::chaos::{CorruptionType, Route, RouteFault, RouteFaultKind, RouteFaults, Template};
use fracas_core::problem::codes;

use super::{Chaos, Finds, scope};
use crate::place::quoted;

/// In bytes, what the body of an error says.
const MESSAGE: usize = 1024;
/// Kinds of faults of one route.
const KINDS: usize = 64;

impl Chaos for Route {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        if let Err(why) = Template::read(&self.path) {
            finds.wrong(&format!("{at}path"), why);
        }
        if self.method.as_deref().is_some_and(|method| !scope::is_name(method)) {
            finds.wrong(&format!("{at}method"), "is no name of a method");
        }
        scope::listeners(&self.listeners, finds, at);
        if let Some(latency) = &self.latency {
            latency.check(finds, &format!("{at}latency."));
        }
        if let Some(faults) = &self.fault_injection {
            block(faults, finds, &format!("{at}fault_injection."));
        }
    }
}

/// Notes what is wrong with all routes together. `at` is the path of their list.
pub(super) fn all(routes: &[Route], finds: &mut Finds<'_, '_>, at: &str) {
    if routes.len() > Route::MOST {
        finds.wrong(at, &format!("must be at most {} routes", Route::MOST));
        return;
    }
    for (index, route) in routes.iter().enumerate() {
        let path = format!("{at}[{index}]");
        route.check(finds, &format!("{path}."));
        if routes[..index].iter().any(|before| before.key() == route.key()) {
            let what = format!(
                "there are two routes {}: the second would never be met",
                quoted(&route.key())
            );
            finds.error(&codes::DUPLICATE_NAME, &path, what, "remove one of the two");
        } else if let Some(before) = routes[..index].iter().find(|before| before.covers(route)) {
            let what = format!(
                "the route {} would never be met: all its requests are of {}, which stands before it",
                quoted(&route.key()),
                quoted(&before.key())
            );
            finds.contradiction(&path, &what, "put it before that one, or remove it");
        }
    }
}

fn block(block: &RouteFaults, finds: &mut Finds<'_, '_>, at: &str) {
    finds.probability(&format!("{at}probability"), block.probability);
    let path = format!("{at}fault_types");
    if block.fault_types.is_empty() && block.enabled {
        let what = format!("`{path}` does not say what requests meet");
        finds.error(
            &codes::MISSING_KEY,
            at.trim_end_matches('.'),
            what,
            "add `fault_types: [{ type: http_error, status_code: 503 }]`",
        );
    }
    if block.fault_types.len() > KINDS {
        finds.wrong(&path, &format!("must be at most {KINDS}"));
        return;
    }
    for (index, fault) in block.fault_types.iter().enumerate() {
        one(fault, finds, &format!("{path}[{index}]"));
    }
}

fn one(fault: &RouteFault, finds: &mut Finds<'_, '_>, at: &str) {
    use RouteFaultKind::{ConnectionError, HttpError, PartialResponse, PayloadCorruption, Timeout};
    let kind = fault.kind.name();
    // Of which kind a key is, and whether that can be without it.
    for (key, is_said, of, is_needed) in [
        ("status_code", fault.status_code.is_some(), HttpError, true),
        ("message", fault.message.is_some(), HttpError, false),
        (
            "connection_error_kind",
            fault.connection_error_kind.is_some(),
            ConnectionError,
            false,
        ),
        ("duration_ms", fault.duration_ms.is_some(), Timeout, true),
        (
            "truncate_percent",
            fault.truncate_percent.is_some(),
            PartialResponse,
            true,
        ),
        (
            "corruption_type",
            fault.corruption_type.is_some(),
            PayloadCorruption,
            true,
        ),
    ] {
        if of == fault.kind && is_needed && !is_said {
            let what = format!("`{at}` has no `{key}`, which a fault of type `{kind}` needs");
            finds.error(&codes::MISSING_KEY, at, what, "add it");
        }
        if of != fault.kind && is_said {
            let path = format!("{at}.{key}");
            let what = format!("`{path}` means nothing to a fault of type `{kind}`");
            finds.contradiction(&path, &what, "remove it, or change the type");
        }
    }
    if let Some(status) = fault.status_code.filter(|status| !(400..=599).contains(status)) {
        let what = format!("must be the status of an error, from 400 to 599, not {status}");
        finds.wrong(&format!("{at}.status_code"), &what);
    }
    if fault.message.as_ref().is_some_and(|message| message.len() > MESSAGE) {
        finds.wrong(&format!("{at}.message"), &format!("must be at most {MESSAGE} bytes"));
    }
    if let Some(duration) = fault.duration_ms {
        finds.millis(&format!("{at}.duration_ms"), duration as f64);
    }
    if let Some(percent) = fault.truncate_percent
        && (percent == 0.0 || !(0.0..=100.0).contains(&percent))
    {
        let what = format!("must be more than 0 and at most 100 percent, not {percent}");
        finds.wrong(&format!("{at}.truncate_percent"), &what);
    }
    if fault.corruption_type == Some(CorruptionType::None) {
        let next = "write `random_bytes`, `truncate` or `bit_flip`";
        let path = format!("{at}.corruption_type");
        finds.contradiction(
            &path,
            &format!("`{path}` is `none`, so nothing would be corrupted"),
            next,
        );
    }
}
