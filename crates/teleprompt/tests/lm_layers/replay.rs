use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use teleprompt::lm::{Recorder, Replay};
use teleprompt::{
    Capabilities, Constraint, Error, Lm, LmChunk, LmError, LmErrorKind, LmRequest, Message, Tool,
    Usage,
};
use teleprompt_testkit::{Reply, ScriptedLm};

use super::support::{Drip, error, request, text};

/// A folder and the path of a recording in it.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("calls").join("recording.jsonl");
    (dir, path)
}

async fn record(path: &Path, lm: ScriptedLm, requests: &[LmRequest]) {
    let lm = Recorder::new(lm, path).unwrap();
    for request in requests {
        let _ = lm.generate(request).await;
    }
}

#[tokio::test]
async fn equal_requests_get_the_recorded_answers_in_order_and_the_last_again() {
    let (_dir, path) = place();
    let lm = ScriptedLm::replies(["one", "two", "three"]).with_name("openai:m");
    record(&path, lm, &[request("x"), request("y"), request("x")]).await;
    let lm = Replay::open(&path).unwrap();
    for wanted in ["one", "three", "three"] {
        assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), wanted);
    }
    let reply = lm.generate(&request("y")).await.unwrap();
    assert_eq!((text(&reply), lm.name(), &*reply.model), ("two", "openai:m", "openai:m"));
    assert_eq!(reply.usage, Usage { prompt_tokens: 1, completion_tokens: 1, ..Usage::one_call() });
}

#[tokio::test]
async fn errors_are_replayed_too_but_not_what_the_provider_wrote() {
    let (_dir, path) = place();
    let overflow = LmErrorKind::ContextOverflow { needed: 9, limit: 8 };
    let busy = LmError::new(LmErrorKind::RateLimit, "openai:m", "busy")
        .with_provider("openai")
        .with_response(429, "raw body with a sk-secret")
        .with_request_id(Some("id-1".into()))
        .with_retry_after(Some(Duration::from_millis(1500)))
        .with_no_retry(true);
    let kinds = [overflow, LmErrorKind::Protocol, LmErrorKind::Cancelled, LmErrorKind::Overloaded];
    let mut replies: Vec<Reply> = vec![busy.clone().into()];
    replies.extend(kinds.map(|kind| error(kind).into()));
    replies.push("ok".into());
    record(&path, ScriptedLm::replies(replies), &vec![request("x"); 6]).await;
    let lm = Replay::open(&path).unwrap();
    let again = lm.generate(&request("x")).await.unwrap_err();
    assert_eq!((again.kind, &again.message, again.status), (busy.kind, &busy.message, Some(429)));
    assert_eq!((again.retry_after, again.request_id), (busy.retry_after, busy.request_id));
    assert_eq!((again.provider, again.body, again.no_retry), (busy.provider, None, true));
    for kind in kinds {
        assert_eq!(lm.generate(&request("x")).await.unwrap_err().kind, kind);
    }
    assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), "ok");
    assert!(!fs::read_to_string(&path).unwrap().contains("secret"));
}

#[tokio::test]
async fn what_was_not_recorded_is_an_error_that_names_the_difference() {
    let (_dir, path) = place();
    let mut first = request("What is the capital of France?");
    first.settings.temperature = Some(0.5);
    record(&path, ScriptedLm::new(|_| "x"), &[first.clone(), request("something else")]).await;
    let lm = Replay::open(&path).unwrap();
    let mut hot = first.clone();
    hot.settings.temperature = Some(0.75);
    let mut rolled = first.clone();
    rolled.rollout = 3;
    let mut longer = first.clone();
    longer.messages.push(Message::assistant("Paris"));
    let mut tooled = first.clone();
    tooled.tools = Arc::from([Tool::new("add", "", json!({}))]);
    let mut constrained = first.clone();
    constrained.constraint = Some(Arc::new(Constraint::new(None, Some("start: x".into()))));
    let mut other = first.clone();
    other.messages[0] = Message::user("What is the capital of Spain?");
    let mut role = first.clone();
    role.messages[0] = Message::system("What is the capital of France?");
    let cases = [
        (hot, "temperature: `0.5` was recorded, `0.75` is asked"),
        (rolled, "rollout: nothing was recorded, `3` is asked"),
        (longer, "message 2: nothing was recorded, `Paris` is asked"),
        (tooled, "tools: nothing was recorded, `[{\"name\":\"add\""),
        (constrained, "lark: nothing was recorded, `\"start: x\"` is asked"),
        (other, "capital of France?` was recorded, `…t is the capital of Spain?` is asked"),
        (role, "message 1: `{\"role\":\"user\""),
    ];
    for (asked, difference) in cases {
        let error = lm.generate(&asked).await.unwrap_err();
        assert_eq!(error.kind, LmErrorKind::NotRecorded);
        assert!(error.message.contains(difference), "{difference}: {error}");
    }
    record(&path.with_extension("none"), ScriptedLm::new(|_| "x"), &[]).await;
    let empty = Replay::open(path.with_extension("none")).unwrap();
    let error = empty.generate(&first).await.unwrap_err();
    assert!(error.message.contains("nor was any other"), "{error}");
}

