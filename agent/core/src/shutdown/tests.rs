use std::convert::identity;

use planescape_vault::{Error, Grant, Login, Refusal, SecretText};

use super::*;

const NOTHING_AWAITED: Awaited = Awaited {
    login: false,
    lease: false,
};

#[test]
fn no_more_than_eight_tokens_are_revoked_at_once() {
    let tokens = (1..=20).map(|number| token(number, 3600)).collect();
    let mut shutdown = Shutdown::new(rendered(), tokens, at(0));

    assert_eq!(revoked_now(&mut shutdown, 0), (1..=8).collect::<Vec<_>>());
    assert_eq!(revoked_now(&mut shutdown, 0), [0; 0]);
    shutdown.revoked(TokenId(3), Ok(()), &mut Dice::new(1), at(0));

    assert_eq!(revoked_now(&mut shutdown, 0), [9]);
}

#[test]
fn a_token_whose_time_is_over_is_revoked_after_all_others() {
    let tokens = vec![token(1, 1), token(2, 3600), token(3, 1), token(4, 3600)];
    let mut shutdown = Shutdown::new(rendered(), tokens, at(10));

    assert_eq!(revoked_now(&mut shutdown, 10), [2, 4, 1, 3]);
}

#[test]
fn a_token_that_comes_twice_is_revoked_once() {
    let mut shutdown = Shutdown::new(rendered(), vec![token(1, 3600)], at(0));
    let mut again = token(1, 3600);
    again.token.id = TokenId(2);

    shutdown.add(again, at(0));

    assert_eq!(revoked_now(&mut shutdown, 0), [1]);
}

#[test]
fn an_answer_that_may_bring_a_lease_is_waited_for_five_seconds() {
    let mut shutdown = Shutdown::new(rendered(), vec![token(1, 3600)], at(0));
    let awaited = Awaited {
        login: false,
        lease: true,
    };
    let mut count = |seconds| {
        let commands = shutdown.advance(awaited, |_| Leased::default(), at(seconds));
        (commands.len(), shutdown.timeout())
    };

    assert_eq!(count(0), (0, at(5)));
    assert_eq!(count(4), (0, at(5)));
    assert_eq!(count(5), (1, at(20)), "its token is revoked");
}

#[test]
fn a_wait_that_vault_asks_for_is_kept() {
    let mut shutdown = Shutdown::new(rendered(), vec![token(1, 3600)], at(0));
    revoked_now(&mut shutdown, 0);
    let busy = Refusal::new(429, String::new(), Some(Duration::from_secs(7)));

    let busy = Error::Refused(busy).into();
    shutdown.revoked(TokenId(1), Err(busy), &mut Dice::new(1), at(0));

    assert_eq!(revoked_now(&mut shutdown, 6), [0; 0]);
    assert_eq!(shutdown.timeout(), at(7));
    assert_eq!(revoked_now(&mut shutdown, 7), [1]);
}

#[test]
fn an_end_at_once_says_nothing_of_the_life_of_a_token_that_a_login_may_bring() {
    for awaits_login in [false, true] {
        let mut shutdown = Shutdown::new(rendered(), vec![token(1, 3600)], at(0));
        assert!(shutdown.signal(awaits_login, at(0)).is_none());

        let Some(Command::Exit { report, .. }) = shutdown.signal(awaits_login, at(0)) else {
            panic!("it goes on");
        };

        assert_eq!(report.unrevoked, ["a1"]);
        assert_eq!(report.ttl_seconds.is_none(), awaits_login);
    }
}

/// OpenBao refuses to revoke a token that has ended as it refuses for a policy.
#[test]
fn a_refusal_fails_the_agent_unless_the_time_of_all_that_were_refused_is_over() {
    const OVER: u64 = 1;
    const LIVES: u64 = 3600;
    for (lives, misses_tokens, awaits_login, code, words) in [
        (
            &[OVER][..],
            false,
            false,
            ExitCode::Done,
            "may outlive its time",
        ),
        (
            &[LIVES],
            false,
            false,
            ExitCode::Unavailable,
            "could not be revoked: ",
        ),
        (
            &[OVER, LIVES],
            false,
            false,
            ExitCode::Unavailable,
            "could not be revoked: ",
        ),
        (
            &[OVER],
            true,
            false,
            ExitCode::Unavailable,
            "could not be revoked: ",
        ),
        (&[OVER], false, true, ExitCode::Unavailable, "in time"),
    ] {
        let tokens = (1..).zip(lives).map(|(number, life)| token(number, *life));
        let mut shutdown = Shutdown::new(rendered(), tokens.collect(), at(0));
        if misses_tokens {
            shutdown = shutdown.missing_tokens();
        }
        let asked = revoked_now(&mut shutdown, 10);
        assert_eq!(asked.len(), lives.len());
        for number in asked {
            let id = TokenId(number);
            shutdown.revoked(id, Err(denied()), &mut Dice::new(1), at(10));
        }

        let awaited = Awaited {
            login: awaits_login,
            lease: false,
        };
        let ended = if awaits_login { 20 } else { 10 };
        let (ends_with, report) = exit(&mut shutdown, awaited, ended);

        let case = format!("{lives:?} {misses_tokens} {awaits_login}");
        assert_eq!(ends_with, code, "{case}");
        let message = report.message.unwrap();
        assert!(message.contains(words), "{case}: {message}");
    }
}

