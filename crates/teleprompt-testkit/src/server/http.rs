//! Reading requests and writing responses, HTTP/1.1 with keep-alive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Request;
use super::response::{Part, Response};

/// The next request on the connection; `None` when the client is gone or speaks something else.
/// `buffer` keeps what was read beyond it.
pub(super) async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        fill(stream, buffer).await?;
    };
    let head: Vec<u8> = buffer.drain(..head_end + 4).collect();
    let mut request = parse_head(std::str::from_utf8(&head).ok()?)?;
    let length: usize = request.header("content-length").map_or(Some(0), |v| v.parse().ok())?;
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    request.body = buffer.drain(..length).collect();
    Some(request)
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request { method, path, headers, body: Vec::new() })
}

/// How a response went out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Whole; the connection can take another request.
    Whole,
    /// Cut short by its script; the connection is over.
    Cut,
}

/// Writes the response. An error means that the client left before the end.
pub(super) async fn write_response(stream: &mut TcpStream, response: Response) -> io::Result<Sent> {
    let leading = response.parts.iter().take_while(|p| matches!(p, Part::Wait(_))).count();
    let (before, body) = response.parts.split_at(leading);
    for part in before {
        if let Part::Wait(time) = part {
            wait(stream, *time).await?;
        }
    }
    let scripted = response.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-length"));
    let length = if scripted { None } else { whole_length(body) };
    let chunked = !scripted && length.is_none();
    // Head and first bytes go out together: one packet, as servers do.
    let mut out = Vec::new();
    if body.first() != Some(&Part::Reset) {
        out.extend_from_slice(head(&response, length, chunked).as_bytes());
    }
    for part in body {
        match part {
            Part::Bytes(bytes) => add_bytes(&mut out, bytes, chunked),
            Part::Wait(time) => {
                flush(stream, &mut out).await?;
                wait(stream, *time).await?;
                continue;
            }
            Part::Close => {
                flush(stream, &mut out).await?;
                return Ok(Sent::Cut);
            }
            Part::Reset => {
                flush(stream, &mut out).await?;
                stream.set_zero_linger()?;
                return Ok(Sent::Cut);
            }
        }
        flush(stream, &mut out).await?;
    }
    if chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    flush(stream, &mut out).await?;
    Ok(if scripted_falsely(&response) { Sent::Cut } else { Sent::Whole })
}

/// Whether the script's `content-length` is not that of the body: the client waits for more, or
/// takes the rest for the next response, so the connection has to end.
fn scripted_falsely(response: &Response) -> bool {
    let told = response.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-length"));
    let sent: usize = response
        .parts
        .iter()
        .map(|part| if let Part::Bytes(bytes) = part { bytes.len() } else { 0 })
        .sum();
    told.is_some_and(|(_, value)| *value != sent.to_string())
}

async fn flush(stream: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    if !out.is_empty() {
        stream.write_all(out).await?;
        out.clear();
    }
    Ok(())
}

/// An empty chunk would end the body, so empty bytes are none.
fn add_bytes(out: &mut Vec<u8>, bytes: &[u8], chunked: bool) {
    if !chunked {
        out.extend_from_slice(bytes);
    } else if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// The length of a body that comes in one go; `None` asks for chunked encoding.
fn whole_length(parts: &[Part]) -> Option<usize> {
    match parts {
        [] => Some(0),
        [Part::Bytes(bytes)] => Some(bytes.len()),
        _ => None,
    }
}

fn head(response: &Response, length: Option<usize>, chunked: bool) -> String {
    let mut head = format!("HTTP/1.1 {} -\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    } else if chunked {
        head.push_str("transfer-encoding: chunked\r\n");
    }
    head.push_str("\r\n");
    head
}

/// Waits, but notices when the client closes the connection.
async fn wait(stream: &mut TcpStream, time: Duration) -> io::Result<()> {
    let mut byte = [0_u8; 1];
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        read = stream.peek(&mut byte) => match read {
            // More bytes are the next request, sent ahead: not our case.
            Ok(n) if n > 0 => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        },
    }
}
