//! Rounds whose clients an issuer vouches for: SECURE_SUM's attested rosters.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::messages::{AggregatorMessage, ClientMessage};
use choir_shared::policy::{PinnedIssuer, Policy, PolicyError};
use choir_shared::reject::RejectCode;
use choir_shared::round::{ClientFault, ClientRound, JoinError, JoinSetup, LeaveReason};
use choir_shared::secure_sum::{
    Context, Issuer, Roster, RosterEntry, SessionKeys, Token, TokenError,
};
use choir_shared::sim::issuer::{InsecureIssuer, TestKey};
use choir_shared::sim::{self, head_task};
use choir_shared::task::{TaskConfig, TaskError};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};

#[path = "support/table.rs"]
mod table;

use table::{Out, Table};

fn maker() -> InsecureIssuer {
    InsecureIssuer::new(TestKey::First, "choir")
}

fn attested_task() -> TaskConfig {
    let mut task = head_task(4, 3, 6);
    task.attestation = Some(maker().attestation());
    task
}

fn join_of(out: &Out) -> ClientMessage {
    wire::decode(out.bytes(), limits::CLIENT_MESSAGE).expect("JOIN")
}

fn keys_and_token(out: &Out) -> (RosterEntry, Vec<u8>) {
    let ClientMessage::Join {
        signing_key,
        channel_key,
        mask_key,
        token,
        ..
    } = join_of(out)
    else {
        panic!("JOIN")
    };
    let keys = RosterEntry {
        signing_key,
        channel_key,
        mask_key,
    };
    (keys, token)
}

fn with_token(out: &Out, bytes: Vec<u8>) -> Out {
    let mut join = join_of(out);
    if let ClientMessage::Join { token, .. } = &mut join {
        *token = bytes;
    }
    Out::Socket(wire::encode(&join))
}

/// Every client is shown what `change` makes of ROSTER; nobody shares, everybody leaves.
fn assert_everybody_leaves(clients: u16, change: impl Fn(&mut Vec<u8>)) -> Vec<ClientFault> {
    let (mut table, joins) = Table::attested(clients);
    table.give_all(&joins);
    let mut faults = Vec::new();
    for (client, mut message) in std::mem::take(&mut table.inbox) {
        if let AggregatorMessage::Roster { roster, .. } = &mut message {
            change(roster);
        }
        assert_eq!(table.tell(client, message), [], "silently");
        if let Some(LeaveReason::Fault(fault)) = table.left[client] {
            faults.push(fault);
        }
    }
    assert_eq!(faults.len(), usize::from(clients));
    faults
}

#[test]
fn a_round_with_tokens_publishes_the_plain_sum_and_survives_restarts() {
    let (mut table, mut pending) = Table::attested(4);
    while table.outcome.is_none() {
        for (client, out) in &pending {
            table.give(*client, out).expect("an honest message");
            table.restart();
        }
        pending = table.answers();
    }
    let outcome = table.outcome.clone().expect("closed");
    assert_eq!(outcome.survivors, [0, 1, 2, 3]);
    assert_eq!(outcome.sum, table.plain_sum(&[0, 1, 2, 3]));
}

#[test]
fn a_roster_has_the_token_after_each_entry_and_the_context_is_over_both() {
    let (mut table, joins) = Table::attested(4);
    table.give_all(&joins);
    let sent = table.inbox.iter().find_map(|(_, message)| match message {
        AggregatorMessage::Roster { header, roster } => Some((header.clone(), roster.clone())),
        _ => None,
    });
    let (header, bytes) = sent.expect("ROSTER");
    let expected: Vec<u8> = joins
        .iter()
        .flat_map(|(_, join)| {
            let (keys, token) = keys_and_token(join);
            keys.to_bytes().into_iter().chain(token)
        })
        .collect();
    assert_eq!(bytes, expected);
    let roster = Roster::read(&bytes, true).expect("a roster with tokens");
    assert_eq!(roster.to_bytes(), bytes);
    let without = Context::new(&header, &roster.entries);
    assert_ne!(Context::of_bytes(&header, &bytes), without);
    for length in 0..bytes.len() {
        let read = Roster::read(&bytes[..length], true);
        assert_eq!(read.is_some(), length % 352 == 0);
    }
}

