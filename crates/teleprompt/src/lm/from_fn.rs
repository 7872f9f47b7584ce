//! A layer of one's own in a few lines.

use std::fmt;

use teleprompt_core::{Lm, LmError, LmHandle, LmRequest, LmResponse};

use super::forward::forward;

/// A layer that is a function of the request and of what comes next. It may change the request,
/// answer itself, call the next LM once, many times or not at all, and change the answer.
///
/// The layer's name becomes part of the [identity](Lm::identity), so that a cache above it keeps its
/// answers apart from those of the LM alone. A stream gives the answer in one piece, when the
/// function is done.
///
/// ```
/// use teleprompt::lm::from_fn;
/// use teleprompt::{Lm, LmRequest, Message};
/// use teleprompt_testkit::ScriptedLm;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let lm = from_fn(ScriptedLm::new(|_| "hello"), |request, next| async move {
///     let mut response = next.generate(&request).await?;
///     for completion in &mut response.completions {
///         completion.text = completion.text.to_uppercase();
///     }
///     Ok(response)
/// });
/// let lm = lm.named("shout");
/// assert_eq!(lm.describe(), "shout → scripted");
/// let reply = lm.generate(&LmRequest::new(vec![Message::user("hi")])).await.unwrap();
/// assert_eq!(reply.completions[0].text, "HELLO");
/// # }
/// ```
pub fn from_fn<F, Fut>(next: impl Lm, layer: F) -> FromFn<F>
where
    F: Fn(LmRequest, LmHandle) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<LmResponse, LmError>> + Send + 'static,
{
    FromFn { inner: LmHandle::new(next), layer, called: "from_fn".into() }
}

/// See [`from_fn`].
pub struct FromFn<F> {
    inner: LmHandle,
    layer: F,
    called: String,
}

impl<F> FromFn<F> {
    /// With a name for [`Lm::describe`] and [`Lm::identity`]. Default: `from_fn`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.called = name.into();
        self
    }
}

impl<F, Fut> Lm for FromFn<F>
where
    F: Fn(LmRequest, LmHandle) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<LmResponse, LmError>> + Send + 'static,
{
    async fn generate(&self, request: &LmRequest) -> Result<LmResponse, LmError> {
        (self.layer)(request.clone(), self.inner.clone()).await
    }

    forward!(inner: name, capabilities, count_tokens, price);

    fn identity(&self) -> String {
        format!("{} → {}", self.called, self.inner.identity())
    }

    fn describe(&self) -> String {
        format!("{} → {}", self.called, self.inner.describe())
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromFn({})", self.called)
    }
}
