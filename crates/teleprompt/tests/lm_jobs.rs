//! Files, fine-tuning jobs and batches over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use teleprompt::lm::jobs::{
    BatchLine, BatchRequest, FilePurpose, FineTuningMethod, FineTuningRequest, Hyperparameters,
    OpenAiJobs, WaitConfig, batch_input,
};
use teleprompt::lm::{Endpoint, KeySource, RetryConfig};
use teleprompt::{Cancel, LmErrorKind};
use teleprompt_testkit::{FakeServer, Request, Response};

fn jobs(server: &FakeServer) -> OpenAiJobs {
    let endpoint = Endpoint::new("openai-chat", &server.base_url()).unwrap();
    let retry = RetryConfig { first_wait: Duration::from_millis(1), ..RetryConfig::default() };
    OpenAiJobs::new(endpoint.with_key(KeySource::value("sk-1"))).unwrap().with_retry(retry)
}

fn quick() -> WaitConfig {
    WaitConfig { first: Duration::from_millis(1), longest: Duration::from_millis(2), limit: None }
}

async fn serve(handler: impl Fn(&Request) -> Value + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |request| Response::json(200, &handler(request))).await.unwrap()
}

/// The words of a request line.
fn asked(request: &Request) -> (&str, &str) {
    (request.method.as_str(), request.path.as_str())
}

