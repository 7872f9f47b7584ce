//! What the server answers, faults included.

use std::time::Duration;

use super::Request;

/// A piece of a response body, or something that happens instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes, sent as one chunk.
    Bytes(Vec<u8>),
    /// Nothing for this long; before the first bytes the head waits too.
    Wait(Duration),
    /// The connection is closed properly, before the body is whole.
    Close,
    /// The connection is reset; as the first part, before the head.
    Reset,
}

/// A response. A body of several parts is sent with chunked encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers; `content-length` or `transfer-encoding` is added. A `content-length` among them is
    /// sent as it is, true or not.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub parts: Vec<Part>,
    /// Whether a client can take it for the answer to its request; the ledger counts by this.
    /// Default: the status is below 300.
    pub answers: bool,
}

impl Response {
    /// A plain-text response.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let parts = vec![Part::Bytes(body.into())];
        Self { status, headers: Vec::new(), parts, answers: status < 300 }
    }

    /// A JSON response.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status, body.to_string()).with_header("content-type", "application/json")
    }

    /// A response of status 200 whose body is these parts.
    pub fn parts(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts = parts.into_iter().collect();
        Self { status: 200, headers: Vec::new(), parts, answers: true }
    }

    /// A response whose head does not come before this time is over.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.parts.insert(0, Part::Wait(wait));
        self
    }

    /// One that no client can take for an answer, whatever its status.
    #[must_use]
    pub fn no_answer(mut self) -> Self {
        self.answers = false;
        self
    }

    /// The bytes of the body as text, without what happens between them.
    pub fn body(&self) -> String {
        let bytes = self.parts.iter().filter_map(|part| match part {
            Part::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
    }

    /// With this header, in place of one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The file, or the part of it that the request's `Range: bytes=FROM-[TO]` names: status 206
    /// with `Content-Range`, 416 if the file ends before it.
    pub fn file(request: &Request, content: &[u8]) -> Self {
        let total = content.len();
        let Some(range) = request.header("range").and_then(|r| r.strip_prefix("bytes=")) else {
            return Self::status(200, content).with_header("accept-ranges", "bytes");
        };
        let (from, to) = range.split_once('-').unwrap_or((range, ""));
        let from: usize = from.parse().unwrap_or(0);
        let to = to.parse().unwrap_or(usize::MAX).min(total.saturating_sub(1));
        match content.get(from..=to).filter(|part| !part.is_empty()) {
            Some(part) => Self::status(206, part)
                .with_header("content-range", &format!("bytes {from}-{to}/{total}")),
            None => Self::status(416, "").with_header("content-range", &format!("bytes */{total}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_served_in_ranges() {
        let cases: &[(Option<&str>, u16, &str, Option<&str>)] = &[
            (None, 200, "0123456789", None),
            (Some("bytes=7-"), 206, "789", Some("bytes 7-9/10")),
            (Some("bytes=2-4"), 206, "234", Some("bytes 2-4/10")),
            (Some("bytes=8-99"), 206, "89", Some("bytes 8-9/10")),
            (Some("bytes=10-"), 416, "", Some("bytes */10")),
        ];
        for (range, status, body, content_range) in cases {
            let headers = range.map(|r| ("range".to_owned(), r.to_owned())).into_iter().collect();
            let response =
                Response::file(&Request { headers, ..Request::default() }, b"0123456789");
            let found = response.headers.iter().find(|(n, _)| n == "content-range");
            assert_eq!(response.status, *status, "{range:?}");
            assert_eq!(response.parts, [Part::Bytes(body.as_bytes().to_vec())]);
            assert_eq!(found.map(|(_, v)| v.as_str()), *content_range);
        }
    }
}
