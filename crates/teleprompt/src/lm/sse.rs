//! Server-sent events, decoded from bytes as they come (WHATWG HTML, 9.2.6).
//!
//! Only the data counts for us: event names, ids and retry times are skipped. Lines may end in LF,
//! CRLF or CR; bytes may be cut anywhere, inside a character too.

/// Most bytes of one event.
pub(crate) const EVENT_LIMIT: usize = 16 * 1024 * 1024;

/// Turns bytes into the data of events.
#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// The data lines of the event that is not at its end yet.
    data: Option<String>,
    /// The last byte was CR, so a LF that follows ends nothing.
    after_cr: bool,
    started: bool,
}

impl SseDecoder {
    /// Takes in bytes and gives the data of all events that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// Whether the event that is not at its end is longer than [`EVENT_LIMIT`].
    pub(crate) fn is_overfull(&self) -> bool {
        self.line.len() + self.data.as_ref().map_or(0, String::len) > EVENT_LIMIT
    }

    /// The event that the end of the stream completes, for servers that forget the last blank line.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let ended = if self.line.is_empty() { None } else { self.end_line() };
        ended.or_else(|| self.data.take())
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return self.data.take();
        }
        let value = match line.strip_prefix(b"data") {
            Some(b"") => b"",
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            _ => return None,
        };
        // A line is whole here, so only bytes that the server got wrong are replaced.
        let value = String::from_utf8_lossy(value);
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(&value);
            }
            None => self.data = Some(value.into_owned()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = SseDecoder::default();
        let mut events: Vec<String> = pieces.iter().flat_map(|p| decoder.feed(p)).collect();
        events.extend(decoder.finish());
        events
    }

    #[test]
    fn the_forms_of_events() {
        let cases: &[(&str, &[&str])] = &[
            ("data: one\n\ndata: two\n\n", &["one", "two"]),
            ("data: one\r\n\r\ndata: two\r\n\r\n", &["one", "two"]),
            ("data: one\r\rdata: two\r\r", &["one", "two"]),
            ("data:one\n\n", &["one"]),
            ("data:  one\n\n", &[" one"]),
            ("data: a\ndata: b\ndata\n\n", &["a\nb\n"]),
            (": comment\n\nevent: x\nid: 7\ndata: one\nretry: 5\n\n", &["one"]),
            ("\u{feff}data: one\n\n", &["one"]),
            ("data: one\n\ndata: no blank line", &["one", "no blank line"]),
            ("datax: one\n\n\n\n", &[]),
            ("data:\n\n", &[""]),
            ("", &[]),
        ];
        for (bytes, events) in cases {
            assert_eq!(&decode(&[bytes.as_bytes()]), events, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_do_not_end_the_stream() {
        assert_eq!(decode(&[b"data: a\xffb\n\n", b"data: c\n\n"]), ["a\u{fffd}b", "c"]);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            lines in prop::collection::vec("(data|data: ?|: |id: )?[aé😀{}\"]{0,4}(\n|\r\n|\r)", 0..12),
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let bytes = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[&bytes]));
        }
    }
}
