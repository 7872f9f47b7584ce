use std::path::PathBuf;

use teleprompt_core::Money;

use super::*;
use crate::lm::{KeySource, Registry};

struct World(tempfile::TempDir);

impl World {
    fn new(here: &str, user: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("teleprompt.toml"), here).unwrap();
        std::fs::write(dir.path().join("config.toml"), user).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self) -> Result<Config> {
        Config::read(&self.path("teleprompt.toml"), Some(&self.path("config.toml")))
    }

    fn refused(&self) -> String {
        match self.read().and_then(|config| config.lm().map(|lm| lm.is_some())) {
            Err(Error::Config(message)) => message,
            other => panic!("not a Config error: {other:?}"),
        }
    }
}

fn here(text: &str) -> String {
    World::new(text, "").refused()
}

fn user(text: &str) -> String {
    World::new("", text).refused()
}

const GATE: &str = "[provider.gate]\nurl = 'https://gate.example/v1'\n";

#[test]
fn files_that_are_not_there_say_nothing() {
    let nowhere = Path::new("/nowhere/at/all.toml");
    let config = Config::read(nowhere, Some(nowhere)).unwrap();
    assert!(config.lm().unwrap().is_none() && config.prices().is_empty());
}

#[test]
fn the_working_directory_names_the_lm_before_the_user() {
    let world = World::new("lm = 'openai:a'", "lm = 'openai:b'");
    let config = world.read().unwrap();
    assert_eq!(config.lm().unwrap(), Some(("openai:a", world.path("teleprompt.toml").as_path())));
    let world = World::new("", "lm = 'openai:b@http://localhost:1/v1'");
    assert_eq!(world.read().unwrap().lm().unwrap().unwrap().0, "openai:b@http://localhost:1/v1");
}

