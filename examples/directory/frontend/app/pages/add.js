// Adding a person, for admins.

import { api } from "../api.js";
import { fill, h, say } from "../dom.js";
import { field, form } from "../form.js";
import { managerField } from "../manager.js";
import { go } from "../router.js";
import { roleSelect } from "./edit.js";

/**
 * @param {HTMLElement} main
 * @returns {import("../router.js").Shown}
 */
export function addPage(main) {
  const today = new Date().toISOString().slice(0, 10);
  const manager = managerField(null, null);
  const input = (/** @type {string} */ name, /** @type {Record<string, any>} */ attributes = {}) =>
    h("input", { name, autocomplete: "off", ...attributes });
  const submit = async (/** @type {Record<string, string>} */ { password, ...values }) => {
    const person = { ...values, manager: await manager.chosen(), ...(password && { password }) };
    const added = await api.addPerson(person);
    say(`${added.name} is added.`);
    await go(`/people/${added.id}`, { replace: true });
  };
  const content = form(
    submit,
    "Add",
    field("Name", input("name")),
    field("Mail address", input("email", { type: "email" })),
    field("Title", input("title")),
    field("Department", input("department")),
    field("Location", input("location")),
    field("Here since", input("started_on", { type: "date", value: today })),
    manager.element,
    field("Role", roleSelect("role", "user")),
    field("First password", input("password", { type: "password", autocomplete: "new-password" }), "Without one they are listed and cannot log in"),
  );
  fill(main, h("div", { class: "narrow stack" }, h("h1", {}, "Add a person"), content));
  return { title: "Add a person" };
}