#[tokio::test]
async fn a_file_is_uploaded_as_a_form() {
    let server = serve(|_| {
        json!({"id": "file-1", "bytes": 3, "purpose": "fine-tune", "filename": "a.jsonl",
               "created_at": 7, "expires_at": null, "status": "processed"})
    })
    .await;
    let file = jobs(&server).upload("a\".jsonl", "{}\r\n\0", FilePurpose::FineTune).await.unwrap();
    assert_eq!((&*file.id, file.bytes, file.created_at), ("file-1", Some(3), Some(7)));
    assert_eq!(file.extra["status"], "processed");
    let request = &server.requests()[0];
    assert_eq!(asked(request), ("POST", "/v1/files"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-1"));
    let kind = request.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"a%22.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{{}}\r\n\0\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8_lossy(&request.body), expected);
}

#[tokio::test]
async fn files_are_read_and_deleted() {
    let server = FakeServer::start(|request| match asked(request) {
        ("GET", "/v1/files/file-1/content") => Response::status(200, b"\x00\xff".to_vec()),
        ("GET", "/v1/files/file-1") => Response::json(200, &json!({"id": "file-1"})),
        ("DELETE", "/v1/files/file-1") => Response::json(200, &json!({"deleted": true})),
        _ => Response::status(404, r#"{"error":{"message":"No such File object"}}"#),
    });
    let server = server.await.unwrap();
    let jobs = jobs(&server);
    assert_eq!(jobs.file_content("file-1").await.unwrap(), b"\x00\xff");
    assert_eq!(jobs.file("file-1").await.unwrap().id, "file-1");
    jobs.delete_file("file-1").await.unwrap();
    let failed = jobs.file_content("file-2").await.unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::NotFound);
    assert!(failed.to_string().contains("No such File object"), "{failed}");
    let hits = server.hits();
    let failed = jobs.file("../models").await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::InvalidRequest, hits));
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let server = serve(|request| {
        let job = |id: &str| json!({"id": id, "status": "queued"});
        match request.path.split_once("after=") {
            None => json!({"data": [job("a"), job("b")], "has_more": true}),
            Some((_, "b")) => json!({"data": [job("c")], "has_more": true}),
            Some((_, "c")) => json!({"data": [], "has_more": true}),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let found = jobs(&server).fine_tunings(1000).await.unwrap();
    assert_eq!(found.iter().map(|job| &*job.id).collect::<Vec<_>>(), ["a", "b", "c"]);
    let paths: Vec<String> = server.requests().iter().map(|r| r.path.clone()).collect();
    assert_eq!(
        paths,
        [
            "/v1/fine_tuning/jobs?limit=100",
            "/v1/fine_tuning/jobs?limit=100&after=b",
            "/v1/fine_tuning/jobs?limit=100&after=c",
        ]
    );
    // No more than was asked for, even if the page has more.
    let found = jobs(&server).fine_tunings(1).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(server.requests()[3].path, "/v1/fine_tuning/jobs?limit=1");
}

#[tokio::test]
async fn a_fine_tuning_job_is_made_as_asked() {
    let server = serve(|_| json!({"id": "ft-1", "status": "validating_files"})).await;
    let jobs = jobs(&server);
    let mut request = FineTuningRequest::new("gpt-x", "file-1");
    jobs.create_fine_tuning(&request).await.unwrap();
    request.validation_file = Some("file-2".into());
    request.suffix = Some("mine".into());
    request.seed = Some(7);
    request.metadata.insert("team".into(), "a".into());
    let numbers = Hyperparameters {
        n_epochs: Some(3),
        learning_rate_multiplier: Some(0.5),
        ..Hyperparameters::default()
    };
    request.method = Some(FineTuningMethod::Supervised(numbers.clone()));
    jobs.create_fine_tuning(&request).await.unwrap();
    let mut liked = numbers;
    liked.extra.insert("beta".into(), json!(0.1));
    request.method = Some(FineTuningMethod::Preferences(liked));
    jobs.create_fine_tuning(&request).await.unwrap();
    let sent: Vec<Value> = server.requests().iter().map(Request::json).collect();
    assert_eq!(sent[0], json!({"model": "gpt-x", "training_file": "file-1"}));
    let numbers = json!({"n_epochs": 3, "learning_rate_multiplier": 0.5});
    assert_eq!(
        sent[1],
        json!({
            "model": "gpt-x", "training_file": "file-1", "validation_file": "file-2",
            "suffix": "mine", "seed": 7, "metadata": {"team": "a"},
            "method": {"type": "supervised", "supervised": {"hyperparameters": numbers}},
        })
    );
    assert_eq!(sent[2]["method"]["type"], "dpo");
    assert_eq!(sent[2]["method"]["dpo"]["hyperparameters"]["beta"], 0.1);
}

#[tokio::test]
async fn a_job_is_waited_for_and_told_about() {
    let looks = AtomicUsize::new(0);
    let server = serve(move |_| {
        let look = looks.fetch_add(1, Ordering::SeqCst);
        match look {
            0 => json!({"id": "ft-1", "status": "queued", "error": {}}),
            1 => json!({"id": "ft-1", "status": "running", "error": null}),
            _ => json!({"id": "ft-1", "status": "succeeded", "fine_tuned_model": "ft:m",
                        "trained_tokens": 9, "estimated_finish": null}),
        }
    })
    .await;
    let jobs = jobs(&server);
    let waited = tokio::spawn(async move {
        let mut seen = Vec::new();
        let progress =
            |job: &teleprompt::lm::jobs::FineTuningJob| seen.push(job.status.to_string());
        let cancel = Cancel::default();
        let job = jobs.wait_for_fine_tuning("ft-1", &quick(), &cancel, progress).await;
        (job.unwrap(), seen)
    });
    let (job, seen) = waited.await.unwrap();
    assert_eq!(seen, ["queued", "running", "succeeded"]);
    assert_eq!(job.outcome().unwrap(), "ft:m");
    assert_eq!(job.trained_tokens, Some(9));
    assert!(job.extra.contains_key("estimated_finish"));
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let server = serve(|_| {
        json!({"id": "ft-1", "status": "failed", "fine_tuned_model": null,
               "error": {"code": "invalid_training_file", "message": "line 3 has no messages"}})
    })
    .await;
    let jobs = jobs(&server);
    let job =
        jobs.wait_for_fine_tuning("ft-1", &quick(), &Cancel::default(), |_| {}).await.unwrap();
    let failed = job.outcome().unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Model);
    assert!(
        failed.to_string().contains("ft-1: it is failed and made no model: line 3"),
        "{failed}"
    );
}

#[tokio::test]
async fn waiting_can_be_ended() {
    let server = serve(|_| json!({"id": "ft-1", "status": "running"})).await;
    let jobs = jobs(&server);
    let cancel = Cancel::default();
    let stop = |_: &_| cancel.cancel();
    let hour = Duration::from_secs(3600);
    let long = WaitConfig { first: hour, longest: hour, limit: None };
    let failed = jobs.wait_for_fine_tuning("ft-1", &long, &cancel, stop).await.unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Cancelled);
    let limited = WaitConfig { limit: Some(Duration::from_secs(60)), ..long };
    let free = Cancel::default();
    let failed = jobs.wait_for_fine_tuning("ft-1", &limited, &free, |_| {}).await.unwrap_err();
    assert_eq!(failed.kind, LmErrorKind::Timeout);
    assert!(failed.to_string().contains("still running after 60 s"), "{failed}");
}

#[tokio::test]
async fn events_checkpoints_and_the_end_of_a_job() {
    let server = serve(|request| match request.path.split('?').next().unwrap() {
        "/v1/fine_tuning/jobs/ft-1/events" => json!({"data": [
            {"id": "e1", "level": "info", "message": "Step 1", "data": {"loss": 0.5}}]}),
        "/v1/fine_tuning/jobs/ft-1/checkpoints" => json!({"data": [
            {"id": "c1", "fine_tuned_model_checkpoint": "ft:m:ckpt-1", "step_number": 10,
             "metrics": {"train_loss": 0.25}}]}),
        _ => json!({"id": "ft-1", "status": "cancelled"}),
    })
    .await;
    let jobs = jobs(&server);
    let events = jobs.fine_tuning_events("ft-1", 10).await.unwrap();
    assert_eq!((&*events[0].message, &events[0].extra["data"]["loss"]), ("Step 1", &json!(0.5)));
    let kept = jobs.checkpoints("ft-1", 10).await.unwrap();
    assert_eq!((kept[0].step_number, &kept[0].metrics["train_loss"]), (Some(10), &json!(0.25)));
    let job = jobs.cancel_fine_tuning("ft-1").await.unwrap();
    assert!(job.status.is_final() && job.outcome().is_err());
    assert_eq!(asked(&server.requests()[2]), ("POST", "/v1/fine_tuning/jobs/ft-1/cancel"));
}

#[tokio::test]
async fn a_batch_goes_there_and_back() {
    let output = concat!(
        r#"{"id":"r2","custom_id":"b","response":{"status_code":200,"request_id":"q2","#,
        r#""body":{"n":2}},"error":null}"#,
        "\n",
        r#"{"id":"r1","custom_id":"a","response":{"status_code":200,"body":{"n":1}}}"#,
        "\n\n",
    );
    let errors = concat!(
        r#"{"custom_id":"c","response":{"status_code":400,"body":{"error":{}}}}"#,
        "\n",
        r#"{"custom_id":"d","response":null,"error":{"code":"batch_expired"}}"#,
    );
    let server = FakeServer::start(move |request| match request.path.as_str() {
        "/v1/files/file-out/content" => Response::status(200, output),
        "/v1/files/file-err/content" => Response::status(200, errors),
        _ => Response::json(
            200,
            &json!({
                "id": "batch-1", "status": "completed", "output_file_id": "file-out",
                "error_file_id": "file-err", "request_counts": {"total": 4, "completed": 2, "failed": 2},
                "window": "24h",
            }),
        ),
    });
    let server = server.await.unwrap();
    let jobs = jobs(&server);
    let batch = jobs.create_batch(&BatchRequest::chat("file-in")).await.unwrap();
    let expected = json!({"input_file_id": "file-in", "endpoint": "/v1/chat/completions",
                          "completion_window": "24h"});
    assert_eq!(server.requests()[0].json(), expected);
    assert_eq!(batch.request_counts.unwrap().failed, 2);
    let mut looks = 0;
    let cancel = Cancel::default();
    let batch = jobs.wait_for_batch(&batch.id, &quick(), &cancel, |_| looks += 1).await.unwrap();
    assert_eq!(looks, 1);
    assert_eq!(batch.extra["window"], "24h");
    let results = jobs.batch_results(&batch).await.unwrap();
    let good: Vec<bool> = ["a", "b", "c", "d"].map(|id| results[id].is_success()).into();
    assert_eq!(good, [true, true, false, false]);
    assert_eq!((&results["a"].body["n"], &results["b"].body["n"]), (&json!(1), &json!(2)));
    assert_eq!(results["b"].request_id.as_deref(), Some("q2"));
    assert_eq!((results["c"].status, results["d"].status), (Some(400), None));
    assert_eq!(results["d"].error, Some(json!({"code": "batch_expired"})));
}

#[tokio::test]
async fn results_that_cannot_be_told_apart_are_no_results() {
    for (content, said) in [
        ("{\"custom_id\":\"a\"}\n{\"custom_id\":\"a\"}", "second result for `a`"),
        ("{\"custom_id\":\"a\"}\n<html>", "no result in line 2"),
    ] {
        let server = FakeServer::start(move |request| match request.path.as_str() {
            "/v1/batches/batch-1" => Response::json(
                200,
                &json!({
                "id": "batch-1", "status": "completed", "output_file_id": "file-out"}),
            ),
            _ => Response::status(200, content),
        });
        let server = server.await.unwrap();
        let jobs = jobs(&server);
        let batch = jobs.batch("batch-1").await.unwrap();
        let failed = jobs.batch_results(&batch).await.unwrap_err();
        assert_eq!(failed.kind, LmErrorKind::Protocol);
        assert!(failed.to_string().contains(said), "{failed}");
    }
}

#[test]
fn the_input_of_a_batch_is_a_line_for_each_request() {
    let line = |id: &str| BatchLine::chat(id, json!({"model": "m", "messages": []}));
    let input = batch_input(&[line("a"), line("b")]).unwrap();
    let lines: Vec<Value> = String::from_utf8(input)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = json!({"custom_id": "b", "method": "POST", "url": "/v1/chat/completions",
                          "body": {"model": "m", "messages": []}});
    assert_eq!((lines.len(), &lines[1]), (2, &expected));
    let failed = batch_input(&[line("a"), line("a")]).unwrap_err();
    assert!(failed.to_string().contains("`a`"), "{failed}");
}

#[tokio::test]
async fn only_what_is_safe_is_sent_again() {
    let failing = |status: u16| async move {
        FakeServer::start(move |_| Response::status(status, "x")).await.unwrap()
    };
    let request = FineTuningRequest::new("m", "file-1");
    // A server that failed may have made the job.
    let server = failing(500).await;
    let failed = jobs(&server).create_fine_tuning(&request).await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::Server, 1));
    let failed = jobs(&server).fine_tuning("ft-1").await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::Server, 5));
    // One that turned it away has not.
    let server = failing(429).await;
    let failed = jobs(&server).create_fine_tuning(&request).await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::RateLimit, 4));
    let server = failing(401).await;
    let failed = jobs(&server).fine_tunings(1).await.unwrap_err();
    assert_eq!((failed.kind, server.hits()), (LmErrorKind::Auth, 1));
    assert!(!format!("{failed:?} {:?}", jobs(&server)).contains("sk-1"));
}
