//! First files: each detected kind gives a file that `check` accepts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::{FirstFile, Listed, Listing, Severity, SourceFile};
use expect_test::{Expect, expect};

fn listing(folder: &str, entries: impl IntoIterator<Item = (String, Listed)>) -> Listing {
    Listing { folder: folder.to_owned(), entries: entries.into_iter().collect(), ..Listing::default() }
}

/// Files as they are listed: with their texts where these help.
fn files(files: &[(&str, &str)]) -> Vec<(String, Listed)> {
    let listed = |(path, text): &(&str, &str)| {
        let is_read = config::READ_FOR_INIT.contains(&path.rsplit('/').next().unwrap());
        ((*path).to_owned(), if is_read { Listed::Text((*text).to_owned()) } else { Listed::File })
    };
    files.iter().map(listed).collect()
}

/// The first file of a listing, which `check` accepts.
#[track_caller]
fn accepted(listing: &Listing) -> FirstFile {
    let first = config::init(listing);
    let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
    let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new(), "{}", first.text);
    assert!(checked.stack.is_some());
    first
}

/// What was found, and the lines of the file that say something, up to those that are in each.
#[track_caller]
fn check(found: &[(&str, &str)], expected: &Expect) {
    let first = accepted(&listing("My Product", files(found)));
    let lines = first.text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let lines: Vec<&str> = lines.take_while(|line| *line != "environments:").collect();
    expected.assert_eq(&format!("{}\n--\n{}\n", first.found.join("\n"), lines.join("\n")));
}

/// What was found and not used, as the file's comments say it, and the example that stands where there is no service.
#[track_caller]
fn check_passed_over(listing: &Listing, expected: &Expect) {
    let text = accepted(listing).text;
    let from = text.find("# Found, and not used:\n").unwrap();
    let to = text.find("\n# services:\n").unwrap();
    expected.assert_eq(&text[from..=to]);
}

