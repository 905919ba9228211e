//! The paths of the API.

use bytes::Bytes;
use fracas_telemetry::metrics::Form;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Shared;
use super::collection::{AskedProxy, Checked, PROXIES, Shown, fits};
use super::error::Error;
use crate::api;

/// As what we answer: the API is that of 2.x.
const VERSION: &str = concat!("2.12.0-fracas-", env!("CARGO_PKG_VERSION"));

type Answer = Response<Full<Bytes>>;

/// What was answered to a call to populate that could not be done whole.
#[derive(Serialize)]
struct Partly {
    #[serde(flatten)]
    error: Option<Error>,
    proxies: Vec<Shown>,
}

/// Answers a request.
pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Answer {
    if let Err(error) = admit(shared, &request) {
        return json(error.status, &error);
    }
    match route(shared, request).await {
        Ok(answer) => answer,
        Err(error) => json(error.status, &error),
    }
}

/// Whether a request may be that of a page of somebody else's.
fn admit(shared: &Shared, request: &Request<Incoming>) -> Result<(), Error> {
    let headers = request.headers();
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    if agent.starts_with(b"Mozilla/") {
        return Err(Error::new(StatusCode::FORBIDDEN, "User agent not allowed"));
    }
    // There is no page that could be of this site.
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Error::new(StatusCode::FORBIDDEN, "no page may use the API"));
    }
    let host = api::host(headers, request.uri().authority());
    let why = match host {
        // HTTP/1.0 needs none, and no browser sends it.
        None => headers.contains_key(HOST).then_some("the host is none"),
        Some(host) if shared.is_local => api::named(&host),
        Some(_) => None,
    };
    why.map_or(Ok(()), |why| Err(Error::new(StatusCode::FORBIDDEN, why)))
}

async fn route(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Error> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let parts = path.split('/').skip(1).map(decoded).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let change = method == Method::POST || method == Method::PATCH;
    match (parts.as_slice(), method) {
        (["version"], Method::GET) => Ok(json(StatusCode::OK, &serde_json::json!({ "version": VERSION }))),
        (["metrics"], Method::GET) => match shared.metrics.page().text(Form::Text) {
            Ok(text) => Ok(with(StatusCode::OK, Form::Text.content_type(), text)),
            Err(_) => Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "a value has no form")),
        },
        (["reset"], Method::POST) => shared.proxies.lock().await.reset().map(|()| done()),
        (["populate"], Method::POST) => populate(shared, request).await,
        (["proxies"], Method::GET) => Ok(json(StatusCode::OK, &shared.proxies.lock().await.all())),
        (["proxies"], Method::POST) => {
            let asked: AskedProxy = read(request).await?;
            let asked = asked.check().await?;
            let shown = shared.proxies.lock().await.add(asked)?;
            Ok(json(StatusCode::CREATED, &shown))
        }
        (["proxies", proxy], Method::GET) => {
            let proxies = shared.proxies.lock().await;
            Ok(json(StatusCode::OK, &Shown::from(proxies.get(proxy)?)))
        }
        (["proxies", proxy], _) if change => {
            let asked: AskedProxy = read(request).await?;
            let change = asked.change(proxy).await?;
            let shown = shared.proxies.lock().await.update(proxy, change).await?;
            Ok(json(StatusCode::OK, &shown))
        }
        (["proxies", proxy], Method::DELETE) => {
            shared.proxies.lock().await.remove(proxy).await?;
            Ok(done())
        }
        (["proxies", proxy, "toxics"], Method::GET) => {
            let proxies = shared.proxies.lock().await;
            Ok(json(StatusCode::OK, &proxies.get(proxy)?.toxics().to_vec()))
        }
        (["proxies", proxy, "toxics"], Method::POST) => {
            let asked = read(request).await?;
            let toxic = shared.proxies.lock().await.add_toxic(proxy, asked)?;
            Ok(json(StatusCode::OK, &toxic))
        }
        (["proxies", proxy, "toxics", toxic], Method::GET) => {
            let toxic = shared.proxies.lock().await.toxic(proxy, toxic)?;
            Ok(json(StatusCode::OK, &toxic))
        }
        (["proxies", proxy, "toxics", toxic], _) if change => {
            let asked = read(request).await?;
            let toxic = shared.proxies.lock().await.change_toxic(proxy, toxic, asked)?;
            Ok(json(StatusCode::OK, &toxic))
        }
        (["proxies", proxy, "toxics", toxic], Method::DELETE) => {
            shared.proxies.lock().await.remove_toxic(proxy, toxic)?;
            Ok(done())
        }
        (parts, _) => match methods(parts) {
            Some(allowed) => {
                let error = Error::new(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method");
                let mut answer = json(error.status, &error);
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                Ok(answer)
            }
            None => Err(Error::new(StatusCode::NOT_FOUND, "the API has no such path")),
        },
    }
}

/// The methods that a path has, if there is one.
fn methods(parts: &[&str]) -> Option<&'static str> {
    match parts {
        ["version" | "metrics"] => Some("GET"),
        ["reset" | "populate"] => Some("POST"),
        ["proxies"] | ["proxies", _, "toxics"] => Some("GET, POST"),
        ["proxies", _] | ["proxies", _, "toxics", _] => Some("GET, POST, PATCH, DELETE"),
        _ => None,
    }
}

async fn populate(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Error> {
    let asked: Vec<AskedProxy> = read(request).await?;
    fits(asked.len(), PROXIES, "proxies")?;
    let mut all: Vec<Checked> = Vec::new();
    for (index, asked) in asked.into_iter().enumerate() {
        let checked = asked.check().await.map_err(|error| {
            let message = format!("{} at proxy {}", error.message, index + 1);
            Error::new(error.status, message)
        })?;
        if all.iter().any(|known| known.name() == checked.name()) {
            let message = format!("duplicate proxy name {:?}", checked.name());
            return Err(Error::new(StatusCode::BAD_REQUEST, message));
        }
        all.push(checked);
    }
    let (status, partly) = match shared.proxies.lock().await.populate(all).await {
        Ok(proxies) => (StatusCode::CREATED, Partly { error: None, proxies }),
        Err((error, proxies)) => (
            error.status,
            Partly {
                error: Some(error),
                proxies,
            },
        ),
    };
    Ok(json(status, &partly))
}

/// The value in a body.
async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Error> {
    let text = api::text(request.into_body()).await;
    let text = text.map_err(|(status, why)| Error::new(status, why))?;
    serde_json::from_str(&text).map_err(Error::body)
}

/// A part of a path, with what stands as `%20` in it.
fn decoded(part: &str) -> Result<String, Error> {
    let wrong = || Error::new(StatusCode::BAD_REQUEST, "the path is not percent-encoded text");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        (bytes, rest) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = std::str::from_utf8(&[*high, *low])
                    .ok()
                    .map(|two| u8::from_str_radix(two, 16));
                let Some(Ok(byte)) = digits else { return Err(wrong()) };
                bytes.push(byte);
                (bytes, after)
            }
            (b'%', _) => return Err(wrong()),
            _ => {
                bytes.push(*first);
                (bytes, after)
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn with(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => with(status, "application/json", body),
        Err(_) => with(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "a value has no form\n"),
    }
}

fn done() -> Answer {
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
