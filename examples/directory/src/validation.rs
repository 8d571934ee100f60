//! What people may write into the directory: from a request's draft to checked values, with all problems at once.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use crate::person::{Field, PersonId, Role};

/// The longest name, title, department and location, in characters.
const SHORT_MAX: usize = 100;
/// The longest text about oneself, in characters.
const ABOUT_MAX: usize = 1000;
/// The longest mail address, in characters: what SMTP can carry.
const EMAIL_MAX: usize = 254;
/// The longest search, in characters.
const SEARCH_MAX: usize = 100;
/// The shortest password, in characters.
const PASSWORD_MIN: usize = 10;
/// The longest password, in characters: hashing takes longer with each.
const PASSWORD_MAX: usize = 200;

/// What is wrong, by field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldErrors(pub(crate) BTreeMap<&'static str, String>);

impl FieldErrors {
    /// One field, one complaint.
    pub(crate) fn one(field: &'static str, message: impl Into<String>) -> Self {
        Self(BTreeMap::from([(field, message.into())]))
    }

    fn add(&mut self, field: &'static str, message: String) {
        self.0.insert(field, message);
    }

    /// The value if nothing was wrong.
    fn unless_any<T>(self, value: T) -> Result<T, Self> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(self),
        }
    }
}

/// Changes to a person as a request brings them; what is absent stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesDraft {
    /// The version that was seen; another one now means that somebody was quicker.
    pub(crate) version: i32,
    name: Option<String>,
    email: Option<String>,
    title: Option<String>,
    department: Option<String>,
    location: Option<String>,
    phone: Option<String>,
    about: Option<String>,
    #[serde(default, deserialize_with = "present")]
    manager: Option<Option<PersonId>>,
    role: Option<Role>,
    started_on: Option<Date>,
}

/// `null` is a value, unlike being absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<PersonId>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Checked changes. An empty location, phone or about removes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) department: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) manager: Option<Option<PersonId>>,
    pub(crate) role: Option<Role>,
    pub(crate) started_on: Option<Date>,
}

impl ChangesDraft {
    /// Which fields are to change.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let named = [
            (Field::Name, self.name.is_some()),
            (Field::Email, self.email.is_some()),
            (Field::Title, self.title.is_some()),
            (Field::Department, self.department.is_some()),
            (Field::Location, self.location.is_some()),
            (Field::Phone, self.phone.is_some()),
            (Field::About, self.about.is_some()),
            (Field::Manager, self.manager.is_some()),
            (Field::Role, self.role.is_some()),
            (Field::StartedOn, self.started_on.is_some()),
        ];
        named.into_iter().filter_map(|(field, there)| there.then_some(field)).collect()
    }

    /// The changes, if there are any and all of them can be made.
    pub(crate) fn check(self) -> Result<Changes, FieldErrors> {
        if self.fields().is_empty() {
            return Err(FieldErrors::one("version", "comes with at least one field to change"));
        }
        let mut errors = FieldErrors::default();
        let mut optional = |field, value: Option<String>, check: fn(&str) -> Result<String, String>| {
            value.and_then(|text| take(&mut errors, field, check(&text)))
        };
        let changes = Changes {
            name: optional(Field::Name, self.name, required),
            email: optional(Field::Email, self.email, email),
            title: optional(Field::Title, self.title, required),
            department: optional(Field::Department, self.department, required),
            location: optional(Field::Location, self.location, short),
            phone: optional(Field::Phone, self.phone, phone),
            about: optional(Field::About, self.about, about),
            manager: self.manager,
            role: self.role,
            started_on: self.started_on,
        };
        if let Some(role) = self.role {
            take(&mut errors, Field::Role, role_of_person(role));
        }
        errors.unless_any(changes)
    }
}

/// A new person as a request brings them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPersonDraft {
    name: String,
    email: String,
    title: String,
    department: String,
    #[serde(default)]
    location: String,
    manager: Option<PersonId>,
    #[serde(default = "user")]
    role: Role,
    started_on: Date,
    /// Without one they are listed, and cannot log in.
    password: Option<String>,
}

