// A person's photo, or their initials where there is none to be had.

import { photoAddress } from "./api.js";
import { h } from "./dom.js";

const HUES = 6;

/**
 * A decoration beside the name, so it says nothing of its own.
 * @param {import("./api.js").Summary} person
 * @param {"small" | "large"} size
 */
export function avatar(person, size) {
  const large = size === "large";
  const shape = `avatar${large ? " large" : ""}`;
  const letters = h("span", { class: `${shape} hue-${person.id % HUES}`, "aria-hidden": "true" }, initials(person.name));
  if (!person.photo) return letters;
  const src = photoAddress(person.id, person.photo, !large);
  const photo = h("img", { class: shape, src, alt: "", loading: "lazy", decoding: "async" });
  photo.addEventListener("error", () => photo.replaceWith(letters));
  return photo;
}

/** @param {string} name */
function initials(name) {
  const words = name.split(" ").filter(Boolean);
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}
