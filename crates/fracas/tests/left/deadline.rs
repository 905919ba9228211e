//! Time itself takes a fault off.

use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::record::State;
use fracas_core::target::{Kind, Process};
use fracas_core::units::Span;
use fracas_guardian::Client;
use fracas_guardian::protocol::{Task, Wanted};
use fracas_linux::child::WorkerOptions;

use crate::support::{Bench, LIMIT, Made, Target, certificate, first, read, soon};

/// A runner that never asks for the undo: this test, which is alive, has a heart that beats, and says nothing.
#[test]
fn the_guardian_undoes_at_the_deadline_although_nobody_asks() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let Made::Process(process, _) = &target.made else {
        panic!("the target is a process");
    };
    let run: RunId = "20261121-100000-beef".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let directory = bench.state().join("runs").join(run.as_str());
    runtime.block_on(async {
        let options = WorkerOptions {
            own_session: true,
            program: Some(env!("CARGO_BIN_EXE_fracas").into()),
            ..WorkerOptions::default()
        };
        let task = Task::Run {
            run: run.clone(),
            engines: Vec::new(),
            dry: false,
        };
        let (client, _news) = Client::start(bench.state(), task, options).await.unwrap();
        let wanted = Wanted {
            injection: InjectionId(0),
            name: String::new(),
            fault: "memory_limit".to_owned(),
            params: serde_json::json!({ "limit": "64MiB" }),
            target: fracas_core::target::Target {
                alias: "it".to_owned(),
                identity: "it".to_owned(),
                kind: Kind::Process(Process {
                    process: process.identity().clone(),
                    command: String::new(),
                }),
            },
            others: Vec::new(),
            observers: Vec::new(),
            at_most: Span(Duration::from_millis(300)),
            allow_irreversible: false,
            turn: fracas_guardian::protocol::Turn::default(),
            seed: fracas_core::seed::Seed::default(),
        };
        client.plan(vec![wanted]).await.unwrap().remove(0).unwrap();
        let applied = client.apply(vec![InjectionId(0)]).await.unwrap();
        assert_eq!(applied, [(InjectionId(0), Ok(()))]);
        assert_eq!(read(target.memory_limit()).unwrap(), (64 << 20).to_string());
        let late = Duration::from_millis(300 + 1000);
        soon(late, "it is undone although nobody asked", || {
            (first(&directory) == Some(State::Clean)).then_some(())
        });
        assert_eq!(target.look(), before);
        // The time is that of the run: what is put on again, on a target that came back for example, gets no new one.
        let again = client.apply(vec![InjectionId(0)]).await.unwrap();
        assert!(again[0].1.is_err(), "{again:?}");
        assert_eq!(target.look(), before);
        assert!(client.end().await.unwrap().is_clean());
    });
    drop(runtime);
    soon(LIMIT, "the certificate is there", || certificate(&directory));
    bench.finish();
}