#[test]
fn leases_are_named_once_every_token_is_revoked_and_none_of_one_that_may_live() {
    for (answers, is_named) in [
        (&[Ok(()), Ok(())][..], true),
        (&[Ok(()), Err(denied())], false),
        (&[Err(denied()), Err(denied())], false),
    ] {
        let tokens = vec![token(1, 3600), token(2, 3600)];
        let mut shutdown = Shutdown::new(rendered(), tokens, at(0));
        revoked_now(&mut shutdown, 0);
        shutdown.granted_to_others();
        for (number, answer) in (1..).zip(answers) {
            let id = TokenId(number);
            shutdown.revoked(id, answer.clone(), &mut Dice::new(1), at(0));
        }

        let (_, report) = exit(&mut shutdown, NOTHING_AWAITED, 0);

        assert_eq!(report.more_leases, usize::from(is_named), "{answers:?}");
    }
}

/// OpenBao refuses to revoke one a second time.
#[test]
fn a_token_that_is_revoked_is_left_out_where_others_are_left_to_the_next_life() {
    let unknown = denied_as("invalid token");
    type Change = fn(Shutdown) -> Shutdown;
    let cases: [(Change, _, &[&str]); 5] = [
        (identity, Ok(()), &[]),
        (identity, Err(denied()), &["t1"]),
        (identity, Err(unknown), &[]),
        (Shutdown::keeping_token, Ok(()), &["t1", "t2"]),
        (Shutdown::missing_tokens, Ok(()), &["t1", "t2"]),
    ];
    for (change, answer, left_out) in cases {
        let case = format!("{answer:?} {left_out:?}");
        let tokens = vec![token(1, 3600), token(2, 3600)];
        let mut shutdown = change(Shutdown::new(rendered(), tokens, at(0)));
        revoked_now(&mut shutdown, 0);
        for (id, answer) in [(TokenId(1), Ok(())), (TokenId(2), answer)] {
            shutdown.revoked(id, answer, &mut Dice::new(1), at(0));
        }

        let commands = shutdown.advance(NOTHING_AWAITED, |_| Leased::default(), at(0));

        let forgotten = commands.iter().filter_map(|command| {
            let Command::Forget { tokens } = command else {
                return None;
            };
            Some(tokens.iter().map(SecretText::expose))
        });
        let forgotten: Vec<&str> = forgotten.flatten().collect();
        assert_eq!(forgotten, left_out, "{case}");
    }
}

#[test]
fn an_end_at_once_leaves_out_what_is_revoked_and_nothing_else() {
    let tokens = vec![token(1, 3600), token(2, 3600)];
    let mut shutdown = Shutdown::new(rendered(), tokens, at(0));
    revoked_now(&mut shutdown, 0);
    assert!(shutdown.forget().is_none());
    shutdown.revoked(TokenId(2), Ok(()), &mut Dice::new(1), at(0));

    let Some(Command::Forget { tokens }) = shutdown.forget() else {
        panic!("the next life tries it again");
    };

    assert!(tokens.iter().map(SecretText::expose).eq(["t2"]));
}

/// The tokens whose revocation is due.
fn revoked_now(shutdown: &mut Shutdown, seconds: u64) -> Vec<u64> {
    let commands = shutdown.advance(NOTHING_AWAITED, |_| Leased::default(), at(seconds));
    let tokens = commands.iter().filter_map(|command| {
        let Command::Revoke { token } = command else {
            return None;
        };
        Some(token.id.0)
    });
    tokens.collect()
}

fn exit(shutdown: &mut Shutdown, awaited: Awaited, seconds: u64) -> (ExitCode, Report) {
    let commands = shutdown.advance(awaited, |_| Leased::default(), at(seconds));
    match commands.into_iter().next_back() {
        Some(Command::Exit { code, report }) => (code, report),
        other => panic!("{other:?} instead of an exit"),
    }
}

fn rendered() -> End {
    End {
        code: ExitCode::Done,
        report: Report::new(Phase::Done, Reason::Rendered),
    }
}

fn token(number: u64, seconds: u64) -> Living {
    let login = Login {
        accessor: format!("a{number}"),
        token: SecretText::new(format!("t{number}")),
        grant: Grant::new(Duration::from_secs(seconds), true),
        has_limited_uses: false,
        request: String::new(),
    };
    Living::of_login(login, TokenId(number), at(0))
}

fn denied() -> Failure {
    denied_as("permission denied")
}

fn denied_as(words: &str) -> Failure {
    let refusal = Refusal::new(403, words.to_owned(), None);
    Error::Refused(refusal).into()
}

fn at(seconds: u64) -> Moment {
    Moment::since_boot(Duration::from_secs(1000 + seconds))
}
