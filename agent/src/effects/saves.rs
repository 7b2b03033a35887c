//! Writes the persistent cache. The cache changes in memory at once, and the file follows: a disk that hangs holds up
//! neither the answers of Vault nor further requests.

use std::sync::Arc;

use planescape_agent_core::Input;

use super::LAST_FILES;
use super::newest::Newest;
use crate::persist::Persistent;

/// The cache in memory, and the file that follows it.
#[derive(Clone)]
pub(super) struct Saves {
    persistent: Arc<Persistent>,
    file: Newest<()>,
}

impl Saves {
    /// The cache, and the work that writes it down and never ends by itself.
    pub(super) fn new(persistent: Arc<Persistent>) -> (Self, impl Future<Output = Input> + Send) {
        let cache = Arc::clone(&persistent);
        let (file, work) = Newest::new(move |(): &()| cache.write_down());
        (Self { persistent, file }, work)
    }

    /// Changes the cache, and has it written down if the file is to follow.
    pub(super) fn save(&self, change: impl FnOnce(&Persistent) -> bool) {
        if change(&self.persistent) {
            self.file.say(());
        }
    }

    /// A token that a template has made is about to be renewed: its end, which this gives, stands in the file no more when it
    /// returns. A disk that hangs lets no token end.
    pub(super) async fn renewal_asked(&self, accessor: &str) -> Option<u64> {
        let mut former = None;
        self.save(|cache| {
            former = cache.renewal_asked(accessor);
            former.is_some()
        });
        if former.is_some() {
            let _ = tokio::time::timeout(LAST_FILES, self.finished()).await;
        }
        former
    }

    /// Removes the cache; nothing is kept any more.
    pub(super) fn forget_all(&self) {
        self.save(Persistent::forget_all);
    }

    /// The number of the newest change.
    pub(super) fn newest(&self) -> u64 {
        self.file.newest()
    }

    /// Returns when the change of this number is saved.
    pub(super) fn reached(&self, number: u64) -> impl Future<Output = ()> + Send + use<> {
        self.file.reached(number)
    }

    /// Returns when all changes so far are saved.
    pub(super) async fn finished(&self) {
        self.file.finished().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use planescape_agent_contract::Persist;
    use planescape_vault::{Call, Grant, Login, Secret, SecretText};
    use zeroize::Zeroizing;

    use super::*;

    const BODY: &str = r#"{"lease_id": "database/creds/app/1", "lease_duration": 60, "renewable": true,
        "data": {"username": "u"}}"#;

    #[test]
    fn a_new_token_gets_no_lease_of_the_former_one_however_slow_the_disk_is() {
        for keeps_after_import in [true, false] {
            let folder = folder();
            let first = open(&folder, true);
            let call = Call::Get {
                path: "database/creds/app".to_owned(),
                query: None,
            };
            let key = first.key_of(&call, None).unwrap();
            first.keep_token(&token(1));
            let secret = Secret::from_json(BODY.as_bytes()).unwrap();
            let body = Zeroizing::new(BODY.to_owned());
            first.keep(key.clone(), &secret, body, SystemTime::now());
            first.write_down();
            let second = Arc::new(open(&folder, keeps_after_import));
            let (saves, _never_gets_on) = Saves::new(Arc::clone(&second));

            saves.save(|cache| cache.keep_token(&token(2)));

            assert!(second.take(&key, SystemTime::now()).is_none());
        }
    }

    #[tokio::test]
    async fn what_is_kept_last_stands_in_the_file_and_nothing_after_all_is_forgotten() {
        let folder = folder();
        let (saves, work) = Saves::new(Arc::new(open(&folder, true)));
        let mut works = tokio::task::JoinSet::new();
        works.spawn(work);
        for round in 0..20 {
            saves.save(|cache| cache.keep_token(&token(round)));
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }

        saves.finished().await;

        assert_eq!(open(&folder, true).preloaded(), Some(token(19)));
        saves.forget_all();
        saves.save(|cache| cache.keep_token(&token(20)));
        saves.finished().await;
        assert_eq!(open(&folder, true).preloaded(), None);
    }

    /// Its life may be killed before the answer is heard.
    #[tokio::test]
    async fn no_end_of_a_token_stands_in_the_file_by_the_time_that_its_renewal_is_asked_for() {
        let folder = folder();
        let (saves, work) = Saves::new(Arc::new(open(&folder, true)));
        let mut works = tokio::task::JoinSet::new();
        works.spawn(work);
        let made = Login {
            token: token(1),
            accessor: "a1".to_owned(),
            grant: Grant::new(Duration::from_secs(60), true),
            has_limited_uses: false,
            request: String::new(),
        };
        let now = SystemTime::now();
        saves.save(|cache| cache.keep_orphan(&made, None, now));
        let is_known = || {
            let orphans = open(&folder, true).orphans(now);
            let ends = orphans.iter().map(|it| it.lasts.is_some());
            ends.collect::<Vec<_>>()
        };
        saves.finished().await;
        assert_eq!(is_known(), [true]);

        let former = saves.renewal_asked("a1").await;

        assert_eq!(is_known(), [false]);
        assert!(former.is_some());
        assert!(saves.renewal_asked("a1").await.is_none());
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwt"), "e.y.J").unwrap();
        folder
    }

    fn open(folder: &tempfile::TempDir, keeps_after_import: bool) -> Persistent {
        let settings = Persist {
            folder: folder.path().display().to_string(),
            keeps_after_import,
            exits_on_error: true,
            token_file: folder.path().join("jwt").display().to_string(),
        };
        Persistent::open(Some(&settings), None, true).unwrap()
    }

    fn token(number: usize) -> SecretText {
        SecretText::new(format!("t-{number}"))
    }
}
