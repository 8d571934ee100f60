//! First files: each detected kind gives a file that `check` accepts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::{Listing, Severity, SourceFile};
use expect_test::{Expect, expect};

fn listing(folder: &str, files: &[(&str, &str)]) -> Listing {
    let files = files.iter().map(|(path, text)| {
        let name = path.rsplit('/').next().unwrap();
        ((*path).to_owned(), config::READ_FOR_INIT.contains(&name).then(|| (*text).to_owned()))
    });
    Listing { folder: folder.to_owned(), files: files.collect() }
}

/// What was found, and the lines of the file that say something.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &Expect) {
    let first = config::init(&listing("My Product", files));
    let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
    let errors: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new(), "{}", first.text);
    assert!(checked.stack.is_some());
    let lines = first.text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let lines: Vec<&str> = lines.collect();
    expected.assert_eq(&format!("{}\n--\n{}\n", first.found.join("\n"), lines.join("\n")));
}

#[test]
fn an_empty_folder() {
    check(
        &[],
        &expect![[r#"

        --
        stack: my-product
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn node_with_postgres_and_redis() {
    let package = r#"{"scripts":{"start":"node server.js"},"dependencies":{"pg":"^8","ioredis":"^5","express":"^5"}}"#;
    check(
        &[("package.json", package), ("prisma/schema.prisma", "")],
        &expect![[r#"
        `package.json`: a Node.js program
        --
        stack: my-product
        services:
          web:
            run: npm start
            port: auto                  # the node chooses it; the program reads it from PORT
            uses: [database, redis]
            release:
              run: npx prisma migrate deploy  # once for each release, before it starts
        resources:
          database: { type: postgres, memory: 256MiB }
          redis: { type: redis, memory: 64MiB }
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn node_without_a_start_script() {
    check(
        &[("package.json", r#"{"scripts":{"dev":"vite"}}"#)],
        &expect![[r#"
        `package.json`: a Node.js program
        --
        stack: my-product
        services:
          web:
            run: npm run dev
            port: auto                  # the node chooses it; the program reads it from PORT
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn rust() {
    let manifest = "[package]\nname = \"shop_api\"\n\n[dependencies]\nsqlx = { version = \"0.8\" }\n";
    check(
        &[("Cargo.toml", manifest), ("src/main.rs", "")],
        &expect![[r#"
        `Cargo.toml`: a Rust program
        --
        stack: my-product
        services:
          shop-api:
            run: target/release/shop_api
            port: auto                  # the node chooses it; the program reads it from PORT
            uses: [database]
        resources:
          database: { type: postgres, memory: 256MiB }
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn go() {
    let manifest = "module example.org/team/Ledger\n\nrequire (\n\tgithub.com/jackc/pgx/v5 v5.6.0\n)\n";
    check(
        &[("go.mod", manifest)],
        &expect![[r#"
        `go.mod`: a Go program
        --
        stack: my-product
        services:
          ledger:
            run: bin/ledger
            port: auto                  # the node chooses it; the program reads it from PORT
            uses: [database]
        resources:
          database: { type: postgres, memory: 256MiB }
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn django_with_celery() {
    check(
        &[("manage.py", ""), ("requirements.txt", "django==5.1\npsycopg[binary]>=3\ncelery\n")],
        &expect![[r#"
            `manage.py`: a Django program
            `manage.py`: a Celery worker
            --
            stack: my-product
            services:
              web:
                run: sh -c 'exec python3 manage.py runserver --noreload "127.0.0.1:$PORT"'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [database, redis]
                release:
                  run: python3 manage.py migrate  # once for each release, before it starts
              worker:
                run: python3 -m celery --app config worker
                uses: [database, redis]
            resources:
              database: { type: postgres, memory: 256MiB }
              redis: { type: redis, memory: 64MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn fastapi() {
    let manifest = "[project]\ndependencies = [\"fastapi\", \"asyncpg\", \"alembic\"]\n";
    check(
        &[("pyproject.toml", manifest), ("app.py", "")],
        &expect![[r#"
            `pyproject.toml`: an ASGI program
            --
            stack: my-product
            services:
              web:
                run: sh -c 'exec python3 -m uvicorn app:app --host 127.0.0.1 --port "$PORT"'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [database]
                release:
                  run: python3 -m alembic upgrade head  # once for each release, before it starts
            resources:
              database: { type: postgres, memory: 256MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn flask() {
    check(
        &[("requirements.txt", "Flask\nredis\n"), ("app.py", "")],
        &expect![[r#"
            `requirements.txt`: a Flask program
            --
            stack: my-product
            services:
              web:
                run: sh -c 'exec python3 -m flask --app app run --port "$PORT"'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [redis]
            resources:
              redis: { type: redis, memory: 64MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn rails_with_sidekiq() {
    check(
        &[("Gemfile", "gem \"rails\"\ngem \"pg\"\ngem \"sidekiq\"\n")],
        &expect![[r#"
            `Gemfile`: a Rails program
            `Gemfile`: a Sidekiq worker
            --
            stack: my-product
            services:
              web:
                run: sh -c 'exec bin/rails server -b 127.0.0.1 -p "$PORT"'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [database, redis]
                release:
                  run: bin/rails db:migrate  # once for each release, before it starts
              worker:
                run: bundle exec sidekiq
                uses: [database, redis]
            resources:
              database: { type: postgres, memory: 256MiB }
              redis: { type: redis, memory: 64MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn a_procfile_says_it_all() {
    let procfile =
        "web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT\nworker: python worker.py\nrelease: python migrate.py\n";
    check(
        &[("Procfile", procfile), ("requirements.txt", "psycopg2\n")],
        &expect![[r#"
            `Procfile`: the processes it lists
            --
            stack: my-product
            services:
              web:
                run: sh -c 'exec gunicorn shop.wsgi --bind 0.0.0.0:$PORT'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [database]
                release:
                  run: python migrate.py  # once for each release, before it starts
              worker:
                run: python worker.py
                uses: [database]
            resources:
              database: { type: postgres, memory: 256MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn compose_beside_an_image() {
    let compose = "services:\n  db: { image: 'postgres:16-alpine' }\n  cache: { image: docker.io/valkey/valkey:8 }\n  app: { build: . }\n";
    let dockerfile = "FROM scratch\nENTRYPOINT [\"/bin/app\", \"--title\", \"It's us\"]\nCMD [\"serve\"]\n";
    check(
        &[("compose.yaml", compose), ("Dockerfile", dockerfile)],
        &expect![[r#"
        `Dockerfile`: a container image
        `compose.yaml`: PostgreSQL
        `compose.yaml`: Redis
        --
        stack: my-product
        services:
          web:
            run: "/bin/app --title 'It'\\''s us' serve"
            port: auto                  # the node chooses it; the program reads it from PORT
            uses: [database, redis]
        resources:
          database: { type: postgres, memory: 256MiB, version: 16 }
          redis: { type: redis, memory: 64MiB }
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn what_compose_starts_and_the_file_does_not_is_named() {
    let compose = "services:\n  db: { image: 'postgres:16' }\n  mail: { image: 'axllent/mailpit:v1' }\n  \
                   api: { build: { context: ./api }, image: shop/api }\n  \"a\\nstack: b\": { build: . }\n  \
                   front: { build: front }\n  base: { extends: other }\n";
    let package = r#"{"scripts":{"start":"node ."}}"#;
    let first = config::init(&listing("shop", &[("compose.yaml", compose), ("front/package.json", package)]));
    let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
    assert_eq!(checked.problems, Vec::new());
    let from = first.text.find("# Not taken over").unwrap();
    let to = first.text.find("\nresources:").unwrap();
    expect![[r##"
        # Not taken over from compose.yaml: this version starts commands, no containers. Where no service
        # above is it already, add one that runs the same command.
        #   mail: the image "axllent/mailpit:v1"
        #   api: built from "./api"
        #   a?stack: b: built from "."
        #   base: neither an image nor built here
    "##]]
    .assert_eq(&first.text[from..to]);
}

/// What was found and not used, and the file's comments on it.
#[track_caller]
fn check_passed_over(files: &[(&str, Option<&str>)], expected: &Expect) {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.map(str::to_owned)));
    let first = config::init(&Listing { folder: "shop".to_owned(), files: files.collect() });
    let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
    assert_eq!(checked.problems, Vec::new(), "{}", first.text);
    let from = first.text.find("\n\n").unwrap();
    let to = first.text.find("\n# Secrets by name").unwrap();
    expected.assert_eq(first.text[from..to].trim_start());
    assert!(!first.passed_over.is_empty());
}

#[test]
fn a_folder_of_pages() {
    check(
        &[
            ("index.html", ""),
            (".env", ""),
            ("public/index.html", ""),
            ("public/.nojekyll", ""),
            ("site/index.html", ""),
            ("src/index.html", ""),
        ],
        &expect![[r#"
            `public/index.html`: a folder of pages
            `site/index.html`: a folder of pages
            --
            stack: my-product
            services:
              public:
                static: public  # `mainstay up` copies it, and the edge sends the copy
              site:
                static: site  # `mainstay up` copies it, and the edge sends the copy
            edge:
              listen: { http: 8080 }  # this machine's browsers find every host below localhost here
              routes:
                - { host: my-product.localhost, to: public }
                - { host: site.my-product.localhost, to: site }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

#[test]
fn a_program_serves_its_pages_itself() {
    check(
        &[("go.mod", "module shop\n"), ("index.html", ""), ("public/index.html", ""), ("dist/package.json", "{}")],
        &expect![[r#"
            `go.mod`: a Go program
            --
            stack: my-product
            services:
              shop:
                run: bin/shop
                port: auto                  # the node chooses it; the program reads it from PORT
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

/// A server of the project's folder would show `.env`, `mainstay.yaml` and the state directory.
#[test]
fn pages_among_what_is_secret_are_not_served() {
    check_passed_over(
        &[("index.html", None), (".env", None)],
        &expect![[r#"
            # Found, and not used:
            #   index.html: visitors would be shown .env, mainstay.yaml and .mainstay as well
            #     (move the pages into a folder of their own, such as public, and serve that)

            # Nothing was found here that can be started as it is. Pages in a folder of their own are served like this:
            # services:
            #   web:
            #     static: public  # `mainstay up` copies it, and the edge sends the copy
            # edge:
            #   listen: { http: 8080 }  # this machine's browsers find every host below localhost here
            #   routes:
            #     - { host: shop.localhost, to: web }
        "#]],
    );
    check_passed_over(
        &[("public/index.html", None), ("public/.env.local", None)],
        &expect![[r#"
            # Found, and not used:
            #   public/index.html: visitors would be shown public/.env.local as well
            #     (move that file out of the folder, or serve another folder)

            # Nothing was found here that can be started as it is. Pages in a folder of their own are served like this:
            # services:
            #   web:
            #     static: public  # `mainstay up` copies it, and the edge sends the copy
            # edge:
            #   listen: { http: 8080 }  # this machine's browsers find every host below localhost here
            #   routes:
            #     - { host: shop.localhost, to: web }
        "#]],
    );
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_of() {
    let files = [
        ("package.json", Some("{\"scripts\": {")),
        ("Cargo.toml", Some("name = \"shop\"\n[dependencies]\n")),
        ("api/Cargo.toml", None),
        ("dist/package.json", Some("")),
    ];
    check_passed_over(
        &files,
        &expect![[r#"
        # Found, and not used:
        #   Cargo.toml: it names neither a package nor a workspace
        #     (correct it, or write the service by hand)
        #   api/Cargo.toml: it cannot be read as text
        #     (look at its mode and its content)
        #   package.json: it is not JSON: EOF while parsing an object at line 1 column 13
        #     (correct it, or write the service by hand)

        # Nothing was found here that can be started. A service is a command, and what it needs:
        # services:
        #   web:
        #     run: bin/server
        #     port: auto                # each replica is told its port in PORT
        #     health: { ready: / }      # answered with a status from 200 to 399
    "#]],
    );
}

#[test]
fn rust_one_folder_down() {
    let files = [("api/Cargo.toml", "[package]\nname = \"shop_api\"\n"), ("api/src/main.rs", "")];
    check(
        &files,
        &expect![[r#"
        `api/Cargo.toml`: a Rust program
        --
        stack: my-product
        services:
          shop-api:
            run: sh -c 'cd api && exec target/release/shop_api'
            port: auto                  # the node chooses it; the program reads it from PORT
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
    let workspace = [files.as_slice(), &[("Cargo.toml", "[workspace]\nmembers = [\"api\"]\n")]].concat();
    check(
        &workspace,
        &expect![[r#"
        `api/Cargo.toml`: a Rust program
        --
        stack: my-product
        services:
          shop-api:
            run: sh -c 'cd api && exec ../target/release/shop_api'
            port: auto                  # the node chooses it; the program reads it from PORT
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]],
    );
}

#[test]
fn a_folder_for_each_part() {
    let files = [
        ("backend/requirements.txt", "fastapi\npsycopg\n"),
        ("backend/main.py", ""),
        ("frontend/package.json", r#"{"scripts":{"preview":"vite preview"}}"#),
        ("redis/package.json", r#"{"scripts":{"start":"node ."}}"#),
    ];
    check(
        &files,
        &expect![[r#"
            `backend/requirements.txt`: an ASGI program
            `frontend/package.json`: a Node.js program
            `redis/package.json`: a Node.js program
            --
            stack: my-product
            services:
              backend:
                run: sh -c 'cd backend && exec python3 -m uvicorn main:app --host 127.0.0.1 --port "$PORT"'
                port: auto                  # the node chooses it; the program reads it from PORT
                uses: [database]
              frontend:
                run: sh -c 'cd frontend && exec npm run preview'
                port: auto                  # the node chooses it; the program reads it from PORT
              redis-service:
                run: sh -c 'cd redis && exec npm start'
                port: auto                  # the node chooses it; the program reads it from PORT
            resources:
              database: { type: postgres, memory: 256MiB }
            environments:
              development:
                advisory: true              # promises that cannot be kept on this machine are warnings
        "#]],
    );
}

/// The text as a newcomer sees it.
#[test]
fn comments_say_what_was_guessed() {
    let first = config::init(&listing("shop", &[("Cargo.toml", "[package]\nname = \"shop\"\n"), ("src/main.rs", "")]));
    expect![[r#"
        # The whole stack in one file. `mainstay check` reads it, `mainstay plan` shows what would be done,
        # `mainstay up` does it. Every key: docs/reference/mainstay-yaml.md of Mainstay.
        stack: shop

        services:
          shop:
            # Built beforehand: cargo build --release
            run: target/release/shop
            port: auto                  # the node chooses it; the program reads it from PORT
            # health: { ready: / }      # a path that is answered once it can work

        # Secrets by name; a service lists those it receives under `secrets`. Values are never written here:
        # `mainstay secret set NAME`, or `mainstay secret import .env`.
        # secrets:
        #   SESSION_KEY: { generate: 32B }
        #   MAIL_PASSWORD: set

        # Each environment holds what differs in it.
        environments:
          development:
            advisory: true              # promises that cannot be kept on this machine are warnings
    "#]]
    .assert_eq(&first.text);
}

#[test]
fn odd_names_and_texts_still_give_a_good_file() {
    for odd in [
        "",
        "-",
        "ALL",
        "node",
        "é: #",
        "a\nb",
        "'\"\\",
        "{}[]",
        "[package]\nname = \"x: y #\"",
        "web: 'a\nrelease: \"b",
    ] {
        for file in config::READ_FOR_INIT {
            let folders = [("", odd), ("edge/", odd), ("x y'z/", odd), ("database/", odd)];
            let files: Vec<(String, &str)> =
                folders.iter().map(|(folder, text)| (format!("{folder}{file}"), *text)).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            let first = config::init(&listing(odd, &files));
            let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
            assert!(!checked.has(Severity::Error), "{file} {odd:?}\n{}\n{:?}", first.text, checked.problems);
        }
    }
}
