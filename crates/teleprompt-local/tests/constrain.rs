//! Constraints and log-probabilities on the real model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::{ask, classify, config, fresh, lark, probability, run, schema, shared, text, with};
use futures::executor::block_on;
use serde_json::{Value, json};
use teleprompt_core::{FinishReason, Lm, LmErrorKind};

#[test]
fn labels_are_one_of_the_grammars() {
    let Some(lm) = shared() else { return };
    for (input, temperature) in [("What a joy!", 0.0), ("I hate it.", 0.0), ("Hm.", 2.0)] {
        let request = with(classify("mood", 4, input), |r| {
            r.settings.temperature = Some(temperature);
            r.n = 3;
        });
        for completion in run(&lm, &request).completions {
            assert!(["positive", "negative"].contains(&completion.text.as_str()));
            assert_eq!(completion.finish, FinishReason::Stop);
        }
    }
    let negative = |input| probability(&run(&lm, &classify("mood", 6, input)), "negative");
    let (bad, good) = (negative("It was awful."), negative("It was wonderful."));
    assert!(bad > good + 0.1, "{bad} {good}");
}

#[test]
fn label_probabilities_sum_to_one() {
    let Some(lm) = shared() else { return };
    let completion = run(&lm, &classify("mood", 2, "Fine.")).completions.remove(0);
    let logprobs = completion.logprobs.unwrap();
    let first = &logprobs[0];
    let sum: f32 = first.top.iter().map(|(_, logprob)| logprob.exp()).sum();
    assert!((sum - 1.0).abs() < 0.05, "{first:?}");
    assert_eq!((&first.token, first.logprob), (&first.top[0].0, first.top[0].1));
    // What is forced is certain.
    assert!(logprobs[1..].iter().all(|l| l.logprob == 0.0));
    let tokens: String = logprobs.iter().map(|l| l.token.as_str()).collect();
    assert_eq!(tokens, completion.text);
}

#[test]
fn free_logprobs_are_ordered_and_consistent() {
    let Some(lm) = shared() else { return };
    let request = with(ask("What is the capital of France?"), |r| {
        r.settings.logprobs = Some(4);
        r.settings.max_tokens = Some(8);
    });
    for token in run(&lm, &request).completions.remove(0).logprobs.unwrap() {
        assert_eq!(token.top.len(), 4);
        assert_eq!((&token.token, token.logprob), (&token.top[0].0, token.top[0].1));
        assert!(token.top.is_sorted_by(|a, b| a.1 >= b.1) && token.logprob <= 0.0);
    }
}

/// Whether a reply satisfies the schemas of this file; a JSON schema library would be a heavy
/// dependency for it.
fn fits(schema: &Value, value: &Value) -> bool {
    if let Some(allowed) = schema["enum"].as_array() {
        return allowed.contains(value);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().unwrap();
            value.as_object().is_some_and(|object| {
                properties.iter().all(|(k, s)| object.get(k).is_some_and(|v| fits(s, v)))
                    && object.keys().all(|k| properties.contains_key(k))
            })
        }
        Some("array") => value.as_array().is_some_and(|items| {
            items.len() as u64 <= schema["maxItems"].as_u64().unwrap()
                && items.len() as u64 >= schema["minItems"].as_u64().unwrap_or(0)
                && items.iter().all(|item| fits(&schema["items"], item))
        }),
        Some("integer") => value.as_i64().is_some_and(|n| {
            n >= schema["minimum"].as_i64().unwrap_or(i64::MIN)
                && n <= schema["maximum"].as_i64().unwrap_or(i64::MAX)
        }),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        _ => panic!("{schema}"),
    }
}

fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

