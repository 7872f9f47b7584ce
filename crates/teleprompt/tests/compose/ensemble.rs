use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use teleprompt::adapter::ChatAdapter;
use teleprompt::optimize::compose::{Ensemble, Vote};
use teleprompt::prelude::*;
use teleprompt::{LmError, LmErrorKind, LmRequest, LmResponse, TraceRecorder, Usage};
use teleprompt_testkit::scripted::{Reply, ScriptedLm};

use super::support::{TwoSteps, answers, ask, context, instructed, paths, qa, section, text, told};

/// Members that say who they are in their prompt: `member 0`, `member 1`, …
fn named(n: usize) -> Vec<Program> {
    (0..n).map(|i| Program::new(qa().with_instructions(format!("member {i}.")))).collect()
}

fn number(request: &LmRequest) -> usize {
    let prompt = text(request);
    let after = prompt.split("member ").nth(1).unwrap();
    after.split('.').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn members_vote_and_those_that_fail_do_not() {
    let lm = ScriptedLm::new(|r: &LmRequest| match number(r) {
        0 => Reply::error(LmErrorKind::Server),
        1 => section("answer", "Rome").into(),
        _ => section("answer", "paris").into(),
    });
    let ensemble = Ensemble::new(named(4)).unwrap().vote(Vote::majority("answer"));
    let cx = context(&lm);
    let prediction = ensemble.call(&cx, ask()).await.unwrap();
    assert_eq!(prediction["answer"], "paris");
    assert_eq!(prediction.completions.len(), 1);
    assert_eq!(prediction.usage, cx.meter().usage());
    assert_eq!((lm.calls(), prediction.usage.calls), (4, 3));
}

#[tokio::test]
async fn usage_is_the_sum_of_all_members() {
    let one = qa().call(&context(&answers(["x"])), ask()).await.unwrap().usage;
    let lm = answers(["x", "y", "z"]);
    let members = (0..3).map(|_| Program::new(qa())).collect();
    let usage = Ensemble::new(members).unwrap().call(&context(&lm), ask()).await.unwrap().usage;
    let mut three = Usage::default();
    (0..3).for_each(|_| three += one);
    assert_eq!(usage, three);
}

#[tokio::test]
async fn all_failed_is_the_first_error_and_a_fatal_one_ends_it() {
    let fail = |kinds: [LmErrorKind; 3]| {
        let lm = ScriptedLm::new(move |r: &LmRequest| {
            let message = format!("failure {}", number(r));
            Reply::Error(LmError::new(kinds[number(r)], "scripted", message))
        });
        async move {
            let ensemble = Ensemble::new(named(3)).unwrap();
            ensemble.call(&context(&lm), ask()).await.unwrap_err()
        }
    };
    use LmErrorKind::{Auth, Server};
    let error = fail([Server; 3]).await;
    assert!(error.to_string().contains("failure 0"), "{error}");
    let error = fail([Server, Auth, Server]).await;
    assert!(error.is_fatal() && error.to_string().contains("failure 1"), "{error}");
}

#[test]
fn an_ensemble_without_members_is_refused() {
    assert!(matches!(Ensemble::new(vec![]), Err(Error::Config(_))));
}

/// Which members were asked, a call.
async fn asked(seed: u64, rollout: u64, question: &str, size: usize) -> BTreeSet<usize> {
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "x")).recording();
    let ensemble = Ensemble::new(named(8)).unwrap().size(size);
    let cx = context(&lm).with_seed(seed).with_rollout(rollout);
    ensemble.call(&cx, record! { question: question }).await.unwrap();
    let all: BTreeSet<usize> = lm.requests().iter().map(number).collect();
    assert_eq!(all.len() as u64, lm.calls());
    all
}

#[tokio::test]
async fn a_sample_of_members_depends_on_seed_rollout_and_inputs_alone() {
    let base = asked(1, 0, "a", 3).await;
    assert_eq!(base.len(), 3);
    for _ in 0..3 {
        assert_eq!(asked(1, 0, "a", 3).await, base);
    }
    let mut by_seed = BTreeSet::new();
    let mut by_rollout = BTreeSet::new();
    let mut by_question = BTreeSet::new();
    for i in 0..6 {
        by_seed.insert(asked(i, 0, "a", 3).await);
        by_rollout.insert(asked(1, i, "a", 3).await);
        by_question.insert(asked(1, 0, &i.to_string(), 3).await);
    }
    assert!(by_seed.len() > 1 && by_rollout.len() > 1 && by_question.len() > 1);
    assert_eq!(asked(1, 0, "a", 0).await.len(), 1);
    assert_eq!(asked(1, 0, "a", 99).await.len(), 8);
}