#[tokio::test]
async fn extra_fields_count_but_are_not_written() {
    let (_dir, path) = place();
    let with = |value: &str| {
        let mut request = request("x");
        let body = json!({"user": value}).as_object().unwrap().clone();
        request.settings.extra_body = Some(Arc::new(body));
        request
    };
    record(&path, ScriptedLm::new(|_| "x"), &[with("sk-secret")]).await;
    assert!(!fs::read_to_string(&path).unwrap().contains("sk-secret"));
    let lm = Replay::open(&path).unwrap();
    lm.generate(&with("sk-secret")).await.unwrap();
    let error = lm.generate(&with("another")).await.unwrap_err();
    assert!(error.message.contains("extra_body"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn streams_are_recorded_and_replayed_in_pieces() {
    let (_dir, path) = place();
    let drip = Drip::new(&[(1, Ok("two w")), (1, Ok("ords\nand more"))]);
    let lm = Recorder::new(drip, &path).unwrap();
    let request = request("x");
    drop(lm.stream(&request).next().await);
    lm.stream(&request).collect::<Vec<_>>().await;
    let lm = Replay::open(&path).unwrap();
    let chunks: Vec<_> = lm.stream(&request).map(Result::unwrap).collect().await;
    let words: Vec<&str> = chunks
        .iter()
        .filter_map(|c| match c {
            LmChunk::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(words, ["two ", "words\n", "and ", "more"]);
    assert!(matches!(chunks.last(), Some(LmChunk::Done(r)) if text(r) == "two words\nand more"));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2, "a dropped one has no end");
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_written_over() {
    let (_dir, path) = place();
    record(&path, ScriptedLm::new(|_| "one"), &[request("x")]).await;
    let whole = fs::read(&path).unwrap();
    record(&path, ScriptedLm::new(|_| "two"), &[request("y")]).await;
    let both = fs::read(&path).unwrap();
    for cut in whole.len()..both.len() - 1 {
        fs::write(&path, &both[..cut]).unwrap();
        let lm = Replay::open(&path).unwrap();
        assert_eq!(text(&lm.generate(&request("x")).await.unwrap()), "one");
        assert!(lm.generate(&request("y")).await.is_err() || cut == both.len() - 1);
    }
    // Whole but for the line end.
    fs::write(&path, &both[..both.len() - 1]).unwrap();
    let lm = Replay::open(&path).unwrap();
    assert_eq!(text(&lm.generate(&request("y")).await.unwrap()), "two");
    fs::write(&path, &both[..both.len() - 5]).unwrap();
    record(&path, ScriptedLm::new(|_| "three"), &[request("z")]).await;
    let lm = Replay::open(&path).unwrap();
    assert_eq!(text(&lm.generate(&request("z")).await.unwrap()), "three");
    assert!(lm.generate(&request("y")).await.is_err());
}

#[tokio::test]
async fn other_files_are_refused_and_damage_is_told_with_its_line() {
    let (_dir, path) = place();
    record(&path, ScriptedLm::new(|_| "one"), &[request("x"), request("y")]).await;
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let newer = good.replace("\"teleprompt_recording\":1", "\"teleprompt_recording\":2");
    let damaged = format!("{}\nnonsense\n{}\n", lines[0], lines[2]);
    let no_outcome = format!("{}\n{}\n", lines[0], lines[1].replace("\"response\"", "\"other\""));
    let cases: [(&str, &str); 6] = [
        ("", "no recording"),
        ("a text\n", "no recording"),
        ("a text", "no recording"),
        (&newer, "format 2"),
        (&damaged, ":2: this line is damaged"),
        (&no_outcome, ":2: this line is damaged"),
    ];
    for (text, message) in cases {
        fs::write(&path, text).unwrap();
        let error = Replay::open(&path).unwrap_err();
        assert!(matches!(&error, Error::Data(m) if m.contains(message)), "{message}: {error}");
        if !text.is_empty() {
            let error = Recorder::new(ScriptedLm::new(|_| ""), &path).unwrap_err();
            assert!(error.to_string().contains(message), "{message}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is overwritten");
        }
    }
    assert!(matches!(Replay::open(path.with_extension("none")), Err(Error::Io { .. })));
}

#[tokio::test]
async fn the_abilities_are_those_of_the_recorded_lm() {
    let (_dir, path) = place();
    let can = Capabilities::none()
        .with_json_schema(true)
        .with_lark(true)
        .with_tools(true)
        .with_context_window(99)
        .with_max_output(7);
    record(&path, ScriptedLm::new(|_| "x").with_capabilities(can), &[]).await;
    assert_eq!(Replay::open(&path).unwrap().capabilities(), can);
}

#[tokio::test]
async fn each_line_is_there_as_soon_as_the_call_is_over() {
    let (_dir, path) = place();
    let lm = Recorder::new(ScriptedLm::new(|_| "one"), &path).unwrap();
    for lines in 2..5 {
        lm.generate(&request("x")).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines);
    }
    let mut readable = fs::File::options().append(true).open(&path).unwrap();
    readable.write_all(b"{\"key\"").unwrap();
    assert!(Replay::open(&path).is_ok(), "while it is being written");
}
