//! The proxy between real clients and a real server, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod advanced;
mod answers;
mod api;
mod breaker;
mod bulkhead;
mod canned;
mod client;
mod connect;
mod corruption;
mod defects;
mod described;
mod ends;
mod faults;
mod goaway;
mod graphql;
mod grpc;
mod hooks;
mod hostile;
mod http2;
mod idle;
mod kept;
mod kernel;
mod limits;
mod listeners;
mod losses;
mod matcher;
mod measured;
mod mutations;
mod narrow;
mod orchestrations;
mod partial;
mod patterns;
mod profiles;
mod routes;
mod scenarios;
mod seeded;
mod shaping;
mod shares;
mod stand;
mod steps;
mod tls;
mod toxiproxy;
mod unharmed;
mod upstream;
mod watched;
mod websocket;
mod windows;
