//! A Compose file: the data services it starts, and what else it would start.

use super::{LeftOut, Listing, Mentioned};
use crate::problem::Problems;
use crate::source::SourceFile;
use crate::tree::{self, Node};

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

pub(super) fn mentioned(listing: &Listing) -> Mentioned {
    let mut mentioned = Mentioned::default();
    for (file, text) in NAMES.into_iter().filter_map(|name| Some((name, listing.text(name)?))) {
        for Service { name, image, build } in services(text) {
            let what = match (image, build) {
                (Some(image), None) if read_image(&image, file, &mut mentioned) => continue,
                (Some(image), None) => format!("the image {image:?}"),
                (_, Some(folder)) => format!("built from {folder:?}"),
                (None, None) => "neither an image nor built here".to_owned(),
            };
            mentioned.left_out.push(LeftOut { file, name, what });
        }
    }
    mentioned
}

/// One service of a Compose file, and where its container comes from.
struct Service {
    name: String,
    image: Option<String>,
    /// The folder that it is built from.
    build: Option<String>,
}

/// The services. What our own reader refuses in a file of ours is of no matter here.
fn services(text: &str) -> Vec<Service> {
    let source = SourceFile::new("compose", text);
    let mut problems = Problems::new(&source);
    let root = tree::read(&source, &mut problems);
    let services = root.as_ref().and_then(|root| root.map()?.get("services")?.value.map());
    let entries = services.map(|services| services.entries.as_slice()).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let key = |key: &str| Some(&entry.value.map()?.get(key)?.value);
            let text = |node: &Node| Some(node.scalar()?.text.clone());
            let context = |build: &Node| text(build).or_else(|| text(&build.map()?.get("context")?.value));
            Service {
                name: entry.key.clone(),
                image: key("image").and_then(text),
                build: key("build").map(|build| context(build).unwrap_or_else(|| ".".to_owned())),
            }
        })
        .collect()
}

/// Notes the data service that an image is, if it is one of ours.
fn read_image(image: &str, file: &str, mentioned: &mut Mentioned) -> bool {
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
        _ => return false,
    }
    true
}
