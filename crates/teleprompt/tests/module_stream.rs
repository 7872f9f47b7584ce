//! Streams of programs: fields while they come, the same prediction at the end, nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use teleprompt::adapter::{ChatAdapter, JsonAdapter};
use teleprompt::prelude::*;
use teleprompt::{Event, LmChunk, LmError, LmRequest, LmResponse, LmStream, Run, Streamed, Usage};
use teleprompt_testkit::{Reply, ScriptedLm};

const CHAT: &str = "[[ ## reasoning ## ]]\nsix times\nseven\n\n[[ ## answer ## ]]\n42";

fn context(lm: ScriptedLm) -> Context {
    Context::new(LmHandle::new(lm), Arc::new(ChatAdapter))
}

async fn collect<O: Unpin + 'static>(mut run: Run<'_, O>) -> (Vec<Event>, Result<Prediction<O>>) {
    let mut events = Vec::new();
    while let Some(item) = run.next().await {
        match item {
            Ok(Streamed::Event(event)) => events.push(event),
            Ok(Streamed::Done(prediction)) => {
                assert!(run.next().await.is_none(), "the prediction is the end");
                return (events, Ok(prediction));
            }
            Err(error) => return (events, Err(error)),
        }
    }
    panic!("a run ended without a prediction");
}

/// The pieces of each field of each call, put together.
fn texts(events: &[Event]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for event in events {
        if let Event::Text { call, field, text } = event {
            all.entry(format!("{}#{}.{field}", call.path, call.number)).or_default().push_str(text);
        }
    }
    all
}

