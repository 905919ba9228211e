//! Linux, as Fracas needs it: processes, control groups, claims, private state, workers, and the guardian's protection of itself.
//!
//! This is the only crate with `unsafe`, raw system calls and child processes. Nothing here knows what a fault is: the functions
//! read and change single things, and say exactly what the kernel answered.
//!
//! Errors are [`std::io::Error`] whose text names the file or the process; [`error::errno`] gives the kernel's number behind it.

pub mod apart;
pub mod burn;
pub mod cgroup;
pub mod child;
pub mod churn;
pub mod claim;
pub mod clock;
pub mod command;
pub mod connections;
pub mod diversion;
pub mod error;
pub mod file;
pub mod files;
pub mod frames;
pub mod guard;
pub mod hold;
pub mod inq;
pub mod inside;
pub mod intercept;
pub mod kernel;
pub mod limits;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netfilter;
pub mod netlink;
pub mod packets;
pub mod privileges;
pub mod process;
pub mod queue;
pub mod raw;
pub mod relay;
pub mod signals;
pub mod sockets;
pub mod splice;
pub mod state_dir;
pub mod terminal;
#[cfg(test)]
mod testbed;
pub mod timer_fd;
pub mod traffic_control;
pub mod unnamed;
pub mod vdso;
