//! The replicated key-value service of the examples, started as its compose file says, and the experiments that are shipped with it.

use std::collections::BTreeMap;

use fracas_docker::Engine;
use fracas_lab::{TestContainer, TestNetwork, eventually, key_value};
use serde::Deserialize;

use crate::support::{Bench, Done, LIMIT, get_from};

const COMPOSE: &str = include_str!("../../examples/key-value/compose.yaml");
const ONE_NODE_PARTED: &str = include_str!("../../examples/key-value/one-node-parted.yaml");
const NO_MAJORITY: &str = include_str!("../../examples/key-value/no-majority.yaml");
/// Where the program's folder is bound into the containers.
const FOLDER: &str = "/example";

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Part>,
}

#[derive(Deserialize)]
struct Part {
    container_name: String,
    command: Vec<String>,
}

/// The nodes and their client, on a network of their own. Containers are removed before the network.
struct Service {
    #[expect(dead_code, reason = "they are kept to be dropped")]
    containers: Vec<TestContainer>,
    #[expect(dead_code, reason = "it is kept to be dropped")]
    network: TestNetwork,
    /// Where the client tells how it goes.
    client: String,
}

impl Service {
    async fn start(engine: &Engine) -> Self {
        let program = key_value();
        let inside = format!("{FOLDER}/{}", program.file_name().unwrap().to_str().unwrap());
        let network = TestNetwork::make(engine).await.unwrap();
        let compose: Compose = serde_saphyr::from_str(COMPOSE).unwrap();
        let (mut containers, mut client) = (Vec::new(), None);
        for part in compose.services.values() {
            let container = TestContainer::build(engine)
                .name(&part.container_name)
                .bind(program.parent().unwrap(), FOLDER)
                .program(&inside)
                .mode(&part.command)
                .network(network.name())
                .start()
                .await
                .unwrap();
            if part.command[0] == "client" {
                let address = container.inspect().await.unwrap().networks[network.name()].clone();
                client = Some(format!("{address}:{}", part.command[1].rsplit(':').next().unwrap()));
            }
            containers.push(container);
        }
        let client = client.unwrap();
        eventually(LIMIT, "the service is available", || {
            get_from(&client, "/available").is_some()
        });
        Self {
            containers,
            network,
            client,
        }
    }

    /// Runs an experiment with these faults, with shorter times than it is shipped with.
    fn run(&self, bench: &Bench, document: &str, faults: &[&str]) -> Done {
        // As it is shipped, but for the port of this machine that the compose file publishes and this test does not.
        assert!(document.contains("http://127.0.0.1:7080/"));
        let mut times = vec!["hypothesis.warmup=2s".to_owned(), "duration=6s".to_owned()];
        times.extend(faults.iter().map(|fault| format!("faults.{fault}.duration=4s")));
        let arguments: Vec<&str> = times.iter().flat_map(|time| ["--set", time]).collect();
        bench.run(&document.replace("127.0.0.1:7080", &self.client), &arguments)
    }
}

/// Both, one after the other: the names of the containers are those of the compose file.
#[tokio::test]
async fn the_key_value_service_survives_the_loss_of_one_node_and_not_of_two() {
    let Some(bench) = Bench::new().await else { return };
    let service = Service::start(&bench.engine).await;

    let faults = ["parted", "slow-network", "slow-processor"];
    let one = service.run(&bench, ONE_NODE_PARTED, &faults).expect(0);
    assert_eq!(one.report["hypothesis"], "maintained", "{}", one.stdout);
    // Whatever did not land would be told by its own line.
    for fault in faults {
        let mut lines = one.stdout.lines();
        assert!(
            lines.any(|line| line.contains("✓ #") && line.contains(fault)),
            "{}",
            one.stdout
        );
    }
    one.assert_clean();

    let two = service.run(&bench, NO_MAJORITY, &["cut-off"]).expect(1);
    let said = &two.stdout;
    assert!(said.contains("✗ available during: value 0 fails"), "{said}");
    for line in ["available after", "nothing-is-lost during", "nothing-is-lost after"] {
        assert!(said.contains(&format!("✓ {line}: value 1 meets")), "{line}: {said}");
    }
    two.assert_clean();
}
