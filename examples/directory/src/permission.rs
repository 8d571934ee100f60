//! Who may do what. Pure: the API asks here, and the frontend shows what the API answers.

use crate::person::{Field, Person, PersonId, Role};
use crate::viewer::{Viewer, Who};

/// How somebody can be reached is their own business.
const OWN: &[Field] = &[Field::Location, Field::Phone, Field::About, Field::Photo];
/// What a report works on is their manager's.
const OF_REPORTS: &[Field] = &[Field::Title, Field::Department, Field::Location];
/// Everything is an admin's.
const ALL: &[Field] = &[
    Field::Name,
    Field::Email,
    Field::Title,
    Field::Department,
    Field::Location,
    Field::Phone,
    Field::About,
    Field::Manager,
    Field::StartedOn,
    Field::Photo,
    Field::Role,
];
/// All but the role: an admin cannot lock themselves out.
const OWN_OF_ADMIN: &[Field] = ALL.split_at(ALL.len() - 1).0;

/// What of a person the viewer may change.
pub(crate) fn editable(viewer: &Viewer, person: &Person) -> &'static [Field] {
    let own = viewer.is(person.summary.id);
    let reports = matches!(viewer.who, Who::Person(id) if person.manager == Some(id));
    match viewer.role {
        Role::Admin | Role::SuperAdmin if own => OWN_OF_ADMIN,
        Role::Admin | Role::SuperAdmin => ALL,
        Role::Manager | Role::User if own => OWN,
        Role::Manager if reports => OF_REPORTS,
        Role::Manager | Role::User => &[],
    }
}

/// Whether the viewer may add people.
pub(crate) fn may_add_people(viewer: &Viewer) -> bool {
    viewer.role >= Role::Admin
}

/// Whether the viewer may remove a person; nobody removes themselves, so that a tenant keeps an admin.
pub(crate) fn may_remove(viewer: &Viewer, person: &Person) -> bool {
    viewer.role >= Role::Admin && !viewer.is(person.summary.id)
}

/// Whether the viewer may give a person a password without showing the present one.
pub(crate) fn may_set_password(viewer: &Viewer, person: PersonId) -> bool {
    viewer.role >= Role::Admin && !viewer.is(person)
}

/// Whether the viewer may see and add tenants.
pub(crate) fn may_run_tenants(viewer: &Viewer) -> bool {
    viewer.role == Role::SuperAdmin
}

#[cfg(test)]
mod tests {
    use super::{ALL, OF_REPORTS, OWN, OWN_OF_ADMIN, editable, may_remove, may_set_password};
    use crate::person::{Field, Person, PersonId, Role, Summary};
    use crate::viewer::{Viewer, Who};

    fn viewer(id: i64, role: Role) -> Viewer {
        let who = if role == Role::SuperAdmin { Who::SuperAdmin(id) } else { Who::Person(PersonId(id)) };
        Viewer { tenant: "acme".parse().unwrap(), who, name: String::new(), role }
    }

    fn person(id: i64, manager: Option<i64>) -> Person {
        let summary = Summary {
            id: PersonId(id),
            name: String::new(),
            email: String::new(),
            title: String::new(),
            department: String::new(),
            location: None,
            photo: None,
        };
        Person {
            summary,
            phone: None,
            about: None,
            manager: manager.map(PersonId),
            manager_name: None,
            role: Role::User,
            started_on: jiff::civil::date(2026, 1, 5),
            version: 1,
        }
    }

    fn check(role: Role, of: &Person, want: &[Field]) {
        assert_eq!(editable(&viewer(7, role), of), want, "{role:?}");
    }

    #[test]
    fn own_entry() {
        let own = person(7, Some(7));
        check(Role::User, &own, OWN);
        check(Role::Manager, &own, OWN);
        check(Role::Admin, &own, OWN_OF_ADMIN);
        check(Role::SuperAdmin, &own, ALL);
    }

    #[test]
    fn a_report_and_a_stranger() {
        let (report, stranger) = (person(8, Some(7)), person(9, Some(1)));
        check(Role::User, &report, &[]);
        check(Role::Manager, &report, OF_REPORTS);
        check(Role::Manager, &stranger, &[]);
        check(Role::Admin, &stranger, ALL);
    }

    #[test]
    fn nobody_removes_themselves_and_users_nobody() {
        assert!(!may_remove(&viewer(7, Role::Admin), &person(7, None)));
        assert!(may_remove(&viewer(7, Role::Admin), &person(8, None)));
        assert!(!may_remove(&viewer(7, Role::Manager), &person(8, Some(7))));
    }

    #[test]
    fn a_password_is_set_by_an_admin_and_never_ones_own() {
        assert!(may_set_password(&viewer(7, Role::Admin), PersonId(8)));
        assert!(may_set_password(&viewer(7, Role::SuperAdmin), PersonId(7)));
        assert!(!may_set_password(&viewer(7, Role::Admin), PersonId(7)));
        assert!(!may_set_password(&viewer(7, Role::Manager), PersonId(8)));
    }

    #[test]
    fn a_super_admin_is_not_the_person_of_the_same_number() {
        assert!(!viewer(7, Role::SuperAdmin).is(PersonId(7)));
    }
}
