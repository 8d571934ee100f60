//! Where requests go, and what services and clients are told.

use crate::bench::{Bench, echo, fixed, route};

#[test]
fn a_request_arrives_with_who_asked_and_without_what_was_claimed() {
    let bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    client.send(
        "GET /a?b=c HTTP/1.1\r\nHost: acme.test:8443\r\nX-Forwarded-For: 203.0.113.9\r\nX-Tenant: other\r\n\
         X-Request-Id: r-1\r\nConnection: x-secret\r\nX-Secret: 1\r\nAccept: */*\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("x-request-id"), Some("r-1"));
    assert_eq!(
        answer.text(),
        "GET /a?b=c HTTP/1.1\r\nHost: acme.test:8443\r\nAccept: */*\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: acme.test:8443\r\n\
         Forwarded: for=127.0.0.1;host=\"acme.test:8443\";proto=http\r\nX-Request-Id: r-1\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Tenant: acme\r\n\r\n"
    );
}

#[test]
fn what_a_trusted_peer_says_is_believed() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| settings.trust = vec!["127.0.0.0/8".parse().unwrap()]);
    let mut client = bench.connect();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n\r\n");
    assert!(client.answer().text().contains("X-Forwarded-For: 203.0.113.9\r\n"));
}

#[test]
fn what_only_a_proxy_may_say_reaches_the_service_from_a_trusted_peer_alone() {
    let mut bench = Bench::new(&[echo()]);
    let mut told = |trust: &str| {
        bench.apply(|settings| settings.trust = vec![trust.parse().unwrap()]);
        let mut client = bench.connect();
        client.send(
            "GET / HTTP/1.1\r\nHost: acme.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\nX-Tenant: other\r\n\
             X_Rewrite_Url: /admin\r\nX-Original-URL: /admin\r\nX-Real-IP: 1.1.1.1\r\nRemote-User: admin\r\n\r\n",
        );
        let head = client.answer().text().to_owned();
        let said = ["X-Forwarded-Ssl", "X_Rewrite_Url", "X-Original-URL", "X-Real-IP", "Remote-User"];
        let passed = said.iter().filter(|name| head.contains(&format!("{name}: "))).count();
        (
            passed,
            head.contains("X-Forwarded-Proto: https\r\n"),
            head.contains(";proto=https\r\n"),
            head.contains("other"),
        )
    };
    assert_eq!(told("10.0.0.0/8"), (0, false, false, false));
    assert_eq!(told("127.0.0.0/8"), (5, true, true, false));
}

#[test]
fn a_client_that_came_to_a_trusted_peer_by_https_is_not_sent_there() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| {
        settings.https = model::Port::new(8443);
        settings.trust = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut client = bench.connect();
    let mut ask = |scheme: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: acme.test\r\nX-Forwarded-Proto: {scheme}\r\n\r\n"));
        client.answer().status
    };
    assert_eq!((ask("https"), ask("http")), (200, 308));
}

#[test]
fn a_path_is_forwarded_as_it_was_judged() {
    let bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    for (asked, forwarded) in [("/%61pi/?x=%61", "/api/?x=%61"), ("//a///b/", "/a/b/"), ("/a;v=1/b", "/a;v=1/b")] {
        let told = client.get(asked);
        assert!(told.text().starts_with(&format!("GET {forwarded} HTTP/1.1\r\n")), "{asked}: {}", told.text());
    }
    for asked in ["/a/../b", "/./a", "/%2e%2e/a", "/a/..;/b", "/%2fa", "/a%5Cb", "/a%00", "/a%"] {
        let refused = client.get(asked);
        assert_eq!((refused.status, refused.text().contains("ambiguous_path")), (400, true), "{asked}");
    }
}

#[test]
fn no_spelling_of_a_path_gets_past_its_limit() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| {
        let mut login = route("{tenant}.test", "/login");
        login.limit = Some("1/h".parse().unwrap());
        settings.routes.push(login);
    });
    let mut client = bench.connect();
    assert_eq!(client.get("/login").status, 200);
    for path in ["//login", "/%6cogin", "/login//", "/login;a=b", "/;a/login", "/login/;x/y"] {
        assert_eq!(client.get(path).status, 429, "{path}");
    }
    assert_eq!(client.get("/other").status, 200);
}

#[test]
fn a_host_with_an_empty_label_is_nobodys() {
    let bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    for host in [".test", "..test", "a..test"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().contains("unknown_host")), (404, true), "{host}");
    }
}

#[test]
fn what_asks_about_the_way_is_answered_by_the_edge() {
    let bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    let mut ask = |line: &str, hops: &str| {
        client.send(format!("{line} HTTP/1.1\r\nHost: acme.test\r\nMax-Forwards: {hops}\r\n\r\n"));
        let answer = client.answer();
        let told = answer.text().lines().find_map(|line| line.strip_prefix("Max-Forwards: ")).map(str::to_owned);
        (answer.status, told)
    };
    let told = |hops: &str| (200, Some(hops.to_owned()));
    assert_eq!(ask("TRACE /", "5"), (501, None));
    assert_eq!(ask("OPTIONS *", "5"), (204, None));
    assert_eq!(ask("OPTIONS /", "0"), (204, None));
    assert_eq!(ask("OPTIONS /", "5"), told("4"));
    assert_eq!(ask("GET /", "0"), told("0"));
}

