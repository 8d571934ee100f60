//! The people of a made-up company: the same for the same number.
//!
//! Number 0 leads the company, 1 to 10 lead its departments, the others work in them. Numbers 0, 1 and 11 have the
//! addresses that `directory seed` prints.

use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::database::people::Columns;
use crate::person::Role;
use crate::tenant::TenantId;

/// How many people a company has.
pub(super) const PEOPLE: usize = 500;

/// The companies.
pub(super) const TENANTS: [(&str, &str); 20] = [
    ("acme", "Acme Works"),
    ("alder", "Alder & Sons"),
    ("birch", "Birch Logistics"),
    ("cobalt", "Cobalt Paints"),
    ("delta", "Delta Ferries"),
    ("ember", "Ember Kitchens"),
    ("fjord", "Fjord Outdoor"),
    ("garnet", "Garnet Optics"),
    ("harbor", "Harbor Foods"),
    ("indigo", "Indigo Textiles"),
    ("juniper", "Juniper Press"),
    ("kestrel", "Kestrel Aviation"),
    ("larch", "Larch Timber"),
    ("meridian", "Meridian Maps"),
    ("nimbus", "Nimbus Weather"),
    ("onyx", "Onyx Stone"),
    ("poplar", "Poplar Health"),
    ("quartz", "Quartz Clocks"),
    ("rowan", "Rowan Gardens"),
    ("saffron", "Saffron Travel"),
];

/// Departments, and what people do in them.
const DEPARTMENTS: [(&str, [&str; 3]); 10] = [
    ("Engineering", ["Software Engineer", "Site Reliability Engineer", "Test Engineer"]),
    ("Design", ["Product Designer", "Illustrator", "Design Researcher"]),
    ("Product", ["Product Manager", "Product Analyst", "Technical Writer"]),
    ("Sales", ["Account Executive", "Sales Engineer", "Account Manager"]),
    ("Marketing", ["Campaign Planner", "Copywriter", "Event Planner"]),
    ("Support", ["Support Specialist", "Support Engineer", "Trainer"]),
    ("Finance", ["Accountant", "Controller", "Payroll Specialist"]),
    ("People", ["Recruiter", "People Partner", "Office Planner"]),
    ("Legal", ["Counsel", "Paralegal", "Contract Specialist"]),
    ("Operations", ["Buyer", "Warehouse Planner", "Facilities Planner"]),
];

const LOCATIONS: [&str; 8] = ["Berlin", "Lisbon", "Lyon", "Oslo", "Porto", "Riga", "Turin", "Utrecht"];

const GIVEN: [&str; 40] = [
    "Ada", "Alma", "Anders", "Beatriz", "Bela", "Carla", "Chidi", "Clara", "Dario", "Elif", "Emil", "Farah", "Felix",
    "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jana", "Joao", "Kaia", "Karim", "Lena", "Luca", "Maren", "Mateo", "Mina",
    "Nadia", "Nils", "Noor", "Olga", "Oskar", "Paula", "Rafael", "Rosa", "Sami", "Selma", "Tariq", "Vera", "Yuki",
];

const FAMILY: [&str; 50] = [
    "Abel", "Almeida", "Andersen", "Bakker", "Barros", "Berg", "Brandt", "Castro", "Costa", "Dahl", "Demir", "Dias",
    "Dubois", "Eklund", "Falk", "Ferrari", "Fischer", "Gallo", "Haddad", "Hansen", "Holm", "Ivanova", "Jansen", "Kaya",
    "Keller", "Klein", "Koch", "Kovacs", "Lang", "Leroy", "Lopes", "Marino", "Meyer", "Moreau", "Nakamura", "Novak",
    "Okafor", "Olsen", "Pinto", "Ricci", "Rocha", "Rossi", "Santos", "Silva", "Sousa", "Tanaka", "Vidal", "Weber",
    "Winter", "Yilmaz",
];

/// The first day that somebody began to work here.
const FOUNDED: Date = date(2012, 3, 5);
/// How many days later the last one did.
const DAYS: u64 = 5200;

