//! Claims of processes on requests: who is about to ask the LM claims the key, so that another
//! process waits for the entry and does not ask too.
//!
//! A process has one file of its own in the folder, and holds its lock for as long as it claims
//! anything. A claim is a hard link to that file under the name of the key: it is there whole or not
//! at all, it tells by the lock whether its owner is alive, and however many there are, they take one
//! open file.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::files;

/// The folder in which they are, below that of the cache.
pub(super) const FOLDER: &str = "locks";

/// What this process holds. All caches share it: one inside another would otherwise wait for the
/// outer one's claim.
static HELD: Mutex<Held> = Mutex::new(Held { owners: BTreeMap::new(), claims: BTreeMap::new() });

struct Held {
    /// By the folder.
    owners: BTreeMap<PathBuf, Weak<Owner>>,
    /// By the path.
    claims: BTreeMap<PathBuf, Weak<Claim>>,
}

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of this process.
#[derive(Debug)]
struct Owner {
    path: PathBuf,
    _locked: File,
}

/// A claim of this process on a key, until the last clone is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _owner: Arc<Owner>,
}

/// Claims the key of these digits, or joins the claim of this process; `None` while another process
/// has it.
pub(super) fn try_claim(dir: &Path, hex: &str) -> io::Result<Option<Arc<Claim>>> {
    let path = dir.join(format!("{hex}.lock"));
    let mut held = held();
    if let Some(claim) = held.claims.get(&path).and_then(Weak::upgrade) {
        return Ok(Some(claim));
    }
    if path.try_exists()? && !remove_abandoned(dir, &path)? {
        return Ok(None);
    }
    let owner = held.owner(dir)?;
    match fs::hard_link(&owner.path, &path) {
        Ok(()) => {
            let claim = Arc::new(Claim { path: path.clone(), _owner: owner });
            held.claims.insert(path, Arc::downgrade(&claim));
            Ok(Some(claim))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Someone cleared the folder. The next attempt makes a file anew.
            held.owners.remove(dir);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Held {
    fn owner(&mut self, dir: &Path) -> io::Result<Arc<Owner>> {
        if let Some(owner) = self.owners.get(dir).and_then(Weak::upgrade) {
            return Ok(owner);
        }
        files::create_private_dir(dir)?;
        let number = RandomState::new().hash_one(std::process::id());
        let path = dir.join(format!("{}-{number:016x}.owner", std::process::id()));
        let file = files::private_options().create_new(true).write(true).open(&path)?;
        file.try_lock()?;
        let owner = Arc::new(Owner { path, _locked: file });
        self.owners.insert(dir.to_owned(), Arc::downgrade(&owner));
        Ok(owner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // If it stays, it is swept away later.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = held();
        held.claims.remove(&self.path);
        // No one else takes the name while our lock is held. If it stays, it counts as abandoned.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a file whose owner is dead; whether there is none now.
fn remove_abandoned(dir: &Path, path: &Path) -> io::Result<bool> {
    // One at a time: another one might find the same file abandoned, and remove the claim that took
    // its place.
    let guard = open_shared(&dir.join("guard.lock"))?;
    if !try_lock(&guard)? {
        return Ok(false);
    }
    let file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !try_lock(&file)? {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

fn open_shared(path: &Path) -> io::Result<File> {
    files::private_options().create(true).truncate(false).write(true).open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes what processes that were killed left behind, where it is old.
pub(super) fn sweep(dir: &Path, is_old: impl Fn(&fs::Metadata) -> bool) -> io::Result<()> {
    for path in super::disk::list(dir)? {
        let is_claim = super::disk::name_is_hex(&path, 64);
        let is_owner = path.extension().is_some_and(|extension| extension == "owner");
        if (is_claim || is_owner) && fs::metadata(&path).is_ok_and(|meta| is_old(&meta)) {
            remove_abandoned(dir, &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|f| f.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_claim_is_shared_in_the_process_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        let first = try_claim(dir.path(), &one).unwrap().unwrap();
        let same = try_claim(dir.path(), &one).unwrap().unwrap();
        let second = try_claim(dir.path(), &other).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        assert_eq!(names(dir.path()).len(), 3, "two claims and one file of the process");
        drop((first, second));
        assert_eq!(names(dir.path()).len(), 2);
        drop(same);
        assert!(names(dir.path()).is_empty());
        assert!(try_claim(dir.path(), &one).unwrap().is_some());
    }

    #[test]
    fn the_claim_of_a_process_that_lives_is_respected_and_that_of_a_dead_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let hex = "a".repeat(64);
        let path = dir.path().join(format!("{hex}.lock"));
        let alive = File::create(&path).unwrap();
        alive.lock().unwrap();
        assert!(try_claim(dir.path(), &hex).unwrap().is_none());
        sweep(dir.path(), |_| true).unwrap();
        assert!(path.exists());
        drop(alive);
        assert!(try_claim(dir.path(), &hex).unwrap().is_some());
    }

    #[test]
    fn what_the_killed_left_is_swept_away_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let claim = format!("{}.lock", "b".repeat(64));
        for name in [claim.as_str(), "7-0.owner", "prune.lock"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        sweep(dir.path(), |_| false).unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        sweep(dir.path(), |_| true).unwrap();
        assert_eq!(names(dir.path()), ["guard.lock", "prune.lock"]);
    }

    #[test]
    fn a_folder_that_was_cleared_is_no_end_of_claiming() {
        let dir = tempfile::tempdir().unwrap();
        let held = try_claim(dir.path(), &"c".repeat(64)).unwrap().unwrap();
        for path in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(path.unwrap().path()).unwrap();
        }
        let hex = "d".repeat(64);
        assert!(try_claim(dir.path(), &hex).unwrap().is_none());
        assert!(try_claim(dir.path(), &hex).unwrap().is_some());
        drop(held);
    }
}
