//! Parameters of the fault on names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{Address, NamePattern};
use crate::units::{Percent, Span};

/// Answers the target's questions for names in place of its name servers: wrongly, late or not at all.
///
/// All that the target sends by UDP or TCP to port 53 is looked into, of IPv4 and IPv6, also what goes to the engine's own name server in
/// a container (127.0.0.11). Questions for other names go on untouched to whoever was asked, and nothing of the target is changed, not
/// even `/etc/resolv.conf`. An answer that is made up may not be kept by whoever gets it (its TTL is 0), so that it ends with the fault;
/// answers that the target has kept from before are not asked for, and not hit. Also not hit: questions by encrypted ways (DNS over TLS
/// or HTTPS), those to link-local name servers, and those that others ask the target or send through it. By TCP the connection is closed
/// behind an answer that is made up, as name servers may do.
///
/// At least one of `answer`, `addresses` and `delay`. Up to three of these faults compose in one network namespace.
///
/// Undo: exact; the queue and its rules are the kernel's only as long as a worker of Fracas lives, and go with it. Questions that still
/// wait are sent on. The target must have a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Names that are asked for, at most 16 entries: `db.example.com`, or `*.example.com` for all below it; `*` stands for any number of
    /// characters, dots too. A resolver with a search list asks for longer names than a program does.
    pub names: Vec<NamePattern>,
    /// What is answered. Not together with `addresses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The addresses that are answered, at most 8. Who asks for IPv4 gets those of IPv4 and who asks for IPv6 those of IPv6, or that
    /// there are none; other questions go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// How long a question waits before it goes on or is answered, up to 3s. Default 0s.
    #[serde(default)]
    pub delay: Span,
    /// How many of a hundred questions are hit, more than 0% and up to 100%. Default 100%.
    #[serde(default = "all")]
    pub probability: Percent,
    /// Only questions to these name servers, at most 16. Default: to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Address>,
}

/// What a name server says that does not say where a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// There is no such name (NXDOMAIN).
    Nxdomain,
    /// The name server has failed (SERVFAIL).
    Servfail,
    /// The name server does not want to answer (REFUSED).
    Refused,
    /// Nothing: the question is lost.
    Timeout,
}

impl Dns {
    /// For these names, with nothing done to them yet.
    pub fn new(names: Vec<NamePattern>) -> Self {
        Self {
            names,
            answer: None,
            addresses: Vec::new(),
            delay: Span::default(),
            probability: all(),
            servers: Vec::new(),
        }
    }
}

fn all() -> Percent {
    Percent(100.0)
}
