//! `directory seed`: twenty companies of five hundred people each, the same every time, and a login of each role.
//!
//! Adds what is missing and changes nothing that is there, so it can be run again at any time.

mod company;

use crate::database::{Connection, Database, credentials, people, super_admins, tenants};
use crate::password::Passwords;
use crate::{Failure, database, settings};

use company::{Company, TENANTS};

/// The password of everybody who is made here.
const PASSWORD: &str = "directory-demo";
/// The login of those who run the product.
const SUPER_ADMIN: &str = "super@directory.example";

/// Adds companies and people, and prints whom to log in as.
pub(crate) async fn run() -> Result<(), Failure> {
    if !settings::may_seed() {
        return Err(Failure::SeedElsewhere);
    }
    let database = Database::new(&settings::db_url()?)?;
    let hash = Passwords::new().await?.hash(PASSWORD.to_owned()).await?;
    let mut connection = database.connection().await?;
    super_admins::add(&connection, SUPER_ADMIN, "Sam Support", &hash).await?;
    let mut added = 0;
    for (number, (id, name)) in (0..).zip(TENANTS) {
        added += add(&mut connection, &Company::new(number, id, name), &hash).await?;
    }
    println!("{added} of {} people are new, in {} companies", TENANTS.len() * company::PEOPLE, TENANTS.len());
    println!("Log in at any of them, such as acme, with the password {PASSWORD}:");
    for role in ["user", "manager", "admin"] {
        println!("  {role:<12} {role}@acme.example");
    }
    println!("  {:<12} {SUPER_ADMIN}", "super admin");
    Ok(())
}

async fn add(connection: &mut Connection, company: &Company, hash: &str) -> Result<usize, database::Error> {
    let scope = connection.scope(&company.id).await?;
    tenants::add(&scope, company.name).await?;
    let added = people::add_all(&scope, &company.people()).await?;
    // Nobody who was there before: their password is not for here to choose.
    credentials::set_all(&scope, &added, hash).await?;
    scope.commit().await?;
    Ok(added.len())
}
