//! The forms of the command that scripts rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod common;

use common::{Done, SIGNATURE, World};
use serde_json::{Value, json};
use teleprompt_testkit::Response;

fn answering(text: &'static str) -> World {
    World::new(move |_| Response::chat(text))
}

#[test]
fn signature_prints_the_canonical_text_and_fields() {
    let world = answering("");
    let done = world.run(&["signature", "q:string,ctx :List[str]->a : Optional[int]"]).ok();
    assert_eq!(done.stdout.lines().next(), Some("q, ctx: list[str] -> a: int?"));
    let json = world.run(&["signature", "q -> a: int(0..10) \"how many\"", "--json"]).json();
    assert_eq!(json["outputs"][0]["name"], "a");
    assert_eq!(json["outputs"][0]["type"], "int(0..10)");
    assert_eq!(json["outputs"][0]["description"], "how many");
}

#[test]
fn signature_shows_a_mistake_with_a_caret() {
    let world = answering("");
    world.run(&["signature", "question -> answer: strr"]).fails(
        2,
        &["  question -> answer: strr\n                      ^^^^", "did you mean `str`?"],
    );
}

#[test]
fn run_answers_and_names_the_lm() {
    let world = answering("[[ ## answer ## ]]\n42");
    let done = world.run(&["run", "question -> answer: int", "question=6 x 7?"]).ok();
    assert_eq!(done.stdout, "answer: 42\n");
    assert!(done.stderr.contains(&format!("LM: {} (from TELEPROMPT_LM)", world.lm())), "{done:?}");
    let json = world.run(&["run", "question -> answer: int", "question=6 x 7?", "--json"]).json();
    assert_eq!(json["fields"], json!({"answer": 42}));
    assert_eq!(json["usage"]["cache_hits"], 1, "the second call is answered by the disk cache");
    assert_eq!(world.server.hits(), 1);
    let quiet = world.run(&["run", "question -> answer: int", "question=6 x 7?", "--quiet"]).ok();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn run_takes_inputs_from_files_and_stdin_and_reads_them_as_their_types() {
    let world = answering("[[ ## answer ## ]]\nyes");
    world.write("q.txt", "a long question\n");
    let program = "question, tags: list[str] -> answer: bool";
    world.run(&["run", program, "question=@q.txt", r#"tags=["x", "y"]"#]).ok();
    world.run_with(&["run", program], r#"{"question": "from stdin", "tags": ["z"]}"#).ok();
    let asked = |i: usize| world.server.requests()[i].json()["messages"].to_string();
    assert!(asked(0).contains("a long question") && asked(0).contains("x"), "{}", asked(0));
    assert!(asked(1).contains("from stdin"), "{}", asked(1));
}

#[test]
fn run_gives_n_completions() {
    let world = World::new(|request| {
        assert_eq!(request.json()["n"], 2);
        Response::chat_n(&["[[ ## answer ## ]]\none", "[[ ## answer ## ]]\ntwo"])
    });
    let args = ["run", "question -> answer", "question=?", "--n", "2", "--temperature", "1"];
    let json = world.run(&[&args[..], &["--json"]].concat()).json();
    assert_eq!(json["completions"].as_array().unwrap().len(), 2);
    let text = world.run(&args).ok().stdout;
    assert_eq!(text, "answer: one\n---\nanswer: two\n");
}

#[test]
fn the_flags_reach_the_request() {
    let world = answering("{\"reasoning\": \"r\", \"answer\": \"a\"}");
    let args = ["run", "question -> answer", "question=?", "--module", "cot", "--adapter", "json"];
    let more = ["--instructions", "Be brief.", "--temperature", "0.5", "--max-tokens", "77"];
    world.run(&[&args[..], &more].concat()).ok();
    let body = world.server.requests()[0].json();
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(77), &json!(0.5)));
    let system = body["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains("Be brief.") && system.contains("reasoning"), "{system}");
}

#[test]
fn render_shows_the_exact_messages_and_calls_nothing() {
    let world = answering("");
    let json = world.run(&["render", "question -> answer", "question=hi there", "--json"]).json();
    let roles: Vec<&str> =
        json.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user"]);
    assert!(json[1]["content"].as_str().unwrap().contains("[[ ## question ## ]]\nhi there"));
    let text = world.run(&["render", "question -> answer", "question=hi there"]).ok().stdout;
    assert!(text.contains("hi there"));
    assert_eq!(world.server.hits(), 0);
}

#[test]
fn parse_reads_a_reply_with_flags_or_fails_typed() {
    let world = answering("");
    let reply = "Sure!\n[[ ## answer ## ]]\n```\n7\n```";
    let json = world.run_with(&["parse", "q -> answer: int"], reply).json();
    assert_eq!(json["fields"], json!({"answer": 7}));
    assert!(!json["flags"].as_array().unwrap().is_empty());
    let json = world
        .run_with(&["parse", "q -> a: int, b: bool", "--adapter", "json"], "{a: 1, 'b': True,}")
        .json();
    assert_eq!(json["fields"], json!({"a": 1, "b": true}));
    world
        .run_with(&["parse", "q -> answer: int"], "[[ ## answer ## ]]\n8/10")
        .fails(1, &["answer"]);
}

#[test]
fn eval_prints_the_promised_keys_and_writes_rows() {
    let world = World::learner();
    let data = world.train();
    let args = ["eval", SIGNATURE, &data, "--metric", "exact_match:label", "--out", "rows.csv"];
    let json = world.run(&[&args[..], &["--json"]].concat()).json();
    assert_eq!((&json["score"], &json["n"], &json["failed"]), (&json!(0.5), &json!(60), &json!(0)));
    assert_eq!(json["ci"].as_array().unwrap().len(), 2);
    for key in ["calls", "prompt_tokens", "completion_tokens", "seconds"] {
        assert!(json[key].is_number(), "{key}: {json}");
    }
    let rows = std::fs::read_to_string(world.path("rows.csv")).unwrap();
    assert_eq!(rows.lines().count(), 61);
    let few = world
        .run(&["eval", SIGNATURE, &data, "--metric", "exact_match", "--limit", "10", "--json"])
        .json();
    assert_eq!(few["n"], 10);
    let text = world.run(&args).ok().stdout;
    assert!(text.contains("50.0"), "{text}");
}

#[test]
fn eval_maps_columns_and_compares_two_programs() {
    let world = World::learner();
    let data = world.write(
        "data.csv",
        &common::rows(40).lines().fold("message,label\n".to_owned(), |csv, line| {
            let row: Value = serde_json::from_str(line).unwrap();
            format!("{csv}{},{}\n", row["text"].as_str().unwrap(), row["label"].as_str().unwrap())
        }),
    );
    let compiled = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--map",
        "text=message",
        "--metric",
        "exact_match",
    ];
    world
        .run(&[&compiled[..], &["--optimizer", "labeled_few_shot", "-o", "tuned.json"]].concat())
        .ok();
    let args = ["eval", "tuned.json", &data, "--map", "text=message", "--metric", "exact_match"];
    let json = world.run(&[&args[..], &["--compare", SIGNATURE, "--json"]].concat()).json();
    assert_eq!(json["score"], 1.0);
    assert_eq!(json["compare"]["score"], 0.5);
    assert!(json["comparison"]["p_value"].as_f64().unwrap() < 0.001, "{json}");
}

#[test]
fn compile_saves_a_program_that_every_command_takes() {
    let world = World::learner();
    let data = world.train();
    let args = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "random_search",
    ];
    let set = [
        "--set",
        "num_candidate_programs=2",
        "--set",
        "max_labeled_demos=6",
        "-o",
        "out/tuned.json",
        "--json",
    ];
    let json = world.run(&[&args[..], &set].concat()).json();
    for side in ["baseline", "winner"] {
        assert!(json[side]["ci"].is_array() && json[side]["n"].is_number(), "{json}");
    }
    assert!(json["baseline"]["score"].as_f64().unwrap() < 0.6);
    assert_eq!(json["winner"]["score"], 1.0);
    assert!(json["p_value"].as_f64().unwrap() < 0.05);
    for key in ["calls", "prompt_tokens", "completion_tokens", "seconds"] {
        assert!(json[key].is_number(), "{key}: {json}");
    }
    assert_eq!(json["output"], "out/tuned.json");
    assert!(world.path(".teleprompt/studies").join(json["study"].as_str().unwrap()).exists());
    let answer = world.run(&["run", "out/tuned.json", "text=oak beta", "--json"]).json();
    assert_eq!(answer["fields"]["label"], "b");
    let shown = world.run(&["show", "out/tuned.json"]).ok().stdout;
    assert!(shown.contains("demos         6"), "{shown}");
    let diff = world.run(&["diff", SIGNATURE, "out/tuned.json"]).ok().stdout;
    assert_eq!(diff.lines().filter(|l| l.starts_with("    + ")).count(), 6, "{diff}");
    assert_eq!(world.run(&["diff", SIGNATURE, SIGNATURE]).ok().stdout, "no difference\n");
    // Compiled again, from the compiled program, with a teacher of its own.
    let again = [
        "compile",
        "out/tuned.json",
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "bootstrap_few_shot",
    ];
    world.run(&[&again[..], &["--teacher", "out/tuned.json", "-o", "again.json"]].concat()).ok();
}

#[test]
fn a_finished_compile_costs_nothing_the_second_time() {
    let world = World::learner();
    let data = world.train();
    let args = [
        "compile",
        SIGNATURE,
        "--train",
        &data,
        "--metric",
        "exact_match",
        "--optimizer",
        "labeled",
    ];
    world.run(&args).ok();
    let hits = world.server.hits();
    world.run(&["cache", "clear"]).ok();
    world.run(&args).ok();
    assert_eq!(world.server.hits(), hits);
}

#[test]
fn cache_stats_and_clear() {
    let world = answering("[[ ## answer ## ]]\n1");
    world.run(&["run", "question -> answer", "question=?"]).ok();
    assert_eq!(world.run(&["cache", "stats", "--json"]).json()["entries"], 1);
    world.run(&["cache", "clear"]).ok();
    assert_eq!(world.run(&["cache", "stats", "--json"]).json()["entries"], 0);
}

#[test]
fn the_cache_can_be_pruned_and_tells_its_bound() {
    let world = answering("[[ ## answer ## ]]\n1");
    for question in ["question=a", "question=b"] {
        world.run(&["run", "question -> answer", question]).ok();
    }
    let mut stats = world.command(&["cache", "stats"]);
    let stats = Done::from(stats.env("TELEPROMPT_CACHE_BYTES", "500MB").output().unwrap()).ok();
    assert!(stats.stdout.contains("2 replies") && stats.stdout.contains("of at most 500.0 MB"));
    assert_eq!(world.run(&["cache", "prune", "--to", "1GiB", "--json"]).json()["entries"], 0);
    assert_eq!(world.run(&["cache", "prune", "--to", "0", "--json"]).json()["entries"], 2);
    assert_eq!(world.run(&["cache", "stats", "--json"]).json()["entries"], 0);
    world.run(&["cache", "prune", "--to", "much"]).fails(2, &["`much` is no size"]);
}

#[test]
fn history_shows_the_last_calls_until_they_are_forgotten() {
    let world = answering("[[ ## answer ## ]]\nforty-two");
    let none = world.run(&["history"]).ok();
    assert!(none.stdout.contains("no calls yet"), "{none:?}");
    for question in ["question=first", "question=second", "question=second"] {
        world.run(&["run", "question -> answer", question]).ok();
    }
    let last = world.run(&["history"]).ok().stdout;
    for part in ["# 20", "## system\n", "## user\n", "second", "## assistant\n", "forty-two"] {
        assert!(last.contains(part), "`{part}` is missing in {last}");
    }
    assert!(last.contains("from the cache") && !last.contains("first"), "{last}");
    let json = world.run(&["history", "-n", "9", "--json"]).json();
    let hits: Vec<_> =
        json["calls"].as_array().unwrap().iter().map(|c| &c["usage"]["cache_hits"]).collect();
    assert_eq!(hits, [0, 0, 1]);
    world.run(&["history", "--clear"]).ok();
    let mut quiet = world.command(&["run", "question -> answer", "question=third"]);
    Done::from(quiet.env("TELEPROMPT_NO_HISTORY", "1").output().unwrap()).ok();
    assert!(world.run(&["history"]).ok().stdout.contains("no calls yet"));
}

#[test]
fn the_log_shows_spans_and_no_prompts() {
    let world = answering("[[ ## answer ## ]]\n1");
    let mut command = world.command(&["run", "question -> answer", "question=confidential"]);
    let told = Done::from(command.env("TELEPROMPT_LOG", "info").output().unwrap()).ok();
    assert!(told.stderr.contains("gen_ai.request.model"), "{told:?}");
    assert!(!told.stderr.contains("confidential"), "{told:?}");
    let mut command = world.command(&["run", "question -> answer", "question=x"]);
    let wrong = Done::from(command.env("TELEPROMPT_LOG", "=,=").output().unwrap());
    wrong.fails(2, &["TELEPROMPT_LOG"]);
}

#[test]
fn the_lm_is_the_flag_else_the_variable_else_the_configuration() {
    let world = answering("[[ ## answer ## ]]\n1");
    let lm = world.lm();
    let args = ["run", "question -> answer", "question=?", "--lm", &lm];
    let done = world.run(&args).ok();
    assert!(done.stderr.contains("(from --lm)"), "{done:?}");
    std::fs::create_dir_all(world.path("config/teleprompt")).unwrap();
    world.write("config/teleprompt/config.toml", &format!("lm = \"{lm}\"\n"));
    let mut command = world.command(&args[..3]);
    let output = command.env_remove("TELEPROMPT_LM").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("config.toml)"), "{stderr}");
    // A file in the working directory may come with a cloned repository.
    world.write("teleprompt.toml", &format!("lm = \"{lm}\"\n"));
    let output = world.command(&args[..3]).env_remove("TELEPROMPT_LM").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("names an address"));
}

#[test]
fn models_list_and_path() {
    let world = answering("");
    let run = |args: &[&str]| {
        world.command(args).env("TELEPROMPT_MODELS_DIR", world.path("models")).output().unwrap()
    };
    let list = String::from_utf8(run(&["models", "list"]).stdout).unwrap();
    assert!(list.contains("smollm2-135m") && list.contains("Apache-2.0"), "{list}");
    let path = run(&["models", "path", "smollm2-135m"]);
    assert_eq!(path.status.code(), Some(1));
    assert!(
        String::from_utf8(path.stderr).unwrap().contains("teleprompt models pull smollm2-135m")
    );
}

#[test]
fn help_has_examples_and_version_prints() {
    let world = answering("");
    assert!(world.run(&["--help"]).ok().stdout.contains("Examples:"));
    assert!(world.run(&["compile", "--help"]).ok().stdout.contains("labeled_few_shot"));
    assert!(world.run(&["--version"]).ok().stdout.starts_with("teleprompt "));
}
