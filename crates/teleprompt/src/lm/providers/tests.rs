use std::collections::BTreeMap;

use super::*;

fn vars(list: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| list.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
}

fn provider(scheme: &str) -> &'static Provider {
    built_in().get(scheme).unwrap()
}

fn one(scheme: &str, model: &str, list: &'static [(&str, &str)]) -> Endpoint {
    provider(scheme).resolve(model, &vars(list)).unwrap().endpoints.remove(0)
}

#[test]
fn the_table_is_right() {
    let table: BTreeMap<String, Spec> = toml::from_str(TABLE).unwrap();
    assert_eq!(table.len(), built_in().len());
    for (scheme, provider) in built_in() {
        let known: &[_] = &[("AZURE_OPENAI_ENDPOINT", "https://x.example")];
        let found = provider.resolve("m", &|name| vars(known)(name)).unwrap();
        let [endpoint] = found.endpoints.as_slice() else { panic!("{scheme}: one endpoint") };
        assert_eq!((found.model, found.addressed), ("m", false), "{scheme}");
        let at_home = endpoint.base_url().starts_with("http://localhost:");
        assert_eq!(at_home, provider.spec.local, "{scheme}");
        assert!(at_home || endpoint.base_url().starts_with("https://"), "{scheme}");
        // Keys go to clouds only, and each cloud has one.
        assert!(at_home || endpoint.key().variable().is_some(), "{scheme}");
        assert!(provider.spec.name.is_some(), "{scheme} has a name for people");
    }
}

#[test]
fn a_providers_key_goes_nowhere_else() {
    let key = |scheme, model| one(scheme, model, &[]).key().clone();
    assert_eq!(key("openai", "m"), KeySource::env("OPENAI_API_KEY"));
    assert_eq!(key("ollama", "m"), KeySource::none());
    for elsewhere in [
        "m@http://localhost:8080/v1",
        "m@https://api.openai.com.evil.example/v1",
        "m@http://api.openai.com/v1",
        "m@https://api.openai.com/v2",
    ] {
        assert_eq!(key("openai", elsewhere), KeySource::env(OTHER_KEY), "{elsewhere}");
    }
    let own = "m@https://api.openai.com/v1/";
    assert_eq!(key("openai", own), KeySource::env("OPENAI_API_KEY"));
    assert_eq!(key("ollama", "m@http://other:1/v1"), KeySource::env(OTHER_KEY));
}

#[test]
fn an_address_of_the_environment_gets_the_key_beside_it() {
    let endpoint = one("openai", "m", &[("OPENAI_BASE_URL", "https://gate.example/v1/")]);
    assert_eq!(endpoint.base_url(), "https://gate.example/v1");
    assert_eq!(endpoint.key(), &KeySource::env("OPENAI_API_KEY"));
    let endpoint = one("llama-server", "m", &[("LLAMA_SERVER_BASE_URL", "http://b:1/v1")]);
    assert_eq!(endpoint.base_url(), "http://b:1/v1");
}

#[test]
fn an_address_of_the_environment_is_completed_where_it_has_no_path() {
    let at = |scheme, list| one(scheme, "m", list).base_url().to_owned();
    const BARE: &[(&str, &str)] = &[("ANTHROPIC_BASE_URL", "https://gate.example")];
    const WHOLE: &[(&str, &str)] = &[("ANTHROPIC_BASE_URL", "https://gate.example/a/v1")];
    assert_eq!(at("anthropic", BARE), "https://gate.example/v1");
    assert_eq!(at("anthropic", WHOLE), "https://gate.example/a/v1");
}

#[test]
fn azure_comes_from_its_variables() {
    const ALL: &[(&str, &str)] = &[
        ("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/"),
        ("AZURE_OPENAI_API_VERSION", "preview"),
    ];
    let endpoint = one("azure", "m", ALL);
    assert_eq!(endpoint.base_url(), "https://x.openai.azure.com/openai/v1");
    assert_eq!(endpoint.query, [("api-version".to_owned(), "preview".to_owned())]);
    assert_eq!(endpoint.key_header.as_ref().unwrap().as_str(), "api-key");
    let error = provider("azure").resolve("m", &vars(&[])).unwrap_err().to_string();
    assert!(error.contains("set AZURE_OPENAI_ENDPOINT"), "{error}");
}

#[test]
fn names_may_have_addresses() {
    assert_eq!(split_addresses("org/m@2026"), ("org/m@2026", vec![]));
    let several = "org/m@2026@http://a:1/v1, https://b/v1,";
    assert_eq!(split_addresses(several), ("org/m@2026", vec!["http://a:1/v1", "https://b/v1"]));
    let resolved = provider("vllm").resolve("m@http://a:1/v1,http://b:2/v1", &vars(&[])).unwrap();
    let urls: Vec<&str> = resolved.endpoints.iter().map(Endpoint::base_url).collect();
    assert_eq!((urls, resolved.addressed), (vec!["http://a:1/v1", "http://b:2/v1"], true));
    let error = provider("vllm").resolve("@http://a:1/v1", &vars(&[])).unwrap_err().to_string();
    assert!(error.contains("names no model"), "{error}");
}

#[test]
fn a_dialect_belongs_to_its_server() {
    let limit = |model| one("openai", model, &[]).dialect().new_limit_name;
    assert!(limit("m"));
    assert!(!limit("m@http://localhost:8080/v1"));
    let seed = |scheme| one(scheme, "m", &[]).dialect().random_seed;
    assert!(seed("mistral") && !seed("openai"));
}
