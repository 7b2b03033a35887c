//! Promises that hold at each step.

use super::*;

impl World {
    /// Counts the steps for which a due renewal was not tried.
    pub(super) fn watch(&mut self, step: &Step) {
        let here = self.here();
        let Custody::Held(holding) = &self.memory.custody else {
            return;
        };
        let token = (Subject::Token, holding.token);
        let leases = holding.leases.iter().enumerate();
        let leases = leases.map(|(index, lease)| (Subject::Lease(index), lease.life));
        let is_running = self.run.stage == Stage::Running;
        for (subject, life) in [token].into_iter().chain(leases) {
            let is_due = life.renewal(OUTAGE).is_some_and(|due| due <= here);
            let is_tried = step.subject() == subject;
            // With the token everything has ended.
            let is_lost = holding.token.renewal(OUTAGE).is_none();
            let count = self.neglected.entry(subject).or_default();
            *count = match is_running && is_due && !is_tried && !is_lost {
                true => *count + 1,
                false => 0,
            };
            assert!(
                *count <= LONGEST_NEGLECT,
                "{subject:?} is due and not renewed: {step:?}"
            );
        }
        if matches!(step, Step::LetGo(_)) {
            let record = self.record.as_ref().unwrap();
            let mut leases = record.leases.iter();
            // A clock that is set back makes a life live again that it has ended.
            let off = match self.clocks.differ {
                true => CLOCKS,
                false => SignedDuration::ZERO,
            };
            let dead = leases.find(|(index, _)| self.vault.leases[*index].end + off <= self.now);
            assert!(dead.is_none(), "a pod starts with a lease that has ended");
        }
    }

    fn told(&self) -> Option<&Reason> {
        let told = self.run.told.as_ref();
        told.filter(|told| told.phase == Phase::Done)
            .map(|told| &told.reason)
    }

    pub(super) fn lives(&self) -> bool {
        self.vault.token.is_some() || self.vault.leases.iter().any(|lease| lease.lives)
    }

    /// An untrue claim of the status. After a lost answer, or without leave to look, the status says that it does not
    /// know.
    pub(super) fn untruth(&self) -> Option<&'static str> {
        let is_doubted = self.run.told.as_ref().is_some_and(Report::has_open_leases);
        let is_revoked = self.told() == Some(&Reason::Revoked) && !is_doubted;
        if is_revoked && self.lives() {
            return Some("`Revoked`, and a lease lives");
        }
        let until = self.told_until().filter(|until| *until < self.now);
        let token_lives_on = until.is_some() && self.vault.token.is_some();
        token_lives_on.then_some("`Expiring`, and the token lives for longer")
    }

    /// Until when a token is said to live at most.
    fn told_until(&self) -> Option<Timestamp> {
        let told = self.run.told.as_ref();
        let told = told
            .filter(|told| told.phase == Phase::Done && told.reason == Reason::CredentialsEnded)?;
        let said = Timestamp::from_second(told.at?).ok()?;
        let left = i64::try_from(told.ttl_seconds?).ok()?;
        said.checked_add(SignedDuration::from_secs(left)).ok()
    }
}
