//! What protocols mean: their blocks, whole or a part of one. Who changes a part switches its block on.

use std::sync::Arc;

use fracas_core::chaos::{
    ChaosConfig, CloseCodes, ErrorCodes, Graphql, Grpc, Probability, StatusCodes, Switch, Websocket,
};
use fracas_spec::Chaos;
use hyper::Response;

use super::put;
use super::route::Asked;
use crate::answer::Body;
use crate::service::Shared;

pub(super) fn grpc(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(shared, asked, "gRPC configuration updated", |config, new| {
        config.grpc = Some(new);
    })
}

pub(super) fn websocket(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(shared, asked, "WebSocket configuration updated", |config, new| {
        config.websocket = Some(new);
    })
}

pub(super) fn graphql(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(shared, asked, "GraphQL configuration updated", |config, new| {
        config.graphql = Some(new);
    })
}

pub(super) fn status_codes(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "gRPC status codes updated",
        |config, new: StatusCodes| {
            let block = of_grpc(config);
            block.status_codes = new.status_codes;
            block.status_code_probability = new.probability;
        },
    )
}

pub(super) fn stream_interruption(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "gRPC stream interruption updated",
        |config, new: Probability| {
            of_grpc(config).stream_interruption_probability = new.probability;
        },
    )
}

pub(super) fn close_codes(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "WebSocket close codes updated",
        |config, new: CloseCodes| {
            let block = of_websocket(config);
            block.close_codes = new.close_codes;
            block.close_probability = new.probability;
        },
    )
}

pub(super) fn message_drop(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "WebSocket message drop updated",
        |config, new: Probability| {
            of_websocket(config).message_drop_probability = new.probability;
        },
    )
}

pub(super) fn message_corruption(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "WebSocket message corruption updated",
        |config, new: Probability| {
            of_websocket(config).message_corruption_probability = new.probability;
        },
    )
}

pub(super) fn error_codes(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "GraphQL error codes updated",
        |config, new: ErrorCodes| {
            let block = of_graphql(config);
            block.error_codes = new.error_codes;
            block.error_probability = new.probability;
        },
    )
}

pub(super) fn partial_data(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "GraphQL partial data updated",
        |config, new: Probability| {
            of_graphql(config).partial_data_probability = new.probability;
        },
    )
}

pub(super) fn resolver_latency(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    change(
        shared,
        asked,
        "GraphQL resolver latency updated",
        |config, new: Switch| {
            of_graphql(config).resolver_latency = new.enabled;
        },
    )
}

fn change<T: Chaos + Clone>(
    shared: &Shared,
    asked: &Asked,
    message: &'static str,
    set: fn(&mut ChaosConfig, T),
) -> Response<Body> {
    put(shared, &asked.text, message, set)
}

fn of_grpc(config: &mut ChaosConfig) -> &mut Grpc {
    let block = config.grpc.get_or_insert_default();
    block.enabled = true;
    block
}

fn of_websocket(config: &mut ChaosConfig) -> &mut Websocket {
    let block = config.websocket.get_or_insert_default();
    block.enabled = true;
    block
}

fn of_graphql(config: &mut ChaosConfig) -> &mut Graphql {
    let block = config.graphql.get_or_insert_default();
    block.enabled = true;
    block
}
