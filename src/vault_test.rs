use super::*;

fn by() -> Arc<By> {
    Arc::new(By::system())
}

struct Here {
    vault: Vault,
    store: Store,
    dir: tempfile::TempDir,
}

async fn here() -> Here {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("jobs.db")).await.unwrap();
    let vault = Vault::new(store.clone(), dir.path().join("keys/secrets.key"), Clock::System);
    Here { vault, store, dir }
}

impl Here {
    /// Another server with the same database, and a key file of this name.
    fn other(&self, key: &str) -> Vault {
        Vault::new(self.store.clone(), self.dir.path().join(key), Clock::System)
    }
}

#[tokio::test]
async fn a_value_comes_back_and_is_not_in_the_database() {
    let here = here().await;
    assert!(here.vault.put("DB", Some("hunter2-密"), Some("for the report"), by()).await.unwrap());
    let values = here.vault.values_for("psql ${secret:DB}").await.unwrap();
    assert_eq!(values["DB"], "hunter2-密");
    let row = &here.store.secrets().await.unwrap()[0];
    let sealed = STANDARD.decode(&row.sealed).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("hunter2"));
    // The same value is sealed anew each time.
    assert!(!here.vault.put("DB", Some("hunter2-密"), None, by()).await.unwrap());
    let again = &here.store.secrets().await.unwrap()[0];
    assert_ne!(again.sealed, row.sealed);
    assert_eq!((again.description.as_str(), again.created_ms), ("for the report", row.created_ms));
    // A description alone leaves the value.
    here.vault.put("DB", None, Some("other"), by()).await.unwrap();
    assert_eq!(here.vault.values_for("${secret:DB}").await.unwrap()["DB"], "hunter2-密");
    assert!(matches!(here.vault.put("NEW", None, Some("x"), by()).await, Err(Error::NotFound)));
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let here = here().await;
    let file = here.dir.path().join("keys/secrets.key");
    assert!(!file.exists());
    here.vault.put("A", Some("value"), None, by()).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // The next secret takes the same.
    let before = std::fs::read(&file).unwrap();
    here.vault.put("B", Some("value"), None, by()).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn without_its_key_nothing_opens_and_no_other_is_made() {
    let here = here().await;
    here.vault.put("A", Some("value"), None, by()).await.unwrap();
    let lost = here.other("elsewhere.key");
    let error = lost.values_for("${secret:A}").await.unwrap_err();
    assert!(error.en.contains("elsewhere.key is missing"), "{error}");
    assert!(matches!(lost.put("B", Some("value"), None, by()).await, Err(Error::Key(_))));
    assert!(!here.dir.path().join("elsewhere.key").exists());
    assert!(lost.list().await.unwrap()[0].problem.is_some());
    // The only secret can be set anew, under a key of its own.
    assert!(!lost.put("A", Some("other"), None, by()).await.unwrap());
    assert_eq!(lost.values_for("${secret:A}").await.unwrap()["A"], "other");
    let error = here.other("keys/secrets.key").values_for("${secret:A}").await.unwrap_err();
    assert!(error.en.contains("not the one that it was sealed with"), "{error}");
    std::fs::write(here.dir.path().join("elsewhere.key"), "no key").unwrap();
    let error = here.other("elsewhere.key").values_for("${secret:A}").await.unwrap_err();
    assert!(error.en.contains("elsewhere.key cannot be used: it holds no key"), "{error}");
}

#[tokio::test]
async fn a_sealed_value_is_of_use_under_its_own_name_only() {
    let here = here().await;
    for name in ["A", "B"] {
        here.vault.put(name, Some(name.repeat(8).as_str()), None, by()).await.unwrap();
    }
    let rows = here.store.secrets().await.unwrap();
    let entry = Entry::new(UtcMs(0), by(), Act::SecretEdit);
    here.store.save_secret(&Sealed { name: "A".into(), ..rows[1].clone() }, &entry).await.unwrap();
    let error = here.other("keys/secrets.key").values_for("${secret:A}").await.unwrap_err();
    assert!(error.en.contains("the secret A cannot be opened"), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let here = here().await;
    here.vault.put("A", Some("value"), None, by()).await.unwrap();
    let error = here.vault.values_for("${secret:A} ${secret:B}").await.unwrap_err();
    assert_eq!(error.en, "there is no secret B; add it under Secrets in the console");
    assert_eq!(here.vault.faults("${secret:A} ${secret:B}").await, [error]);
    assert!(here.vault.faults("nothing").await.is_empty());
    assert!(here.vault.delete("A", by()).await.unwrap());
    assert!(here.vault.values_for("${secret:A}").await.is_err());
    assert!(!here.vault.delete("A", by()).await.unwrap());
}
