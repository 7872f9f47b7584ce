//! How outputs are decided from probabilities.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use teleprompt::adapter::JsonAdapter;
use teleprompt::optimize::propose::decide::{default_rule, fit};
use teleprompt::prelude::*;
use teleprompt::saved::SavedProgram;
use teleprompt::{
    Capabilities, Decision, Event, Evidence, EvidenceSource, Labels, LmRequest, Parameters,
    ProgramState, Repair, Rule, Streamed, TraceRecorder, bind,
};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::context;

fn decided(field: &str, from: EvidenceSource, rule: Rule) -> Parameters {
    let decisions = [(field.into(), Decision { from, rule })].into();
    Parameters { decisions, ..Parameters::default() }
}

/// Says `false` at a probability of 0.6.
fn shy() -> ScriptedLm {
    let reply = |_: &LmRequest| {
        let why: &[(&str, f32)] = &[("It", 0.9), ("true", 0.1)];
        Reply::tokens(&[
            ("[[ ## why ## ]]\n", &[]),
            ("It", why),
            (" looks so.\n\n[[ ## ok ## ]]\n", &[]),
            ("false", &[("false", 0.6), ("true", 0.3), ("tr", 0.1)]),
        ])
    };
    let able = Capabilities::none().with_logprobs(true);
    ScriptedLm::new(reply).with_capabilities(able).recording()
}

#[tokio::test]
async fn a_bool_is_decided_by_log_probabilities_and_the_evidence_is_kept() {
    let lm = shy();
    let rule = Rule::Threshold(0.35);
    let program = Predict::of("q -> why, ok: bool").unwrap().with_parameters(decided(
        "ok",
        EvidenceSource::Logprobs,
        rule,
    ));
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    let prediction = program.call(&cx, record! { q: "?" }).await.unwrap();
    assert_eq!(prediction["ok"], true);
    assert_eq!(prediction.completions[0].fields["ok"], true);
    assert!(prediction.flags().is_empty());
    let evidence = &prediction.evidence["ok"];
    assert_eq!(evidence.said, false);
    assert!((evidence.labels["true"] - 0.4).abs() < 1e-5, "{evidence:?}");
    assert_eq!(lm.requests()[0].settings.logprobs, Some(20));
    // Enough to decide anew, also when read from a file.
    let step = &trace.steps()[0];
    assert_eq!((&step.outputs["ok"], &step.evidence), (&true.into(), &prediction.evidence));
    let read: teleprompt::TraceStep = serde_json::from_value(json!(step)).unwrap();
    assert_eq!(&read, step);
}

