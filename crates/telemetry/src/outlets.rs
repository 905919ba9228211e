//! Where a run is told to besides its own files. Kept in the run's directory while it goes on, for whoever cleans up after it.

use fracas_core::problem::{Problem, Result, codes};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Where a run is told to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outlets {
    /// The collector of its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// The address that hears of an abort and of residue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Hook>,
    /// The runner has told how the run ended, as far as it knew. Whoever cleans up later tells of the cleanup alone.
    #[serde(default)]
    pub told: bool,
}

impl Outlets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.otlp.is_none() && self.webhook.is_none()
    }
}

/// A collector of OTLP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otlp {
    endpoint: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    headers: String,
}

/// An address that is called.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hook(String);

// Both may hold passwords, which no log of ours prints.
impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Otlp({})", self.shown())
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hook({})", self.shown())
    }
}

impl Otlp {
    /// A collector at this base address, `http://collector:4318`; `/v1/traces` is added, as the OTLP specification says. `headers`
    /// go with every request: `name=value,name=value`, values percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has them.
    ///
    /// # Errors
    /// S004 if one makes no sense.
    pub fn new(endpoint: &str, headers: &str) -> Result<Self> {
        let otlp = Self {
            endpoint: endpoint.to_owned(),
            headers: headers.to_owned(),
        };
        let wrong = |why| Problem::new(&codes::BAD_SETTING, format!("what is set for the OTLP receiver {why}"));
        otlp.traces().map_err(wrong)?;
        Ok(otlp)
    }

    /// The address without user, password and query.
    pub fn shown(&self) -> String {
        shown_address(&self.endpoint)
    }

    /// Where traces go, and with what headers.
    pub(crate) fn traces(&self) -> Result<(Url, HeaderMap), String> {
        let mut url = address(&self.endpoint)?;
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok((url, headers(&self.headers)?))
    }
}

impl Hook {
    /// An address.
    ///
    /// # Errors
    /// S004 if it is none.
    pub fn new(url: &str) -> Result<Self> {
        address(url).map_err(|why| Problem::new(&codes::BAD_SETTING, format!("what is set for the webhook {why}")))?;
        Ok(Self(url.to_owned()))
    }

    /// The server alone: the path of a webhook is mostly its password.
    pub fn shown(&self) -> String {
        shown_hook(&self.0)
    }

    pub(crate) fn url(&self) -> Result<Url, String> {
        address(&self.0)
    }
}

/// An address of a server. The text is not repeated: it may hold a password.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("is no address of the web: it must begin with http:// or https://".to_owned())
    }
}

/// The pairs of a list of headers: names, and values with their percent signs decoded.
///
/// # Errors
/// Which one is wrong, by its name or number, without its value.
pub fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (number, pair) in (1..).zip(text.split(',')).filter(|(_, pair)| !pair.trim().is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("has no `=` in its header number {number}: write name=value,name=value"))?;
        let name = name.trim();
        let wrong = || format!("has a header number {number} that HTTP does not allow");
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value: Vec<u8> = percent_encoding::percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// The names of headers, as they may be shown.
pub fn shown_headers(text: &str) -> String {
    let names = text.split(',').filter(|pair| !pair.trim().is_empty());
    let names: Vec<String> = names
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{}=***", name.trim()),
            // Without a name it may all be a password.
            None => "***".to_owned(),
        })
        .collect();
    names.join(",")
}

/// An address as it may be shown: without user, password and query.
pub fn shown_address(text: &str) -> String {
    let Ok(mut url) = address(text) else {
        return "***".to_owned();
    };
    // Both fail only for addresses without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    // What was written without a path is shown without one.
    url.to_string().trim_end_matches('/').to_owned()
}

/// A webhook as it may be shown: the server.
pub fn shown_hook(text: &str) -> String {
    let Ok(url) = address(text) else {
        return "***".to_owned();
    };
    let bare = url.path() == "/" && url.query().is_none();
    let more = if bare { "" } else { "/***" };
    format!("{}{more}", url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_base_address() {
        for (base, whole) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp/?a=b", "https://c/otlp/v1/traces?a=b"),
        ] {
            let (url, _) = Otlp::new(base, "").unwrap().traces().unwrap();
            assert_eq!(url.as_str(), whole);
        }
        for bad in ["", "c:4318", "ftp://c", "http://"] {
            assert!(Otlp::new(bad, "").is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = headers("authorization=Bearer%20abc, x-team = a ,").unwrap();
        assert_eq!(read["authorization"], "Bearer abc");
        assert_eq!(read["x-team"], "a");
        assert!(headers("").unwrap().is_empty());
        for bad in ["secret", "bad name=secret", "a=%0asecret"] {
            let why = headers(bad).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn nothing_that_is_shown_holds_a_password() {
        assert_eq!(
            shown_address("https://me:secret@c:4318/otlp?key=secret"),
            "https://c:4318/otlp"
        );
        assert_eq!(shown_address("http://c:4318"), "http://c:4318");
        assert_eq!(shown_address("nonsense secret"), "***");
        assert_eq!(
            shown_hook("https://me:secret@hooks.example.com/T/secret"),
            "https://hooks.example.com/***"
        );
        assert_eq!(shown_hook("http://127.0.0.1:9"), "http://127.0.0.1:9");
        assert_eq!(shown_headers("secret,"), "***");
        assert_eq!(
            shown_headers("authorization=secret,x=secret"),
            "authorization=***,x=***"
        );
        let otlp = Otlp::new("http://me:secret@c", "x=secret").unwrap();
        let outlets = Outlets {
            otlp: Some(otlp),
            webhook: Some(Hook::new("http://c/secret").unwrap()),
            told: false,
        };
        assert!(!format!("{outlets:?}").contains("secret"), "{outlets:?}");
    }

    #[test]
    fn outlets_read_back() {
        let outlets = Outlets {
            otlp: Some(Otlp::new("http://c:1", "a=b").unwrap()),
            webhook: Some(Hook::new("http://c/x").unwrap()),
            told: true,
        };
        let text = serde_json::to_string(&outlets).unwrap();
        assert_eq!(serde_json::from_str::<Outlets>(&text).unwrap(), outlets);
    }
}