#[test]
fn requests_without_a_route_are_answered_here() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| {
        let mut only = route("www.test", "/form");
        only.methods = ["POST".to_owned()].into();
        settings.routes.push(only);
    });
    let mut client = bench.connect();
    let mut ask = |request: &str| {
        client.send(request);
        let answer = client.answer();
        (answer.status, answer.text().to_owned(), answer.field("allow").map(str::to_owned))
    };
    let json = "Accept: application/json\r\n\r\n";
    let (status, text, _) = ask(&format!("GET / HTTP/1.1\r\nHost: nobody.example\r\n{json}"));
    assert_eq!((status, text.contains("\"code\":\"unknown_host\"")), (404, true), "{text}");
    let (status, text, _) = ask(&format!("GET /other HTTP/1.1\r\nHost: www.test\r\n{json}"));
    assert_eq!((status, text.contains("\"code\":\"no_route\"")), (404, true), "{text}");
    let (status, _, allow) = ask(&format!("GET /form HTTP/1.1\r\nHost: www.test\r\n{json}"));
    assert_eq!((status, allow.as_deref()), (405, Some("POST")));
}

#[test]
fn past_its_limit_an_address_is_told_when_to_come_back() {
    let mut bench = Bench::new(&[fixed("HTTP/1.1 204 No Content\r\n\r\n")]);
    bench.apply(|settings| settings.routes[0].limit = Some("3/min".parse().unwrap()));
    let mut client = bench.connect();
    let said: Vec<_> = (0..4)
        .map(|_| client.get("/"))
        .map(|it| (it.status, it.field("ratelimit").unwrap().to_owned(), it.field("retry-after").map(str::to_owned)))
        .collect();
    let row = |status, limit: &str, retry: Option<&str>| (status, limit.to_owned(), retry.map(str::to_owned));
    assert_eq!(
        said,
        [
            row(204, "\"address\";r=2;t=20", None),
            row(204, "\"address\";r=1;t=40", None),
            row(204, "\"address\";r=0;t=60", None),
            row(429, "\"address\";r=0;t=60", Some("20")),
        ]
    );
    bench.apply(|settings| settings.routes[0].timeout = model::Span::secs(7));
    assert_eq!(bench.connect().get("/").status, 429, "a change of the settings forgives nobody");
}

/// Fails when two threads of the edge count for themselves, or lose each other's counts.
#[test]
fn a_limit_is_exact_over_two_threads() {
    const LIMIT: usize = 100;
    let mut bench = Bench::of_threads(2, &[fixed("HTTP/1.1 204 No Content\r\n\r\n")]);
    // Of an hour, none is given back while the test lasts.
    bench.apply(|settings| settings.routes[0].limit = Some("100/h".parse().unwrap()));
    let clients = bench.addresses.iter().flat_map(|address| [*address; 2]).map(|address| {
        std::thread::spawn(move || {
            let mut client = Bench::connect_to(address);
            (0..LIMIT).map(|_| client.get("/").status).collect::<Vec<_>>()
        })
    });
    let clients: Vec<_> = clients.collect();
    let said: Vec<u16> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let count = |status| said.iter().filter(|it| **it == status).count();
    assert_eq!((count(204), count(429)), (LIMIT, 3 * LIMIT));
}

/// Fails when a script is kept from reading that it asked too often.
#[test]
fn a_script_of_another_origin_reads_when_it_may_ask_again() {
    let mut bench = Bench::new(&[fixed("HTTP/1.1 204 No Content\r\n\r\n")]);
    bench.apply(|settings| {
        settings.routes[0].limit = Some("1/h".parse().unwrap());
        settings.routes[0].cors = Some(edge::settings::Cors {
            origins: ["https://app.test".to_owned()].into(),
            methods: Default::default(),
            headers: Default::default(),
            credentials: false,
            keep: model::Span::secs(60),
        });
    });
    let mut client = bench.connect();
    let mut ask = || {
        client.send("GET / HTTP/1.1\r\nHost: acme.test\r\nOrigin: https://app.test\r\n\r\n");
        client.answer()
    };
    ask();
    let refused = ask();
    let exposed = refused.field("access-control-expose-headers").unwrap();
    assert_eq!((refused.status, refused.field("access-control-allow-origin")), (429, Some("https://app.test")));
    assert!(exposed.contains("Retry-After") && refused.field("retry-after").is_some());
}

#[test]
fn strict_headers_leave_to_the_service_what_it_says_itself() {
    let mut bench =
        Bench::new(&[fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Security-Policy: default-src *\r\n\r\n")]);
    bench.apply(|settings| settings.strict_headers = true);
    let answer = bench.connect().get("/");
    assert_eq!(answer.field("content-security-policy"), Some("default-src *"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("strict-transport-security"), None);
}

#[test]
fn plain_requests_are_sent_to_https_where_that_is_served() {
    let mut bench = Bench::new(&[echo()]);
    bench.apply(|settings| settings.https = model::Port::new(8443));
    let answer = bench.connect().get("/a?b=c");
    assert_eq!((answer.status, answer.field("location")), (308, Some("https://acme.test:8443/a?b=c")));
}

#[test]
fn a_change_of_the_settings_touches_no_connection() {
    let mut bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    for round in 0..20 {
        assert_eq!(client.get("/").status, 200, "round {round}");
        bench.apply(|settings| settings.strict_headers = !settings.strict_headers);
    }
}