#[tokio::test]
async fn the_json_form_is_read_as_well() {
    let lm = ScriptedLm::new(|_: &LmRequest| {
        Reply::tokens(&[
            ("{\"kind\":", &[]),
            (" \"", &[(" \"", 1.0)]),
            ("bill", &[("bill", 0.5), ("tech", 0.4), ("te", 0.1)]),
            ("ing\"}", &[]),
        ])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true));
    let rule = Rule::Weights([("technical".into(), 1.5)].into());
    let program = Predict::of(r#"q -> kind: enum["billing", "technical"]"#)
        .unwrap()
        .with_parameters(decided("kind", EvidenceSource::Logprobs, rule));
    let cx = context(&lm).with_adapter(Arc::new(JsonAdapter));
    let prediction = program.call(&cx, record! { q: "?" }).await.unwrap();
    assert_eq!(
        (&prediction["kind"], &prediction.evidence["kind"].said),
        (&"technical".into(), &"billing".into())
    );
}

#[tokio::test]
async fn without_evidence_the_lms_value_stands_with_a_flag() {
    // It claims nothing, so it is not asked for log-probabilities; and one that claims them gives none.
    for able in [Capabilities::none(), Capabilities::none().with_logprobs(true)] {
        let lm = ScriptedLm::replies(["[[ ## ok ## ]]\nfalse"]).with_capabilities(able).recording();
        let rule = Rule::Threshold(0.0);
        let program = Predict::of("q -> ok: bool").unwrap().with_parameters(decided(
            "ok",
            EvidenceSource::Logprobs,
            rule,
        ));
        let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
        assert_eq!(prediction["ok"], false);
        let flags: Vec<_> = prediction.flags().iter().map(|f| (&*f.field, f.repair)).collect();
        assert_eq!(flags, [("ok", Repair::NoEvidence)]);
        let nothing = Evidence { said: false.into(), labels: [].into() };
        assert_eq!(prediction.evidence["ok"], nothing);
        assert_eq!(lm.requests()[0].settings.logprobs.is_some(), able.logprobs);
    }
}

#[tokio::test]
async fn what_the_model_states_decides() {
    let cases = [
        ("ok: bool", "true", "0.4", Rule::Threshold(0.5), json!(false), 0),
        ("ok: bool", "true", "0.5", Rule::Threshold(0.5), json!(true), 0),
        ("ok: bool", "true", "7", Rule::Threshold(0.5), json!(true), 1),
        (r#"ok: enum["a", "b"]"#, "a", "0.4", Rule::Weights([].into()), json!("b"), 0),
        (r#"ok: enum["a", "b"]"#, "a", "0.5", Rule::Weights([].into()), json!("a"), 0),
        // The expected level is 0.8 * 2 + 0.1 * 1 from 1.
        ("ok: int(1..3)", "3", "0.8", Rule::Cuts(vec![0.5, 1.7]), json!(3), 0),
        ("ok: int(1..3)", "3", "0.8", Rule::Cuts(vec![0.5, 1.71]), json!(2), 0),
    ];
    for (field, said, p, rule, expected, flags) in cases {
        let reply = format!("[[ ## ok ## ]]\n{said}\n\n[[ ## p ## ]]\n{p}");
        let lm = ScriptedLm::replies([reply]).recording();
        let from = EvidenceSource::Stated { field: "p".into() };
        let program = Predict::of(format!("q -> {field}, p: float").as_str())
            .unwrap()
            .with_parameters(decided("ok", from, rule));
        let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
        assert_eq!(prediction["ok"], expected, "{field} {said} {p}");
        assert_eq!(prediction.flags().len(), flags, "{field} {said} {p}");
        assert_eq!(lm.requests()[0].settings.logprobs, None);
    }
}

/// The LM reports what it chose from, after the bias; that is what is decided on.
#[tokio::test]
async fn evidence_is_taken_after_the_label_bias() {
    let lm = ScriptedLm::new(|request: &LmRequest| {
        let bias = request.label_bias.as_ref().map_or(0.0, |b| b["no"]);
        let no = 0.2 * bias.exp();
        let (yes, no) = (0.8 / (0.8 + no), no / (0.8 + no));
        let said = if yes > no { "yes" } else { "no" };
        Reply::tokens(&[("[[ ## a ## ]]\n", &[]), (said, &[("yes", yes), ("no", no)])])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true).with_label_bias(true));
    let label_bias = [("yes".into(), 0.0), ("no".into(), 8f32.ln())].into();
    let rule = Rule::Weights([].into());
    let parameters = Parameters { label_bias, ..decided("a", EvidenceSource::Logprobs, rule) };
    let program = Predict::of(r#"q -> a: enum["yes", "no"]"#).unwrap().with_parameters(parameters);
    let prediction = program.call(&context(&lm), record! { q: "?" }).await.unwrap();
    let evidence = &prediction.evidence["a"];
    assert_eq!((&evidence.said, &prediction["a"]), (&"no".into(), &"no".into()));
    assert!((evidence.labels["no"] - 1.6 / 2.4).abs() < 1e-4, "{evidence:?}");
}

#[tokio::test]
async fn who_streams_is_told_the_decided_value() {
    let lm = shy();
    let program = Predict::of("q -> why, ok: bool").unwrap().with_parameters(decided(
        "ok",
        EvidenceSource::Logprobs,
        Rule::Threshold(0.35),
    ));
    let cx = context(&lm);
    let streamed: Vec<_> = program.stream(&cx, record! { q: "?" }).collect().await;
    let mut told = streamed.iter().filter_map(|s| match s {
        Ok(Streamed::Event(Event::Field { field, value, .. })) if **field == *"ok" => Some(value),
        _ => None,
    });
    assert_eq!(told.next_back(), Some(&true.into()));
}

#[tokio::test]
async fn a_decision_that_does_not_fit_is_told_before_a_call() {
    let lm = shy();
    let cases = [
        ("okay", EvidenceSource::Logprobs, Rule::Threshold(0.5), "no output; did you mean `ok`?"),
        ("why", EvidenceSource::Logprobs, Rule::Threshold(0.5), "cannot be decided"),
        ("ok", EvidenceSource::Logprobs, Rule::even_cuts(2), "cuts are for"),
        (
            "ok",
            EvidenceSource::Stated { field: "why".into() },
            Rule::Threshold(0.5),
            "`why` must be a float",
        ),
    ];
    for (field, from, rule, part) in cases {
        let parameters = decided(field, from, rule);
        let program =
            Predict::of("q -> why, ok: bool").unwrap().with_parameters(parameters.clone());
        let error = program.call(&context(&lm), record! { q: "?" }).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        // Nor is it loaded.
        let mut saved = SavedProgram::of(&bind(&Predict::of("q -> why, ok: bool").unwrap()));
        saved.predictors.get_mut("predict").unwrap().parameters = parameters;
        let fresh = Predict::of("q -> why, ok: bool").unwrap();
        let error = saved.state_for(&bind(&fresh)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(lm.calls(), 0);
}

/// The whole way: record runs, fit on what was recorded, lay the rule over the program.
#[tokio::test]
async fn a_rule_is_fitted_on_recorded_traces_without_a_call() {
    // It knows, but is shy: the probability of true is a tenth of the number.
    let lm = ScriptedLm::new(|request: &LmRequest| {
        let question = request.messages.last().unwrap().content.to_string();
        let n: f32 = question.lines().last().unwrap().parse().unwrap();
        let p = n / 100.0;
        Reply::tokens(&[("[[ ## big ## ]]\n", &[]), ("false", &[("false", 1.0 - p), ("true", p)])])
    })
    .with_capabilities(Capabilities::none().with_logprobs(true));
    let signature: Signature = "n: int -> big: bool".parse().unwrap();
    let labels = Labels::of(&signature.outputs()[0].ty).unwrap();
    let start = default_rule(&labels);
    let program = Predict::of(signature).unwrap().with_parameters(decided(
        "big",
        EvidenceSource::Logprobs,
        start.clone(),
    ));
    let trace = TraceRecorder::new();
    let cx = context(&lm).with_trace(trace.clone());
    for n in 1..=30 {
        program.call(&cx, record! { n: n }).await.unwrap();
    }
    let calls = lm.calls();
    let rows: Vec<Evidence> = trace.steps().iter().map(|s| s.evidence["big"].clone()).collect();
    let right = |row: usize, value: &Value| f64::from(*value == (row >= 15));
    let fitted = fit(&labels, &rows, &right, &start, 7).unwrap();
    assert_eq!(lm.calls(), calls);
    assert!(fitted.accepted, "{fitted:?}");
    assert_eq!((fitted.before, fitted.after), (0.5, 1.0));
    let mut state = ProgramState::default();
    state.insert("predict", decided("big", EvidenceSource::Logprobs, fitted.rule));
    let tuned = Tuned::new(program, state);
    for (n, big) in [(3, false), (29, true)] {
        assert_eq!(tuned.call(&cx, record! { n: n }).await.unwrap()["big"], big);
    }
}
