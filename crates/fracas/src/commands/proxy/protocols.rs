//! What flags say of the blocks of protocols.

use fracas_core::chaos::{ChaosConfig, Graphql, Grpc, Websocket};

use crate::cli::Protocols;

const CUT: &str = "--chaos-grpc-stream-interruption-probability";

/// Puts what the flags say in its place, and tells whether they say anything. What one that only switches on a block does where the file says
/// nothing of that is the default of these flags in the original.
pub(super) fn apply(flags: &Protocols, config: &mut ChaosConfig) -> bool {
    let said = [
        grpc(flags, &mut config.grpc),
        websocket(flags, &mut config.websocket),
        graphql(flags, &mut config.graphql),
    ];
    said.contains(&true)
}

/// What is said and does nothing, for what it is about is not said. It is no error: the API may say it later.
pub(super) fn idle(flags: &Protocols, config: &ChaosConfig) -> Vec<String> {
    let (grpc, websocket, graphql) = (config.grpc(), config.websocket(), config.graphql());
    let fails = grpc.is_some_and(|block| !block.status_codes.is_empty());
    let is_cut = grpc.is_some_and(|block| block.stream_interruption_probability > 0.0);
    let closes = websocket.is_some_and(|block| !block.close_codes.is_empty());
    let is_held = websocket.is_some_and(|block| block.message_delay_ms > 0.0);
    let has_errors = graphql.is_some_and(|block| !block.error_codes.is_empty());
    let is_late = graphql.is_some_and(|block| block.resolver_latency);
    let is_partial = graphql.is_some_and(|block| block.partial_data_probability > 0.0);
    [
        (
            flags.chaos_grpc_status_code_probability.is_some() && !fails,
            "--chaos-grpc-status-code-probability",
            "--chaos-grpc-status-codes",
        ),
        (
            flags.chaos_grpc_interrupt_after_messages.is_some() && !is_cut,
            "--chaos-grpc-interrupt-after-messages",
            CUT,
        ),
        (
            flags.chaos_grpc_interrupt_status_code.is_some() && !is_cut,
            "--chaos-grpc-interrupt-status-code",
            CUT,
        ),
        (
            flags.chaos_grpc_reset_code.is_some() && !is_cut,
            "--chaos-grpc-reset-code",
            CUT,
        ),
        (
            flags.chaos_websocket_close_probability.is_some() && !closes,
            "--chaos-websocket-close-probability",
            "--chaos-websocket-close-codes",
        ),
        (
            flags.chaos_websocket_message_delay_probability.is_some() && !is_held,
            "--chaos-websocket-message-delay-probability",
            "--chaos-websocket-message-delay-ms",
        ),
        (
            flags.chaos_graphql_path.is_some() && !(has_errors || is_partial || is_late),
            "--chaos-graphql-path",
            "--chaos-graphql-error-codes, or another fault",
        ),
        (
            flags.chaos_graphql_error_probability.is_some() && !has_errors,
            "--chaos-graphql-error-probability",
            "--chaos-graphql-error-codes",
        ),
        (
            flags.chaos_graphql_resolver_latency_ms.is_some() && !is_late,
            "--chaos-graphql-resolver-latency-ms",
            "--chaos-graphql-resolver-latency",
        ),
    ]
    .into_iter()
    .filter(|(is_idle, ..)| *is_idle)
    .map(|(_, flag, needs)| format!("warning: {flag} does nothing without {needs}"))
    .collect()
}

fn grpc(flags: &Protocols, block: &mut Option<Grpc>) -> bool {
    let is_new = block.is_none();
    let mut new = block.clone().unwrap_or_default();
    if flags.chaos_grpc && is_new {
        new.stream_interruption_probability = 0.1;
    }
    let ends = flags.chaos_grpc_interrupt_status_code.is_some() || flags.chaos_grpc_reset_code.is_some();
    if ends {
        // One takes the place of the other.
        new.interrupt_status_code = flags.chaos_grpc_interrupt_status_code;
        new.reset_code = flags.chaos_grpc_reset_code;
    }
    let said = [
        flags.chaos_grpc,
        set(&mut new.status_codes, flags.chaos_grpc_status_codes.as_ref()),
        set(
            &mut new.status_code_probability,
            flags.chaos_grpc_status_code_probability.as_ref(),
        ),
        set(
            &mut new.stream_interruption_probability,
            flags.chaos_grpc_stream_interruption_probability.as_ref(),
        ),
        set(
            &mut new.interrupt_after_messages,
            flags.chaos_grpc_interrupt_after_messages.as_ref(),
        ),
        ends,
    ];
    new.enabled = true;
    put(block, new, &said)
}

fn websocket(flags: &Protocols, block: &mut Option<Websocket>) -> bool {
    let is_new = block.is_none();
    let mut new = block.clone().unwrap_or_default();
    if flags.chaos_websocket && is_new {
        new.message_drop_probability = 0.05;
        new.message_corruption_probability = 0.05;
    }
    let said = [
        flags.chaos_websocket,
        set(&mut new.close_codes, flags.chaos_websocket_close_codes.as_ref()),
        set(
            &mut new.close_probability,
            flags.chaos_websocket_close_probability.as_ref(),
        ),
        set(
            &mut new.message_drop_probability,
            flags.chaos_websocket_message_drop_probability.as_ref(),
        ),
        set(
            &mut new.message_corruption_probability,
            flags.chaos_websocket_message_corruption_probability.as_ref(),
        ),
        set(
            &mut new.message_delay_ms,
            flags.chaos_websocket_message_delay_ms.as_ref(),
        ),
        set(
            &mut new.message_delay_probability,
            flags.chaos_websocket_message_delay_probability.as_ref(),
        ),
    ];
    new.enabled = true;
    put(block, new, &said)
}

fn graphql(flags: &Protocols, block: &mut Option<Graphql>) -> bool {
    let is_new = block.is_none();
    let mut new = block.clone().unwrap_or_default();
    if flags.chaos_graphql && is_new {
        new.partial_data_probability = 0.1;
    }
    new.resolver_latency |= flags.chaos_graphql_resolver_latency;
    let said = [
        flags.chaos_graphql || flags.chaos_graphql_resolver_latency,
        set(&mut new.path, flags.chaos_graphql_path.as_ref()),
        set(&mut new.error_codes, flags.chaos_graphql_error_codes.as_ref()),
        set(
            &mut new.error_probability,
            flags.chaos_graphql_error_probability.as_ref(),
        ),
        set(
            &mut new.partial_data_probability,
            flags.chaos_graphql_partial_data_probability.as_ref(),
        ),
        set(
            &mut new.resolver_latency_ms,
            flags.chaos_graphql_resolver_latency_ms.as_ref(),
        ),
    ];
    new.enabled = true;
    put(block, new, &said)
}

/// Sets what a flag says, and tells whether it says anything.
fn set<T: Clone>(key: &mut T, flag: Option<&T>) -> bool {
    if let Some(value) = flag {
        key.clone_from(value);
    }
    flag.is_some()
}

fn put<T>(block: &mut Option<T>, new: T, said: &[bool]) -> bool {
    let is_said = said.contains(&true);
    if is_said {
        *block = Some(new);
    }
    is_said
}
