//! One word, one meaning: the words that GLOSSARY.md says we do not use are not used.

use super::Finding;
use crate::repository::File;

const GLOSSARY: &str = "GLOSSARY.md";
const HEADING: &str = "## Words we do not use";

/// Uses of words that the glossary replaces, in pages and in code.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let glossary = files.iter().find(|file| file.path == GLOSSARY);
    let replaced = glossary.map(|file| replaced_words(&file.text)).unwrap_or_default();
    let ours = |file: &&File| file.path != GLOSSARY && !file.path.starts_with("xtask/");
    files.iter().filter(ours).flat_map(|file| uses(file, &replaced)).collect()
}

/// The table's rows: a word, and what to say instead.
fn replaced_words(glossary: &str) -> Vec<(String, String)> {
    let section = glossary.split_once(HEADING).map(|(_, after)| after).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        Some((cells.next()?.to_lowercase(), cells.next()?.to_owned()))
    };
    rows.filter_map(row).filter(|(word, _)| word.chars().all(char::is_alphabetic)).collect()
}

fn uses(file: &File, replaced: &[(String, String)]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let words = line.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        for word in words {
            let entry = replaced.iter().find(|(not, _)| word == *not || word.strip_suffix('s') == Some(not));
            found.extend(
                entry.map(|(not, say)| Finding::new(&file.path, number, format!("\"{not}\": say {say} ({GLOSSARY})"))),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::check;
    use crate::tidy::tests::check_text;

    #[test]
    fn replaced_words_are_found_whole_and_in_the_plural() {
        let glossary = "# Glossary\n\n## Words we do not use\n\n| not | but |\n| --- | --- |\n| daemon | node |\n\n## More\n| pod | replica |\n";
        let files = [("GLOSSARY.md", glossary), ("README.md", "Two Daemons\nand no pod, daemonize\n")];
        expect![[r#"
            README.md:1: "daemon": say node (GLOSSARY.md)
        "#]]
        .assert_eq(&check_text(check, &files));
    }
}
