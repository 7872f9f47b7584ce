//! An OpenAI-compatible server with latency and faults, for load tests of LM clients.
//!
//! ```sh
//! cargo run --release -p teleprompt-testkit --example fault_server -- \
//!     --port 8377 --latency-ms 500 --faults 0.2 --seed 1 --model fake
//! ```
//! The right answer to a request is `echo:` and the text of its last user message. Whether an
//! attempt meets a fault, and which, is drawn from the seed, that text and the attempt's number;
//! the fifth attempt and later ones meet none, so a client that retries succeeds at last. All
//! faults are such that a client should retry or take the answer. `GET /ledger` tells what came.
//! A stall lasts ten seconds.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use teleprompt_testkit::{Answer, FakeServer, Fault, Request, Response, Wire};

const STALL: Duration = Duration::from_secs(10);
/// From this attempt on, counted from 0, there are no faults.
const MERCY: u64 = 4;

static SERVER: OnceLock<FakeServer> = OnceLock::new();

struct Settings {
    port: u16,
    latency: Duration,
    /// The share of attempts that meet a fault.
    faults: f64,
    seed: u64,
    model: String,
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let settings = settings(std::env::args().skip(1))?;
    let port = settings.port;
    let faults = mixed();
    let attempts: Mutex<HashMap<u64, u64>> = Mutex::default();
    let server = FakeServer::start_lean(port, move |request| {
        if request.path == "/ledger" {
            return ledger();
        }
        answer(&settings, &faults, &attempts, request).after(settings.latency)
    });
    let server = server.await.map_err(|e| format!("port {port} could not be had: {e}"))?;
    let server = SERVER.get_or_init(|| server);
    println!("{}", server.base_url());
    tokio::signal::ctrl_c().await.map_err(|e| format!("no wait for the end signal: {e}"))
}

fn settings(mut args: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings {
        port: 0,
        latency: Duration::from_millis(500),
        faults: 0.0,
        seed: 0,
        model: "fake".to_owned(),
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        let wrong = || format!("{name}: {value} will not do");
        match name.as_str() {
            "--port" => settings.port = value.parse().map_err(|_| wrong())?,
            "--latency-ms" => {
                settings.latency = Duration::from_millis(value.parse().map_err(|_| wrong())?);
            }
            "--faults" => settings.faults = value.parse().map_err(|_| wrong())?,
            "--seed" => settings.seed = value.parse().map_err(|_| wrong())?,
            "--model" => settings.model = value,
            _ => {
                return Err(format!(
                    "{name} is not known; known are --port, --latency-ms, --faults, --seed, --model"
                ));
            }
        }
    }
    Ok(settings)
}

/// Faults after which a client has to retry, and oddities that it has to take.
fn mixed() -> Vec<Fault> {
    vec![
        Fault::RateLimit { retry_after: 1 },
        Fault::RateLimitMillis { retry_after: 100 },
        Fault::RateLimitDate { retry_after: 1 },
        Fault::ServerError,
        Fault::BadGateway,
        Fault::Unavailable,
        Fault::Overloaded,
        Fault::StallBeforeHead(STALL),
        Fault::StallInBody(STALL),
        Fault::ResetBeforeHead,
        Fault::ResetInBody,
        Fault::Truncated,
        Fault::NoEnd,
        Fault::SplitCharacters,
        Fault::OddLines,
        Fault::SlowDrip(Duration::from_micros(100)),
        Fault::WrongContentType,
    ]
}

fn answer(
    settings: &Settings,
    faults: &[Fault],
    attempts: &Mutex<HashMap<u64, u64>>,
    request: &Request,
) -> Response {
    let wire = Wire::OpenAiChat;
    let parsed = match wire.check(request, &settings.model) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal,
    };
    let text = parsed.last_user().unwrap_or_default();
    let answer = Answer::text(format!("echo:{text}")).with_model(&settings.model);
    let key = hash(&(settings.seed, text));
    let attempt = {
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(key).or_default();
        *count += 1;
        *count - 1
    };
    match draw(settings, faults, key, attempt) {
        Some(fault) => fault.response(wire, &answer, parsed.stream),
        None if parsed.stream => wire.stream(&answer, usize::MAX, Duration::ZERO),
        None => wire.reply(&answer),
    }
}

fn draw<'a>(settings: &Settings, faults: &'a [Fault], key: u64, attempt: u64) -> Option<&'a Fault> {
    // 53 bits are what a float holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let share = (hash(&(key, attempt, "whether")) >> 11) as f64 / (1_u64 << 53) as f64;
    if attempt >= MERCY || share >= settings.faults {
        return None;
    }
    let which = hash(&(key, attempt, "which")) % u64::try_from(faults.len()).ok()?;
    faults.get(usize::try_from(which).ok()?)
}

/// `DefaultHasher::new` has fixed keys: the same in every run of one build.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn ledger() -> Response {
    let Some(server) = SERVER.get() else { return Response::status(503, "not ready yet") };
    let mut entries = server.ledger();
    entries.retain(|entry| entry.tag != "GET /ledger");
    let sum =
        |of: fn(&teleprompt_testkit::server::Entry) -> u64| entries.iter().map(of).sum::<u64>();
    let counts = json!({
        "distinct": entries.len(),
        "arrivals": sum(|e| e.arrived),
        "answered_whole": sum(|e| e.answered_whole),
        "never_answered": sum(|e| u64::from(e.answered_whole == 0)),
        "asked_again_after_answer": sum(|e| e.asked_again),
        "most_connections": server.most_connections(),
    });
    Response::json(200, &counts)
}
