// A person's photo, or their initials until they have one.

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
  if (person.photo) {
    const address = photoAddress(person.id, person.photo, !large);
    return h("img", { class: shape, src: address, alt: "", loading: "lazy", decoding: "async" });
  }
  return h("span", { class: `${shape} hue-${person.id % HUES}`, "aria-hidden": "true" }, initials(person.name));
}

/** @param {string} name */
function initials(name) {
  const words = name.split(" ").filter(Boolean);
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}
