//! The folders that are made, refused and found again.

use std::process::Command;

use super::*;

struct Ground(PathBuf);

impl Ground {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mainstay-layout-{name}-{}", std::process::id()));
        sys::files::remove(&path).unwrap();
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn layout(&self, state: &str, key: Option<&Path>) -> Layout {
        self.found(state, key).unwrap()
    }

    fn found(&self, state: &str, key: Option<&Path>) -> Result<Layout, LayoutError> {
        let around = Surroundings {
            uid: rustix::process::getuid().as_raw(),
            runtime_dir: Some(self.0.join("run")),
            state_home: Some(self.0.join("home")),
            ..Surroundings::default()
        };
        Layout::new(&self.0.join(state), state, &around, key)
    }

    /// Makes a state directory as its first node does, which takes its lock before all else.
    fn made(&self, state: &str, key: Option<&Path>) -> Layout {
        let layout = self.layout(state, key);
        layout.make_state().unwrap();
        std::fs::write(self.0.join(state).join("lock"), "").unwrap();
        layout.make().unwrap();
        layout.make_runtime().unwrap();
        layout
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        sys::files::remove(&self.0).unwrap();
    }
}

#[test]
fn the_folder_of_a_stated_key_file_is_left_as_it_is() {
    let ground = Ground::new("key");
    std::fs::create_dir(ground.0.join("etc")).unwrap();
    std::fs::set_permissions(ground.0.join("etc"), std::fs::Permissions::from_mode(0o755)).unwrap();
    ground.made("a", Some(&ground.0.join("etc/my.key")));
    assert_eq!(ground.mode("etc"), 0o755);
    ground.made("c", None);
    assert_eq!((ground.mode("home/mainstay"), ground.mode("run/mainstay"), ground.mode("c")), (0o700, 0o711, 0o711));
}

#[test]
fn a_key_is_never_put_where_a_restart_of_the_machine_removes_it() {
    let ground = Ground::new("homeless");
    let around = Surroundings { uid: rustix::process::getuid().as_raw(), ..Surroundings::default() };
    let found = |key: Option<&Path>| Layout::new(&ground.0.join("a"), "a", &around, key);
    assert!(matches!(found(None), Err(LayoutError::NoPlaceForKey)));
    let stated = ground.0.join("my.key");
    assert_eq!(found(Some(&stated)).unwrap().key_file(), stated);
}

#[test]
fn a_state_directory_stays_out_of_the_projects_history_as_its_owner_says() {
    let ground = Ground::new("git");
    let layout = ground.made("a", None);
    let path = ground.0.join("a/.gitignore");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "*\n");
    std::fs::write(&path, "!journal\n").unwrap();
    layout.make().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "!journal\n");
}

/// A small file system of its own; `None` where only root could make one.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
        mount.ok().filter(|output| output.status.success()).map(|_| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_leaves_the_directory_without_what_keeps_it_out_of_the_projects_history() {
    let ground = Ground::new("full");
    let state = ground.0.join("a");
    let Some(_mounted) = Mounted::new(&state) else {
        println!("not run: a file system cannot be mounted here");
        return;
    };
    let layout = ground.made("a", None);
    let (ignored, filler) = (state.join(GITIGNORE), state.join("filler"));
    std::fs::remove_file(&ignored).unwrap();
    assert!(std::fs::write(&filler, vec![0; 2 << 20]).is_err());
    layout.make().unwrap();
    assert!(!ignored.exists());
    std::fs::remove_file(&filler).unwrap();
    layout.make().unwrap();
    assert!(ignored.exists());
}

#[test]
fn a_link_to_a_folder_that_is_not_this_directorys_does_not_make_it_the_one_of_its_sockets() {
    let ground = Ground::new("claimed");
    let layout = ground.made("a", None);
    let (link, photos) = (ground.0.join("a").join(RUNTIME_LINK), ground.0.join("photos"));
    std::fs::create_dir(&photos).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&photos, &link).unwrap();
    let again = ground.layout("a", None);
    assert_eq!(again.control_socket(), layout.control_socket());
    again.make_runtime().unwrap();
    assert_eq!(std::fs::read_link(&link).unwrap(), ground.0.join("run/mainstay/a"));
    assert_eq!(std::fs::read_dir(&photos).unwrap().count(), 0);
}

#[test]
fn what_is_kept_is_made_without_the_sockets_folder() {
    let ground = Ground::new("kept");
    let layout = ground.layout("a", None);
    layout.make().unwrap();
    assert!(ground.0.join("a/journal").exists());
    assert!(!ground.0.join("run").exists() && !ground.0.join("a/runtime").is_symlink());
}