fn user() -> Role {
    Role::User
}

/// A new person, checked.
#[derive(Debug)]
pub(crate) struct NewPerson {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) title: String,
    pub(crate) department: String,
    pub(crate) location: String,
    pub(crate) manager: Option<PersonId>,
    pub(crate) role: Role,
    pub(crate) started_on: Date,
    pub(crate) password: Option<String>,
}

impl NewPersonDraft {
    /// The first person of a new tenant.
    pub(crate) fn first_admin(name: String, email: String, started_on: Date) -> Self {
        Self {
            name,
            email,
            title: "Administrator".to_owned(),
            department: "Administration".to_owned(),
            location: String::new(),
            manager: None,
            role: Role::Admin,
            started_on,
            password: None,
        }
    }

    /// The person, if they can be added.
    pub(crate) fn check(self) -> Result<NewPerson, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut checked = |field, result| take(&mut errors, field, result).unwrap_or_default();
        let person = NewPerson {
            name: checked(Field::Name, required(&self.name)),
            email: checked(Field::Email, email(&self.email)),
            title: checked(Field::Title, required(&self.title)),
            department: checked(Field::Department, required(&self.department)),
            location: checked(Field::Location, short(&self.location)),
            manager: self.manager,
            role: self.role,
            started_on: self.started_on,
            password: self.password,
        };
        take(&mut errors, Field::Role, role_of_person(person.role));
        if let Some(Err(message)) = person.password.as_deref().map(password) {
            errors.add("password", message);
        }
        errors.unless_any(person)
    }
}

/// A tenant's name.
pub(crate) fn tenant_name(text: &str) -> Result<String, String> {
    required(text)
}

/// A mail address to log in by. Whether it is anybody's is not for here to say.
pub(crate) fn login_email(text: &str) -> Result<String, FieldErrors> {
    let email = line(text, EMAIL_MAX).map_err(|message| FieldErrors::one("email", message))?;
    Ok(email.to_lowercase())
}

/// The words of a search, in lower case.
pub(crate) fn search(text: &str) -> Result<Vec<String>, FieldErrors> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    line(&words.join(" "), SEARCH_MAX).map_err(|message| FieldErrors::one("search", message))?;
    Ok(words)
}

/// A department that is asked for; empty for all of them.
pub(crate) fn department(text: &str) -> Result<Option<String>, FieldErrors> {
    let name = short(text).map_err(|message| FieldErrors::one("department", message))?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// A password that somebody chooses.
pub(crate) fn password(text: &str) -> Result<(), String> {
    match (PASSWORD_MIN..=PASSWORD_MAX).contains(&text.chars().count()) {
        true => Ok(()),
        false => Err(format!("{PASSWORD_MIN} to {PASSWORD_MAX} characters")),
    }
}

fn take<T>(errors: &mut FieldErrors, field: Field, result: Result<T, String>) -> Option<T> {
    result.map_err(|message| errors.add(field.as_str(), message)).ok()
}

fn role_of_person(role: Role) -> Result<(), String> {
    match role {
        Role::SuperAdmin => Err("user, manager or admin".to_owned()),
        Role::User | Role::Manager | Role::Admin => Ok(()),
    }
}

fn required(text: &str) -> Result<String, String> {
    match short(text)? {
        text if text.is_empty() => Err("must not be empty".to_owned()),
        text => Ok(text),
    }
}

fn short(text: &str) -> Result<String, String> {
    line(text, SHORT_MAX)
}

fn line(text: &str, max: usize) -> Result<String, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        Err("must be one line of text".to_owned())
    } else if text.chars().count() > max {
        Err(format!("at most {max} characters"))
    } else {
        Ok(text.to_owned())
    }
}

fn about(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().any(|c| c.is_control() && c != '\n') {
        Err("must be text without control characters".to_owned())
    } else if text.chars().count() > ABOUT_MAX {
        Err(format!("at most {ABOUT_MAX} characters"))
    } else {
        Ok(text.to_owned())
    }
}

