//! What is done to what protocols mean, and what REST changes of it.

use fracas_core::chaos::{CloseCodes, ErrorCodes, Graphql, Grpc, Probability, StatusCodes, Switch, Websocket};

use super::{Chaos, Finds, scope};

impl Chaos for Grpc {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        statuses(&self.status_codes, finds, at);
        for (key, probability) in [
            ("status_code_probability", self.status_code_probability),
            ("stream_interruption_probability", self.stream_interruption_probability),
        ] {
            finds.probability(&format!("{at}{key}"), probability);
        }
        if let Some(code) = self.interrupt_status_code {
            status(code, finds, &format!("{at}interrupt_status_code"));
        }
        let path = format!("{at}reset_code");
        if let Some(code) = self.reset_code
            && code > 13
        {
            let what = format!("must be an error code of HTTP/2, from 0 to 13, not {code}");
            finds.wrong(&path, &what);
        }
        if self.reset_code.is_some() && self.interrupt_status_code.is_some() {
            let what = format!("`{path}` and `{at}interrupt_status_code` both say how a stream ends");
            finds.contradiction(&path, &what, "remove one of the two");
        }
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for StatusCodes {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        statuses(&self.status_codes, finds, at);
        finds.probability(&format!("{at}probability"), self.probability);
    }
}

fn statuses(codes: &[u8], finds: &mut Finds<'_, '_>, at: &str) {
    for (index, code) in codes.iter().enumerate() {
        status(*code, finds, &format!("{at}status_codes[{index}]"));
    }
}

fn status(code: u8, finds: &mut Finds<'_, '_>, path: &str) {
    if !(1..=16).contains(&code) {
        let what = format!("must be the status of an error of gRPC, from 1 to 16, not {code}");
        finds.wrong(path, &what);
    }
}

impl Chaos for Websocket {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        closes(&self.close_codes, finds, at);
        for (key, probability) in [
            ("close_probability", self.close_probability),
            ("message_drop_probability", self.message_drop_probability),
            ("message_corruption_probability", self.message_corruption_probability),
            ("message_delay_probability", self.message_delay_probability),
        ] {
            finds.probability(&format!("{at}{key}"), probability);
        }
        finds.millis(&format!("{at}message_delay_ms"), self.message_delay_ms);
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for CloseCodes {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        closes(&self.close_codes, finds, at);
        finds.probability(&format!("{at}probability"), self.probability);
    }
}

fn closes(codes: &[u16], finds: &mut Finds<'_, '_>, at: &str) {
    for (index, code) in codes.iter().enumerate() {
        if !Websocket::may_close(*code) {
            let what = format!("must be a code that closes: 1000 to 1003, 1007 to 1014, or 3000 to 4999, not {code}");
            finds.wrong(&format!("{at}close_codes[{index}]"), &what);
        }
    }
}

impl Chaos for Graphql {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            finds.wrong(&format!("{at}path"), "must begin with `/`, and has no query");
        }
        errors(&self.error_codes, finds, at);
        for (key, probability) in [
            ("error_probability", self.error_probability),
            ("partial_data_probability", self.partial_data_probability),
        ] {
            finds.probability(&format!("{at}{key}"), probability);
        }
        finds.millis(&format!("{at}resolver_latency_ms"), self.resolver_latency_ms);
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for ErrorCodes {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        errors(&self.error_codes, finds, at);
        finds.probability(&format!("{at}probability"), self.probability);
    }
}

fn errors(codes: &[String], finds: &mut Finds<'_, '_>, at: &str) {
    for (index, code) in codes.iter().enumerate() {
        if !Graphql::is_code(code) {
            let what = "must be a code like UNAUTHENTICATED: 1 to 64 capital letters, digits and `_`";
            finds.wrong(&format!("{at}error_codes[{index}]"), what);
        }
    }
}

impl Chaos for Probability {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        finds.probability(&format!("{at}probability"), self.probability);
    }
}

impl Chaos for Switch {
    fn check(&self, _: &mut Finds<'_, '_>, _: &str) {}
}
