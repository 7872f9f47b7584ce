//! What the library tells of itself, on stderr where the user wants it.

use teleprompt_core::Result;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::usage;

/// With `TELEPROMPT_LOG=FILTER`, such as `info` or `teleprompt::lm=info`: spans as they end, and
/// events, on stderr.
pub(super) fn install() -> Result<()> {
    let Some(filter) = std::env::var("TELEPROMPT_LOG").ok().filter(|v| !v.is_empty()) else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        usage(format!("TELEPROMPT_LOG={filter}: {error}; write a level or TARGET=LEVEL,…"))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(std::io::stderr);
    // It fails where the program that has this command in it has installed one of its own.
    let _ = subscriber.try_init();
    Ok(())
}
