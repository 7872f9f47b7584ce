use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use teleprompt::lm::{Cached, History, HistoryConfig, HistoryEntry, Priced, Traced};
use teleprompt::{
    Capabilities, Completion, Lm, LmErrorKind, LmRequest, Media, Message, Part, Price, Reasoning,
    ToolCall,
};
use teleprompt_testkit::ScriptedLm;

use super::support::{answering, failing, request};

#[tokio::test]
async fn the_last_calls_are_there_hits_failures_and_dropped_ones_too() {
    let history = History::new();
    let priced = Priced::at(answering("m"), Price::per_million(1.0, 1.0));
    let lm = Traced::new(Cached::in_memory(priced)).with_history(history.clone());
    lm.generate(&request("first")).await.unwrap();
    lm.stream(&request("first")).collect::<Vec<_>>().await;
    let bad = Traced::new(failing("bad", LmErrorKind::Server)).with_history(history.clone());
    bad.generate(&request("second")).await.unwrap_err();
    let slow = answering("slow").with_delay(Duration::from_secs(9));
    let slow = Traced::new(slow).with_history(history.clone());
    let third = request("third");
    let cut = tokio::time::timeout(Duration::from_millis(5), slow.generate(&third));
    cut.await.unwrap_err();
    let calls = history.last(9);
    let lms: Vec<&str> = calls.iter().map(|c| c.lm.as_str()).collect();
    assert_eq!(lms, ["m", "m", "bad", "slow"]);
    assert_eq!([calls[0].cache_hit(), calls[1].cache_hit()], [false, true]);
    assert_eq!(calls[0].completions, calls[1].completions);
    let kinds: Vec<_> = calls.iter().map(|c| c.error.as_ref().map(|e| &*e.kind)).collect();
    assert_eq!(kinds, [None, None, Some("server"), Some("cancelled")]);
    assert!(calls[3].duration_ms >= 5 && calls[0].unix_ms > 1_700_000_000_000);
    let shown = calls[0].to_string();
    assert!(shown.contains("## user\nfirst\n\n## assistant\nfrom m\n"), "{shown}");
    assert!(shown.contains(" UTC · m · ") && shown.contains("1 + 2 tokens"), "{shown}");
    assert!(shown.contains("cost $0.000003"), "{shown}");
    assert!(calls[1].to_string().contains("from the cache"));
    assert!(calls[2].to_string().contains("## error (server)\nserver for the test"));
    assert_eq!(history.last(2).len(), 2);
    assert_eq!(history.last(2)[1].lm, "slow");
    history.clear();
    assert!(history.is_empty());
}

#[tokio::test]
async fn it_is_bounded_in_calls_and_bytes() {
    let ask = async |config, prompt: &str| {
        let history = History::with_config(config);
        let lm = Traced::new(answering("m")).with_history(history.clone());
        for _ in 0..50 {
            lm.generate(&request(prompt)).await.unwrap();
        }
        history.len()
    };
    let bounds = |calls, bytes| HistoryConfig { calls, bytes };
    assert_eq!(ask(bounds(7, usize::MAX), "x").await, 7);
    let kept = ask(bounds(usize::MAX, 100_000), &"x".repeat(10_000)).await;
    assert!((7..=9).contains(&kept), "{kept} calls of 10 kB in 100 kB");
    assert_eq!(ask(bounds(9, 1000), &"x".repeat(10_000)).await, 0);
    assert_eq!(ask(bounds(0, usize::MAX), "x").await, 0);
}

#[tokio::test]
async fn bytes_of_media_and_probabilities_are_left_out() {
    let history = History::new();
    let answer = Completion {
        logprobs: Some(vec![]),
        reasoning: Some(Reasoning { text: "hm".into(), signature: None }),
        tool_calls: vec![ToolCall::new("1", "add", r#"{"a":1}"#)],
        ..Completion::text("done")
    };
    let able = Capabilities::none().with_media(true);
    let lm = ScriptedLm::new(move |_| answer.clone()).with_capabilities(able);
    let lm = Traced::new(lm).with_history(history.clone());
    let image = Part::Image(Media::data(vec![7_u8; 5000], "image/png"));
    let linked = Part::Image(Media::url("https://example.org/a.png", "image/png"));
    let mut asked = LmRequest::new(vec![Message::user([Part::text("look"), image, linked])]);
    asked.settings.temperature = Some(0.5);
    lm.generate(&asked).await.unwrap();
    let entry = history.last(1).remove(0);
    let json = serde_json::to_string(&*entry).unwrap();
    assert!(json.len() < 2000 && json.contains("[image/png, 5000 bytes]"), "{json}");
    assert!(!json.contains("logprobs"), "{json}");
    assert_eq!(serde_json::from_str::<HistoryEntry>(&json).unwrap(), *entry);
    let shown = entry.to_string();
    for part in ["look\n", "example.org", "[thought: hm]", r#"[calls add({"a":1})]"#, "0.5"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn a_sink_gets_every_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let none = HistoryConfig { calls: 0, ..HistoryConfig::default() };
    let history = History::with_sink(none, move |e| sink.lock().unwrap().push(e.lm.clone()));
    let lm = Traced::new(answering("m")).with_history(history.clone());
    lm.generate(&request("x")).await.unwrap();
    lm.generate(&request("x")).await.unwrap();
    assert_eq!((seen.lock().unwrap().len(), history.len()), (2, 0));
}
