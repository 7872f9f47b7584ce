//! Adapters: signatures to messages, replies to records.
//!
//! Two members. [`ChatAdapter`] asks for sections with markers, which even very small models keep
//! to; [`JsonAdapter`] asks for one JSON object, for providers that enforce a JSON schema. Both read
//! what the other asks for, with a flag, and both keep the law of
//! [`Adapter`]: what `assistant` writes, `parse` reads back.
//!
//! ```
//! use teleprompt::{Adapter, Signature, adapter::ChatAdapter, record};
//! let signature: Signature = "question -> answer: int".parse()?;
//! let turn = ChatAdapter.user(&signature, &record! { question: "6 × 7?" });
//! assert_eq!(turn, "[[ ## question ## ]]\n6 × 7?");
//! let read = ChatAdapter.parse(&signature, "[[ ## answer ## ]]\n42").unwrap();
//! assert_eq!(read.fields["answer"], 42);
//! # Ok::<(), teleprompt::SignatureError>(())
//! ```

mod chat;
mod grammar;
mod json;
mod reader;
mod reply;
mod system;
mod value;

use std::sync::Arc;

pub use chat::ChatAdapter;
pub use json::JsonAdapter;

use crate::names::suggestion;
use crate::{Adapter, Error, Result};

/// The names that [`by_name`] knows; the first is the default.
pub const NAMES: &[&str] = &["chat", "json"];

/// The adapter of this name.
///
/// ```
/// let adapter = teleprompt::adapter::by_name("chat").unwrap();
/// assert_eq!(adapter.name(), "chat");
/// let wrong = teleprompt::adapter::by_name("jsn").err().unwrap();
/// assert_eq!(wrong.to_string(), "there is no adapter `jsn`; did you mean `json`?");
/// ```
///
/// # Errors
/// [`Error::Config`] for any other name.
pub fn by_name(name: &str) -> Result<Arc<dyn Adapter>> {
    match name {
        "chat" => Ok(Arc::new(ChatAdapter)),
        "json" => Ok(Arc::new(JsonAdapter)),
        _ => {
            let hint = suggestion(name, NAMES.iter().copied());
            Err(Error::Config(format!("there is no adapter `{name}`{hint}")))
        }
    }
}
