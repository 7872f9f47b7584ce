//! The failures of the crate `genai` in our words. Its own texts hold requests and replies whole, so
//! they are never shown.

use std::error::Error as _;
use std::sync::Arc;

use ::genai::Error as Fault;
use ::genai::webc::Error as WebError;
use reqwest::header::HeaderMap;
use teleprompt_core::{LmError, LmErrorKind as Kind};

use super::super::http;
use super::super::key::{KeySource, Redactor};
use super::super::refusal::{self, Complaint};
use super::GenAi;

pub(super) fn explain(lm: &GenAi, redactor: &Redactor, error: Fault) -> LmError {
    Place::of(lm).explain(redactor, error)
}

/// Where a call went; it outlives the call, as streams do.
pub(super) struct Place {
    name: Arc<str>,
    scheme: &'static str,
    url: String,
    key: KeySource,
}

impl Place {
    pub(super) fn of(lm: &GenAi) -> Self {
        let (name, url, key) = (lm.name.clone(), lm.base_url.clone(), lm.key.clone());
        Self { name, scheme: lm.cloud.scheme(), url, key }
    }

    pub(super) fn explain(&self, redactor: &Redactor, error: Fault) -> LmError {
        match error {
            Fault::WebModelCall { webc_error, .. } | Fault::WebAdapterCall { webc_error, .. } => {
                self.web(redactor, webc_error)
            }
            Fault::HttpError { status, body, headers, .. } => {
                self.refused(redactor, status.as_u16(), &headers, &body)
            }
            Fault::WebStream { error, .. } => match error.downcast::<Fault>() {
                Ok(inner) => self.explain(redactor, *inner),
                Err(error) => match error.downcast::<reqwest::Error>() {
                    Ok(broken) => self.broken(*broken),
                    Err(_) => self.error(Kind::Transport, "the connection broke; try again"),
                },
            },
            Fault::ChatResponse { body, .. } => {
                self.refused(redactor, 500, &HeaderMap::new(), &body.to_string())
            }
            Fault::AdapterNotSupported { feature, .. } => {
                self.error(Kind::Unsupported, format!("it does not support {feature}"))
            }
            _ => {
                let message = format!("{} answered with something unexpected", self.url);
                self.error(Kind::Protocol, message)
            }
        }
    }

    /// The error for a stream that ends in the middle.
    pub(super) fn broken_off(&self) -> LmError {
        let message = format!("the stream from {} broke off; try again", self.url);
        self.error(Kind::Transport, message)
    }

    fn web(&self, redactor: &Redactor, error: WebError) -> LmError {
        match error {
            WebError::ResponseFailedStatus { status, body, headers } => {
                self.refused(redactor, status.as_u16(), &headers, &body)
            }
            WebError::Reqwest(error) => self.broken(error),
            _ => {
                let message = format!("{} answered with something that is not JSON", self.url);
                self.error(Kind::Protocol, message)
            }
        }
    }

    fn broken(&self, error: reqwest::Error) -> LmError {
        // A body that is no JSON is a fault of the protocol, not of the connection.
        if error.is_decode() && error.source().is_some_and(|e| e.is::<serde_json::Error>()) {
            let message = format!("{} answered with something that is not JSON", self.url);
            return self.error(Kind::Protocol, message);
        }
        let (kind, message) = http::explain(&error, &self.url);
        self.error(kind, message).with_source(error.without_url())
    }

    fn refused(
        &self,
        redactor: &Redactor,
        status: u16,
        headers: &HeaderMap,
        body: &str,
    ) -> LmError {
        let body = redactor.clean(body);
        let mut said = Complaint::read(&body);
        said.retry_after = http::retry_after(headers).or(said.retry_after);
        let kind = said.kind(status);
        let place =
            refusal::Place { url: &self.url, key: &self.key, has_key: true, location: None };
        let id = headers.get("x-amzn-requestid").and_then(|v| v.to_str().ok());
        self.error(kind, refusal::sentence(kind, status, &said, &place))
            .with_response(status, refusal::kept(&body))
            .with_retry_after(said.retry_after)
            .with_no_retry(http::no_retry(headers))
            .with_request_id(id.map(str::to_owned))
    }

    fn error(&self, kind: Kind, message: impl Into<String>) -> LmError {
        LmError::new(kind, self.name.clone(), message).with_provider(self.scheme)
    }
}