#[tokio::test]
async fn a_reduction_of_ones_own_chooses_by_place() {
    let last = |all: &[Prediction]| all.len().checked_sub(1);
    let ensemble = Ensemble::new(named(3)).unwrap().reduce(last);
    let prediction = ensemble.call(&context(&answers(["x", "y", "z"])), ask()).await.unwrap();
    assert_eq!(prediction["answer"], "z");
    let ensemble = Ensemble::new(named(3)).unwrap().reduce(|_| None);
    let error = ensemble.call(&context(&answers(["x", "y", "z"])), ask()).await.unwrap_err();
    assert!(error.to_string().contains("none of 3"), "{error}");
    let ensemble = Ensemble::new(named(3)).unwrap().reduce(|all| Some(all.len()));
    let error = ensemble.call(&context(&answers(["x", "y", "z"])), ask()).await.unwrap_err();
    assert!(error.to_string().contains("number 3 (from 0) of 3"), "{error}");
}

#[tokio::test]
async fn members_are_seen_and_tuned_each_under_its_own_path() {
    let members = vec![Program::new(TwoSteps::new()), Program::new(qa())];
    let program = Program::new(Ensemble::new(members).unwrap());
    assert_eq!(paths(&program), ["members[0].query", "members[0].answer", "members[1]"]);
    let lm = ScriptedLm::new(|r: &LmRequest| {
        let query = text(r).contains("[[ ## query ## ]] and");
        section(if query { "query" } else { "answer" }, "x")
    })
    .recording();
    let cx = context(&lm).with_candidate(Arc::new(instructed("members[1]", "Be brief.")));
    program.call(&cx, ask()).await.unwrap();
    let brief = |r: &&LmRequest| text(r).contains("Be brief.");
    assert_eq!((lm.calls(), lm.requests().iter().filter(brief).count()), (3, 1));
}

#[tokio::test]
async fn the_trace_has_the_steps_of_the_chosen_member() {
    let lm =
        ScriptedLm::new(|r: &LmRequest| section("answer", ["Rome", "Paris", "Paris"][number(r)]));
    let program = Program::new(Ensemble::new(named(3)).unwrap());
    let trace = TraceRecorder::new();
    program.call(&context(&lm).with_trace(trace.clone()), ask()).await.unwrap();
    assert_eq!(told(&trace), ["members[1] Paris"]);
}

#[tokio::test]
async fn one_program_several_times_keeps_what_is_laid_over_it() {
    let tuned = Program::new(Tuned::new(qa(), instructed("predict", "Be brief.")));
    let ensemble = Program::new(Ensemble::new(vec![tuned; 3]).unwrap());
    assert_eq!(paths(&ensemble), ["members[0]"]);
    let lm = answers(["x"; 3]);
    ensemble.call(&context(&lm), ask()).await.unwrap();
    assert!(lm.requests().iter().all(|r| text(r).contains("Be brief.")));
}

/// Answers only when three calls wait at the same time.
struct Meeting(tokio::sync::Barrier);

impl Lm for Meeting {
    async fn generate(&self, _: &LmRequest) -> Result<LmResponse, LmError> {
        self.0.wait().await;
        Ok(LmResponse::text(section("answer", "x")))
    }
}

#[tokio::test(start_paused = true)]
async fn members_run_at_the_same_time() {
    let lm = LmHandle::new(Meeting(tokio::sync::Barrier::new(3)));
    let cx = Context::new(lm, Arc::new(ChatAdapter));
    let ensemble = Ensemble::new(named(3)).unwrap();
    let run = ensemble.call(&cx, ask());
    let met = tokio::time::timeout(Duration::from_secs(60), run).await;
    assert_eq!(met.expect("they did not meet").unwrap()["answer"], "x");
}

#[tokio::test]
async fn an_ensemble_of_ensembles_works_in_spawned_tasks() {
    let inner = || Program::new(Ensemble::new(named(2)).unwrap());
    let program = Program::new(Ensemble::new(vec![inner(), inner()]).unwrap());
    assert_eq!(paths(&program)[3], "members[1].members[1]");
    let lm = ScriptedLm::new(|_: &LmRequest| section("answer", "x"));
    let cx = context(&lm);
    let run = tokio::spawn(async move { program.call(&cx, ask()).await });
    assert_eq!(run.await.unwrap().unwrap().usage.calls, 4);
}
