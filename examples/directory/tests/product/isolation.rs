//! One company never sees another's rows: through the API, and through SQL with the API's own role.

use tokio_postgres::Client;

use crate::program::Api;
use crate::stores::Ground;

/// PostgreSQL as the API sees it, with everything migrated and seeded.
async fn as_api() -> Client {
    Ground::new().database("api_service").await
}

async fn set(client: &Client, tenant: &str) {
    client.batch_execute(&format!("BEGIN; SET LOCAL app.tenant = '{tenant}'")).await.unwrap();
}

async fn count(client: &Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

/// The error code of a statement that must fail.
async fn refused(client: &Client, statement: &str) -> String {
    let error = client.batch_execute(statement).await.expect_err(statement);
    error.code().unwrap_or_else(|| panic!("{error}")).code().to_owned()
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";

#[tokio::test]
async fn by_the_api() {
    let api = Api::start();
    let (acme, birch) = (api.visitor("admin", "acme").await, api.visitor("admin", "birch").await);
    let theirs = birch.own_id().await;
    birch.get(&format!("/api/people/{theirs}")).await.good();
    assert_eq!(acme.get(&format!("/api/people/{theirs}")).await.status, 404);
    assert_eq!(acme.delete(&format!("/api/people/{theirs}")).await.status, 404);
    let listed = acme.get("/api/people?limit=100").await.good();
    for person in listed["people"].as_array().unwrap() {
        assert!(person["email"].as_str().unwrap().ends_with("@acme.example"), "{person}");
    }
    assert_eq!(acme.get("/api/people?search=birch.example").await.good()["total"], 0);
}

#[tokio::test]
async fn a_tenant_that_is_set_is_all_that_is_seen() {
    let client = as_api().await;
    set(&client, "quartz").await;
    assert_eq!(count(&client, "people").await, 500);
    assert_eq!(count(&client, "credentials").await, 500);
    assert_eq!(count(&client, "people WHERE tenant <> 'quartz'").await, 0);
    assert_eq!(count(&client, "people WHERE tenant = 'acme'").await, 0);
}

#[tokio::test]
async fn without_a_tenant_nothing_is_seen() {
    let client = as_api().await;
    for table in ["people", "credentials", "digests", "unused_photos"] {
        assert_eq!(count(&client, table).await, 0, "{table}");
    }
    set(&client, "quartz").await;
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(count(&client, "people").await, 0, "what a transaction set is gone after it");
    set(&client, "no-such-tenant").await;
    assert_eq!(count(&client, "people").await, 0);
}

#[tokio::test]
async fn nothing_is_written_for_another_tenant() {
    let client = as_api().await;
    set(&client, "onyx").await;
    client.batch_execute("SAVEPOINT here").await.unwrap();
    let insert = "INSERT INTO people (tenant, name, email, title, department, started_on)
                  VALUES ('acme', 'Eve', 'eve@acme.example', 'Spy', 'Legal', '2026-01-05')";
    assert_eq!(refused(&client, insert).await, INSUFFICIENT_PRIVILEGE);
    client.batch_execute("ROLLBACK TO here").await.unwrap();
    assert_eq!(refused(&client, "UPDATE people SET tenant = 'acme'").await, INSUFFICIENT_PRIVILEGE);
    client.batch_execute("ROLLBACK TO here").await.unwrap();
    assert_eq!(client.execute("DELETE FROM people WHERE tenant = 'acme'", &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_api_cannot_free_itself() {
    let client = as_api().await;
    for statement in [
        "ALTER TABLE people DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE people NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON people",
        "CREATE POLICY all_of_them ON people USING (true)",
        "SET ROLE db_owner",
        "SET SESSION AUTHORIZATION operator",
        "ALTER ROLE api_service BYPASSRLS",
        "CREATE VIEW everybody AS SELECT * FROM people",
        "TRUNCATE people",
    ] {
        assert_eq!(refused(&client, statement).await, INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    client.batch_execute("SET row_security = off").await.unwrap();
    assert_eq!(refused(&client, "SELECT * FROM people").await, INSUFFICIENT_PRIVILEGE);
}

#[tokio::test]
async fn the_owner_is_held_by_the_policy_too() {
    let owner = Ground::new().database("db_owner").await;
    assert_eq!(count(&owner, "people").await, 0);
}

#[tokio::test]
async fn every_table_with_a_tenant_is_guarded() {
    let client = as_api().await;
    let sql = "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity
                      AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE a.attname = 'tenant' AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
               ORDER BY 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let tables: Vec<(&str, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(tables, [("credentials", true), ("digests", true), ("people", true), ("unused_photos", true)]);
}