#[test]
fn nobody_is_told_to_remove_another_users_state() {
    let ground = Ground::new("foreign");
    let (layout, state) = (ground.layout("a", None), ground.0.join("a"));
    layout.make_state().unwrap();
    if std::os::unix::fs::chown(&state, Some(65_534), None).is_err() {
        // Only root can give a folder away.
        return;
    }
    let told = layout.make_state().unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "{} belongs to uid 65534, not to this user (uid 0): run this as that user, or name another state directory \
             with --state",
            state.display()
        )
    );
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let ground = Ground::new("occupied");
    std::fs::create_dir(ground.0.join("a")).unwrap();
    std::fs::write(ground.0.join("a/thesis.tex"), "").unwrap();
    std::fs::set_permissions(ground.0.join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(ground.layout("a", None).make(), Err(LayoutError::Occupied { .. })));
    assert_eq!(ground.mode("a"), 0o755);
}

#[test]
fn a_link_that_cannot_be_read_is_not_taken_for_none() {
    let ground = Ground::new("link");
    ground.made("a", None);
    for name in [RUNTIME_LINK, KEY_LINK] {
        let link = ground.0.join("a").join(name);
        let target = std::fs::read_link(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&link, "").unwrap();
        let error = ground.found("a", None).unwrap_err();
        assert!(matches!(&error, LayoutError::Link { path, .. } if *path == link), "{error}");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(target, &link).unwrap();
    }
    assert!(ground.found("a", None).is_ok());
}

#[test]
fn a_moved_state_directory_keeps_its_key() {
    let ground = Ground::new("moved");
    ground.made("a", None);
    std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
    let moved = ground.layout("b", None);
    moved.make().unwrap();
    assert_eq!(moved.key_file(), ground.0.join("home/mainstay/a.key"));
}

#[test]
fn a_copy_is_refused_by_its_records_and_uses_no_socket_of_the_original() {
    let ground = Ground::new("copy");
    ground.made("a", None);
    let recorded = StatePlace::of(&ground.0.join("a")).unwrap();
    std::fs::create_dir(ground.0.join("b")).unwrap();
    std::os::unix::fs::symlink(ground.0.join("run/mainstay/a"), ground.0.join("b/runtime")).unwrap();
    let copy = ground.layout("b", None);
    assert_eq!(copy.control_socket(), ground.0.join("run/mainstay/b/control.sock"));
    let error = copy.refuse_copy(Some(&recorded)).unwrap_err().to_string();
    let (b, a) = (ground.0.join("b"), ground.0.join("a"));
    assert!(error.starts_with(&format!("{} is a copy of {}, ", b.display(), a.display())), "{error}");
    ground.layout("a", None).refuse_copy(Some(&recorded)).unwrap();
}

#[test]
fn a_copy_where_the_original_was_uses_no_socket_of_it() {
    let ground = Ground::new("replaced");
    let original = ground.made("a", None);
    std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
    std::fs::create_dir(ground.0.join("a")).unwrap();
    std::os::unix::fs::symlink(ground.0.join("run/mainstay/a"), ground.0.join("a/runtime")).unwrap();
    let copy = ground.layout("a", None);
    assert_eq!(copy.control_socket(), ground.0.join("run/mainstay/a-2/control.sock"));
    assert_eq!(ground.layout("b", None).control_socket(), original.control_socket());
}

#[test]
fn a_directory_that_was_moved_keeps_its_sockets_and_shares_nothing_with_its_successor() {
    let ground = Ground::new("move");
    let first = ground.made("a", None);
    std::fs::write(first.key_file(), "").unwrap();
    let recorded = StatePlace::of(&ground.0.join("a")).unwrap();
    std::fs::rename(ground.0.join("a"), ground.0.join("b")).unwrap();
    let moved = ground.layout("b", None);
    assert_eq!(moved.control_socket(), ground.0.join("run/mainstay/a/control.sock"));
    moved.refuse_copy(Some(&recorded)).unwrap();
    moved.make_runtime().unwrap();
    let next = ground.layout("a", None);
    assert_eq!(next.control_socket(), ground.0.join("run/mainstay/a-2/control.sock"));
    assert_eq!(next.key_file(), ground.0.join("home/mainstay/a-2.key"));
    next.make().unwrap();
    next.make_runtime().unwrap();
    next.refuse_copy(None).unwrap();
    assert_eq!(ground.layout("b", None).control_socket(), moved.control_socket());
    assert_eq!(ground.layout("a", None).control_socket(), next.control_socket());
}
