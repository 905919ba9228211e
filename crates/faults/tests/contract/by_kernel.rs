//! Faults on packets by the kernel queue: where there is one, and strangers who change it.

use fracas_faults::impairment;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use super::Stage;

/// The faults on packets that know it.
pub const FAULTS: [&str; 6] = ["delay", "loss", "duplicate", "corrupt", "reorder", "rate"];

/// The stage, where this kernel has the queue. Where not, the fault was refused, which was said; the machine for tests must have it.
#[expect(clippy::print_stderr, reason = "what is not tried is printed")]
pub async fn or_refused(stage: Stage) -> Option<Stage> {
    let Some(lacking) = impairment::no_kernel_queue().unwrap() else {
        return Some(stage);
    };
    assert!(
        std::env::var_os("FRACAS_TEST_VM").is_none(),
        "the machine for tests: {lacking}"
    );
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let refused = planned.expect_err("the kernel has no queue");
    assert_eq!(refused.code.id, "F001", "{refused}");
    assert!(refused.to_string().contains(&lacking), "{refused}");
    eprintln!("refused: {lacking}; that of `cargo xtask vm` has it");
    None
}

fn namespace(stage: &Stage) -> NetNamespace {
    NetNamespace::of(stage.target.process()).unwrap().unwrap()
}

/// A program that changes something there, as a stranger.
#[expect(clippy::disallowed_methods, reason = "a stranger")]
pub fn stranger(there: &NetNamespace, words: &str) {
    let mut words = words.split_ascii_whitespace();
    let program = words.next().unwrap();
    let said = there
        .within(|| std::process::Command::new(program).args(words).output())
        .unwrap();
    assert!(said.status.success(), "{said:?}");
}

/// Somebody puts there what excludes ours.
pub fn disturb_before(stage: &Stage) {
    stranger(&namespace(stage), "tc qdisc add dev eth0 ingress");
}

/// Somebody takes away what packets are led to: our filters drop what they match.
pub fn disturb_while_on(stage: &Stage) {
    let there = namespace(stage);
    let mut netlink = there.within(Netlink::route).unwrap();
    let aside = netlink
        .links()
        .unwrap()
        .into_iter()
        .find(|link| link.is("ifb"))
        .unwrap();
    netlink.remove_link(aside.index).unwrap();
}
