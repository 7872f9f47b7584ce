//! `teleprompt lm`, `render --curl` and configured providers. No test needs a model.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use common::World;
use teleprompt_testkit::Response;

fn world() -> World {
    World::new(|_| Response::chat("[[ ## a ## ]]\nyes"))
}

#[test]
fn the_providers_are_listed_with_their_keys() {
    let world = world();
    let json = world.run(&["lm", "list", "--json"]).json();
    let providers = json["providers"].as_array().unwrap();
    let openai = providers.iter().find(|p| p["scheme"] == "openai").unwrap();
    assert_eq!(
        (&openai["wire"], &openai["key"]),
        (&"openai-chat".into(), &"OPENAI_API_KEY".into())
    );
    assert_eq!((&openai["key_is_set"], &openai["origin"]), (&false.into(), &"built in".into()));
    let mut command = world.command(&["lm", "list"]);
    let output = command.env("OPENAI_API_KEY", "sk-marker").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("OPENAI_API_KEY (set)") && !text.contains("marker"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("local ")), "{text}");
}

#[test]
fn an_lm_is_shown_without_a_call() {
    let world = world();
    let text = world.run(&["lm", "show", "anthropic:some-model"]).ok().stdout;
    for part in ["→ anthropic:some-model", "https://api.anthropic.com/v1 (anthropic)", "tools"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = world.run(&["lm", "show", "--json"]).json();
    assert_eq!(json["lm"], world.lm());
    assert_eq!(json["servers"][0]["key"], "TELEPROMPT_API_KEY");
    assert_eq!(json["capabilities"]["json_schema"], true);
    let embedded = world.run(&["lm", "show", "local:smollm2-135m"]).ok().stdout;
    assert!(embedded.contains("price(free) → local:smollm2-135m"), "{embedded}");
    world.run(&["lm", "show", "opnai:x"]).fails(2, &["did you mean `openai:`?"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn a_call_is_shown_as_a_curl_command() {
    let world = world();
    let args = ["render", "q -> a", "q=It's 6 x 7?", "--curl"];
    let text = world.run(&args).ok().stdout;
    for part in [
        "curl -sS 'http://127.0.0.1:",
        "/v1/chat/completions'",
        "-H \"authorization: Bearer $TELEPROMPT_API_KEY\"",
        "--data-raw '{",
        r"It'\''s 6 x 7?",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = world.run(&[&args[..], &["--json"]].concat()).json();
    assert_eq!((&json["lm"], json["curl"].as_str()), (&world.lm().into(), Some(text.trim_end())));
    let local = [&args[..], &["--lm", "local:smollm2-135m"]].concat();
    world.run(&local).fails(2, &["there is no request to show"]);
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn a_provider_of_the_working_directory_gets_only_its_own_key() {
    let world = world();
    let file = |more: &str| {
        let url = world.server.base_url();
        world.write(
            "teleprompt.toml",
            &format!("lm = 'gate:m'\n[provider.gate]\nurl = '{url}'\n{more}\n"),
        );
    };
    let run = |command: &mut std::process::Command| {
        let keys = [("OPENAI_API_KEY", "sk-a"), ("TELEPROMPT_API_KEY", "sk-b")];
        let command = command.env_remove("TELEPROMPT_LM").envs(keys);
        command.env("TELEPROMPT_KEY_GATE", "sk-gate").output().unwrap()
    };
    file("key_env = 'TELEPROMPT_KEY_GATE'");
    let output = run(&mut world.command(&["run", "q -> a", "q=?"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("under [trust]"), "{told}");
    let output = run(&mut world.command(&["run", "q -> a", "q=!", "--lm", "gate:m"]));
    assert!(output.status.success(), "{output:?}");
    let sent = world.server.requests().remove(0);
    assert_eq!(sent.header("authorization"), None, "an address that the user does not trust");
    std::fs::create_dir_all(world.path("config/teleprompt")).unwrap();
    let trust = format!("[trust]\ngate = '{}'\n", world.server.url());
    world.write("config/teleprompt/config.toml", &trust);
    let output = run(&mut world.command(&["run", "q -> a", "q=?"]));
    assert!(output.status.success(), "{output:?}");
    let sent = world.server.requests().remove(1);
    assert_eq!(sent.header("authorization"), Some("Bearer sk-gate"));
    file("key_env = 'OPENAI_API_KEY'");
    let output = run(&mut world.command(&["run", "q -> a", "q=?"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("may only read TELEPROMPT_KEY_GATE"), "{told}");
    assert_eq!(world.server.hits(), 2);
}
