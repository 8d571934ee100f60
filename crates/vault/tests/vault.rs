//! The vault on a real file system: what is kept, what is refused, and what an attacker's change leads to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use model::{SecretPath, Timestamp};
use rustix::process::{Resource, Rlimit, setrlimit};
use vault::{
    Generation, KeyFile, KeyFileError, ListedVersion, OpenError, RecoveryRecipient, SecretValue, SecretVersion, Vault,
};

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mainstay-vault-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    fn file(&self) -> PathBuf {
        self.vault().join("vault.redb")
    }

    fn key(&self) -> PathBuf {
        self.0.join("machine.key")
    }

    fn create(&self) -> (KeyFile, Vault) {
        let key = KeyFile::create(&self.key()).unwrap();
        let vault = Vault::create(&self.vault(), &key, &[]).unwrap();
        (key, vault)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn path(text: &str) -> SecretPath {
    text.parse().unwrap()
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned()).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn read(vault: &Vault, name: &str, version: Option<u32>) -> Option<(u32, String)> {
    let found = vault.get(&path(name), version.map(SecretVersion)).unwrap();
    found.map(|(version, value)| (version.0, value.expose().to_owned()))
}

#[test]
fn versions_are_kept_listed_and_removed() {
    let folder = Folder::new();
    let (key, vault) = folder.create();
    assert_eq!(vault.set(&path("A"), &value("one"), at(1)).unwrap(), SecretVersion(1));
    assert_eq!(vault.set(&path("A"), &value("two"), at(2)).unwrap(), SecretVersion(2));
    assert_eq!(vault.set(&path("db/owner"), &value("x"), at(3)).unwrap(), SecretVersion(1));
    drop(vault);
    let vault = Vault::open(&folder.vault(), &key, None).unwrap();
    assert_eq!(read(&vault, "A", None), Some((2, "two".to_owned())));
    assert_eq!(read(&vault, "A", Some(1)), Some((1, "one".to_owned())));
    assert_eq!(read(&vault, "A", Some(3)), None);
    assert_eq!(read(&vault, "B", None), None);
    let listed: BTreeMap<String, Vec<ListedVersion>> =
        vault.list().unwrap().into_iter().map(|secret| (secret.path.to_string(), secret.versions)).collect();
    let version = |number, second| ListedVersion { version: SecretVersion(number), created: at(second) };
    assert_eq!(
        listed,
        BTreeMap::from([
            ("A".to_owned(), vec![version(1, 1), version(2, 2)]),
            ("db/owner".to_owned(), vec![version(1, 3)])
        ])
    );
    assert!(vault.remove(&path("A")).unwrap());
    assert!(!vault.remove(&path("A")).unwrap());
    assert_eq!(read(&vault, "A", None), None);
    // A number stands for one value, for ever: releases refer to it.
    assert_eq!(vault.set(&path("A"), &value("three"), at(4)).unwrap(), SecretVersion(3));
}

#[test]
fn only_the_newest_versions_are_kept() {
    let folder = Folder::new();
    let (_, vault) = folder.create();
    for number in 1..=25_u32 {
        vault.set(&path("A"), &value(&number.to_string()), at(1)).unwrap();
    }
    let kept: Vec<u32> = vault.list().unwrap()[0].versions.iter().map(|version| version.version.0).collect();
    assert_eq!(kept, (6..=25).collect::<Vec<u32>>());
    assert_eq!(read(&vault, "A", Some(5)), None);
}

#[test]
fn a_generated_secret_is_random_text_of_the_length_asked_for() {
    let folder = Folder::new();
    let (_, vault) = folder.create();
    assert_eq!(vault.generate(&path("JWT_KEY"), 32, at(1)).unwrap(), SecretVersion(1));
    let (version, text) = read(&vault, "JWT_KEY", None).unwrap();
    assert_eq!((version, text.len()), (1, 43));
    assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    assert_eq!(vault.generate(&path("JWT_KEY"), 32, at(2)).unwrap(), SecretVersion(2));
    assert_ne!(read(&vault, "JWT_KEY", None).unwrap().1, text);
    for asked in [0, 15, 1025] {
        let refused = vault.generate(&path("B"), asked, at(1)).err().unwrap();
        assert_eq!(refused.to_string(), format!("a generated secret has 16 to 1024 random bytes, not {asked}"));
    }
}

#[test]
fn an_import_is_all_or_nothing() {
    let folder = Folder::new();
    let (_, vault) = folder.create();
    let before = vault.generation().unwrap();
    let values = vec![(path("A"), value("1")), (path("B"), value("2"))];
    assert_eq!(vault.set_all(&values, at(1)).unwrap(), [SecretVersion(1), SecretVersion(1)]);
    assert_eq!(vault.generation().unwrap(), Generation(before.0 + 1));
}

#[test]
fn no_value_and_no_name_lies_in_the_files() {
    let folder = Folder::new();
    let (_, vault) = folder.create();
    let canary = "canary-5f1d0c7e-not-to-be-found";
    vault.set(&path("CANARY_NAME_91c2"), &value(canary), at(1)).unwrap();
    vault.set(&path("CANARY_NAME_91c2"), &value("other"), at(1)).unwrap();
    vault.remove(&path("CANARY_NAME_91c2")).unwrap();
    drop(vault);
    for entry in fs::read_dir(folder.vault()).unwrap() {
        let file = entry.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        for needle in [canary, "CANARY_NAME_91c2"] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} in {}", file.display());
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn another_key_does_not_open_it() {
    let folder = Folder::new();
    drop(folder.create());
    let other = KeyFile::create(&folder.0.join("other.key")).unwrap();
    let error = Vault::open(&folder.vault(), &other, None).err().unwrap();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "the key file {} does not open {}: it belongs to another vault; use the key that this one was made with, \
             or a recovery key",
            folder.0.join("other.key").display(),
            folder.file().display()
        )
    );
}

