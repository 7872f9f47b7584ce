//! What every recipe must keep to, whatever it searches. Each check says in words what is broken.

use teleprompt::optimize::Report;
use teleprompt::optimize::study::CandidateFacts;
use teleprompt::prelude::*;

use super::cases::Case;
use super::lm::{Faults, ToyLm};
use super::run::{Done, Setup, compile, compile_in, context, untimed};
use super::toy::Toy;

type Check = Result<(), String>;

fn ensure(good: bool, what: impl FnOnce() -> String) -> Check {
    if good { Ok(()) } else { Err(what()) }
}

/// The ledger is what the LM itself counted, and the sum of its parts.
pub async fn ledger(case: &Case) -> Check {
    let toy = (case.toy)(1);
    for faults in [Faults::None, Faults::Fails, Faults::Babbles] {
        let setup = Setup { faults, ..Setup::default() };
        let done = compile(&(case.make)(), &toy, &setup).await?;
        books_agree(&done).map_err(|e| format!("{faults:?}: {e}"))?;
    }
    Ok(())
}

fn books_agree(done: &Done) -> Check {
    let (usage, count) = (done.report.usage, done.count);
    let ours = [usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.lost_attempts];
    let theirs = [count.answered, count.prompt_tokens, count.completion_tokens, count.failed];
    ensure(ours == theirs, || {
        format!(
            "calls, tokens in and out, lost calls are {ours:?} in the ledger, {theirs:?} in fact"
        )
    })?;
    ensure(usage.cache_hits == 0, || "there is no cache, but hits".into())?;
    let spent = done.report.spent;
    let mut sum = spent.evaluation;
    for part in [spent.teacher, spent.proposals, spent.metric, spent.report] {
        sum += part;
    }
    ensure(sum == usage, || format!("the parts are {sum:?}, the whole is {usage:?}"))
}

/// Every candidate has an origin, every decision a reason, and what was scored was decided on.
pub async fn reasons(case: &Case) -> Check {
    let done = compile(&(case.make)(), &(case.toy)(1), &Setup::default()).await?;
    let report = &done.report;
    for candidate in &report.candidates {
        explained(candidate)
            .map_err(|e| format!("{} ({}): {e}", candidate.candidate, candidate.origin))?;
    }
    let origin = &report.winner.origin;
    let known = report.candidates.iter().any(|c| c.origin == *origin);
    ensure(known || origin == "as written", || format!("the winner ({origin}) is in no journal"))?;
    let parents = report.candidates.iter().flat_map(|c| &c.parents);
    let baseline = teleprompt::optimize::Candidate::baseline().hash;
    for parent in parents {
        let known = report.candidates.iter().any(|c| c.candidate == *parent) || *parent == baseline;
        ensure(known, || format!("the parent {parent} is in no journal"))?;
    }
    Ok(())
}

fn explained(candidate: &CandidateFacts) -> Check {
    ensure(candidate.accepted.is_none() || !candidate.why.trim().is_empty(), || {
        format!("accepted: {:?}, without a reason", candidate.accepted)
    })?;
    ensure(candidate.scores.is_empty() || candidate.accepted.is_some(), || {
        "scored on validation examples, and neither taken nor turned down".into()
    })?;
    ensure(candidate.score.is_none_or(f64::is_finite), || format!("score {:?}", candidate.score))
}

/// The user's program is as it was, in its parameters and in what it answers.
pub async fn untouched(case: &Case) -> Check {
    let toy = (case.toy)(1);
    let answer = async || {
        let cx = context(ToyLm::new(toy.brain.clone(), Faults::None));
        let inputs = toy.test[0].inputs();
        toy.program.call(&cx, inputs).await.map(|p| p.output).map_err(|e| e.to_string())
    };
    let before = (toy.program.state().hash(), answer().await);
    compile(&(case.make)(), &toy, &Setup::default()).await?;
    let after = (toy.program.state().hash(), answer().await);
    ensure(before == after, || format!("{before:?} became {after:?}"))
}

/// The same seed gives the same report, in whatever order the answers arrive.
pub async fn same_seed(case: &Case) -> Check {
    let toy = (case.toy)(1);
    let once = async || compile(&(case.make)(), &toy, &Setup::default()).await;
    let first = untimed(&once().await?.report);
    for _ in 0..2 {
        let again = untimed(&once().await?.report);
        ensure(first == again, || difference(&first, &again))?;
    }
    Ok(())
}

fn difference(a: &serde_json::Value, b: &serde_json::Value) -> String {
    let names = a.as_object().into_iter().flat_map(|o| o.keys());
    let differ: Vec<&String> = names.filter(|name| a[*name] != b[*name]).collect();
    format!("two compiles with the same seed differ in {differ:?}")
}

