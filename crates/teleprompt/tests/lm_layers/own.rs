use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use teleprompt::lm::{Cached, from_fn};
use teleprompt::{Lm, LmResponse, Message};
use teleprompt_testkit::ScriptedLm;

use super::support::{answering, request, text};

#[tokio::test]
async fn a_layer_of_ones_own_may_change_ask_twice_or_not_at_all() {
    let inner = ScriptedLm::new(|r| r.messages[0].content.to_string());
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    let lm = from_fn(inner.clone(), move |mut request, next| {
        let counter = counter.clone();
        async move {
            counter.fetch_add(1, Ordering::Relaxed);
            if &*request.messages[0].content == "known" {
                return Ok(LmResponse::text("at once"));
            }
            let first = next.generate(&request).await?;
            request.messages.insert(0, Message::user(format!("again {}", text(&first))));
            next.generate(&request).await
        }
    });
    assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), "again x");
    assert_eq!(inner.calls(), 2);
    assert_eq!(text(&lm.generate(&request("known")).await.unwrap()), "at once");
    let chunks: Vec<_> = lm.stream(&request("x")).collect().await;
    assert_eq!((chunks.len(), inner.calls(), calls.load(Ordering::Relaxed)), (2, 4, 3));
}

#[tokio::test]
async fn its_name_keeps_answers_apart_in_a_cache() {
    let plain = answering("m");
    let lm = from_fn(plain.clone(), |request, next| async move { next.generate(&request).await });
    assert_eq!((lm.name(), &*lm.identity()), ("m", "from_fn → m"));
    let lm = lm.named("mine");
    assert_eq!(lm.describe(), "mine → m");
    assert_ne!(Cached::in_memory(lm).identity(), Cached::in_memory(plain).identity());
}
