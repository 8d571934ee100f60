// A field for somebody's manager: typing proposes people, by name and mail address.

import { api, Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { field } from "./form.js";

const PROPOSALS = 8;
const TYPING_PAUSE = 150;

/**
 * @param {number | null} id
 * @param {string | null} name
 */
export function managerField(id, name) {
  const proposals = h("datalist", { id: "managers" });
  const input = h("input", { name: "manager", list: "managers", value: name ?? "", autocomplete: "off" });
  /** @type {Map<string, number>} */
  const known = new Map(id && name ? [[name, id]] : []);
  let pause = 0;
  const propose = async () => {
    const { people } = await api.people({ search: input.value.trim(), limit: PROPOSALS });
    for (const person of people) known.set(label(person), person.id);
    fill(proposals, people.map((person) => h("option", { value: label(person) })));
  };
  input.addEventListener("input", () => {
    clearTimeout(pause);
    // Without proposals the field still works: what is typed is looked up when it is sent.
    pause = setTimeout(() => propose().catch(() => undefined), TYPING_PAUSE);
  });
  const chosen = async () => {
    const text = input.value.trim();
    if (text === "") return null;
    return known.get(text) ?? (await onlyOne(text));
  };
  const element = h("div", {}, field("Manager", input, "Empty for nobody"), proposals);
  return { element, chosen };
}

/** @param {import("./api.js").Summary} person */
function label(person) {
  return `${person.name} (${person.email})`;
}

/**
 * The one person that a text finds.
 * @param {string} text
 */
async function onlyOne(text) {
  const { people, total } = await api.people({ search: text, limit: 1 });
  if (total === 1) return people[0].id;
  const message = total === 0 ? "is nobody here" : "could be several people: choose one from the list";
  throw new Problem(422, "invalid", message, { manager: message });
}
