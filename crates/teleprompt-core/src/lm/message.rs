//! What is said in a conversation: text, and where the LM takes them images, sound, files and the
//! use of tools.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tool::{ToolCall, ToolResult};

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The standing instructions, constant for a predictor.
    System,
    /// The caller: inputs.
    User,
    /// The LM: outputs.
    Assistant,
    /// The answers of tools that the LM called: [`Part::ToolResult`]s.
    Tool,
}

impl Role {
    /// The name used on most chat wires: `system`, `user`, `assistant` or `tool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// One turn of a conversation. Cloning shares the content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

impl Message {
    /// A message of the given role.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self { role, content: content.into() }
    }
    /// A system message.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }
    /// A user message.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }
    /// An assistant message.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }
    /// The answers of tools.
    pub fn tool(results: impl IntoIterator<Item = ToolResult>) -> Self {
        Self::new(Role::Tool, results.into_iter().map(Part::ToolResult).collect::<Content>())
    }
}

/// The content of a message. It derefs to its text: the text parts joined, all of it where there is
/// nothing but text. Cloning is cheap. As JSON it is a string, or an array of parts.
///
/// ```
/// use teleprompt_core::{Content, Media, Part};
///
/// let content: Content = "plain".into();
/// assert_eq!(&*content, "plain");
/// assert!(content.parts().is_none());
///
/// let photo = Media::url("https://example.org/cat.png", "image/png");
/// let content: Content = [Part::text("What is "), Part::Image(photo), Part::text("this?")].into();
/// assert_eq!(&*content, "What is this?");
/// assert_eq!(content.parts().unwrap().len(), 3);
/// ```
#[derive(Clone, PartialEq)]
pub struct Content {
    text: Arc<str>,
    /// Where there is more than text: all parts in order, text included.
    parts: Option<Arc<[Part]>>,
}

impl Content {
    /// All parts in order if there is anything but text, else `None`.
    pub fn parts(&self) -> Option<&[Part]> {
        self.parts.as_deref()
    }

    /// Whether there is anything but text: what a text-only LM must refuse.
    pub fn is_text(&self) -> bool {
        self.parts.is_none()
    }
}

impl Deref for Content {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

macro_rules! from_text {
    ($($ty:ty),+) => {
        $(impl From<$ty> for Content {
            fn from(text: $ty) -> Self {
                Self { text: text.into(), parts: None }
            }
        })+
    };
}

from_text!(&str, String, Arc<str>, Box<str>, std::borrow::Cow<'_, str>);

impl From<&String> for Content {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl FromIterator<Part> for Content {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        let parts: Arc<[Part]> = parts.into_iter().collect();
        match &*parts {
            [Part::Text(text)] => Self { text: text.clone(), parts: None },
            several => {
                let text: String = several.iter().filter_map(Part::as_text).collect();
                let only_text = several.iter().all(|p| p.as_text().is_some());
                Self { text: text.into(), parts: (!only_text).then_some(parts) }
            }
        }
    }
}

impl<const N: usize> From<[Part; N]> for Content {
    fn from(parts: [Part; N]) -> Self {
        parts.into_iter().collect()
    }
}

impl From<Vec<Part>> for Content {
    fn from(parts: Vec<Part>) -> Self {
        parts.into_iter().collect()
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            None => fmt::Debug::fmt(&*self.text, f),
            Some(parts) => f.debug_list().entries(parts.iter()).finish(),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.parts {
            None => serializer.serialize_str(&self.text),
            Some(parts) => parts.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Parts(Vec<Part>),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into(),
            Form::Parts(parts) => parts.into(),
        })
    }
}

/// A piece of a [`Content`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(Arc<str>),
    /// A picture.
    Image(Media),
    /// Sound.
    Audio(Media),
    /// A document, such as a PDF.
    File(Media),
    /// In an assistant turn: the LM's wish to use a tool.
    ToolCall(ToolCall),
    /// In a [`Role::Tool`] turn: what a tool answered.
    ToolResult(ToolResult),
    /// In an assistant turn: what the LM thought before it answered, as it gave it.
    Reasoning(Reasoning),
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Part::Text(text.into())
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Part::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What an LM thought, with the provider's seal over it, which some want back unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// The thoughts or their summary; may be empty where the provider shows none.
    pub text: String,
    /// The provider's signature or encrypted content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// An image, a sound or a file: its bytes, or where the provider finds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What it is, such as `image/png`, `audio/wav`, `application/pdf`.
    pub mime: Arc<str>,
    /// Its file name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Its bytes or its place.
    pub source: MediaSource,
}

/// Where a [`Media`] is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MediaSource {
    /// The bytes themselves; base64 as JSON.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    Data(Arc<[u8]>),
    /// An address that the provider fetches it from.
    Url(Arc<str>),
    /// The id under which the provider keeps it.
    Id(Arc<str>),
}

impl Media {
    /// These bytes.
    pub fn data(bytes: impl Into<Arc<[u8]>>, mime: impl Into<Arc<str>>) -> Self {
        Self { mime: mime.into(), name: None, source: MediaSource::Data(bytes.into()) }
    }

    /// What is at this address. The provider fetches it, not we.
    pub fn url(url: impl Into<Arc<str>>, mime: impl Into<Arc<str>>) -> Self {
        Self { mime: mime.into(), name: None, source: MediaSource::Url(url.into()) }
    }

    /// What the provider keeps under this id.
    pub fn id(id: impl Into<Arc<str>>, mime: impl Into<Arc<str>>) -> Self {
        Self { mime: mime.into(), name: None, source: MediaSource::Id(id.into()) }
    }

    /// With a file name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The bytes in base64, where they are at hand.
    pub fn base64(&self) -> Option<String> {
        match &self.source {
            MediaSource::Data(bytes) => Some(STANDARD.encode(bytes)),
            _ => None,
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            MediaSource::Data(bytes) => write!(f, "Media({}, {} bytes)", self.mime, bytes.len()),
            MediaSource::Url(url) => write!(f, "Media({}, {url})", self.mime),
            MediaSource::Id(id) => write!(f, "Media({}, id {id})", self.mime),
        }
    }
}

impl fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MediaSource::Data(bytes) => write!(f, "{} bytes", bytes.len()),
            MediaSource::Url(url) => f.write_str(url),
            MediaSource::Id(id) => write!(f, "id {id}"),
        }
    }
}

fn to_base64<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map(Arc::from).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::tool::ToolCall;

    #[test]
    fn contents_survive_json() {
        let parts = [
            Part::text("look"),
            Part::Image(Media::data(vec![0_u8, 255, 7], "image/png").named("a.png")),
            Part::Audio(Media::url("https://example.org/a.wav", "audio/wav")),
            Part::File(Media::id("file-1", "application/pdf")),
            Part::ToolCall(ToolCall::new("c1", "add", r#"{"a":1}"#)),
            Part::Reasoning(Reasoning { text: "hm".into(), signature: Some("s".into()) }),
        ];
        for content in [Content::from("text"), Content::from(parts)] {
            let message = Message::user(content);
            let json = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message, "{json}");
        }
        assert_eq!(serde_json::to_string(&Content::from("a")).unwrap(), "\"a\"");
    }

    #[test]
    fn text_in_parts_is_text() {
        let content: Content = vec![Part::text("a"), Part::text("b")].into();
        assert!(content.is_text());
        assert_eq!(&*content, "ab");
        assert_eq!(content, Content::from("ab"));
    }
}