#[test]
fn a_recovery_key_opens_it_until_it_is_rewrapped_without() {
    let folder = Folder::new();
    let key = KeyFile::create(&folder.key()).unwrap();
    let recovery = KeyFile::create(&folder.0.join("recovery.key")).unwrap();
    let recipient: RecoveryRecipient = recovery.public().parse().unwrap();
    let vault = Vault::create(&folder.vault(), &key, &[recipient]).unwrap();
    vault.set(&path("A"), &value("kept"), at(1)).unwrap();
    drop(vault);
    let vault = Vault::open(&folder.vault(), &recovery, None).unwrap();
    assert_eq!(read(&vault, "A", None), Some((1, "kept".to_owned())));
    drop(vault);
    let vault = Vault::open(&folder.vault(), &key, None).unwrap();
    vault.rewrap(&key, &[]).unwrap();
    drop(vault);
    assert!(matches!(Vault::open(&folder.vault(), &recovery, None), Err(OpenError::WrongKey { .. })));
    assert_eq!(read(&Vault::open(&folder.vault(), &key, None).unwrap(), "A", None), Some((1, "kept".to_owned())));
}

#[test]
fn a_private_key_is_not_repeated_by_an_error() {
    let error = "AGE-SECRET-KEY-1QQQQ".parse::<RecoveryRecipient>().err().unwrap();
    assert!(!error.to_string().contains("QQQQ"), "{error}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let folder = Folder::new();
    drop(KeyFile::create(&folder.key()).unwrap());
    assert_eq!(fs::metadata(folder.key()).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(folder.key(), fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyFile::load(&folder.key()).err().unwrap();
        assert!(error.to_string().ends_with(&format!("run `chmod 600 {}`", folder.key().display())), "{error}");
    }
    fs::set_permissions(folder.key(), fs::Permissions::from_mode(0o400)).unwrap();
    assert!(KeyFile::load(&folder.key()).is_ok());
}

#[test]
fn a_file_without_a_key_and_a_missing_one_are_told_apart() {
    let folder = Folder::new();
    assert!(matches!(KeyFile::load(&folder.key()), Err(KeyFileError::Read { .. })));
    drop(KeyFile::create(&folder.key()).unwrap());
    fs::write(folder.key(), "hello\n").unwrap();
    assert!(matches!(KeyFile::load(&folder.key()), Err(KeyFileError::NoKey { .. })));
    // Making a key never replaces one.
    assert!(matches!(KeyFile::create(&folder.key()), Err(KeyFileError::Write { .. })));
    assert_eq!(fs::read_to_string(folder.key()).unwrap(), "hello\n");
}

#[test]
fn an_older_copy_put_back_is_noticed() {
    let folder = Folder::new();
    let (key, vault) = folder.create();
    vault.set(&path("A"), &value("one"), at(1)).unwrap();
    drop(vault);
    let older = fs::read(folder.file()).unwrap();
    let vault = Vault::open(&folder.vault(), &key, None).unwrap();
    vault.set(&path("A"), &value("two"), at(2)).unwrap();
    let seen = vault.generation().unwrap();
    drop(vault);
    drop(Vault::open(&folder.vault(), &key, Some(seen)).unwrap());
    fs::write(folder.file(), older).unwrap();
    let error = Vault::open(&folder.vault(), &key, Some(seen)).err().unwrap();
    assert!(matches!(error, OpenError::RolledBack { found: Generation(2), seen: Generation(3), .. }), "{error:?}");
    fs::remove_file(folder.file()).unwrap();
    let error = Vault::open(&folder.vault(), &key, Some(seen)).err().unwrap();
    assert!(matches!(error, OpenError::Missing { seen: Generation(3), .. }), "{error:?}");
}

#[test]
fn a_vault_that_exists_is_never_replaced_and_the_half_of_one_that_a_crash_left_is() {
    let folder = Folder::new();
    let (key, vault) = folder.create();
    drop(vault);
    assert!(matches!(Vault::create(&folder.vault(), &key, &[]), Err(OpenError::Database(_))));
    fs::remove_file(folder.file()).unwrap();
    fs::write(folder.vault().join("vault.redb.new"), "torn").unwrap();
    drop(Vault::create(&folder.vault(), &key, &[]).unwrap());
    drop(Vault::open(&folder.vault(), &key, None).unwrap());
}

/// What the process does that is killed.
fn set_secrets_for_ever(folder: &Path) {
    let key = KeyFile::load(&folder.join("machine.key")).unwrap();
    let vault = Vault::open(&folder.join("vault"), &key, None).unwrap();
    let before = read(&vault, "A", None).map_or(0, |(version, _)| version);
    let mut told = std::io::stdout();
    for number in before + 1.. {
        let version = vault.set(&path("A"), &value(&number.to_string()), at(1)).unwrap();
        writeln!(told, "acknowledged {version}").unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let here = std::env::current_dir().unwrap();
    if here.join("machine.key").exists() {
        return set_secrets_for_ever(&here);
    }
    let folder = Folder::new();
    let (key, vault) = folder.create();
    drop(vault);
    for acknowledged_at_kill in [1, 2, 3, 5, 8] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_kill_at_any_moment_loses_nothing_that_was_acknowledged", "--nocapture"])
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok());
        let seen = acknowledged.by_ref().nth(acknowledged_at_kill - 1).unwrap();
        child.kill().unwrap();
        let last = acknowledged.last().unwrap_or(seen);
        child.wait().unwrap();
        let vault = Vault::open(&folder.vault(), &key, None).unwrap();
        let (version, text) = read(&vault, "A", None).unwrap();
        // One more may have been written and not told yet.
        assert!((last..=last + 1).contains(&version), "{last} was acknowledged, {version} is there");
        assert_eq!(text, version.to_string());
    }
}

/// So much that the file of an empty vault has no room for it.
fn much() -> Vec<(SecretPath, SecretValue)> {
    (0..100).map(|number| (path(&format!("BIG_{number}")), value(&"x".repeat(50_000)))).collect()
}

/// What the process does whose files may not grow.
fn fill_and_go_on(folder: &Path) {
    let key = KeyFile::load(&folder.join("machine.key")).unwrap();
    let vault = Vault::open(&folder.join("vault"), &key, None).unwrap();
    let size = folder.join("vault/vault.redb").metadata().unwrap().len();
    let limited_to = |current| setrlimit(Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    limited_to(Some(size));
    for _ in 0..2 {
        let refused = vault.set_all(&much(), at(2)).unwrap_err();
        assert!(std::error::Error::source(&refused).unwrap().to_string().contains("File too large"), "{refused:?}");
        assert_eq!(read(&vault, "A", None), Some((1, "one".to_owned())));
    }
    limited_to(None);
    assert_eq!(vault.set_all(&much(), at(3)).unwrap(), [SecretVersion(1); 100]);
    assert_eq!(vault.list().unwrap().len(), 101);
}

#[test]
fn a_vault_that_lacked_room_goes_on_once_there_is_some() {
    let here = std::env::current_dir().unwrap();
    if here.join("machine.key").exists() {
        return fill_and_go_on(&here);
    }
    let folder = Folder::new();
    let (key, vault) = folder.create();
    vault.set(&path("A"), &value("one"), at(1)).unwrap();
    drop(vault);
    // A write beyond the limit is then an error and no signal, as on a full disk.
    let ended = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_vault_that_lacked_room_goes_on_once_there_is_some", "--nocapture"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let vault = Vault::open(&folder.vault(), &key, None).unwrap();
    assert_eq!((vault.generation().unwrap(), vault.list().unwrap().len()), (Generation(3), 101));
}

/// Opens a vault whose file was changed and reads everything in it: what can be read is what was written.
fn read_all(folder: &Path, key: &KeyFile) -> Result<BTreeMap<String, String>, String> {
    let vault = Vault::open(folder, key, None).map_err(|error| error.to_string())?;
    let listed = vault.list().map_err(|error| error.to_string())?;
    let read = |secret: vault::ListedSecret| {
        let found = vault.get(&secret.path, None).map_err(|error| error.to_string())?;
        let (_, value) = found.ok_or("listed and not there")?;
        Ok((secret.path.to_string(), value.expose().to_owned()))
    };
    listed.into_iter().map(read).collect()
}

/// How many bytes, spread over the file, are changed one by one.
const CHANGES: usize = 120;

#[test]
fn a_changed_byte_is_noticed_or_without_effect() {
    let folder = Folder::new();
    let (key, vault) = folder.create();
    for number in 0..5 {
        vault.set(&path(&format!("NAME_{number}")), &value(&format!("value {number}")), at(number)).unwrap();
    }
    drop(vault);
    let whole = read_all(&folder.vault(), &key).unwrap();
    let bytes = fs::read(folder.file()).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut noticed = 0;
    for at in used.iter().step_by(used.len().div_ceil(CHANGES)) {
        let mut flipped = bytes.clone();
        flipped[*at] ^= 0x41;
        fs::write(folder.file(), flipped).unwrap();
        match read_all(&folder.vault(), &key) {
            Ok(content) => assert_eq!(content, whole, "byte {at}"),
            Err(_) => noticed += 1,
        }
    }
    // Most of the file is free space and what earlier transactions left behind.
    assert!(noticed > 5, "{noticed} of {CHANGES} changes were noticed: does the test still reach the records?");
}

#[test]
fn of_a_changed_byte_only_errors_tell() {
    let noticed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_changed_byte_is_noticed_or_without_effect", "--nocapture"])
        .output()
        .unwrap();
    assert_eq!((noticed.status.success(), String::from_utf8_lossy(&noticed.stderr).as_ref()), (true, ""));
}

#[test]
fn a_torn_file_is_noticed() {
    let folder = Folder::new();
    let (key, vault) = folder.create();
    vault.set(&path("A"), &value("one"), at(1)).unwrap();
    drop(vault);
    let bytes = fs::read(folder.file()).unwrap();
    for length in [0, 1, 100, 4096, 5000, bytes.len() / 2, bytes.len() - 1] {
        fs::write(folder.file(), &bytes[..length]).unwrap();
        assert!(read_all(&folder.vault(), &key).is_err(), "{length} bytes");
    }
}
