//! From token bytes to text: UTF-8 across token boundaries, stop texts across token boundaries.

/// Joins byte pieces to text; an unfinished character waits for its rest.
#[derive(Debug, Default)]
struct Utf8 {
    tail: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8]) -> String {
        self.tail.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.tail);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, bad) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(len) = error.error_len() else {
                        self.tail = bad.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = bad.get(len..).unwrap_or_default();
                }
            }
        }
    }

    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.tail)).into_owned()
    }
}

/// Cuts text at the first stop text; holds back what may be the beginning of one.
#[derive(Debug)]
struct Stops {
    stops: Vec<String>,
    held: String,
}

impl Stops {
    fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|s| !s.is_empty()).cloned().collect();
        Self { stops, held: String::new() }
    }

    /// The text that is now certain, and whether a stop text ended it.
    fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|s| self.held.find(s.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|s| overlap(&self.held, s)).max().unwrap_or(0);
        let tail = self.held.split_off(self.held.len() - keep);
        (std::mem::replace(&mut self.held, tail), false)
    }
}

/// Length of the longest end of `text` that is a beginning of `stop`, but not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(i, _)| i).rev();
    ends.filter(|&len| stop.get(..len).is_some_and(|head| text.ends_with(head))).max().unwrap_or(0)
}

/// The text of one completion as it grows.
#[derive(Debug)]
pub(crate) struct TextBuilder {
    utf8: Utf8,
    stops: Stops,
    text: String,
}

impl TextBuilder {
    pub(crate) fn new(stops: &[String]) -> Self {
        Self { utf8: Utf8::default(), stops: Stops::new(stops), text: String::new() }
    }

    /// Adds a token's bytes. Returns the text that became certain and whether a stop text was met.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        let piece = self.utf8.push(bytes);
        let (sure, stopped) = self.stops.push(&piece);
        self.text.push_str(&sure);
        (sure, stopped)
    }

    /// The end without a stop text: what was held back is text after all.
    pub(crate) fn finish(&mut self) -> String {
        let piece = self.utf8.finish();
        let (mut sure, stopped) = self.stops.push(&piece);
        if !stopped {
            sure.push_str(&std::mem::take(&mut self.stops.held));
        }
        self.text.push_str(&sure);
        sure
    }

    /// Length in bytes of all text so far, with what is held back.
    pub(crate) fn reach(&self) -> usize {
        self.text.len() + self.stops.held.len() + self.utf8.tail.len()
    }

    /// The text that is certain.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces; returns the pieces that came out, the whole text, and whether it stopped.
    fn run(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, String, bool) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut builder = TextBuilder::new(&stops);
        let mut out = Vec::new();
        for piece in pieces {
            let (sure, stopped) = builder.push(piece);
            out.push(sure);
            if stopped {
                return (out, builder.into_text(), true);
            }
        }
        out.push(builder.finish());
        (out, builder.into_text(), false)
    }

    #[test]
    fn characters_are_joined_across_pieces() {
        let euro = "a€b".as_bytes();
        let (out, text, _) = run(&[], &[&euro[..2], &euro[2..3], &euro[3..]]);
        assert_eq!(
            (text.as_str(), out),
            ("a€b", vec!["a".into(), "".into(), "€b".into(), "".into()])
        );
    }

    #[test]
    fn broken_bytes_become_replacement_characters() {
        assert_eq!(run(&[], &[b"a\xffb"]).1, "a\u{fffd}b");
        assert_eq!(run(&[], &[b"a\xe2\x82"]).1, "a\u{fffd}");
        assert_eq!(run(&[], &[b"\xe2\x82", b"x"]).1, "\u{fffd}x");
    }

    #[test]
    fn a_stop_text_may_span_pieces() {
        let (out, text, stopped) = run(&["END"], &[b"ab E", b"N", b"D cd"]);
        assert_eq!((text.as_str(), stopped), ("ab ", true));
        assert_eq!(out, ["ab ", "", ""]);
    }

    #[test]
    fn a_false_start_is_given_back() {
        assert_eq!(run(&["END"], &[b"ab EN", b"X"]).0, ["ab ", "ENX", ""]);
        assert_eq!(run(&["END"], &[b"ab EN"]).1, "ab EN");
        assert_eq!(run(&["aab"], &[b"a", b"a", b"a", b"b!"]).1, "a");
    }

    #[test]
    fn the_earliest_of_several_stops_wins_and_empty_ones_are_none() {
        assert_eq!(run(&["y", "", "x"], &[b"1x2y"]).1, "1");
        assert_eq!(run(&["日本"], &["今日".as_bytes(), "本".as_bytes()]).1, "今");
    }

    #[test]
    fn reach_counts_what_is_held_back() {
        let mut builder = TextBuilder::new(&["END".to_owned()]);
        builder.push(b"ab E\xe2");
        assert_eq!((builder.text(), builder.reach()), ("ab ", 5));
    }
}
