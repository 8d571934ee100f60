//! Logging in while one is changed: no session is left of what somebody was.

use axum::http::Method;
use serde_json::json;
use tokio_postgres::Client;

use crate::program::{Api, PATIENCE};
use crate::stores::POLL;
use crate::visitor::{PASSWORD, Visitor};

/// What a test holds, and the database waits for.
const LOCK: i64 = 4711;

/// A connection that holds the lock.
async fn holding(api: &Api) -> Client {
    let holder = api.ground.database("db_owner").await;
    holder.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.unwrap();
    holder
}

async fn let_go(holder: &Client) {
    holder.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.unwrap();
}

/// Waits until the database waits for the lock.
async fn until_held(holder: &Client) {
    let advisory = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
                    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
    until_some(holder, advisory).await;
}

/// Waits until one transaction waits for another to end.
async fn until_locked(holder: &Client) {
    let of_rows = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity a USING (pid)
                   WHERE locktype = 'transactionid' AND NOT granted AND datname = current_database()";
    until_some(holder, of_rows).await;
}

async fn until_some(holder: &Client, waiting: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < deadline, "nothing waits for the lock");
        tokio::time::sleep(POLL).await;
    }
}

/// Makes each COMMIT of a change of the table wait for the lock.
async fn hold_commits(holder: &Client, table: &str) {
    let sql = format!(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER held AFTER UPDATE OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION hold()"
    );
    holder.batch_execute(&sql).await.unwrap();
}

/// Logs in as the user while an admin's request waits for its COMMIT; the session must not outlive it.
async fn check_commit(tenant: &str, table: &str, method: Method, path: &str, body: serde_json::Value) {
    let api = Api::start();
    let admin = api.visitor("admin", tenant).await;
    let user = admin.find("user@").await;
    let holder = holding(&api).await;
    hold_commits(&holder, table).await;
    let request = {
        let (admin, path) = (admin.clone(), format!("/api/people/{user}{path}"));
        tokio::spawn(async move { admin.send(method, &path, body).await.good() })
    };
    until_held(&holder).await;
    let early: Visitor = api.visitor("user", tenant).await;
    early.get("/api/session").await.good();
    let_go(&holder).await;
    request.await.unwrap();
    assert_eq!(early.get("/api/session").await.status, 401, "{table}");
}

#[tokio::test]
async fn a_login_before_a_new_password_is_committed() {
    let body = json!({ "password": "another password" });
    check_commit("rowan", "credentials", Method::PUT, "/password", body).await;
}

#[tokio::test]
async fn a_login_before_a_new_role_is_committed() {
    check_commit("rowan", "people", Method::PATCH, "", json!({ "version": 1, "role": "manager" })).await;
}

#[tokio::test]
async fn a_login_before_a_removal_is_committed() {
    check_commit("rowan", "people", Method::DELETE, "", json!(null)).await;
}

#[tokio::test]
async fn a_removal_while_a_photo_is_given_finds_that_photo() {
    let api = Api::start();
    let admin = api.visitor("admin", "rowan").await;
    let user = admin.find("user@").await;
    let holder = holding(&api).await;
    hold_commits(&holder, "people").await;
    let giving = {
        let (admin, path) = (admin.clone(), format!("/api/photos/{user}"));
        tokio::spawn(async move { admin.exchange(Method::PUT, &path, "image/png", crate::photos::png([1; 3])).await })
    };
    until_held(&holder).await;
    let removing = {
        let (admin, path) = (admin.clone(), format!("/api/people/{user}"));
        tokio::spawn(async move { admin.delete(&path).await })
    };
    until_locked(&holder).await;
    let_go(&holder).await;
    giving.await.unwrap().good();
    removing.await.unwrap().good();
    let unused = format!("SELECT count(*) FROM unused_photos WHERE person = {user}");
    let as_api = api.ground.database("api_service").await;
    as_api.batch_execute("BEGIN; SET LOCAL app.tenant = 'rowan'").await.unwrap();
    assert_eq!(
        as_api.query_one(&unused, &[]).await.unwrap().get::<_, i64>(0),
        1,
        "the photo has no owner to remove it"
    );
}

#[tokio::test]
async fn a_login_that_has_read_what_was_before() {
    let api = Api::start();
    let holder = holding(&api).await;
    // Reading credentials waits for the lock, and then sees what there was when it began.
    let slow = format!(
        "CREATE FUNCTION held() RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN true; END $$;
         CREATE POLICY held ON credentials AS RESTRICTIVE FOR SELECT USING (held())"
    );
    holder.batch_execute(&slow).await.unwrap();
    let stranger = api.stranger("rowan");
    let login = tokio::spawn(async move { stranger.log_in("manager@rowan.example", PASSWORD).await });
    until_held(&holder).await;
    let demote = "BEGIN; SET LOCAL app.tenant = 'rowan';
                  UPDATE people SET role = 'user' WHERE email = 'manager@rowan.example'; COMMIT";
    api.ground.database("api_service").await.batch_execute(demote).await.unwrap();
    let_go(&holder).await;
    assert_eq!(login.await.unwrap().problem(), (409, "conflict".to_owned()));
}
