//! Who may run which command.
//!
//! A service may read and write every key and channel: services that use one resource share its data. It may not
//! look at or change the server, other clients, users, scripts of others or copies, and may not empty a database
//! or list all keys at once, which would stop everyone else for the time it takes.

use model::Holder;

use super::OPERATOR;
use crate::connection::service_user;
use crate::{Password, Passwords};

/// Changes when the rules change, so that they are given again to servers that run.
pub(crate) const FORMAT: u32 = 2;

/// The default user, by whom nobody can log in, and as whom the server reads its log in. It may do everything because a
/// transaction of the log is judged again at its end, and passed over where it is refused: what was acknowledged would be
/// gone (redis#14541, valkey#3983). It has its rules from the server's start on and is never changed while one runs, for
/// whoever had connected as it would keep its rights.
pub(crate) const DEFAULT: &str = "user default reset off ~* &* +@all\n";

/// Who asks whether the server is there.
pub(crate) const PROBER: &str = "prober";

/// What the prober may do, who needs no password.
const PROBING: &[&str] = &["on", "nopass", "-@all", "+ping"];

/// What the node may do.
const EVERYTHING: &[&str] = &["~*", "&*", "+@all"];

/// What a service may do. `@dangerous` holds FLUSHALL, FLUSHDB, KEYS, CONFIG, DEBUG, SHUTDOWN, REPLICAOF, MODULE,
/// ACL, MIGRATE, RESTORE, SORT, SWAPDB, MONITOR, CLIENT KILL and the like. INFO is given back because client libraries
/// ask it whether the server is ready; it shows no data.
const SERVICE: &[&str] = &[
    "~*",
    "&*",
    "+@all",
    "-@admin",
    "-@dangerous",
    "+info",
    "-function|delete",
    "-function|flush",
    "-function|kill",
    "-function|restore",
    "-script|flush",
    "-script|kill",
];

/// A holder's user. The endings keep them apart from each other and from the operator.
pub(crate) fn user(holder: &Holder) -> String {
    match holder {
        Holder::Operator => OPERATOR.to_owned(),
        Holder::Owner => "owner".to_owned(),
        Holder::Service(service) => service_user(service),
    }
}

/// Every user who can log in, with its rules.
pub(crate) fn rules(passwords: &Passwords) -> Vec<(String, Vec<String>)> {
    let with_password = |password: &Password, rules: &[&str]| {
        let mut all = vec!["on".to_owned(), format!("#{}", password.hash())];
        all.extend(rules.iter().map(|&rule| rule.to_owned()));
        all
    };
    let probing = PROBING.iter().map(|&rule| rule.to_owned()).collect();
    let operator = with_password(&passwords.operator, EVERYTHING);
    let mut users = vec![(PROBER.to_owned(), probing), (OPERATOR.to_owned(), operator)];
    let others = passwords.others.iter();
    users.extend(others.map(|(holder, password)| (user(holder), with_password(password, SERVICE))));
    users
}

/// The users' file: only hashes of passwords.
pub(crate) fn file(passwords: &Passwords) -> String {
    let logins = rules(passwords);
    let lines = logins.iter().map(|(name, rules)| format!("user {name} reset {}\n", rules.join(" ")));
    std::iter::once(DEFAULT.to_owned()).chain(lines).collect()
}

/// The users of a server that are none any more.
pub(crate) fn gone<'a>(known: &'a [String], passwords: &Passwords) -> Vec<&'a str> {
    let kept = rules(passwords);
    let is_kept = |name: &&str| *name == "default" || kept.iter().any(|(user, _)| user == name);
    known.iter().map(String::as_str).filter(|name| !is_kept(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn the_file_holds_hashes_only() {
        let password = |text: &str| Password::new(Zeroizing::new(text.to_owned())).unwrap();
        let passwords = Passwords {
            operator: password("operator-password"),
            others: BTreeMap::from([(Holder::Service("web-api".parse().unwrap()), password("service-password"))]),
        };
        expect![[r#"
            user default reset off ~* &* +@all
            user prober reset on nopass -@all +ping
            user mainstay reset on #59d504b980f96034e3d89ad0ad13906be95eca50df5f72697dc371b5d400574b ~* &* +@all
            user web_api_service reset on #e900e34e8e6a500d0a25eafb60aa50ce74c61fe39830085384c8b6f953036c70 ~* &* +@all -@admin -@dangerous +info -function|delete -function|flush -function|kill -function|restore -script|flush -script|kill
        "#]].assert_eq(&file(&passwords));
        let known = ["default", "prober", "mainstay", "web_api_service", "old_service"].map(str::to_owned);
        assert_eq!(gone(&known, &passwords), ["old_service"]);
    }
}