#[tokio::test]
async fn fields_come_in_pieces_and_the_prediction_is_that_of_a_call() {
    for (adapter, reply) in [
        (Arc::new(ChatAdapter) as Arc<dyn teleprompt::Adapter>, CHAT),
        (Arc::new(JsonAdapter), r#"{"reasoning": "six times\nseven", "answer": 42}"#),
    ] {
        let lm = ScriptedLm::new(move |_| reply).with_pieces(3);
        let cx = context(lm).with_adapter(adapter);
        let program = Program::new(Predict::of("question -> reasoning, answer: int").unwrap());
        let input = record! { question: "6 × 7?" };
        let called = program.call(&cx, input.clone()).await.unwrap();
        let (events, streamed) = collect(program.stream(&cx, input)).await;
        assert_eq!(streamed.unwrap(), called);
        let texts = texts(&events);
        assert_eq!(texts["predict#0.reasoning"], "six times\nseven");
        assert_eq!(texts["predict#0.answer"].trim(), "42");
        let pieces = events.iter().filter(|e| matches!(e, Event::Text { .. })).count();
        assert!(pieces > 4, "{events:?}");
        let fields = events.iter().filter_map(|e| match e {
            Event::Field { field, value, .. } => Some((&**field, value.clone())),
            _ => None,
        });
        let fields: Vec<_> = fields.collect();
        assert_eq!(fields, [("reasoning", "six times\nseven".into()), ("answer", 42.into())]);
    }
}

#[tokio::test]
async fn a_reply_that_does_not_parse_is_called_void() {
    let lm =
        ScriptedLm::replies(["[[ ## answer ## ]]\nmany", "[[ ## answer ## ]]\n7"]).with_pieces(2);
    let program = Program::new(Predict::of("q -> answer: int").unwrap());
    let cx = context(lm);
    let (events, prediction) = collect(program.stream(&cx, record! { q: "?" })).await;
    assert_eq!(prediction.unwrap()["answer"], 7);
    let restart = events.iter().position(|e| matches!(e, Event::Restart { .. })).unwrap();
    let (void, valid) = events.split_at(restart);
    assert_eq!(texts(void)["predict#0.answer"], "many");
    assert_eq!(texts(valid)["predict#0.answer"], "7");
}

#[tokio::test]
async fn what_was_repaired_is_told_as_the_value_that_counts() {
    // No marker at all, which the reader does not know.
    let program = Program::new(Predict::of("q -> answer: int").unwrap());
    let cx = context(ScriptedLm::new(|_| "It is 7."));
    let (events, prediction) = collect(program.stream(&cx, record! { q: "?" })).await;
    assert_eq!(prediction.unwrap()["answer"], 7);
    let [Event::Field { value, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(*value, 7);
}

/// Two steps at once in tasks of their own, then a status and a third step.
#[derive(Module, Clone)]
struct Busy {
    left: Arc<Predict>,
    right: Arc<Predict>,
    last: Predict,
}

impl Module for Busy {
    type Input = Record;
    type Output = Record;

    async fn forward(&self, cx: &Context, input: Record) -> Result<Prediction> {
        let spawned = [&self.left, &self.right].map(|step| {
            let (step, cx, input) = (step.clone(), cx.clone(), input.clone());
            tokio::spawn(async move { step.call(&cx, input).await })
        });
        for task in spawned {
            task.await.unwrap()?;
        }
        cx.status("nearly there");
        self.last.call(cx, input).await
    }
}

fn busy() -> Program {
    let step = || Predict::of("q -> answer").unwrap();
    Program::new(Busy { left: Arc::new(step()), right: Arc::new(step()), last: step() })
}

#[tokio::test]
async fn steps_in_tasks_are_told_too() {
    let cx = context(ScriptedLm::new(|_| "[[ ## answer ## ]]\nfine words").with_pieces(1));
    let (program, input) = (busy(), record! { q: "?" });
    let (events, prediction) = collect(program.stream(&cx, input)).await;
    assert_eq!(prediction.unwrap()["answer"], "fine words");
    let texts = texts(&events);
    assert_eq!(texts.len(), 3, "{texts:?}");
    for path in ["left", "right", "last"] {
        let (_, text) = texts.iter().find(|(key, _)| key.starts_with(path)).unwrap();
        assert_eq!(text, "fine words");
    }
    assert!(events.contains(&Event::Status { message: "nearly there".into() }));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_ends_what_it_spawned_and_nothing_else() {
    let cx =
        context(ScriptedLm::new(|_| "[[ ## answer ## ]]\nx").with_delay(Duration::from_secs(60)));
    let program = busy();
    let mut run = program.stream(&cx, record! { q: "?" });
    assert!(futures::poll!(run.next()).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = cx.meter().usage().calls;
    drop(run);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cx.meter().usage().calls, before, "the spawned calls were ended");
    assert!(!cx.cancel().is_cancelled());
    assert!(program.call(&cx, record! { q: "?" }).await.is_ok());
}

/// Streams one piece, then waits for ever; notes when it is dropped.
struct Endless(Arc<AtomicBool>);

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Lm for Endless {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        let _guard = OnDrop(self.0.clone());
        std::future::pending().await
    }

    fn stream<'a>(&'a self, _: &'a LmRequest) -> LmStream<'a> {
        let guard = OnDrop(self.0.clone());
        let first = LmChunk::Text { index: 0, text: "[[ ## answer ## ]]\nfirst words".into() };
        let rest = futures::stream::once(async move {
            let _guard = guard;
            std::future::pending().await
        });
        futures::stream::iter([Ok(first)]).chain(rest).boxed()
    }
}

#[tokio::test]
async fn cancelling_ends_calls_in_flight_streamed_or_not() {
    let program = Program::new(Predict::of("q -> answer").unwrap());
    for streamed in [true, false] {
        let dropped = Arc::new(AtomicBool::new(false));
        let lm = LmHandle::new(Endless(dropped.clone()));
        let cx = Context::new(lm, Arc::new(ChatAdapter));
        let cancel = cx.cancel().clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            cancel.cancel();
        });
        let error = if streamed {
            let (events, result) = collect(program.stream(&cx, record! { q: "?" })).await;
            assert_eq!(texts(&events)["predict#0.answer"], "first words");
            result.unwrap_err()
        } else {
            program.call(&cx, record! { q: "?" }).await.unwrap_err()
        };
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert!(dropped.load(Ordering::SeqCst), "the call itself was dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_time_ends_calls_in_flight() {
    let cx = context(ScriptedLm::new(|_| "x").with_delay(Duration::from_secs(3600)));
    let limits = teleprompt::Limits { time: Some(Duration::from_millis(50)), ..Default::default() };
    let program = Program::new(Predict::of("q -> answer").unwrap());
    let error = program.call(&cx.with_limits(limits), record! { q: "?" }).await.unwrap_err();
    assert!(matches!(error, Error::Budget(_)), "{error}");
}

#[tokio::test]
async fn a_failure_is_the_end() {
    let cx = context(ScriptedLm::replies([Reply::error(teleprompt::LmErrorKind::Auth)]));
    let program = Program::new(Predict::of("q -> answer").unwrap());
    let (events, result) = collect(program.stream(&cx, record! { q: "?" })).await;
    assert!(events.is_empty());
    assert!(matches!(result, Err(Error::Lm(_))));
}

#[tokio::test]
async fn a_streamed_run_counts_like_a_call() {
    let usage = |streamed: bool| async move {
        let cx = context(ScriptedLm::new(|_| CHAT).with_pieces(2));
        let program = Program::new(Predict::of("q -> reasoning, answer: int").unwrap());
        let input = record! { q: "?" };
        if streamed {
            collect(program.stream(&cx, input)).await.1.unwrap();
        } else {
            program.call(&cx, input).await.unwrap();
        }
        cx.meter().usage()
    };
    let (streamed, called): (Usage, Usage) = (usage(true).await, usage(false).await);
    assert_eq!(streamed, called);
    assert_eq!(called.calls, 1);
}

/// Its first reply breaks off after some words; the others are whole.
struct Breaks(std::sync::atomic::AtomicU64, u64);

impl Lm for Breaks {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        Ok(LmResponse::text("[[ ## answer ## ]]\nwhole"))
    }

    fn stream<'a>(&'a self, _: &'a LmRequest) -> LmStream<'a> {
        let text = |text: &str| Ok(LmChunk::Text { index: 0, text: text.into() });
        if self.0.fetch_add(1, Ordering::SeqCst) < self.1 {
            let error = LmError::new(teleprompt::LmErrorKind::Transport, "m", "broke off");
            let pieces = [text("[[ ## answer ## ]]\nhal"), Err(error)];
            return futures::stream::iter(pieces).boxed();
        }
        let whole = LmResponse::text("[[ ## answer ## ]]\nwhole");
        futures::stream::iter([text("[[ ## answer ## ]]\nwhole"), Ok(LmChunk::Done(whole))]).boxed()
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_asked_for_anew_and_what_came_is_void() {
    let program = Program::new(Predict::of("q -> answer").unwrap());
    for (breaks, well) in [(2, true), (3, false)] {
        let lm = LmHandle::new(Breaks(0.into(), breaks));
        let cx = Context::new(lm, Arc::new(ChatAdapter));
        let (events, result) = collect(program.stream(&cx, record! { q: "?" })).await;
        let restarts = events.iter().filter(|e| matches!(e, Event::Restart { .. })).count();
        assert_eq!((result.is_ok(), restarts), (well, 2));
        assert_eq!(cx.meter().usage().lost_attempts, breaks, "broken replies may be charged");
        if let Ok(prediction) = result {
            assert_eq!(prediction["answer"], "whole");
            let valid = events.iter().rposition(|e| matches!(e, Event::Restart { .. })).unwrap();
            assert_eq!(texts(&events[valid..])["predict#0.answer"], "whole");
        }
    }
}