#[test]
fn a_join_without_a_good_token_is_refused() {
    let (mut table, joins) = Table::attested(4);
    let (keys, good) = keys_and_token(&joins[0].1);
    let (_, of_another) = keys_and_token(&joins[1].1);
    let mut changed = good.clone();
    changed[100] ^= 1;
    let of_another_issuer = InsecureIssuer::new(TestKey::Second, "choir").issue(&keys);
    let of_another_challenge = InsecureIssuer::new(TestKey::First, "elsewhere").issue(&keys);
    for bad in [
        Vec::new(),
        good[..255].to_vec(),
        [&good[..], &[0]].concat(),
        changed,
        of_another,
        of_another_issuer.0.to_vec(),
        of_another_challenge.0.to_vec(),
    ] {
        table.assert_refused(0, &with_token(&joins[0].1, bad), RejectCode::BadToken);
    }
    table.give(0, &joins[0].1).expect("the client's own token");
}

#[test]
fn a_token_used_twice_is_refused_by_its_keys() {
    let (mut table, joins) = Table::attested(4);
    table.give(0, &joins[0].1).expect("JOIN");
    // The same JOIN from another connection, and the same keys with a fresh token.
    table.assert_refused(1, &joins[0].1, RejectCode::BadKey);
    let (keys, _) = keys_and_token(&joins[0].1);
    let fresh = maker().issue(&keys).0.to_vec();
    table.assert_refused(1, &with_token(&joins[0].1, fresh), RejectCode::BadKey);
}

#[test]
fn a_token_that_nobody_asked_for_is_refused() {
    let (mut table, joins) = Table::new(4);
    let (keys, none) = keys_and_token(&joins[0].1);
    assert!(none.is_empty());
    let token = maker().issue(&keys).0.to_vec();
    table.assert_refused(0, &with_token(&joins[0].1, token), RejectCode::BadToken);
}

#[test]
fn a_server_that_drops_the_tokens_is_left_by_every_client() {
    // Eleven entries without tokens are as long as three with: the header tells them apart.
    for clients in [4, 11] {
        assert_everybody_leaves(clients, |roster| {
            let entries: Vec<u8> = roster
                .chunks(352)
                .flat_map(|entry| entry[..96].to_vec())
                .collect();
            *roster = entries;
        });
    }
}

#[test]
fn a_server_that_swaps_or_changes_a_token_is_left_by_every_client() {
    let swapped = assert_everybody_leaves(5, |roster| {
        let (first, second) = roster.split_at_mut(352);
        first[96..].swap_with_slice(&mut second[96..352]);
    });
    let changed = assert_everybody_leaves(5, |roster| roster[3 * 352 + 100] ^= 1);
    let copied = assert_everybody_leaves(5, |roster| {
        roster.copy_within(96..352, 4 * 352 + 96);
    });
    let others: Vec<ClientFault> = [swapped, changed, copied].concat();
    assert_eq!(others, [ClientFault::Token; 15]);
}

#[test]
fn an_invented_client_without_a_token_of_its_own_is_noticed_by_every_client() {
    let mut entropy = InsecureSeededEntropy::new(5);
    let invented = SessionKeys::generate(&mut entropy).public();
    let elsewhere = InsecureIssuer::new(TestKey::Second, "choir").issue(&invented);
    let faults = assert_everybody_leaves(5, |roster| {
        // In the last place; its own client sees that it is not in the roster.
        roster[4 * 352..4 * 352 + 96].copy_from_slice(&invented.to_bytes());
        roster[4 * 352 + 96..].copy_from_slice(&elsewhere.0);
    });
    assert_eq!(faults[..4], [ClientFault::Token; 4]);
    assert_eq!(faults[4], ClientFault::NotInRoster);
}