#[test]
fn json_replies_always_fit_their_schema() {
    let Some(lm) = shared() else { return };
    let label = json!({"enum": ["joy", "anger", "fear", "none of these"]});
    let schemas = [
        object(json!({"label": label})),
        object(json!({"stars": {"type": "integer", "minimum": 1, "maximum": 5}})),
        object(json!({
            "person": object(json!({
                "name": {"type": "string", "maxLength": 12},
                "age": {"type": "integer", "minimum": 0, "maximum": 130},
            })),
            "happy": {"type": "boolean"},
            "label": label,
        })),
        json!({
            "type": "array", "minItems": 1, "maxItems": 2,
            "items": object(json!({"tag": {"type": "string", "maxLength": 8}})),
        }),
    ];
    for schema_of in &schemas {
        for temperature in [0.0, 1.5] {
            let request = with(ask("Ann, 34, loves her new phone. As JSON:"), |r| {
                r.constraint = schema(schema_of.clone());
                r.settings.temperature = Some(temperature);
                r.n = if temperature > 0.0 { 3 } else { 1 };
                r.settings.max_tokens = Some(200);
            });
            for completion in run(&lm, &request).completions {
                let value: Value = serde_json::from_str(&completion.text)
                    .unwrap_or_else(|e| panic!("{e}: {:?}", completion.text));
                assert!(fits(schema_of, &value), "{value} against {schema_of}");
                assert_eq!(completion.finish, FinishReason::Stop);
            }
        }
    }
}

#[test]
fn a_reply_without_choice_costs_no_computation() {
    let Some(lm) = fresh(config()) else { return };
    let forced = "This is what the grammar says, word for word, and nothing else at all.";
    let request = with(ask(&"word ".repeat(1500)), |r| {
        r.constraint = lark(&format!("start: \"{forced}\""));
    });
    let started = Instant::now();
    let response = run(&lm, &request);
    assert_eq!(response.completions[0].text, forced);
    assert!(response.usage.completion_tokens > 10);
    // Reading the prompt alone would take several seconds.
    assert!(started.elapsed().as_millis() < 2000, "{:?}", started.elapsed());
}

#[test]
fn a_constrained_reply_may_be_cut_off() {
    let Some(lm) = shared() else { return };
    let request = with(ask("Go."), |r| {
        r.constraint = lark("start: \"value: \" /[a-z ]{500}/");
        r.settings.max_tokens = Some(6);
    });
    let completion = run(&lm, &request).completions.remove(0);
    assert_eq!(completion.finish, FinishReason::Length);
    assert!(completion.text.starts_with("value: "));
}

#[test]
fn free_text_inside_a_grammar_reaches_its_end() {
    let Some(lm) = shared() else { return };
    let request = with(ask("Is the sky blue?"), |r| {
        r.constraint =
            lark("start: \"reason: \" /[^\\n]{1,60}/ \"\\nanswer: \" (\"yes\" | \"no\")");
    });
    let reply = text(&lm, &request);
    let (reason, answer) = reply.split_once("\nanswer: ").unwrap();
    assert!(reason.starts_with("reason: ") && ["yes", "no"].contains(&answer), "{reply}");
}

#[test]
fn a_broken_grammar_is_a_typed_error_and_the_engine_goes_on() {
    let Some(lm) = shared() else { return };
    let broken = [
        (lark("start: \"a"), "lexer error"),
        (lark("start: missing_rule"), "missing_rule"),
        (lark(""), "Empty grammar"),
        (schema(json!({"type": "no such type"})), "Invalid type: no such type"),
    ];
    for (constraint, part) in broken {
        let request = with(ask("x"), |r| r.constraint = constraint);
        let error = block_on(lm.generate(&request)).unwrap_err();
        assert_eq!(error.kind, LmErrorKind::InvalidRequest, "{error}");
        assert!(error.message.contains(part) && !error.message.contains('\n'), "{error}");
    }
    assert!(!text(&lm, &classify("mood", 1, "Good.")).is_empty());
}

#[test]
fn a_label_bias_decides_the_first_free_token_and_nothing_else() {
    let Some(lm) = shared() else { return };
    let labels = r#"start: "[[ ## label ## ]]\n" ("red" | "green" | "blue")"#;
    let request = with(ask("Name a colour."), |r| r.constraint = lark(labels));
    let biased = |label: &str| {
        let bias = [(Arc::from(label), 50.0)].into();
        with(request.clone(), |r| r.label_bias = Some(Arc::new(bias)))
    };
    for label in ["red", "green", "blue"] {
        let text = run(&lm, &biased(label)).completions[0].text.clone();
        assert_eq!(text, format!("[[ ## label ## ]]\n{label}"));
    }
    let plain = run(&lm, &request).completions[0].text.clone();
    let none = with(request.clone(), |r| r.label_bias = Some(Arc::default()));
    assert_eq!(run(&lm, &none).completions[0].text, plain);
}