/// A mail address in lower case. Whether it exists only a mail to it would show.
pub(crate) fn email(text: &str) -> Result<String, String> {
    let text = line(text, EMAIL_MAX)?.to_lowercase();
    let fits = text.split_once('@').is_some_and(|(local, host)| {
        let labels = host.split('.').all(|label| !label.is_empty());
        !local.is_empty() && host.contains('.') && labels && !host.contains('@')
    });
    match fits && !text.contains(char::is_whitespace) {
        true => Ok(text),
        false => Err("an address such as ada@acme.example".to_owned()),
    }
}

fn phone(text: &str) -> Result<String, String> {
    let text = line(text, SHORT_MAX)?;
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let marks = text.chars().all(|c| c.is_ascii_digit() || " +-()/.".contains(c));
    match text.is_empty() || (marks && (3..=20).contains(&digits)) {
        true => Ok(text),
        false => Err("a number such as +44 20 7946 0000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Changes, ChangesDraft, NewPersonDraft};

    fn changes(json: &str) -> Result<Changes, String> {
        let draft: ChangesDraft = serde_json::from_str(json).map_err(|error| error.to_string())?;
        draft.check().map_err(|errors| format!("{:?}", errors.0))
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let told = changes(r#"{"version":1,"name":" ","email":"ada","phone":"call me","role":"super_admin"}"#);
        assert_eq!(
            told.unwrap_err(),
            "{\"email\": \"an address such as ada@acme.example\", \"name\": \"must not be empty\", \
             \"phone\": \"a number such as +44 20 7946 0000\", \"role\": \"user, manager or admin\"}"
        );
    }

    #[test]
    fn values_are_trimmed_and_addresses_lowered() {
        let checked =
            changes(r#"{"version":1,"name":" Ada Byron ","email":"Ada@Acme.example","location":""}"#).unwrap();
        let want = Changes {
            name: Some("Ada Byron".to_owned()),
            email: Some("ada@acme.example".to_owned()),
            location: Some(String::new()),
            ..Changes::default()
        };
        assert_eq!(checked, want);
    }

    #[test]
    fn no_manager_is_not_the_same_as_no_word_of_one() {
        assert_eq!(changes(r#"{"version":1,"manager":null}"#).unwrap().manager, Some(None));
        assert_eq!(changes(r#"{"version":1,"name":"Ada"}"#).unwrap().manager, None);
    }

    #[test]
    fn nothing_to_change_is_no_change() {
        let told = changes(r#"{"version":1}"#).unwrap_err();
        assert_eq!(told, "{\"version\": \"comes with at least one field to change\"}");
    }

    #[test]
    fn lengths_are_bounded_in_characters() {
        let name = |count: usize| changes(&format!(r#"{{"version":1,"name":"{}"}}"#, "ä".repeat(count)));
        assert!(name(100).is_ok());
        assert_eq!(name(101).unwrap_err(), "{\"name\": \"at most 100 characters\"}");
    }

    #[test]
    fn a_name_is_one_line_and_about_may_be_several() {
        assert!(changes(r#"{"version":1,"name":"a\nb"}"#).is_err());
        assert!(changes(r#"{"version":1,"about":"a\nb"}"#).is_ok());
        assert!(changes(r#"{"version":1,"about":"a\u0000b"}"#).is_err());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(changes(r#"{"version":1,"salary":1}"#).unwrap_err().contains("unknown field `salary`"));
    }

    #[test]
    fn a_new_person_needs_a_password_worth_the_name() {
        let json = r#"{"name":"A","email":"a@b.example","title":"T","department":"D","started_on":"2026-02-30"}"#;
        assert!(serde_json::from_str::<NewPersonDraft>(json).is_err());
        let json = r#"{"name":"A","email":"a@b.example","title":"T","department":"D","started_on":"2026-02-03","password":"short"}"#;
        let draft: NewPersonDraft = serde_json::from_str(json).unwrap();
        assert_eq!(draft.check().unwrap_err().0["password"], "10 to 200 characters");
    }
}
