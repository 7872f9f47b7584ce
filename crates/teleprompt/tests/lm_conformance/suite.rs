//! The suite for all LMs, on every wire, bare and in its stack.

use teleprompt::lm::{Stack, StackOptions};
use teleprompt::{LmHandle, Money, Price};
use teleprompt_testkit::server::ParsedRequest;
use teleprompt_testkit::{Answer, lm_suite};

use super::support::{Checked, Subject, choices, on_every_wire};

fn answer(parsed: &ParsedRequest) -> Answer {
    let text = if parsed.schema.is_some() { r#"{"answer": "Grüße"}"# } else { "Grüße, Welt" };
    let answer = choices(parsed, text);
    match parsed.top_logprobs {
        Some(_) => answer.with_logprob(text, -0.5, &[]),
        None => answer,
    }
}

async fn passes(subject: &Subject) -> Checked {
    let server = subject.server(answer).await;
    lm_suite::check(&subject.lm(&server)).await
}

#[tokio::test]
async fn every_wire_is_an_lm() {
    on_every_wire(passes).await;
}

#[tokio::test]
async fn so_is_the_stack_around_it() {
    on_every_wire(async |subject| {
        let wrap = |lm| Stack::new(StackOptions::default()).wrap(LmHandle::new(lm));
        passes(&Subject { wrap, ..*subject }).await
    })
    .await;
}

#[tokio::test]
async fn so_is_one_with_a_price() {
    on_every_wire(async |subject| {
        let wrap = |lm| {
            let cached_input = Money::dollars(0.1e-6);
            let price = Price { cached_input, ..Price::per_million(1.0, 3.0) };
            LmHandle::new(teleprompt::lm::Priced::at(lm, price))
        };
        passes(&Subject { wrap, ..*subject }).await
    })
    .await;
}
