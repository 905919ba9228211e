//! What is served: the families as text.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

/// The metrics as they are at the moment, for whoever asks. Cheap to clone; to read it holds up nobody who counts.
#[derive(Debug, Clone, Default)]
pub struct Page(Arc<Registry>);

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format, version 0.0.4: what a server gets that does not say what it wants.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Page {
    pub(crate) fn new(registry: Registry) -> Self {
        Self(Arc::new(registry))
    }

    /// The text.
    ///
    /// # Errors
    /// If a value has no form in it: a defect.
    pub fn text(&self, form: Form) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match form {
            Form::Text => prometheus_text::encode(&mut text, &self.0)?,
            Form::OpenMetrics => text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

impl Form {
    /// What this `Accept` header (RFC 9110, 12.5.1) wants more: Prometheus names both, with weights.
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            match kind.as_str() {
                "application/openmetrics-text" => open = open.max(weight),
                "text/plain" | "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its name in HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_ask_for_openmetrics_gets_the_old_text() {
        for (accept, form) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/html, nonsense;;q=x,", Form::Text),
            ("application/openmetrics-text;q=0", Form::Text),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.5", Form::Text),
            ("Application/OpenMetrics-Text", Form::OpenMetrics),
            // What Prometheus 2.42 sends.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Form::OpenMetrics,
            ),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept}");
        }
    }
}