/// A company to be made.
pub(super) struct Company {
    pub(super) id: TenantId,
    pub(super) name: &'static str,
    number: u64,
}

impl Company {
    /// # Panics
    ///
    /// When the id of one of [`TENANTS`] is none; a test looks at all of them.
    pub(super) fn new(number: u64, id: &str, name: &'static str) -> Self {
        Self { id: id.parse().expect("the ids of TENANTS are ids"), name, number }
    }

    /// Everybody.
    pub(super) fn people(&self) -> Columns {
        let mut columns = Columns::default();
        (0..PEOPLE).for_each(|number| self.push(number, &mut columns));
        columns
    }

    fn push(&self, number: usize, columns: &mut Columns) {
        let (department, titles) = DEPARTMENTS[department(number)];
        let (role, title) = match number {
            0 => (Role::Admin, "Chief Executive".to_owned()),
            1..=10 => (Role::Manager, format!("Head of {department}")),
            _ => (Role::User, self.pick(number, 3, &titles).to_owned()),
        };
        columns.names.push(self.name_of(number));
        columns.emails.push(self.email(number));
        columns.titles.push(title);
        columns.departments.push(department.to_owned());
        columns.locations.push(self.pick(number, 4, &LOCATIONS).to_owned());
        columns.phones.push(format!("+49 30 5550 {:04}", self.draw(number, 5) % 10_000));
        columns.roles.push(role.as_str());
        columns.starts.push(FOUNDED.saturating_add(i64::try_from(self.draw(number, 6) % DAYS).unwrap_or(0).days()));
        columns.managers.push(manager(number).map(|manager| self.email(manager)));
    }

    fn name_of(&self, number: usize) -> String {
        format!("{} {}", self.pick(number, 1, &GIVEN), self.pick(number, 2, &FAMILY))
    }

    fn email(&self, number: usize) -> String {
        let local = match number {
            0 => "admin".to_owned(),
            1 => "manager".to_owned(),
            11 => "user".to_owned(),
            _ => format!("{}.{number}", self.name_of(number).to_lowercase().replace(' ', ".")),
        };
        format!("{local}@{}.example", self.id)
    }

    fn pick<'a>(&self, number: usize, trait_of: u64, from: &[&'a str]) -> &'a str {
        let count = from.len() as u64;
        from[usize::try_from(self.draw(number, trait_of) % count).unwrap_or(0)]
    }

    /// A number that looks random, of a person and one of their traits (the finaliser of SplitMix64).
    fn draw(&self, number: usize, trait_of: u64) -> u64 {
        let mut bits = (self.number << 40 | (number as u64) << 8 | trait_of).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }
}

/// Numbers 1 to 10 lead one department each; the others are spread over them.
fn department(number: usize) -> usize {
    number.saturating_sub(1) % DEPARTMENTS.len()
}

fn manager(number: usize) -> Option<usize> {
    match number {
        0 => None,
        1..=10 => Some(0),
        _ => Some(department(number) + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Company, PEOPLE, TENANTS};

    #[test]
    fn every_company_has_its_people_with_addresses_of_their_own() {
        for (number, (id, name)) in (0..).zip(TENANTS) {
            let people = Company::new(number, id, name).people();
            let emails: BTreeSet<&String> = people.emails.iter().collect();
            assert_eq!(emails.len(), PEOPLE, "{id}");
            assert_eq!(people.names.len(), PEOPLE);
        }
    }

    #[test]
    fn the_same_every_time() {
        let people = Company::new(0, "acme", "Acme Works").people();
        assert_eq!(people.emails[..2], ["admin@acme.example", "manager@acme.example"]);
        assert_eq!(people.emails[11], "user@acme.example");
        assert_eq!(people.managers[11].as_deref(), Some("manager@acme.example"));
        assert_eq!(people.names[..3], Company::new(0, "acme", "").people().names[..3]);
        assert_ne!(people.names, Company::new(1, "acme", "").people().names);
    }
}
