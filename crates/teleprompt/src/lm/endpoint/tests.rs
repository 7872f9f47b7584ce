use super::*;

#[test]
fn an_address_that_cannot_be_used_is_refused_at_once() {
    let cases = [
        ("localhost", "no URL"),
        ("ftp://localhost/v1", "must begin with http"),
        ("http://ann:secret@localhost/v1", "TELEPROMPT_API_KEY"),
        ("http://localhost/v1?key=secret", "must end before `?`"),
    ];
    for (url, said) in cases {
        let shown = Endpoint::new("openai-chat", url).unwrap_err().to_string();
        assert!(shown.contains(said) && !shown.contains("secret"), "{shown}");
    }
    let shown = Endpoint::new("openai-chad", "http://localhost/v1").unwrap_err().to_string();
    assert!(shown.contains("did you mean `openai-chat`?"), "{shown}");
}

#[test]
fn what_changes_an_answer_is_in_the_identity_and_no_secret_is() {
    let plain = || Endpoint::new("openai-chat", "http://localhost/v1").unwrap();
    let said = |schema| DialectOptions { schema: Some(schema), ..DialectOptions::default() };
    let endpoints = [
        plain(),
        plain().with_header("x-model-route", "a").unwrap(),
        plain().with_header("x-model-route", "b").unwrap(),
        plain().with_header("x-api-token", "marker-1").unwrap(),
        plain().with_dialect(said(false)),
        plain().with_dialect(said(true)),
        plain().with_query("sig", "marker-2"),
        plain().with_query("v", "1"),
    ];
    let mut seen: Vec<String> = endpoints.iter().map(Endpoint::identity).collect();
    assert_eq!(seen[0], "openai-chat http://localhost/v1");
    let other = plain().with_header("x-api-token", "marker-3").unwrap();
    assert_eq!(other.identity(), seen[3], "another key is no other model");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), endpoints.len(), "{seen:?}");
    assert!(!seen.concat().contains("marker"), "{seen:?}");
}

#[test]
fn debug_shows_no_secret() {
    let endpoint = Endpoint::new("openai-chat", "http://localhost/v1/")
        .and_then(|e| e.with_header("x-api-token", "marker-1"))
        .map(|e| e.with_key(KeySource::value("marker-2")))
        .unwrap();
    let shown = format!("{endpoint:?}");
    assert!(!shown.contains("marker") && shown.contains("\"http://localhost/v1\""), "{shown}");
}
