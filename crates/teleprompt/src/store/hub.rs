//! Asking the Hugging Face hub, or a mirror of it, for a file.

use std::time::Duration;

use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LOCATION, RANGE,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::config::StoreConfig;
use super::error::FetchError;
use super::name::HfFile;

/// A hub, and the client to reach it.
#[derive(Debug)]
pub(super) struct Hub {
    client: Client,
    endpoint: Url,
    token: Option<String>,
    stall: Duration,
}

/// The answer to a request for a file: the body holds the file from `start` on.
#[derive(Debug)]
pub(super) struct FileAnswer {
    pub response: Response,
    pub start: u64,
    /// What the hub says of the whole file.
    pub sha256: Option<String>,
    pub size: Option<u64>,
    pub etag: Option<String>,
}

/// What the hub's own answers say of a file before they redirect to the server that stores it.
#[derive(Default)]
struct Linked {
    sha256: Option<String>,
    size: Option<u64>,
}

const MAX_REDIRECTS: usize = 10;

impl Hub {
    pub(super) fn new(config: &StoreConfig) -> Result<Self, FetchError> {
        let endpoint = parse_endpoint(&config.hf_endpoint)?;
        // Fails when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("teleprompt/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.stall_timeout)
            // Followed here: reqwest would keep the token on a redirect to another port.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|e| FetchError::Protocol(format!("no HTTP client: {}", root_cause(&e))))?;
        let token = config.hf_token.clone();
        Ok(Self { client, endpoint, token, stall: config.stall_timeout })
    }

    pub(super) fn url(&self, file: &HfFile) -> Result<Url, FetchError> {
        let HfFile { owner, repo, file, revision } = file;
        let revision = revision.replace('/', "%2F");
        let base = self.endpoint.as_str().trim_end_matches('/');
        let text = format!("{base}/{owner}/{repo}/resolve/{revision}/{file}");
        Url::parse(&text).map_err(|e| FetchError::Protocol(format!("{text}: {e}")))
    }

    /// Asks for the file at `url` from byte `start` on, provided it still has this validator.
    ///
    /// `None`: the file has no byte `start`, so it is another than the one begun.
    pub(super) async fn get(
        &self,
        url: &Url,
        start: u64,
        etag: Option<&str>,
    ) -> Result<Option<FileAnswer>, FetchError> {
        let mut url = url.clone();
        let mut linked = Linked::default();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(&url, start, etag).await?;
            if self.is_own(&url) {
                linked.read(response.headers());
            }
            if !response.status().is_redirection() {
                return self.answer(response, start, linked);
            }
            url = next_url(&url, response.headers())?;
        }
        Err(FetchError::Protocol(format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn send(
        &self,
        url: &Url,
        start: u64,
        etag: Option<&str>,
    ) -> Result<Response, FetchError> {
        let mut request = self.client.get(url.clone());
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.bearer_auth(token);
        }
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
            if let Some(etag) = etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        request.send().await.map_err(|e| FetchError::Unreachable(self.reason(&e)))
    }

    /// Whether the address is the hub's own; only there the token may go.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    fn answer(
        &self,
        response: Response,
        asked: u64,
        linked: Linked,
    ) -> Result<Option<FileAnswer>, FetchError> {
        let headers = response.headers();
        let (start, sent_size) = match response.status() {
            StatusCode::OK => (0, number(headers, &CONTENT_LENGTH)),
            StatusCode::PARTIAL_CONTENT => content_range(headers)
                .filter(|(start, _)| *start == asked)
                .ok_or_else(|| FetchError::Protocol("sent another part than asked for".into()))?,
            StatusCode::RANGE_NOT_SATISFIABLE if asked > 0 => return Ok(None),
            status => return Err(self.refusal(status)),
        };
        let etag = text(headers, &ETAG).filter(|tag| !tag.starts_with("W/"));
        let size = linked.size.or(sent_size);
        Ok(Some(FileAnswer { start, sha256: linked.sha256, size, etag, response }))
    }

    fn refusal(&self, status: StatusCode) -> FetchError {
        match status.as_u16() {
            status @ (401 | 403) if self.token.is_some() => FetchError::Refused {
                status,
                hint: "the token in HF_TOKEN may not read this repository, or the repository does \
                       not exist; accept its licence on its page if it asks for that",
            },
            status @ (401 | 403) => FetchError::Refused {
                status,
                hint: "the repository is private or gated, or does not exist; set HF_TOKEN to a \
                       token that may read it",
            },
            404 => FetchError::NotFound("check the spelling on the repository's page".into()),
            status => FetchError::Status(status),
        }
    }

    /// Why a request or a download failed, in a few words and without the address, which may hold
    /// a signature.
    pub(super) fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() && error.is_connect() {
            "no connection in time".into()
        } else if error.is_timeout() {
            format!("nothing came for {:?}", self.stall)
        } else {
            root_cause(error)
        }
    }
}

impl Linked {
    /// `x-linked-etag` is the SHA-256 of a file in large-file storage, and a Git hash of others.
    fn read(&mut self, headers: &HeaderMap) {
        let sha256 = text(headers, &HeaderName::from_static("x-linked-etag"))
            .map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase())
            .filter(|tag| tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit()));
        self.sha256 = sha256.or(self.sha256.take());
        self.size = number(headers, &HeaderName::from_static("x-linked-size")).or(self.size);
    }
}

/// The host of an endpoint, as a name for messages.
pub(super) fn host_of(endpoint: &str) -> String {
    let url = Url::parse(endpoint).ok();
    url.and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_else(|| endpoint.to_owned())
}

fn parse_endpoint(text: &str) -> Result<Url, FetchError> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(FetchError::Protocol(format!(
            "`{text}` is no address; set HF_ENDPOINT to one such as https://huggingface.co"
        ))),
    }
}

fn next_url(from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
    let to = text(headers, &LOCATION).and_then(|location| from.join(&location).ok());
    let to = to.ok_or_else(|| FetchError::Protocol("redirected to no address".into()))?;
    let safe = to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http");
    if safe { Ok(to) } else { Err(FetchError::Protocol("redirected to an unsafe address".into())) }
}

/// `bytes 5-9/10` → (5, Some(10)).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = text(headers, &CONTENT_RANGE)?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, size.trim().parse().ok()))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
