//! Faults on packets by the kernel queue: whether there is one, and strangers who change it.

use fracas_faults::impairment;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use super::Stage;

/// Whether this kernel has it; if not, that was said. The machine for tests must.
#[expect(clippy::print_stderr, reason = "a skip is printed")]
pub fn is_here() -> bool {
    let lacking = impairment::no_kernel_queue().unwrap();
    if let Some(lacking) = &lacking {
        assert!(
            std::env::var_os("FRACAS_TEST_VM").is_none(),
            "the machine for tests: {lacking}"
        );
        eprintln!("skipped: {lacking}; that of `cargo xtask vm` has it");
    }
    lacking.is_none()
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