#[test]
fn a_provider_of_the_user_is_used() {
    let text = format!(
        "{GATE}name = 'The gate'\nkey_env = 'GATE_KEY'\nheaders = {{ x-team = 'a' }}\n\
         query = {{ v = '1' }}\nextra_body = {{ user = {{ id = 7 }} }}\ntimeout_s = 60\n\
         first_timeout_s = 1.5\nstall_timeout_s = 2\nconnect_timeout_s = 3\n\
         dialect = {{ schema = false }}\n"
    );
    let registry = Registry::default().with_config(&World::new("", &text).read().unwrap());
    let remotes = registry.remotes("gate:llama").unwrap();
    let endpoint = remotes[0].endpoint();
    assert_eq!((endpoint.base_url(), endpoint.wire()), ("https://gate.example/v1", "openai-chat"));
    assert_eq!((endpoint.provider(), endpoint.key()), ("gate", &KeySource::env("GATE_KEY")));
    let limits = endpoint.timeouts;
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    let told = [limits.connect, limits.first.unwrap(), limits.stall.unwrap(), limits.total];
    assert_eq!(told.map(seconds), [3.0, 1.5, 2.0, 60.0]);
    assert!(!endpoint.dialect().schema);
    assert_eq!(serde_json::to_string(&endpoint.extra_body).unwrap(), r#"{"user":{"id":7}}"#);
    assert_eq!(endpoint.query, [("v".to_owned(), "1".to_owned())]);
    assert_eq!(endpoint.headers[0].0.as_str(), "x-team");
}

#[test]
fn another_address_gets_nothing_that_is_the_providers() {
    let text = format!(
        "{GATE}key_env = 'GATE_KEY'\nheaders = {{ authorization = 'marker' }}\n\
         query = {{ sig = 'marker' }}\nextra_body = {{ user = 'marker' }}\n"
    );
    let registry = Registry::default().with_config(&World::new("", &text).read().unwrap());
    let remotes = registry.remotes("gate:m@http://localhost:1/v1").unwrap();
    let other = remotes[0].endpoint();
    assert!(other.headers.is_empty() && other.query.is_empty() && other.extra_body.is_empty());
    let own = registry.remotes("gate:m@https://gate.example/v1").unwrap();
    assert_eq!((own[0].endpoint().query.len(), own[0].endpoint().extra_body.len()), (1, 1));
    assert_eq!(remotes[0].endpoint().key(), &KeySource::env("TELEPROMPT_API_KEY"));
}

#[test]
fn the_user_may_change_a_built_in_provider() {
    let world = World::new("", "[provider.openai]\nkey_command = 'pass show openai'\n");
    let registry = Registry::default().with_config(&world.read().unwrap());
    let endpoint = registry.remotes("openai:m").unwrap().remove(0).endpoint().clone();
    assert_eq!(endpoint.key(), &KeySource::shell("pass show openai"));
    assert!(endpoint.dialect().new_limit_name, "what is not given stays");
}

const KEYED: &str = "[provider.gate]\nurl = 'https://gate.example/v1'\n\
                     key_env = 'TELEPROMPT_KEY_GATE'\nheaders = { x-team = 'a' }\n";

fn trusting(origin: &str) -> String {
    format!("[trust]\ngate = '{origin}'\n")
}

#[test]
fn a_strangers_provider_gets_a_key_where_the_user_trusts_its_address() {
    let key = |user: &str| {
        let registry = Registry::default().with_config(&World::new(KEYED, user).read().unwrap());
        registry.remotes("gate:m").unwrap().remove(0).endpoint().key().clone()
    };
    let variable = KeySource::env("TELEPROMPT_KEY_GATE");
    for origin in ["https://gate.example", "https://GATE.example:443/"] {
        assert_eq!(key(&trusting(origin)), variable, "{origin}");
    }
    let others = [
        "http://gate.example",
        "https://gate.example:8443",
        "https://gate.example.evil.example",
        "https://evil.example",
    ];
    for user in others.iter().map(|origin| trusting(origin)).chain([String::new()]) {
        let key = key(&user);
        assert!(key.is_none() && key.variable().is_none(), "{user}");
        assert_eq!(
            key.remedy(),
            "add gate = \"https://gate.example\" under [trust] in your own configuration file, and \
             set TELEPROMPT_KEY_GATE"
        );
    }
}

#[test]
fn a_strangers_file_may_not_choose_where_your_data_go() {
    for lm in ["gate:m", "openai:m | gate:m"] {
        let text = format!("lm = '{lm}'\n{KEYED}");
        for user in ["", &trusting("https://other.example")] {
            let message = World::new(&text, user).refused();
            for said in ["https://gate.example", "[trust]", "--lm", "TELEPROMPT_LM"] {
                assert!(message.contains(said), "{said}: {message}");
            }
        }
        let config = World::new(&text, &trusting("https://gate.example")).read().unwrap();
        assert_eq!(config.lm().unwrap().unwrap().0, lm);
    }
    let of_user = World::new("lm = 'gate:m'", GATE).read().unwrap();
    assert_eq!(of_user.lm().unwrap().unwrap().0, "gate:m");
}

#[test]
fn names_that_share_a_variable_are_the_same_name() {
    let named = |name: &str| format!("[provider.{name}]\nurl = 'https://gate.example/v1'\n");
    let message = World::new(&named("my_gate"), &named("my-gate")).refused();
    assert!(message.contains("in your own configuration file"), "{message}");
    assert!(here(&named("llama_server")).contains("built in"));
    assert!(here(&(named("a-b") + &named("a_b"))).contains("too much like"));
    let keyed = named("my_gate") + "key_env = 'TELEPROMPT_KEY_MY_GATE'\n";
    let world = World::new(&keyed, "[trust]\nmy-gate = 'https://gate.example'\n");
    let registry = Registry::default().with_config(&world.read().unwrap());
    let key = registry.remotes("my_gate:m").unwrap().remove(0).endpoint().key().clone();
    assert_eq!(key, KeySource::env("TELEPROMPT_KEY_MY_GATE"));
}

#[test]
fn a_stranger_may_not_send_what_is_yours() {
    let with = |line: &str| here(&format!("{GATE}{line}\n"));
    let cases = [
        (here("lm = 'openai:m@http://evil.example/v1'"), "names an address"),
        (here("[trust]\nevil = 'https://evil.example'"), "only your own configuration file"),
        (here("[provider.openai]\nurl = 'https://evil.example/v1'"), "may not change a provider"),
        (here("[provider.ollama]\ntimeout_s = 1"), "may not change a provider"),
        (with("key_env = 'OPENAI_API_KEY'"), "may only read TELEPROMPT_KEY_GATE"),
        (with("key_env = 'TELEPROMPT_API_KEY'"), "may only read TELEPROMPT_KEY_GATE"),
        (with("key_env = 'TELEPROMPT_KEY_OTHER'"), "may only read TELEPROMPT_KEY_GATE"),
        (with("key_env = 'AWS_SECRET_ACCESS_KEY'"), "may only read TELEPROMPT_KEY_GATE"),
        (with("key_command = 'cat ~/.ssh/id_rsa'"), "may not run a command"),
        (with("key_command = ['cat', 'x']"), "may not run a command"),
        (with("headers = { Authorization = 'x' }"), "may not set `Authorization`"),
        (with("headers = { x-api-key = 'x' }"), "may not set `x-api-key`"),
        (with("headers = { Cookie = 'x' }"), "may not set `Cookie`"),
    ];
    for (message, said) in cases {
        assert!(message.contains(said) && message.contains("teleprompt.toml"), "{message}");
    }
    let both = World::new(GATE, GATE).refused();
    assert!(both.contains("in your own configuration file"), "{both}");
}

#[test]
fn only_the_built_in_table_reads_addresses_from_the_environment() {
    for key in ["url_env", "url_path", "version_env"] {
        let message = here(&format!("{GATE}{key} = 'HOME'\n"));
        assert!(message.contains(&format!("there is no key `{key}`")), "{message}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let with = |line: &str| user(&format!("{GATE}{line}\n"));
    let cases = [
        (user("lmm = 'x'"), "there is no key `lmm`; did you mean `lm`?"),
        (user("lm = 1"), "lm: write a text"),
        (user("provider = 1"), "[provider.NAME]"),
        (user("[provider]\ngate = 1"), "[provider.NAME]"),
        (
            with("keyenv = 'x'"),
            "[provider.gate]: there is no key `keyenv`; did you mean `key_env`?",
        ),
        (with("dialect = { schem = true }"), "dialect: there is no key `schem`"),
        (with("timeout_s = 0"), "no time limit"),
        (with("timeout_s = 'long'"), "[provider.gate]"),
        (with("wire = 'openai'"), "the wires are"),
        (with("key_env = 'A'\nkey_command = 'b'"), "not both"),
        (user("[provider.gate]\nwire = 'anthropic'"), "it needs a url"),
        (user("[provider.gate]\nurl = 'gate'"), "no URL"),
        (user("[provider.Gate]\nurl = 'http://a'"), "lower-case"),
        (user("[provider.local]\nurl = 'http://a'"), "embedded engine"),
        (user("trust = 1"), "[trust]: write NAME"),
        (user("[trust]\ngate = 'gate.example'"), "is no origin"),
        (user("[trust]\ngate = 'https://gate.example/v1'"), "is no origin"),
        (user("[price.'a:b']\ninput = 1"), "output is missing"),
        (user("[price.'a:b']\ninput = -1\noutput = 1"), "input: give dollars"),
        (user("[price.'a:b']\ninput = 1\noutput = 1\ncached = 1"), "there is no key `cached`"),
        (with("headers = { authorization = 'marker"), "line 3: "),
    ];
    for (message, said) in cases {
        assert!(message.contains(said) && message.contains("config.toml"), "{said}: {message}");
        assert!(!message.contains("marker"), "{message}");
    }
}

#[test]
fn prices_are_dollars_for_a_million_tokens() {
    let ours = "[price.'openai:m']\ninput = 3\noutput = 15.0\ncached_input = 0.3\n";
    let provider = "[provider.gate]\nwire = 'openai-chat'\nurl = 'http://localhost/v1'\n";
    let theirs = &format!("{provider}[price.'gate:m']\ninput = 1\noutput = 2\n");
    let config = World::new(theirs, ours).read().unwrap();
    let expected = Price { cached_input: Money::dollars(0.3e-6), ..Price::per_million(3.0, 15.0) };
    assert_eq!(config.prices()["openai:m"], expected);
    assert_eq!(config.prices()["gate:m"], Price::per_million(1.0, 2.0));
    let message = here("[price.'openai:m']\ninput = 0\noutput = 0\n");
    assert!(message.contains("models of its own providers"), "{message}");
}
