//! What people see and do in a browser, and the pictures of it in the documentation.
//!
//! `SCREENSHOTS=FOLDER` puts the pictures there (`make screenshots`); without it they are taken and looked at all the same.

use std::path::PathBuf;
use std::process::Command;

use crate::browser::{Browser, Shape, Window};
use crate::photos::PHOTO;
use crate::product::{PASSWORD, Product};

const DESKTOP: Shape = Shape { width: 1100, height: 760, density: 1 };
const PHONE: Shape = Shape { width: 390, height: 760, density: 2 };
/// The largest picture that a page of the documentation shows, in bytes.
const PICTURE_MAX: usize = 200 * 1024;

/// Whether the photo of a profile, or of the only person in a list, is shown: without one there are initials.
const PHOTO_SHOWN: &str = "document.querySelector('main img.avatar')?.naturalWidth > 0";
/// Set in a window and gone once its page was loaded again.
const MARK: &str = "window.marked === true";

/// Fails when the browser does not trust the certificate after what `trust` says, when a page shows no people, a search does
/// not find, a photo is not taken, a change is not seen in another window as it is made, or a script fails.
#[test]
fn people_find_each_other_and_see_changes_as_they_are_made() {
    let product = Product::up("directory-browser");
    trust(&product);
    let browser = Browser::start(&product.world.folder.join("home"));
    let admin = browser.window(DESKTOP);
    log_in(&product, &admin, "admin@acme.example");
    admin.wait_until("document.querySelectorAll('.people li').length === 50");
    admin.wait_until("document.querySelector('.counted').textContent === '500 people (50 shown)'");

    let user = browser.window(PHONE);
    log_in(&product, &user, "user@acme.example");
    user.wait_for(".people li");
    keep("people-phone", &user);

    admin.write("#search", "user@acme");
    admin.wait_until("document.querySelectorAll('.people li').length === 1");
    admin.value("window.marked = true").unwrap();

    user.press("nav a[href^='/people/']");
    user.wait_for("label.file");
    user.choose("#photo", PHOTO);
    user.wait_until(PHOTO_SHOWN);
    user.wait_until("document.querySelector('#said').textContent === 'The photo is there.'");
    keep("profile-phone", &user);
    admin.wait_until(PHOTO_SHOWN);

    admin.press(".people a");
    admin.press("#edit");
    admin.write("input[name=title]", "Lighthouse Keeper");
    admin.press("form .main-button");
    user.wait_until("document.querySelector('.profile .top').textContent.includes('Lighthouse Keeper')");
    admin.wait_until("document.querySelector('.profile .top')?.textContent.includes('Lighthouse Keeper') === true");
    admin.wait_until(PHOTO_SHOWN);
    keep("profile", &admin);
    assert_eq!(admin.value(MARK), Ok(true.into()), "nothing was loaded again");

    admin.press("a.home");
    admin.write("#search", "noor");
    admin.wait_until("[...document.querySelectorAll('.people .name')].every((it) => it.textContent.includes('Noor'))");
    admin.wait_until(PHOTO_SHOWN);
    keep("people", &admin);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    product.world.down();
}

/// Does in the browser's home what `trust` says for it.
fn trust(product: &Product) {
    let said = product.world.done(&["trust"]).out;
    let line = said.lines().find_map(|line| line.strip_prefix("Chromium")).unwrap_or_else(|| panic!("{said}"));
    let ran = Command::new("sh").args(["-c", line]).env("HOME", product.world.folder.join("home")).output().unwrap();
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn log_in(product: &Product, window: &Window<'_>, email: &str) {
    window.open(&product.address("acme", "/"));
    window.write("input[name=email]", email);
    window.write("input[name=password]", PASSWORD);
    window.press("form .main-button");
}

/// Takes a picture, which must be small enough, and keeps it where that is asked for.
fn keep(name: &str, window: &Window<'_>) {
    // What was said about the last deed goes by itself.
    window.wait_until("document.querySelector('#said').textContent === ''");
    let picture = window.picture();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() <= PICTURE_MAX, "{name}: {} bytes", picture.len());
    if let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
}
