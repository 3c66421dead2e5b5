//! Accounts and tokens, in the database that `TEST_STORE` names.

use super::store_test::{NOW, fresh};
use super::*;
use crate::domain::UtcMs;
use crate::domain::audit::{Act, By, Entry};

fn entry() -> Entry {
    Entry::new(NOW, Arc::new(By::system()), Act::AccountEdit)
}

fn account(name: &str, role: &str) -> Account {
    Account {
        id: 0,
        username: name.into(),
        password_hash: "$argon2id$".into(),
        email: String::new(),
        role: role.into(),
        enabled: true,
        last_login_ms: None,
        created_ms: NOW.0,
        updated_ms: NOW.0,
    }
}

#[tokio::test]
async fn one_who_cannot_log_in_shuts_nobody_out() {
    let (store, _place) = fresh().await;
    let accounts = store.accounts();
    assert!(!accounts.any().await.unwrap());
    let imported = Account { password_hash: String::new(), ..account("old", "") };
    accounts.add(&imported, false, entry()).await.unwrap().unwrap();
    accounts
        .add(&Account { enabled: false, ..account("gone", "admin") }, false, entry())
        .await
        .unwrap()
        .unwrap();
    assert!(!accounts.any().await.unwrap());
    assert!(accounts.add(&account("first", "admin"), true, entry()).await.unwrap().is_some());
    assert!(accounts.any().await.unwrap());
    assert_eq!(
        accounts.add(&account("second", "admin"), true, entry()).await.unwrap(),
        None,
        "there is a first"
    );
    assert_eq!(
        accounts.add(&account("first", "viewer"), false, entry()).await.unwrap(),
        None,
        "the name is taken"
    );
}

#[tokio::test]
async fn admins_who_demote_each_other_leave_one() {
    let (store, _place) = fresh().await;
    let accounts = store.accounts();
    let mut both = Vec::new();
    for name in ["a", "b"] {
        let id = accounts.add(&account(name, "admin"), false, entry()).await.unwrap().unwrap();
        both.push((Account { id, ..account(name, "viewer") }, account(name, "admin")));
    }
    let (a, b) = tokio::join!(
        accounts.save(&both[0].0, &both[0].1, entry()),
        accounts.save(&both[1].0, &both[1].1, entry())
    );
    let mut ended = [a.unwrap(), b.unwrap()];
    ended.sort_by_key(|written| *written == AccountWritten::LastAdmin);
    assert_eq!(ended, [AccountWritten::Done, AccountWritten::LastAdmin]);
    let admins = accounts.all().await.unwrap().into_iter().filter(|a| a.role == "admin").count();
    assert_eq!(admins, 1);
    assert_eq!(accounts.delete(99, entry()).await.unwrap(), AccountWritten::NotFound);
}

#[tokio::test]
async fn tokens_end_with_time_with_the_password_and_with_the_account() {
    let (store, _place) = fresh().await;
    let accounts = store.accounts();
    accounts.add(&account("admin", "admin"), false, entry()).await.unwrap();
    let id = accounts.add(&account("me", "viewer"), false, entry()).await.unwrap().unwrap();
    let add = async |hash: &str, at: i64, expires: Option<i64>| {
        let (created, expires) = (UtcMs(at), expires.map(UtcMs));
        let password = accounts.account(id).await.unwrap().unwrap().password_hash;
        let proof = Proof::Password(&password);
        let new =
            NewToken { account: id, kind: "token", name: "x", role: "viewer", hash, created, expires, proof };
        accounts.add_token(&new, entry()).await.unwrap().unwrap()
    };
    let known =
        async |hash: &str| accounts.token(hash).await.unwrap().map(|(token, account)| (token.id, account.id));
    let first = add("one", 1_000, Some(2_000)).await;
    assert_eq!(known("one").await, Some((first, id)));
    add("two", 3_000, None).await;
    assert_eq!((known("one").await, known("two").await.is_some()), (None, true), "what expired is swept");
    let changed = Account { id, password_hash: "another".into(), ..account("me", "viewer") };
    assert_eq!(
        accounts.save(&changed, &account("me", "viewer"), entry()).await.unwrap(),
        AccountWritten::Done
    );
    assert_eq!(known("two").await, None);
    let last = add("three", 4_000, None).await;
    assert!(!accounts.delete_token(id + 1, last, entry()).await.unwrap(), "another's");
    assert_eq!(accounts.delete(id, entry()).await.unwrap(), AccountWritten::Done);
    assert_eq!(known("three").await, None);
}

/// Checking a password takes a tenth of a second, in which an admin may act.
#[tokio::test]
async fn what_others_change_meanwhile_stays() {
    let (store, _place) = fresh().await;
    let accounts = store.accounts();
    accounts.add(&account("admin", "admin"), false, entry()).await.unwrap();
    let id = accounts.add(&account("me", "admin"), false, entry()).await.unwrap().unwrap();
    let read = accounts.account(id).await.unwrap().unwrap();
    let save = async |change: &dyn Fn(&mut Account)| {
        let mut changed = read.clone();
        change(&mut changed);
        accounts.save(&changed, &read, entry()).await.unwrap()
    };
    assert_eq!(save(&|a| a.role = "viewer".into()).await, AccountWritten::Done);
    assert_eq!(save(&|a| a.email = "me@example.com".into()).await, AccountWritten::Done);
    let now = accounts.account(id).await.unwrap().unwrap();
    assert_eq!((now.role.as_str(), now.email.as_str()), ("viewer", "me@example.com"));
    // Disabled: the new password of whoever knew the old one comes too late, and so does a session.
    assert_eq!(save(&|a| a.enabled = false).await, AccountWritten::Done);
    assert_eq!(save(&|a| a.password_hash = "new".into()).await, AccountWritten::Changed);
    let session = |proof| NewToken {
        account: id,
        kind: "session",
        name: "x",
        role: "admin",
        hash: "h",
        created: NOW,
        expires: None,
        proof,
    };
    let add = async |proof| accounts.add_token(&session(proof), entry()).await.unwrap();
    assert_eq!(add(Proof::Password(&read.password_hash)).await, None);
    let enabled = Account { enabled: true, ..now.clone() };
    let disabled = Account { enabled: false, ..now };
    assert_eq!(accounts.save(&enabled, &disabled, entry()).await.unwrap(), AccountWritten::Done);
    assert!(add(Proof::Password(&read.password_hash)).await.is_some());
    assert_eq!(add(Proof::Password("reset meanwhile")).await, None);
    assert_eq!(add(Proof::Token(999)).await, None);
}
