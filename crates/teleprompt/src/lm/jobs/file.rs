//! Files that the provider keeps.

use std::fmt;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use teleprompt_core::{LmError, LmErrorKind};

use super::OpenAiJobs;
use crate::lm::client::Body;

/// Most bytes of a file that are read: the provider's own limit for a file.
const FILE_LIMIT: usize = 512 * 1024 * 1024;

/// What a file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilePurpose {
    /// Training or validation data.
    FineTune,
    /// The requests of a batch.
    Batch,
    /// Something else, in the provider's word, such as `user_data`.
    Other(String),
}

impl FilePurpose {
    /// The provider's word.
    pub fn as_str(&self) -> &str {
        match self {
            FilePurpose::FineTune => "fine-tune",
            FilePurpose::Batch => "batch",
            FilePurpose::Other(word) => word,
        }
    }
}

impl fmt::Display for FilePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A file that the provider keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoteFile {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
    /// What it is for, in the provider's word.
    #[serde(default)]
    pub purpose: Option<String>,
    /// Its size in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created_at: Option<u64>,
    /// All that the provider says beyond that.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl OpenAiJobs {
    /// Uploads a file of this name.
    ///
    /// # Errors
    /// What the provider refuses, such as a line that is no JSON, and what any call can fail with.
    pub async fn upload(
        &self,
        name: &str,
        content: impl Into<Vec<u8>>,
        purpose: FilePurpose,
    ) -> Result<RemoteFile, LmError> {
        let (kind, form) = multipart(name, &content.into(), purpose.as_str())
            .map_err(|e| self.client.error(LmErrorKind::InvalidRequest, e))?;
        let body = || Body::Bytes(kind.clone(), form.clone());
        self.change(Method::POST, "/files", body).await
    }

    /// The file of this id, without its content.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is none; and what any call can fail with.
    pub async fn file(&self, id: &str) -> Result<RemoteFile, LmError> {
        self.get(&format!("/files/{}", self.id(id)?)).await
    }

    /// At most so many files.
    ///
    /// # Errors
    /// What any call can fail with.
    pub async fn files(&self, most: usize) -> Result<Vec<RemoteFile>, LmError> {
        self.list("/files", most).await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is none; and what any call can fail with.
    pub async fn delete_file(&self, id: &str) -> Result<(), LmError> {
        let path = format!("/files/{}", self.id(id)?);
        self.change::<Value>(Method::DELETE, &path, || Body::Empty).await.map(drop)
    }

    /// The content of a file, at most 512 MiB, all of it in memory.
    ///
    /// # Errors
    /// [`LmErrorKind::NotFound`]: there is none; [`LmErrorKind::Protocol`]: it is larger; and what
    /// any call can fail with.
    pub async fn file_content(&self, id: &str) -> Result<Vec<u8>, LmError> {
        let path = format!("/files/{}/content", self.id(id)?);
        let read = || async {
            let sent = self.client.send(Method::GET, &path, Body::Empty, self.client.clock());
            let mut answer = sent.await?;
            answer.unlimited();
            let mut content = Vec::new();
            while let Some(bytes) = answer.chunk().await? {
                content.extend_from_slice(&bytes);
                if content.len() > FILE_LIMIT {
                    return Err(self.broken("a file of more than 512 MiB"));
                }
            }
            Ok(content)
        };
        self.retry.run(read).await
    }
}

/// A form with the purpose and the file (RFC 7578), and its content type.
fn multipart(name: &str, content: &[u8], purpose: &str) -> Result<(HeaderValue, Vec<u8>), String> {
    // The hash of the content does not stand in the content.
    let boundary = format!("teleprompt-{}", blake3::hash(content).to_hex());
    // As browsers do it (WHATWG HTML, 4.10.21.8).
    let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(content);
    form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    Ok((kind.map_err(|e| e.to_string())?, form))
}
