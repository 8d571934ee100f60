//! Plans between files that chance wrote.

use proptest::prelude::{Strategy, prop, proptest};
use proptest::prop_assert_eq;

use super::{able, plan, running};
use crate::sample::stack;

/// A file of up to six services, which need only such as come after them in the alphabet, and up to three
/// resources.
fn files() -> impl Strategy<Value = String> {
    let service = (0_usize..6, prop::collection::vec(0_usize..6, 0..3), prop::option::of(0_usize..3), 1_u32..4);
    let services = prop::collection::vec(service, 0..6);
    (services, 1_usize..4, 1_u64..3).prop_map(|(services, resources, memory)| {
        let mut lines: Vec<String> =
            (0..resources).map(|n| format!("resource r{n} redis memory={memory}MiB")).collect();
        for (place, needs, uses, replicas) in services {
            let name = 9 - place;
            let needs: Vec<String> = needs
                .into_iter()
                .filter(|other| {
                    *other < place && lines.iter().any(|line| line.starts_with(&format!("service s{} ", 9 - other)))
                })
                .map(|other| format!("s{}", 9 - other))
                .collect();
            let needs = if needs.is_empty() { String::new() } else { format!("needs={}", needs.join(",")) };
            let uses = uses.filter(|it| *it < resources).map(|it| format!("uses=r{it}")).unwrap_or_default();
            lines.push(format!("service s{name} replicas={replicas} {needs} {uses}"));
        }
        lines.join("\n")
    })
}

proptest! {
    /// `plan` lints every plan it makes.
    #[test]
    fn every_plan_is_sound_and_leads_to_one_that_does_nothing(before in files(), after in files()) {
        let (before, after) = (stack(&before), stack(&after));
        plan(&before, &running(&before), &after, &able());
        let done = plan(&after, &running(&after), &after, &able());
        prop_assert_eq!(done.changes_anything(), false);
        prop_assert_eq!(done.is_refused(), false);
    }
}