/// A finished study, compiled again, asks nothing and says the same.
pub async fn replay(case: &Case) -> Check {
    let toy = (case.toy)(1);
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let setup = Setup::default();
    let first = compile_in(dir.path(), &(case.make)(), &toy, &setup).await?;
    let again = compile_in(dir.path(), &(case.make)(), &toy, &setup).await?;
    let paid = again.count.answered;
    ensure(paid == 0, || format!("{paid} calls were paid again"))?;
    ensure(untimed(&first.report) == untimed(&again.report), || "the report changed".into())
}

/// No gain is claimed, and the verdict says so.
fn says_no_gain(report: &Report) -> Check {
    ensure(!report.improved, || format!("a gain is claimed: {}", report.verdict))?;
    let says = ["no gain", "nothing beat", "no examples"];
    let honest = says.iter().any(|s| report.verdict.contains(s));
    ensure(honest, || format!("the verdict is {:?}", report.verdict))
}

/// Nothing to show, nothing to try, no labels, no examples, a single one.
pub async fn little(case: &Case) -> Check {
    let full = (case.toy)(1);
    let setup = Setup::default();
    let done = compile(&(case.bare)(), &full, &setup).await.map_err(|e| format!("bare: {e}"))?;
    books_agree(&done).map_err(|e| format!("bare: {e}"))?;
    let one = full.train[0].clone();
    let bare_input = |e: &Example| Example::new(e.inputs(), ["text"]);
    let unlabelled: Vec<Example> = full.train.iter().take(12).map(bare_input).collect();
    let empty = full.with_examples(Vec::new());
    let no_train = Toy { train: empty.train.clone(), ..full.clone() };
    let few = [
        ("no examples", empty),
        ("no train examples", no_train),
        ("one example", full.with_examples(vec![one])),
        ("no labels", full.with_examples(unlabelled)),
    ];
    for (what, toy) in few {
        let failed = |e: String| format!("{what}: {e}");
        let done = compile(&(case.make)(), &toy, &setup).await.map_err(failed)?;
        books_agree(&done).map_err(failed)?;
        let report = &done.report;
        if toy.test.is_empty() {
            let says = report.verdict.contains("no examples");
            ensure(says, || format!("{what}: the verdict is {:?}", report.verdict))?;
        }
        let fair = report.improved == (report.winner.score > report.baseline.score);
        ensure(fair || toy.test.is_empty(), || format!("{what}: {}", report.verdict))?;
    }
    Ok(())
}

/// A metric that fails.
struct Throws;

impl Metric for Throws {
    async fn score(&self, _: &Context, _: &Example, _: &Prediction) -> Result<Score> {
        Err(Error::Other("the metric is broken".into()))
    }
}

/// Metrics that give nothing to go by.
pub async fn metrics(case: &Case) -> Check {
    let toy = (case.toy)(1);
    let nan = toy.with_metric(|_: &Example, _: &Prediction| f64::NAN);
    let zero = toy.with_metric(|_: &Example, _: &Prediction| 0.0);
    for (what, toy, fails) in
        [("NaN", nan, true), ("throws", toy.with_metric(Throws), true), ("zero", zero, false)]
    {
        let failed = |e: String| format!("{what}: {e}");
        let done = compile(&(case.make)(), &toy, &Setup::default()).await.map_err(failed)?;
        books_agree(&done).map_err(failed)?;
        says_no_gain(&done.report).map_err(failed)?;
        let (report, n) = (&done.report, if fails { toy.test.len() } else { 0 });
        let counted = report.winner.failed == n && report.winner.score == 0.0;
        ensure(counted, || format!("{what}: {} failed of {n}", report.winner.failed))?;
    }
    Ok(())
}

/// An LM that fails now and then, and one that never says anything that can be read.
pub async fn lms(case: &Case) -> Check {
    let toy = (case.toy)(1);
    let setup = |faults| Setup { faults, ..Setup::default() };
    let done = compile(&(case.make)(), &toy, &setup(Faults::Fails)).await?;
    let report = &done.report;
    let fair = report.improved == (report.winner.score > report.baseline.score);
    ensure(fair, || {
        format!("{} to {}: {}", report.baseline.score, report.winner.score, report.verdict)
    })?;
    let n = report.baseline.n as f64;
    let share = report.baseline.failed as f64 / n;
    ensure((0.1..0.9).contains(&share), || format!("{share} of the runs failed"))?;
    let done = compile(&(case.make)(), &toy, &setup(Faults::Babbles)).await?;
    says_no_gain(&done.report).map_err(|e| format!("babbles: {e}"))?;
    let failed = done.report.winner.failed;
    ensure(failed == toy.test.len(), || format!("babbles: {failed} failed"))?;
    let error = done.report.winner.first_error.unwrap_or_default();
    ensure(error.contains("toy_"), || format!("babbles: {error:?}"))
}
