// Changing a person: the fields that who asks may change, as the API says.

import { api } from "../api.js";
import { fill, h, say } from "../dom.js";
import { field, form } from "../form.js";
import { managerField } from "../manager.js";
import { go } from "../router.js";

/**
 * @param {HTMLElement} main
 * @param {import("../router.js").Address} address
 * @returns {Promise<import("../router.js").Shown>}
 */
export async function editPage(main, { parts }) {
  const person = await api.person(Number(parts[0]));
  const back = `/people/${person.id}`;
  const may = (/** @type {string} */ name) => person.may_edit.includes(name);
  const manager = may("manager") ? managerField(person.manager, person.manager_name) : null;
  const submit = async (/** @type {Record<string, string>} */ values) => {
    const changes = changed(person, values);
    if (manager) {
      const chosen = await manager.chosen();
      if (chosen !== person.manager) changes.manager = chosen;
    }
    if (Object.keys(changes).length > 0) {
      await api.changePerson(person.id, { version: person.version, ...changes });
      say("Saved.");
    }
    await go(back, { replace: true });
  };
  const content = form(submit, "Save", FIELDS.filter(([name]) => may(name)).map(([name, make]) => make(name, person)), manager?.element);
  fill(main, h("div", { class: "narrow stack" }, h("h1", {}, `Edit ${person.name}`), content, h("a", { href: back }, "Leave it as it is")));
  return { title: `Edit ${person.name}` };
}

/** @typedef {(name: string, person: import("../api.js").Profile) => HTMLElement} Make */

/**
 * @param {string} label
 * @param {Record<string, any>} [attributes]
 * @returns {Make}
 */
function line(label, attributes = {}) {
  return (name, person) => {
    const value = person[/** @type {keyof typeof person} */ (name)] ?? "";
    return field(label, h("input", { name, value, autocomplete: "off", ...attributes }));
  };
}

/** @type {[string, Make][]} */
const FIELDS = [
  ["name", line("Name")],
  ["email", line("Mail address", { type: "email" })],
  ["title", line("Title")],
  ["department", line("Department")],
  ["location", line("Location")],
  ["phone", line("Phone", { type: "tel" })],
  ["about", (name, person) => field("About", h("textarea", { name, maxlength: 1000 }, person.about))],
  ["started_on", line("Here since", { type: "date" })],
  ["role", (name, person) => field("Role", roleSelect(name, person.role))],
];

/**
 * @param {string} name
 * @param {string} role
 */
export function roleSelect(name, role) {
  const option = (/** @type {string} */ value, /** @type {string} */ label) =>
    h("option", { value, selected: value === role }, label);
  return h("select", { name }, option("user", "User"), option("manager", "Manager"), option("admin", "Admin"));
}

/**
 * What was changed, for the API.
 * @param {import("../api.js").Profile} person
 * @param {Record<string, string>} values
 * @returns {Record<string, unknown>}
 */
function changed(person, values) {
  const before = (/** @type {string} */ name) => person[/** @type {keyof typeof person} */ (name)] ?? "";
  const names = FIELDS.map(([name]) => name).filter((name) => name in values && values[name] !== before(name));
  return Object.fromEntries(names.map((name) => [name, values[name]]));
}
