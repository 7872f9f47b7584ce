use futures::StreamExt;
use teleprompt::lm::{Cached, PriceTable, Priced};
use teleprompt::{Lm, LmChunk, Money, Price, Usage};
use teleprompt_testkit::ScriptedLm;

use super::support::{answering, request};

async fn usage(lm: &impl Lm) -> Usage {
    let whole = lm.generate(&request("x")).await.unwrap().usage;
    let mut chunks: Vec<_> = lm.stream(&request("x")).map(Result::unwrap).collect().await;
    let Some(LmChunk::Done(streamed)) = chunks.pop() else { panic!("no end") };
    assert_eq!(whole, streamed.usage);
    whole
}

#[tokio::test]
async fn a_known_price_is_written_into_the_usage_and_an_unknown_one_is_not() {
    // Two words come, one was asked.
    let known = usage(&Priced::at(answering("m"), Price::per_million(1.0, 10.0))).await;
    assert_eq!((known.priced_calls, known.cost), (1, Money::dollars(21e-6)));
    let unknown = usage(&Priced::new(answering("m"))).await;
    assert_eq!((unknown.priced_calls, unknown.cost_text()), (0, "unknown".into()));
    let free = usage(&Priced::new(answering("ollama:llama3").without_usage())).await;
    assert_eq!((free.priced_calls, free.total_cost()), (1, Some(Money::ZERO)));
    let untold = Priced::at(answering("m").without_usage(), Price::per_million(1.0, 10.0));
    assert_eq!(usage(&untold).await.cost_text(), "unknown", "no tokens were told");
}

#[tokio::test]
async fn a_cost_that_is_there_stays_and_a_hit_has_none() {
    let inner = Priced::at(answering("m"), Price::per_million(1.0, 10.0));
    let outer = Priced::at(inner, Price::per_million(5.0, 50.0));
    assert_eq!(usage(&outer).await.cost, Money::dollars(21e-6));
    let lm = Priced::at(Cached::in_memory(answering("m")), Price::per_million(1.0, 10.0));
    lm.generate(&request("x")).await.unwrap();
    let hit = lm.generate(&request("x")).await.unwrap().usage;
    assert_eq!((hit.cache_hits, hit.priced_calls, hit.cost), (1, 0, Money::ZERO));
}

#[test]
fn the_price_told_to_budgets_is_the_dearest() {
    let lm = |name: &str| Priced::new(ScriptedLm::new(|_| "x").with_name(name));
    let told = lm("gemini:gemini-2.5-pro").price().unwrap();
    assert_eq!(told.output, Money::dollars(15e-6));
    assert_eq!(lm("openai:no-such-model").price(), None);
    assert_eq!(Priced::with_table(answering("openai:gpt-5"), &PriceTable::empty()).price(), None);
    assert_eq!(lm("local:m").describe(), "price(free) → local:m");
    let described = lm("openai:gpt-5-mini").describe();
    assert_eq!(described, "price($0.25 in, $2.00 out /M tok) → openai:gpt-5-mini");
}
