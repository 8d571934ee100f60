//! What the product was given to keep, and whether it has it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;

use super::client::{Caller, Client, Question};
use crate::photos::PHOTO;

/// How everybody is named who is added.
pub(super) const ADDED: &str = "Added";

/// What was given, in the order in which it was.
#[derive(Default)]
pub(super) struct Kept(Mutex<Given>);

#[derive(Default)]
struct Given {
    /// Those whose adding was acknowledged.
    added: Vec<Added>,
    photos: Vec<Photo>,
}

/// Somebody who was added.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) company: usize,
    pub(super) person: u64,
    pub(super) email: String,
    /// When it was to be asked for.
    pub(super) due: Duration,
}

/// A photo that was sent.
#[derive(Debug, Clone)]
pub(super) struct Photo {
    pub(super) company: usize,
    /// Has no other photo.
    pub(super) person: u64,
    pub(super) number: usize,
    pub(super) bytes: usize,
    pub(super) is_acknowledged: bool,
}

impl Photo {
    /// A picture, and after its end bytes that no other photo has.
    pub(super) fn content(&self) -> Bytes {
        let mut content = std::fs::read(PHOTO).unwrap();
        let line = format!("photo {} of {}\n", self.number, self.person);
        content.extend(line.bytes().cycle().take(self.bytes.saturating_sub(content.len())));
        content.into()
    }
}

/// What was read back.
#[derive(Debug, Default)]
pub(crate) struct ReadBack {
    /// How many people were acknowledged to be added.
    pub(crate) people: usize,
    /// How many photos were acknowledged.
    pub(crate) photos: usize,
    /// How many are shown, though that they were taken was not acknowledged.
    pub(crate) photos_besides: usize,
    /// What was acknowledged and is not there, and what is there and is not what was sent.
    pub(crate) wrong: Vec<String>,
}

impl Kept {
    pub(super) fn person_is_added(&self, added: Added) {
        self.given().added.push(added);
    }

    pub(super) fn photo_is_sent(&self, photo: Photo) {
        self.given().photos.push(photo);
    }

    pub(super) fn photo_is_acknowledged(&self, number: usize) {
        let mut given = self.given();
        let photo = given.photos.iter_mut().find(|photo| photo.number == number);
        photo.unwrap().is_acknowledged = true;
    }

    /// The first who was added to a company, of those who were to be added since then.
    pub(super) fn first_added(&self, company: usize, since: Duration) -> Option<u64> {
        let given = self.given();
        given.added.iter().find(|added| added.company == company && added.due >= since).map(|added| added.person)
    }

    /// Looks for everybody and everything.
    pub(super) async fn read_back(&self, client: &Client, admins: &[Caller]) -> ReadBack {
        let (added, photos) = {
            let given = self.given();
            (given.added.clone(), given.photos.clone())
        };
        let mut back = ReadBack { people: added.len(), ..ReadBack::default() };
        for (company, admin) in admins.iter().enumerate() {
            let there = people_added(client, admin).await;
            let missing = added.iter().filter(|it| it.company == company && !there.contains(&it.email));
            back.wrong.extend(missing.map(|added| format!("{added:?} is not there")));
        }
        for photo in &photos {
            let shown = shown(client, &admins[photo.company], photo.person).await;
            match (&shown, photo.is_acknowledged) {
                (Some(shown), _) if *shown != photo.content() => {
                    back.wrong.push(format!("{photo:?} has other {} bytes", shown.len()));
                }
                (Some(_), true) => back.photos += 1,
                (Some(_), false) => back.photos_besides += 1,
                (None, true) => back.wrong.push(format!("{photo:?} is not there")),
                (None, false) => {}
            }
        }
        back
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of all who were added to a company.
async fn people_added(client: &Client, admin: &Caller) -> BTreeSet<String> {
    let mut emails = BTreeSet::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/people?search={ADDED}&limit=100{after}");
        let listed: Value = serde_json::from_slice(&got(client, admin, path).await).unwrap();
        let of_part = listed["people"].as_array().unwrap().iter().map(|it| it["email"].as_str().unwrap().to_owned());
        emails.extend(of_part);
        match listed["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return emails,
        }
    }
}

/// The photo that somebody is shown with.
async fn shown(client: &Client, admin: &Caller, person: u64) -> Option<Bytes> {
    let profile: Value = serde_json::from_slice(&got(client, admin, format!("/api/people/{person}")).await).unwrap();
    let photo = profile["photo"]["id"].as_str()?;
    Some(got(client, admin, format!("/api/photos/{person}/{photo}")).await)
}

async fn got(client: &Client, admin: &Caller, path: String) -> Bytes {
    let answer = client.ask(admin, Question::get(&*path)).await.answer.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.body
}