#[test]
fn an_empty_folder() {
    check(
        &[],
        &expect![[r#"

        --
        stack: my-product
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
    "#]],
    );
}

#[test]
fn what_compose_starts_and_the_file_does_not_is_named() {
    let compose = "services:\n  db: { image: 'postgres:16' }\n  mail: { image: 'axllent/mailpit:v1' }\n  \
                   api: { build: { context: ./api }, image: shop/api }\n  \"a\\nstack: b\": { build: . }\n  \
                   front: { build: front }\n  base: { extends: other }\n";
    let package = r#"{"scripts":{"start":"node ."}}"#;
    let first = accepted(&listing("shop", files(&[("compose.yaml", compose), ("front/package.json", package)])));
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
        "#]],
    );
}

/// A server of the project's folder would show `.env`, `mainstay.yaml` and the state directory.
#[test]
fn pages_among_what_is_secret_are_not_served() {
    check_passed_over(
        &listing("shop", files(&[("index.html", ""), (".env", "")])),
        &expect![[r#"
        # Found, and not used:
        #   index.html: visitors would be shown .env, mainstay.yaml and .mainstay as well
        #     (move the pages into a folder of their own, such as public, and serve that)

        # Nothing was found here that can be started as it is. Pages in a folder of their own are served like this:
    "#]],
    );
}

#[test]
fn what_pages_of_their_own_would_be_served_by_is_shown_and_accepted() {
    let text = accepted(&listing("shop", files(&[("index.html", "")]))).text;
    let shown = text.lines().skip_while(|line| *line != "# services:").take_while(|line| !line.is_empty());
    let shown: String = shown.map(|line| format!("{}\n", line.strip_prefix("# ").unwrap())).collect();
    expect![[r#"
        services:
          web:
            static: public  # `mainstay up` copies it, and the edge sends the copy
        edge:
          listen: { http: 8080 }  # this machine's browsers find every host below localhost here
          routes:
            - { host: shop.localhost, to: web }
    "#]]
    .assert_eq(&shown);
    let checked = config::check(&SourceFile::new("mainstay.yaml", format!("stack: shop\n{shown}")), None);
    assert_eq!(checked.problems, []);
}

#[test]
fn pages_above_what_is_hidden_are_not_served_however_deep_that_is() {
    for (beside, named) in [
        ("public/.env.local", "public/.env.local"),
        ("public/docs/v2/.env", "public/docs/v2/.env"),
        ("public/docs/.git/config", "public/docs/.git"),
        ("public/.well-known/.htpasswd", "public/.well-known/.htpasswd"),
        ("public/.gitkeep/config", "public/.gitkeep"),
        ("public/docs/.gitignore/id_rsa", "public/docs/.gitignore"),
        ("public/.nojekyll/.well-known/key", "public/.nojekyll"),
    ] {
        let first = accepted(&listing("shop", files(&[("public/index.html", ""), (beside, "")])));
        assert_eq!(first.found, Vec::<String>::new(), "{beside}");
        let [passed_over] = first.passed_over.as_slice() else { panic!("{beside}: {:?}", first.passed_over) };
        assert_eq!(passed_over.file, "public");
        assert_eq!(passed_over.why, format!("visitors would be shown {named} as well"));
        assert_eq!(passed_over.remedy, "move that out of the folder, or serve another folder");
    }
}

#[test]
fn pages_beside_what_cannot_be_vouched_for_are_not_served() {
    let folders = [
        ("build/.gitkeep", Listed::Folder),
        ("dist/assets/photos", Listed::Link),
        ("htdocs", Listed::Link),
        ("html/index.html", Listed::Link),
        ("out/uploads", Listed::Closed("Permission denied".to_owned())),
        ("public/socket", Listed::Other),
        ("www", Listed::Closed("Input/output error".to_owned())),
    ];
    let with_pages = ["build", "dist", "out", "public", "site", "www"];
    let pages = with_pages.map(|folder| (format!("{folder}/index.html"), Listed::File));
    let mut listing = listing("shop", folders.map(|(path, listed)| (path.to_owned(), listed)).into_iter().chain(pages));
    listing.cut = ["_site", "site"].map(str::to_owned).into();
    check_passed_over(
        &listing,
        &expect![[r#"
            # Found, and not used:
            #   www: it cannot be looked into: Input/output error
            #     (look at its owner and its mode)
            #   _site: it holds more than 10000 files and folders, too many to be looked at
            #     (see that none of them is secret, and write the service by hand)
            #   build: visitors would be shown build/.gitkeep as well
            #     (move that out of the folder, or serve another folder)
            #   dist: dist/assets/photos is a link, and visitors would be shown what it leads to
            #     (put a copy in its place, or serve another folder)
            #   htdocs: htdocs is a link, and visitors would be shown what it leads to
            #     (put a copy in its place, or serve another folder)
            #   html: html/index.html is a link, and visitors would be shown what it leads to
            #     (put a copy in its place, or serve another folder)
            #   out: out/uploads cannot be looked into: Permission denied
            #     (look at its owner and its mode)
            #   public: public/socket is neither a file nor a folder
            #     (remove it, or serve another folder)
            #   site: it holds more than 10000 files and folders, too many to be looked at
            #     (see that none of them is secret, and write the service by hand)

            # Nothing was found here that can be started as it is. Pages in a folder of their own are served like this:
        "#]],
    );
}

/// In which order a folder is listed, and so whether its page is seen before it is cut, is chance.
#[test]
fn what_is_told_of_a_folder_that_was_cut_does_not_depend_on_the_page_that_was_seen() {
    let told = |seen: &[(&str, &str)]| {
        let mut listing = listing("shop", files(seen));
        listing.cut.insert("public".to_owned());
        accepted(&listing).passed_over
    };
    let with_page = told(&[("index.html", ""), ("public/1.html", ""), ("public/index.html", "")]);
    assert_eq!(with_page, told(&[("index.html", ""), ("public/1.html", "")]));
    let files: Vec<&str> = with_page.iter().map(|passed_over| passed_over.file.as_str()).collect();
    assert_eq!(files, ["public", "index.html"]);
}

#[test]
fn a_program_in_a_folder_of_pages_serves_it_itself() {
    let package = r#"{"scripts":{"start":"node ."}}"#;
    let mut listing = listing("shop", files(&[("www/package.json", package), ("www/index.html", "")]));
    listing.cut.insert("www".to_owned());
    let first = accepted(&listing);
    assert_eq!(first.found, ["`www/package.json`: a Node.js program"]);
    assert_eq!(first.passed_over, []);
}

#[test]
fn pages_with_what_is_meant_for_visitors_are_served() {
    let harmless = [".gitignore", ".nojekyll", "fonts/.gitkeep", ".well-known/security.txt", "deep/er/page.html"];
    let mut entries = files(&[("public/index.html", "")]);
    entries.extend(harmless.map(|path| (format!("public/{path}"), Listed::File)));
    entries.push(("public/.well-known".to_owned(), Listed::Folder));
    let first = accepted(&listing("shop", entries));
    assert_eq!(first.found, ["`public/index.html`: a folder of pages"]);
    assert_eq!(first.passed_over, []);
}

#[test]
fn a_folder_that_was_not_listed_to_its_end_is_told_of() {
    let mut listing = listing("shop", files(&[("go.mod", "module shop\n")]));
    listing.cut.insert(String::new());
    let first = accepted(&listing);
    assert_eq!(first.found, ["`go.mod`: a Go program"]);
    let [passed_over] = first.passed_over.as_slice() else { panic!("{:?}", first.passed_over) };
    assert_eq!((passed_over.file.as_str(), passed_over.remedy), (".", "write by hand what is missing"));
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_of() {
    let mut entries = files(&[
        ("package.json", "{\"scripts\": {"),
        ("Cargo.toml", "name = \"shop\"\n[dependencies]\n"),
        ("dist/package.json", ""),
    ]);
    let unread = [
        ("api/Cargo.toml", Listed::Unreadable),
        ("api/src", Listed::Closed("Permission denied".to_owned())),
        ("data", Listed::Closed("Permission denied".to_owned())),
        ("dist/Cargo.toml", Listed::Link),
        ("go.mod", Listed::Link),
        ("notes.txt", Listed::Link),
        ("web/package.json", Listed::TooLarge),
        ("worker/Dockerfile", Listed::Link),
        ("worker/prisma/package.json", Listed::Link),
    ];
    entries.extend(unread.map(|(path, listed)| (path.to_owned(), listed)));
    check_passed_over(
        &listing("shop", entries),
        &expect![[r#"
            # Found, and not used:
            #   Cargo.toml: no name of a package and no workspace was found in it
            #     (correct it, or write the service by hand)
            #   api/Cargo.toml: it cannot be read as text
            #     (look at its mode and its content)
            #   api/src: it cannot be looked into: Permission denied
            #     (look at its owner and its mode)
            #   data: it cannot be looked into: Permission denied
            #     (look at its owner and its mode)
            #   go.mod: it is a link, and no link is followed
            #     (put a copy in its place, or write the service by hand)
            #   package.json: it is not JSON: EOF while parsing an object at line 1 column 13
            #     (correct it, or write the service by hand)
            #   web/package.json: it is larger than 1MiB, too large to be looked at
            #     (write its service by hand)
            #   worker/Dockerfile: it is a link, and no link is followed
            #     (put a copy in its place, or write the service by hand)

            # Nothing was found here that can be started. A service is a command, and what it needs:
        "#]],
    );
}

/// Each way in which TOML lets a package be named that is read here.
#[test]
fn a_package_is_found_however_its_name_is_written() {
    for manifest in [
        "[package]\nname = \"shop\"\n",
        "[package]\r\nname = \"shop\"\r\n",
        "\u{feff}[package]\nname = \"shop\"\n",
        "[ package ] # ours\nname = 'shop' # the \"name\"\n",
        "['package']\n\"name\" = \"shop\"\n",
        "package.name = \"shop\"\npackage.version = \"1.0.0\"\n",
        "[package]\ndescription = \"\"\"\n[lib]\nname = \"other\"\n\"\"\"\nname = \"shop\"\n",
        "[package]\nkeywords = [\n  # one ] of many\n  \"[\",\n]\nname = \"shop\"\n",
        "[package]\ndescription = \"a \\\" # [\"\nname = \"shop\"\n",
        "[lib]\nname = \"other\"\n[package]\nname = \"shop\"\n[[bin]]\nname = \"third\"\n",
    ] {
        let first = accepted(&listing("folder", files(&[("Cargo.toml", manifest), ("src/main.rs", "")])));
        assert!(first.text.contains("run: target/release/shop\n"), "{manifest}\n{}", first.text);
        assert_eq!(first.passed_over, [], "{manifest}");
    }
}

/// Such a manifest may be good: it is said that the name was not found, and no other text is taken for the name.
#[test]
fn a_package_whose_name_is_not_read_is_told_of() {
    for manifest in [
        "package = { name = \"shop\" }\n",
        "[package]\nname = \"\"\"shop\"\"\"\n",
        "[package]\nname = \"sh\\u006fp\"\n",
        "[package]\nauthors = [\n  {\n    name = \"other\"\n  }\n]\n",
        "[lib]\nname = \"other\"\n# [package]\n# name = \"other\"\n",
        "[package]\nname = \"unclosed\n",
        "[package]\nkeywords = [\nname = \"unclosed\"\n",
    ] {
        let first = accepted(&listing("folder", files(&[("Cargo.toml", manifest), ("src/main.rs", "")])));
        assert_eq!(first.found, Vec::<String>::new(), "{manifest}");
        let [passed_over] = first.passed_over.as_slice() else { panic!("{manifest}: {:?}", first.passed_over) };
        assert_eq!(passed_over.why, "no name of a package and no workspace was found in it");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_manifest() {
    check(
        &[("package.json", "\u{feff}{\"scripts\": {\"start\": \"node .\"}}")],
        &expect![[r#"
            `package.json`: a Node.js program
            --
            stack: my-product
            services:
              web:
                run: npm start
                port: auto                  # the node chooses it; the program reads it from PORT
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
    "#]],
    );
    let workspace = [files.as_slice(), &[("Cargo.toml", "[ workspace ]\nmembers = [\"api\"]\n")]].concat();
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
        "#]],
    );
}

/// The text as a newcomer sees it.
#[test]
fn comments_say_what_was_guessed() {
    let first =
        accepted(&listing("shop", files(&[("Cargo.toml", "[package]\nname = \"shop\"\n"), ("src/main.rs", "")])));
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
            let texts = folders.map(|(folder, text)| (format!("{folder}{file}"), Listed::Text(text.to_owned())));
            let first = config::init(&listing(odd, texts));
            let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
            assert!(!checked.has(Severity::Error), "{file} {odd:?}\n{}\n{:?}", first.text, checked.problems);
        }
    }
}
