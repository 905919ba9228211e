//! Parameters of the fault on requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chaos::ChaosConfig;

/// Stands in front of a TCP port of the target and does to the HTTP requests that come there what a configuration of the proxy says.
///
/// Connections that are opened while it is on come to a worker of Fracas in the target's network, which passes their requests on to the
/// port itself: over IPv4 and IPv6, from outside, from other containers, and from inside the target. Those that were open before are left
/// alone until they end; a client that keeps its connections meets nothing before it opens a new one. No address is translated and
/// nothing of the target is changed. HTTP/1.1, HTTP/2 without TLS, gRPC and WebSocket pass. What is done to an answer is named in its
/// header `x-fracas-fault`. A port at which nobody listens is taken as well: connections to it end without an answer.
///
/// A request comes to its program without headers of Fracas and with its names of headers as they were written, but it is written anew:
/// HTTP/1.0 becomes HTTP/1.1, with the address that was called as its `Host` if it has none, a target with a host its path alone, with that host as
/// its `Host`, blanks around values go, lines of one name come together, others may change places, and what is about the client's own
/// connection goes (`Connection`, `Keep-Alive`, `Proxy-Connection`, `TE` but for `trailers`, and chunks, which are made anew). A later request of a
/// connection is answered 400 if its target is not UTF-8, has a `<`, a `>` or a backquote in its path, or a `<`, a `>` or a `"` in its
/// query; of one with a `#` what stands there and behind it does not come. A connection that begins with such a request passes byte by byte and
/// meets nothing. It comes by a connection from the address that the client called; of HTTP/1 requests of several clients may come by one, so who
/// logs in a connection and not a request, as NTLM does, is logged in with others.
///
/// A connection that does not begin with the line of a request (`GET /path HTTP/1.1`) or the preface of HTTP/2, as of TLS, Redis or SSH, or with
/// `CONNECT`, passes byte by byte and meets nothing. Where the client says nothing for 300 ms its server is connected to, and if that
/// speaks first (MySQL, SMTP), passes the same way. What is carried so is cut off 10 s after the end of the fault, if it is still open.
///
/// To the target's program everybody comes from its own address while the fault is on: where it trusts that address, it trusts everybody.
/// Probes of the experiment that ask the port are hit as well.
///
/// A share of requests is decided by the run's seed and by who a request is: its `x-request-id`, else its `traceparent`, else its place in
/// its connection.
///
/// Every block of that configuration acts, also `routes`, `mutations`, `grpc`, `graphql` and `websocket`. By `routes` only a share of the
/// requests for a path meets it. A rule of `mutations` has five seconds for an answer to come, in the place of `--upstream-timeout`, and
/// with a `method_match` five for a request to come whole before it passes. Requests of Fracas' own, which the worker answers, show that each part works: one for every route, rule and protocol, decided about as any other. What
/// came of others is counted apart, and of a part that none of their requests was about, as of a route that nobody calls, a
/// `request_matcher` that takes nobody, or a rule for JSON where no answer is JSON, the dose has not landed; of a part
/// that requests were about and that has hit none so far, as of what harms bodies where no answer has one, it is unmeasured.
///
/// Undo: exact. The rule that takes connections and the worker that holds them go together, also when all of Fracas is killed: then what
/// is in them is cut off. When the fault ends new connections come to the target's own program at once, and those that were taken meet
/// nothing more: requests that it holds go on, also where it is their answer that is held; streams of gRPC are not cut any more, and messages of
/// WebSocket pass as they are, but for one that has begun. What is under way has 10 s to end, and what is then still open is reset. Other faults
/// on the target are undone meanwhile. Of a worker that is stopped or hangs new connections are kept away within a second, and it is killed.
///
/// Refused (F001) where the target shares the machine's network, where its loopback device is down, by which the worker reaches the port,
/// where routes are chosen by bits 20 to 27 of the marks of packets (`ip rule`), and where the kernel cannot divert connections (nft_tproxy,
/// nft_fib). Two on one port are a conflict; others compose, also with faults on packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The port at which requests arrive at the target, from 1 to 65535. Behind a published port of a container that is the container's own.
    pub port: u16,
    /// What is done to them: the configuration of `fracas proxy`. At least one of its blocks.
    pub chaos: Box<ChaosConfig>,
}

impl Http {
    /// The longest time that requests which are under way have to end, in seconds.
    pub const DRAIN: u64 = 10;
}
