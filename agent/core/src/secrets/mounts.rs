//! The mounts that serve paths; Vault is asked once for each mount.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_vault::mount::Mount;

use super::Id;
use crate::clock::Moment;

/// How long Vault's word is not doubted.
const FRESH: Duration = Duration::from_secs(60);

/// The mounts that are known.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    namespace: Option<String>,
    /// By the path of the mount, with a slash at the end.
    known: BTreeMap<String, Learnt<Mount>>,
    /// Paths for which Vault would not say, or named a mount that does not lead there.
    exact: BTreeMap<String, Learnt<Option<Mount>>>,
    /// Paths that are being asked for, and the entries that wait.
    asking: BTreeMap<String, Vec<Id>>,
    /// How many segments mounts have, by their first one; paths that agree so far are taken to
    /// have the same mount until Vault says otherwise.
    depths: BTreeMap<String, usize>,
}

/// Something that Vault said, and when.
#[derive(Debug)]
struct Learnt<T> {
    said: T,
    at: Moment,
}

/// The knowledge of one path.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Its mount; `None`: Vault does not say.
    Mount(Option<Mount>),
    /// Vault has to be asked.
    Ask,
    /// Vault is being asked.
    Wait,
}

impl Mounts {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            ..Self::default()
        }
    }

    /// The mount of a path, if it is known. An entry that must wait is noted and comes back with [`Self::found`].
    pub(super) fn find(&mut self, path: &str, id: Id) -> Found {
        if let Some(mount) = self.covering(path) {
            return Found::Mount(Some(mount.clone()));
        }
        if let Some(mount) = self.exact.get(path) {
            return Found::Mount(mount.said.clone());
        }
        let group = self.group(path).to_owned();
        let depths = &self.depths;
        let mut asking = self.asking.iter_mut();
        if let Some((_, waiting)) = asking.find(|(asked, _)| group_of(asked, depths) == group) {
            waiting.push(id);
            return Found::Wait;
        }
        self.asking.insert(path.to_owned(), vec![id]);
        Found::Ask
    }

    /// Notes the mount of a path, or that Vault does not say; gives back the entries that waited.
    pub(super) fn found(&mut self, path: &str, mount: Option<Mount>, at: Moment) -> Vec<Id> {
        match mount {
            Some(mount) => {
                let own = self.relative(mount.path()).to_owned();
                if !own.is_empty() && format!("{path}/").starts_with(&own) {
                    self.depths
                        .insert(first(path).to_owned(), own.matches('/').count());
                    self.known.insert(own, Learnt { said: mount, at });
                } else {
                    let said = Some(mount);
                    self.exact.insert(path.to_owned(), Learnt { said, at });
                }
            }
            None => {
                // A policy hides it, and may show others beside it.
                self.depths.insert(first(path).to_owned(), usize::MAX);
                self.exact
                    .insert(path.to_owned(), Learnt { said: None, at });
            }
        }
        self.failed(path)
    }

    /// Vault could not be asked; gives back the entries that waited.
    pub(super) fn failed(&mut self, path: &str) -> Vec<Id> {
        self.asking.remove(path).unwrap_or_default()
    }

    /// A read failed: an old word of Vault may be wrong by now, and a mount that it would not name may be there.
    pub(super) fn forget(&mut self, path: &str, now: Moment) {
        self.exact.retain(|exact, mount| {
            exact != path || (mount.said.is_some() && now.since(mount.at) < FRESH)
        });
        if let Some(own) = self.covering(path).map(|mount| mount.path().to_owned()) {
            let own = self.relative(&own).to_owned();
            self.known
                .retain(|known, mount| *known != own || now.since(mount.at) < FRESH);
        }
    }

    /// Another token may see what this one does not.
    pub(super) fn token_replaced(&mut self) {
        self.exact.retain(|_, mount| mount.said.is_some());
    }

    /// The mount of a path, if it is known.
    pub(super) fn of(&self, path: &str) -> Option<&Mount> {
        let exact = || self.exact.get(path)?.said.as_ref();
        self.covering(path).or_else(exact)
    }

    /// The engine that answers for a path: its mount, or the first segment while that is not known.
    pub(super) fn engine<'it>(&'it self, path: &'it str) -> &'it str {
        match self.covering(path) {
            Some(mount) => self.relative(mount.path()).trim_end_matches('/'),
            None => first(path.trim_start_matches('/')),
        }
    }

    fn covering(&self, path: &str) -> Option<&Mount> {
        let ends = path.match_indices('/').map(|(at, _)| &path[..=at]);
        let mut ends = ends.filter_map(|prefix| self.known.get(prefix));
        let found = ends.next().or_else(|| self.known.get(&format!("{path}/")));
        found.map(|mount| &mount.said)
    }

    /// Vault puts the namespace in front.
    fn relative<'path>(&self, mount: &'path str) -> &'path str {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        mount.strip_prefix(namespace).unwrap_or(mount)
    }

    fn group<'path>(&self, path: &'path str) -> &'path str {
        group_of(path, &self.depths)
    }
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn group_of<'path>(path: &'path str, depths: &BTreeMap<String, usize>) -> &'path str {
    let depth = depths.get(first(path)).copied().unwrap_or(1);
    let mut ends = path.match_indices('/').map(|(at, _)| at);
    match ends.nth(depth.saturating_sub(1)) {
        Some(end) => &path[..end],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_asked_for_once() {
        let mut mounts = Mounts::default();

        assert_eq!(mounts.find("kv/a", Id(1)), Found::Ask);
        assert_eq!(mounts.find("kv/b/c", Id(2)), Found::Wait);
        assert_eq!(mounts.find("other/a", Id(3)), Found::Ask);
        assert_eq!(mounts.found("kv/a", Some(kv("kv/")), at(0)), [Id(1), Id(2)]);

        assert_eq!(mounts.find("kv/a", Id(1)), Found::Mount(Some(kv("kv/"))));
        assert_eq!(mounts.find("kv/b/c", Id(2)), Found::Mount(Some(kv("kv/"))));
        assert_eq!(mounts.find("kv", Id(4)), Found::Mount(Some(kv("kv/"))));
        assert_eq!(mounts.find("kvx/a", Id(5)), Found::Ask);
    }

    #[test]
    fn mounts_below_the_same_first_segment_are_told_apart() {
        let mut mounts = Mounts::default();
        assert_eq!(mounts.find("team/x/a", Id(1)), Found::Ask);
        assert_eq!(mounts.find("team/y/a", Id(2)), Found::Wait);
        assert_eq!(mounts.find("team/z/a", Id(3)), Found::Wait);

        mounts.found("team/x/a", Some(kv("team/x/")), at(0));

        assert_eq!(mounts.find("team/y/a", Id(2)), Found::Ask);
        assert_eq!(mounts.find("team/z/a", Id(3)), Found::Ask);
        assert_eq!(mounts.find("team/y/b", Id(4)), Found::Wait);
    }

    #[test]
    fn what_vault_does_not_say_of_one_path_it_may_say_of_another() {
        let mut mounts = Mounts::default();
        mounts.find("kv/a", Id(1));
        mounts.find("kv/b", Id(2));

        assert_eq!(mounts.found("kv/a", None, at(0)), [Id(1), Id(2)]);

        assert_eq!(mounts.find("kv/a", Id(1)), Found::Mount(None));
        assert_eq!(mounts.find("kv/b", Id(2)), Found::Ask);
        assert_eq!(mounts.find("kv/c", Id(3)), Found::Ask);
        mounts.token_replaced();
        assert_eq!(mounts.find("kv/a", Id(1)), Found::Ask);
    }

    #[test]
    fn the_engine_of_a_path_is_its_mount_or_what_all_mounts_there_begin_with() {
        let mut mounts = Mounts::new(Some("ns/".to_owned()));
        mounts.find("team/x/a", Id(1));
        assert_eq!(mounts.engine("team/x/a"), "team");
        assert_eq!(mounts.engine("/team/x/a"), "team");

        mounts.found("team/x/a", Some(kv("ns/team/x/")), at(0));

        assert_eq!(mounts.engine("team/x/b"), "team/x");
        assert_eq!(mounts.engine("team/y/a"), "team");
    }

    #[test]
    fn a_namespace_in_front_of_a_mount_is_left_out() {
        let mut mounts = Mounts::new(Some("ns/".to_owned()));
        mounts.find("kv/a", Id(1));

        mounts.found("kv/a", Some(kv("ns/kv/")), at(0));

        assert_eq!(mounts.find("kv/b", Id(2)), Found::Mount(Some(kv("ns/kv/"))));
        mounts.forget("kv/b", at(60));
        assert_eq!(mounts.find("kv/b", Id(2)), Found::Ask);
    }

    #[test]
    fn an_answer_that_does_not_fit_its_path_is_believed_for_that_path_alone() {
        for mount in ["elsewhere/", ""] {
            let mut mounts = Mounts::default();
            mounts.find("kv/a", Id(1));

            mounts.found("kv/a", Some(kv(mount)), at(0));

            let found = mounts.find("kv/a", Id(1));
            assert_eq!(found, Found::Mount(Some(kv(mount))));
            assert_eq!(mounts.find("kv/b", Id(2)), Found::Ask);
        }
    }

    #[test]
    fn a_failed_read_makes_doubtful_what_was_said_of_its_own_path_a_minute_ago() {
        let mut mounts = Mounts::default();
        for (path, mount) in [
            ("kv/a", "elsewhere/"),
            ("kv/b", "elsewhere/"),
            ("db/x", "db/"),
            ("pki/x", "pki/"),
        ] {
            mounts.find(path, Id(1));
            mounts.found(path, Some(kv(mount)), at(0));
        }
        let known = |mounts: &mut Mounts| {
            let paths = ["kv/a", "kv/b", "db/x", "pki/x"];
            paths.map(|path| mounts.find(path, Id(2)) != Found::Ask)
        };

        mounts.forget("kv/a", at(59));
        mounts.forget("db/y", at(59));
        assert_eq!(known(&mut mounts), [true; 4]);
        mounts.forget("kv/a", at(60));
        mounts.forget("db/y", at(60));
        assert_eq!(known(&mut mounts), [false, true, false, true]);
    }

    fn kv(path: &str) -> Mount {
        Mount::new(path, "kv", "2")
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn a_failed_read_makes_doubtful_at_once_what_was_not_said() {
        let mut mounts = Mounts::default();
        mounts.find("later/app", Id(1));
        mounts.found("later/app", None, at(0));
        assert_eq!(mounts.find("later/app", Id(1)), Found::Mount(None));

        mounts.forget("later/app", at(1));

        assert_eq!(mounts.find("later/app", Id(1)), Found::Ask);
    }
}
