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
        both.push(Account { id, ..account(name, "viewer") });
    }
    let (a, b) = tokio::join!(accounts.save(&both[0], entry()), accounts.save(&both[1], entry()));
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
        let new = NewToken { account: id, kind: "token", name: "x", role: "viewer", hash, created, expires };
        accounts.add_token(&new, entry()).await.unwrap()
    };
    let known =
        async |hash: &str| accounts.token(hash).await.unwrap().map(|(token, account)| (token.id, account.id));
    let first = add("one", 1_000, Some(2_000)).await;
    assert_eq!(known("one").await, Some((first, id)));
    add("two", 3_000, None).await;
    assert_eq!((known("one").await, known("two").await.is_some()), (None, true), "what expired is swept");
    let changed = Account { id, password_hash: "another".into(), ..account("me", "viewer") };
    assert_eq!(accounts.save(&changed, entry()).await.unwrap(), AccountWritten::Done);
    assert_eq!(known("two").await, None);
    let last = add("three", 4_000, None).await;
    assert!(!accounts.delete_token(id + 1, last, entry()).await.unwrap(), "another's");
    assert_eq!(accounts.delete(id, entry()).await.unwrap(), AccountWritten::Done);
    assert_eq!(known("three").await, None);
}