/// A client of `task` under `policy`; with keys and the token that `token` makes of them, if any.
fn join(
    task: &TaskConfig,
    policy: Policy,
    token: Option<&dyn Fn(&RosterEntry) -> Token>,
) -> Option<JoinError> {
    let setup = sim::round_setup(task);
    let mut entropy = InsecureSeededEntropy::new(1);
    let update = FrozenUpdate::new(&[0.0; 14], 1, task, &mut entropy).expect("an update");
    let join = JoinSetup {
        policy,
        task,
        task_id: setup.task_id,
        round_id: setup.round_id,
        version: setup.version,
        adapter: setup.adapter,
    };
    let joined = match token {
        None => ClientRound::join(&join, update, &mut entropy),
        Some(token) => {
            let keys = SessionKeys::generate(&mut entropy);
            let token = token(&keys.public());
            ClientRound::join_attested(&join, update, keys, token)
        }
    };
    joined.err()
}

#[test]
fn a_client_offers_only_a_token_of_the_tasks_issuer_for_its_own_keys() {
    let (attested, plain) = (attested_task(), head_task(4, 3, 6));
    let demo = Policy::demo();
    let good = |keys: &RosterEntry| maker().issue(keys);
    let elsewhere = |keys: &RosterEntry| InsecureIssuer::new(TestKey::Second, "choir").issue(keys);
    assert_eq!(join(&attested, demo, Some(&good)), None);
    assert_eq!(
        join(&attested, demo, Some(&elsewhere)),
        Some(JoinError::Token)
    );
    assert_eq!(join(&attested, demo, None), Some(JoinError::Token));
    assert_eq!(join(&plain, demo, Some(&good)), Some(JoinError::Token));
    assert_eq!(join(&plain, demo, None), None);
}

#[test]
fn a_policy_that_names_an_issuer_takes_no_task_without_it() {
    let good = |keys: &RosterEntry| maker().issue(keys);
    let attestation = maker().attestation();
    let issuer = PinnedIssuer {
        key_id: attestation.issuer_key_id(),
        challenge_digest: attestation.challenge_digest,
    };
    let policy = Policy {
        issuer: Some(issuer),
        ..Policy::demo()
    };
    assert_eq!(join(&attested_task(), policy, Some(&good)), None);
    let mut others = [head_task(4, 3, 6), attested_task(), attested_task()];
    let second = InsecureIssuer::new(TestKey::Second, "choir").attestation();
    others[1].attestation = Some(second);
    let elsewhere = InsecureIssuer::new(TestKey::First, "elsewhere").attestation();
    others[2].attestation = Some(elsewhere);
    for task in others {
        let refused = join(&task, policy, None);
        assert_eq!(refused, Some(JoinError::Policy(PolicyError::Issuer)));
    }
    let json = serde_json::to_string(&policy).expect("JSON");
    let read: Policy = serde_json::from_str(&json).expect("a policy");
    assert_eq!(read, policy);
}

#[test]
fn a_task_whose_issuer_has_no_key_of_type_2_is_no_task() {
    let mut task = attested_task();
    assert_eq!(task.check(), Ok(()));
    let attestation = task.attestation.as_mut().expect("attested");
    attestation.issuer_key.pop();
    let error = TaskError::Attestation(TokenError::Encoding);
    assert_eq!(task.check(), Err(error));
}

#[test]
fn a_client_that_reconnects_in_the_lobby_offers_the_same_keys_and_token() {
    let (mut table, joins) = Table::attested(4);
    let again = table.relink(0);
    assert_eq!(again, joins[..1]);
    // Without tokens the keys are fresh.
    let (mut table, joins) = Table::new(4);
    let again = table.relink(0);
    assert_ne!(again, joins[..1]);
}

#[test]
fn a_hundred_tokens_are_checked_by_every_client() {
    let mut maker = maker();
    let issuer = Issuer::new(&maker.attestation()).expect("an issuer");
    let mut entropy = InsecureSeededEntropy::new(6);
    let entries: Vec<RosterEntry> = (0..100)
        .map(|_| SessionKeys::generate(&mut entropy).public())
        .collect();
    let tokens: Vec<Token> = entries.iter().map(|entry| maker.issue(entry)).collect();
    let good = std::iter::zip(&entries, &tokens)
        .filter(|(keys, token)| issuer.verify(keys, token))
        .count();
    let shifted = std::iter::zip(&entries, tokens.iter().skip(1))
        .filter(|(keys, token)| issuer.verify(keys, token))
        .count();
    assert_eq!((good, shifted), (100, 0));
}
