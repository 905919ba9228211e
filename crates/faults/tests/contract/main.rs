//! The contract of §5.1: every check over every fault of `FAULTS`, on real processes, control groups and containers.
//!
//! The program has a main of its own: faults start `worker NAME` from `/proc/self/exe`, and strangers are this program too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    clippy::print_stdout,
    reason = "a test without the attribute that clippy knows tests by"
)]

/// A test by its name.
type Test = (&'static str, fn() -> fracas_faults::BoxFuture<'static, ()>);

/// Tests that are named after their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// All of them, by name.
        pub const ALL: &[crate::Test] = &[$((stringify!($name), || Box::pin($name()))),*];
    };
}

mod amounts;
mod checks;
mod clocks;
mod connections;
mod files;
mod fixture;
mod foreign;
mod hosts;
mod impairments;
mod kernel_queue;
mod loads;
mod more;
mod names;
mod networks;
mod observers;
mod request_heads;
mod request_parts;
mod requests;
mod requests_end;
mod script;
mod stranger;

use std::process::ExitCode;

use fixture::{On, by_kernel};
use fracas_faults::{FAULTS, WORKERS, find};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker", name] => {
            let worker = WORKERS.iter().find(|(known, _)| known == name);
            let done = worker.unwrap_or_else(|| panic!("there is no worker {name}")).1();
            if done.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [mode @ ("stranger-apply" | "stranger-revert"), path] => {
            run(stranger::main(mode, path));
            ExitCode::SUCCESS
        }
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    let of_all = FAULTS.iter().flat_map(|entry| {
        checks::CHECKS.iter().map(move |(name, check)| {
            Trial::test(format!("{}::{name}", entry.name), move || {
                run(check(entry, On::Simplest));
                Ok(())
            })
        })
    });
    // The target lives in the same namespace as long as the kernel queue: that of a container that restarts is another one.
    let by_kernel_queue = by_kernel::FAULTS.iter().flat_map(|fault| {
        let checks = checks::CHECKS
            .iter()
            .filter(|(name, _)| *name != "target_restarts_while_on")
            .chain([&foreign::BY_KERNEL]);
        checks.map(move |(name, check)| {
            Trial::test(format!("{fault}_by_kernel_queue::{name}"), move || {
                let entry = find(fault).expect("it is a fault");
                run(check(entry, On::KernelQueue));
                Ok(())
            })
        })
    });
    let of_kernel = kernel_queue::ALL.iter().map(|(name, check)| {
        Trial::test(format!("kernel_queue::{name}"), move || {
            run(check());
            Ok(())
        })
    });
    let more = [
        more::ALL,
        loads::ALL,
        script::ALL,
        files::ALL,
        networks::ALL,
        observers::ALL,
        hosts::ALL,
        impairments::ALL,
        amounts::ALL,
        clocks::ALL,
        connections::ALL,
        names::ALL,
        request_heads::ALL,
        request_parts::ALL,
        requests::ALL,
        requests_end::ALL,
        foreign::ALL,
    ]
    .into_iter()
    .flatten();
    let more = more.map(|(name, check)| {
        Trial::test(*name, move || {
            run(check());
            Ok(())
        })
    });
    of_all.chain(by_kernel_queue).chain(of_kernel).chain(more).collect()
}

/// One thread, as the guardian has it: the kernel ends workers with the *thread* that started them.
fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work);
    runtime.shutdown_background();
}
