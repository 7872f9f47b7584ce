use super::*;

fn find(name: &str) -> Option<Tariff> {
    PriceTable::builtin().find(name, "")
}

#[test]
fn the_table_is_dated_and_has_the_known_providers() {
    let table = PriceTable::parse(BUILTIN).unwrap();
    assert!(table.date().parse::<crate::Date>().is_ok() && !table.source().is_empty());
    assert!(table.len() >= 60, "{} models", table.len());
    let schemes = "openai anthropic gemini deepseek mistral xai groq together fireworks";
    for scheme in schemes.split(' ') {
        let begin = format!("{scheme}:");
        assert!(table.models.keys().any(|m| m.starts_with(&begin)), "{scheme}");
    }
    for (name, tariff) in &table.models {
        let Price { input, output, cached_input, .. } = tariff.price;
        assert!(input > Money::ZERO && output > Money::ZERO, "{name}: {tariff:?}");
        assert!(cached_input <= input && output < Money::dollars(1e-3), "{name}: {tariff:?}");
        if let Some(long) = tariff.long {
            assert!(long.above >= 100_000 && long.price.input >= input, "{name}: {tariff:?}");
        }
    }
}

#[test]
fn a_providers_other_protocol_costs_the_same() {
    let other = "openai-responses:gpt-5-mini-2025-08-07";
    assert!(find(other).is_some() && find(other) == find("openai:gpt-5-mini"));
    let own = |name: &str| BTreeMap::from([(name.to_owned(), Price::per_million(1.0, 2.0))]);
    let table = |name| PriceTable::builtin().clone().with(own(name));
    for name in ["openai-responses:gpt-5-mini", "openai:tuned"] {
        let other = format!("openai-responses:{}", name.split_once(':').unwrap().1);
        let found = table(name).find(&other, "").unwrap();
        assert_eq!(found.price, Price::per_million(1.0, 2.0), "{name}");
    }
    assert!(find("openai-responses:gpt-5-mini@http://localhost:1/v1").is_none());
}

#[test]
fn known_figures() {
    let cases = [
        ("openai:gpt-5-mini", 0.25, 2.0, 0.025, 0.25),
        ("anthropic:claude-haiku-4-5", 1.0, 5.0, 0.1, 1.25),
        ("gemini:gemini-2.5-flash", 0.3, 2.5, 0.03, 0.3),
    ];
    let token = |million: f64| Money::dollars(million / 1e6);
    for (name, input, output, cached_input, cache_write) in cases {
        let wanted = Price {
            input: token(input),
            output: token(output),
            cached_input: token(cached_input),
            cache_write: token(cache_write),
        };
        assert_eq!(find(name).unwrap().price, wanted, "{name}");
    }
}

#[test]
fn versions_are_found_and_other_models_are_not() {
    let mini = find("openai:gpt-5-mini");
    for version in ["-2025-08-07", "-20250807", "-0807", "-latest", "@20250807"] {
        assert_eq!(find(&format!("openai:gpt-5-mini{version}")), mini, "{version}");
    }
    for other in ["-x", "-2025-8-7", "-tools-2025-08-07", "2025", "-20x50807", "-"] {
        let found = find(&format!("openai:gpt-5-mini{other}"));
        assert_eq!(found, None, "{other}");
    }
    assert_eq!(find("groq:gpt-5-mini"), None);
    assert_eq!(find("gpt-5-mini"), None);
}

#[test]
fn what_runs_here_is_free_and_what_runs_elsewhere_is_not_the_provider() {
    let free = Some(Tariff::from(Price::FREE));
    let here = [
        "local:smollm2-135m",
        "ollama:llama3",
        "vllm:m",
        "vllm:gpt-5@http://localhost:8000/v1",
        "vllm:m@http://127.0.0.1/v1",
        "vllm:m@http://127.8.9.1:1/v1",
        "vllm:m@https://[::1]:8000/v1",
        "vllm:m@http://0.0.0.0:8000",
        "ollama:llama3@http://LOCALHOST:11434",
    ];
    for name in here {
        assert_eq!(find(name), free, "{name}");
    }
    let elsewhere = [
        "openai:gpt-5@https://example.org/v1",
        "openai:gpt-5@http://localhost:8000/v1",
        "ollama:llama3@http://10.0.0.7:11434",
        "vllm:m@http://localhost.example.org/v1",
        "vllm:m@http://localhost@example.org/v1",
    ];
    for name in elsewhere {
        assert_eq!(find(name), None, "{name}");
    }
    let table = PriceTable::builtin();
    assert_eq!(table.find("vllm:m", "openai-chat http://10.0.0.7:8000/v1 m"), None);
    assert_eq!(table.find("openai:gpt-5", "openai-chat http://127.0.0.1:8000/v1 gpt-5"), None);
    assert_eq!(
        table.find("openai:gpt-5", "openai-chat https://api.openai.com/v1 x"),
        find("openai:gpt-5")
    );
}

#[test]
fn own_prices_go_first() {
    let price = Price::per_million(7.0, 9.0);
    let names = ["openai:gpt-5", "vllm:m", "mine:x@http://localhost:1"];
    let own = names.map(|name| (name.to_owned(), price)).into();
    let table = PriceTable::builtin().clone().with(own);
    let cases = [
        "openai:gpt-5",
        "openai:gpt-5-2025-08-07",
        "vllm:m",
        "vllm:m@http://10.0.0.7:8000/v1",
        "mine:x@http://localhost:1",
    ];
    for name in cases {
        assert_eq!(table.find(name, ""), Some(price.into()), "{name}");
    }
    assert_eq!(table.len(), PriceTable::builtin().len() + 2);
}

#[test]
fn long_prompts_have_their_own_price_and_budgets_use_the_dearest() {
    let tariff = find("gemini:gemini-2.5-pro").unwrap();
    let usage =
        |prompt_tokens| Usage { prompt_tokens, completion_tokens: 1_000, ..Usage::one_call() };
    assert_eq!(tariff.of(&usage(200_000)), Money::dollars(0.25 + 0.01));
    assert_eq!(tariff.of(&usage(200_001)), Money::dollars(0.500_002_5 + 0.015));
    assert_eq!(tariff.dearest().input, Money::dollars(2.5e-6));
}
