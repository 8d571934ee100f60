// All companies, for those who run the directory.

import { api } from "../api.js";
import { fill, h, say } from "../dom.js";
import { field, form } from "../form.js";

/**
 * @param {HTMLElement} main
 * @returns {Promise<import("../router.js").Shown>}
 */
export async function tenantsPage(main) {
  const list = h("ul", { class: "stack" });
  const load = async () => fill(list, (await api.tenants()).map((tenant) => h("li", {}, h("a", { href: addressOf(tenant) }, tenant.name))));
  await load();
  const submit = async (/** @type {Record<string, string>} */ { id, name, admin_name, email, password }) => {
    await api.addTenant({ id, name, admin: { name: admin_name, email, password } });
    say(`${name} is added.`);
    await load();
  };
  const input = (/** @type {string} */ name, /** @type {Record<string, any>} */ attributes = {}) =>
    h("input", { name, autocomplete: "off", ...attributes });
  const content = form(
    submit,
    "Add the company",
    field("Company", input("name")),
    field("Address", input("id"), "The first part of its host: acme for acme.directory.example"),
    field("First admin", input("admin_name")),
    field("Their mail address", input("email", { type: "email" })),
    field("Their first password", input("password", { type: "password", autocomplete: "new-password" })),
  );
  fill(main, h("div", { class: "stack" }, h("h1", {}, "Companies"), h("div", { class: "card" }, list), h("h2", {}, "Add a company"), h("div", { class: "card narrow" }, content)));
  return { title: "Companies" };
}

/** @param {import("../api.js").Tenant} tenant */
function addressOf(tenant) {
  const address = new URL("/", location.href);
  address.hostname = address.hostname.replace(/^[^.]+/, tenant.id);
  return address.href;
}
