//! A Compose file: the data services it starts.

use super::{Listing, Mentioned};
use crate::problem::Problems;
use crate::source::SourceFile;
use crate::tree;

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

pub(super) fn mentioned(listing: &Listing) -> Mentioned {
    let mut mentioned = Mentioned::default();
    for (name, text) in NAMES.into_iter().filter_map(|name| Some((name, listing.text(name)?))) {
        for image in images(text) {
            read_image(&image, name, &mut mentioned);
        }
    }
    mentioned
}

/// The images that services run. What our own reader refuses in a file of ours is of no matter here.
fn images(text: &str) -> Vec<String> {
    let source = SourceFile::new("compose", text);
    let mut problems = Problems::new(&source);
    let root = tree::read(&source, &mut problems);
    let services = root.as_ref().and_then(|root| root.map()?.get("services")?.value.map());
    let entries = services.map(|services| services.entries.as_slice()).unwrap_or_default();
    entries.iter().filter_map(|entry| Some(entry.value.map()?.get("image")?.value.scalar()?.text.clone())).collect()
}

fn read_image(image: &str, file: &str, mentioned: &mut Mentioned) {
    let last = image.rsplit('/').next().unwrap_or(image);
    let (name, tag) = last.split_once(':').unwrap_or((last, ""));
    let major = tag.split(['.', '-']).next().and_then(|major| major.parse::<u32>().ok());
    match name {
        "postgres" | "postgresql" | "timescaledb" | "pgvector" | "postgis" => {
            let bounds = crate::defaults::POSTGRES_VERSION_MIN..=crate::defaults::POSTGRES_VERSION_MAX;
            mentioned.postgres = Some(major.filter(|major| name == "postgres" && bounds.contains(major)));
            mentioned.found.push(format!("`{file}`: PostgreSQL"));
        }
        "redis" | "valkey" | "redis-stack" | "redis-stack-server" => {
            mentioned.redis = true;
            mentioned.found.push(format!("`{file}`: Redis"));
        }
        _ => {}
    }
}
