//! Keys of the blocks of protocols.

use clap::Args;

/// Keys of `grpc`, `websocket` and `graphql`. One of a block switches it on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Protocols {
    /// Switches on what is done to calls of gRPC; where the file says nothing of it, a tenth of all streams is cut
    #[arg(long, help_heading = GRPC)]
    pub(crate) chaos_grpc: bool,
    /// Lets calls fail with one of these statuses: `13,14`
    #[arg(long, value_name = "STATUS", value_delimiter = ',', help_heading = GRPC)]
    pub(crate) chaos_grpc_status_codes: Option<Vec<u8>>,
    /// How many calls do, from 0 to 1 [default: 0.1, or what the file says]
    #[arg(long, value_name = "SHARE", help_heading = GRPC)]
    pub(crate) chaos_grpc_status_code_probability: Option<f64>,
    /// How many streams are cut, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = GRPC)]
    pub(crate) chaos_grpc_stream_interruption_probability: Option<f64>,
    /// Behind how many messages [default: 1, or what the file says]
    #[arg(long, value_name = "COUNT", help_heading = GRPC)]
    pub(crate) chaos_grpc_interrupt_after_messages: Option<u32>,
    /// With which status in their trailers [default: 14, or what the file says]
    #[arg(long, value_name = "STATUS", help_heading = GRPC, conflicts_with = "chaos_grpc_reset_code")]
    pub(crate) chaos_grpc_interrupt_status_code: Option<u8>,
    /// Or by a reset with which error code of HTTP/2
    #[arg(long, value_name = "CODE", help_heading = GRPC)]
    pub(crate) chaos_grpc_reset_code: Option<u32>,
    /// Switches on what is done to messages of WebSocket; where the file says nothing of it, a twentieth is dropped and one corrupted
    #[arg(long, help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket: bool,
    /// Closes connections with one of these codes: `1001,1011`
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_close_codes: Option<Vec<u16>>,
    /// At how many messages, from 0 to 1 [default: 0.1, or what the file says]
    #[arg(long, value_name = "SHARE", help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_close_probability: Option<f64>,
    /// How many messages are dropped, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_message_drop_probability: Option<f64>,
    /// How many messages are corrupted, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_message_corruption_probability: Option<f64>,
    /// Holds messages for so many milliseconds
    #[arg(long, value_name = "MS", help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_message_delay_ms: Option<f64>,
    /// How many messages, from 0 to 1 [default: 1, or what the file says]
    #[arg(long, value_name = "SHARE", help_heading = WEBSOCKET)]
    pub(crate) chaos_websocket_message_delay_probability: Option<f64>,
    /// Switches on what is done to requests of GraphQL; where the file says nothing of it, a tenth of all answers loses a field
    #[arg(long, help_heading = GRAPHQL)]
    pub(crate) chaos_graphql: bool,
    /// Their path [default: /graphql, or what the file says]
    #[arg(long, value_name = "PATH", help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_path: Option<String>,
    /// Lets requests fail with one of these codes: `UNAUTHENTICATED,INTERNAL_SERVER_ERROR`
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_error_codes: Option<Vec<String>>,
    /// How many requests do, from 0 to 1 [default: 0.1, or what the file says]
    #[arg(long, value_name = "SHARE", help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_error_probability: Option<f64>,
    /// How many answers lose a field, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_partial_data_probability: Option<f64>,
    /// Holds answers, the longer the more fields they have
    #[arg(long, help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_resolver_latency: bool,
    /// For how many milliseconds for each [default: 10, or what the file says]
    #[arg(long, value_name = "MS", help_heading = GRAPHQL)]
    pub(crate) chaos_graphql_resolver_latency_ms: Option<f64>,
}

const GRPC: &str = "Faults of gRPC";
const WEBSOCKET: &str = "Faults of WebSocket";
const GRAPHQL: &str = "Faults of GraphQL";
