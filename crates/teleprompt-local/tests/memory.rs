//! What stays in memory between requests, and files that are no models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{ask, classify, config, fresh, model, probability, run, text, with};
use teleprompt_core::LmErrorKind;
use teleprompt_local::{EngineConfig, KvCache, LocalLm};

#[test]
fn a_shared_prefix_is_computed_once_and_answers_stay() {
    let Some(lm) = fresh(config()) else { return };
    let inputs = ["It was wonderful.", "It was awful.", "It was quite good, I think."];
    let first = run(&lm, &classify("film", 12, inputs[0]));
    assert_eq!(first.usage.cached_prompt_tokens, 0);
    for input in inputs {
        let warm = run(&lm, &classify("film", 12, input));
        let usage = warm.usage;
        assert!(usage.cached_prompt_tokens + 16 > usage.prompt_tokens, "{usage:?}");
        assert!(usage.cached_prompt_tokens < usage.prompt_tokens);
    }
    // Other batches give other last digits, not other answers.
    let warm = run(&lm, &classify("film", 12, inputs[0]));
    let negative = |response| probability(response, "negative");
    let difference = negative(&first) - negative(&warm);
    assert!(difference.abs() < 0.1, "{difference}");
    assert_eq!(first.completions[0].text, warm.completions[0].text);
}

#[test]
fn three_prefixes_in_turn_all_stay() {
    let three = EngineConfig { slots: 3, ..config() };
    let Some(lm) = fresh(three) else { return };
    for round in 0..4 {
        for kind in ["film", "food", "hotel"] {
            let usage = run(&lm, &classify(kind, 6, &format!("Round {round}."))).usage;
            let known = usage.cached_prompt_tokens + 16 > usage.prompt_tokens;
            assert!(round == 0 || known, "{kind} in round {round}: {usage:?}");
        }
    }
}

#[test]
fn a_conversation_is_continued_not_repeated() {
    let Some(lm) = fresh(config()) else { return };
    let mut request = with(ask("Name a fruit."), |r| r.settings.max_tokens = Some(20));
    let first = run(&lm, &request);
    let reply = first.completions[0].text.clone();
    request.messages.push(teleprompt_core::Message::assistant(reply));
    request.messages.push(teleprompt_core::Message::user("Another one."));
    let usage = run(&lm, &request).usage;
    let known = first.usage.prompt_tokens + first.usage.completion_tokens - 2;
    assert!(usage.cached_prompt_tokens >= known, "{usage:?} after {:?}", first.usage);
}

#[test]
fn memory_that_runs_out_is_taken_from_old_prompts() {
    let small = EngineConfig { context_length: Some(256), batch: 128, ..config() };
    let Some(lm) = fresh(small) else { return };
    for round in 0..2 {
        for kind in ["film", "food", "hotel"] {
            let request = classify(kind, 5, &format!("Round {round}: wonderful."));
            let usage = run(&lm, &request).usage;
            assert!(usage.prompt_tokens > 128, "two prompts would fit: {usage:?}");
        }
    }
    let many = with(classify("film", 5, "Fine."), |r| r.n = 6);
    assert_eq!(run(&lm, &many).completions.len(), 6);
}

#[test]
fn an_eight_bit_cache_answers_too() {
    let q8 = EngineConfig { kv_cache: KvCache::Q8, ..config() };
    let Some(lm) = fresh(q8) else { return };
    let negative = |lm, input| probability(&run(lm, &classify("film", 4, input)), "negative");
    let exact = fresh(config()).unwrap();
    for input in ["It was awful.", "It was wonderful."] {
        let (rough, exact) = (negative(&lm, input), negative(&exact, input));
        assert!((rough - exact).abs() < 0.1, "{rough} {exact}");
    }
}

#[test]
fn many_callers_at_once_all_get_their_own_answer() {
    let Some(lm) = fresh(config()) else { return };
    std::thread::scope(|scope| {
        for i in 0..8 {
            let lm = lm.clone();
            scope.spawn(move || {
                let request = with(ask("x"), |r| {
                    r.constraint = common::lark(&format!("start: \"number {i}\" | \"{i}\""));
                });
                assert!(text(&lm, &request).contains(&i.to_string()));
            });
        }
    });
}

#[test]
fn a_cut_off_file_is_a_typed_error() {
    let Some(path) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gguf");
    let whole = std::fs::read(&path).unwrap();
    for part in [1000, whole.len() / 50, whole.len() - 1000] {
        std::fs::write(&cut, &whole[..part]).unwrap();
        let error = LocalLm::load("local:cut", &cut, config()).unwrap_err();
        assert_eq!(error.kind, LmErrorKind::Model, "{error}");
        assert!(error.message.contains("delete it and pull it again"), "{error}");
        assert!(error.message.contains("cut.gguf"), "{error}");
    }
}

#[test]
fn senseless_settings_are_a_typed_error() {
    let Some(path) = model() else { return };
    let config = EngineConfig { slots: 1000, ..config() };
    let error = LocalLm::load("local:x", &path, config).unwrap_err();
    assert_eq!(error.kind, LmErrorKind::InvalidRequest);
    assert!(error.message.contains("slots"), "{error}");
}
