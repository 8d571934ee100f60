// Logging in. Shown at any address to who is not logged in, so that afterwards that address is shown.

import { api } from "../api.js";
import { fill, h } from "../dom.js";
import { field, form } from "../form.js";

/**
 * @param {HTMLElement} main
 * @param {import("../api.js").Tenant | null} tenant
 * @param {(session: import("../api.js").Session) => Promise<void>} entered
 * @returns {import("../router.js").Shown}
 */
export function logInPage(main, tenant, entered) {
  if (!tenant) {
    fill(main, h("div", { class: "narrow stack" }, h("h1", {}, "No such company"), h("p", {}, "There is no directory at this address.")));
    return { title: "No such company" };
  }
  const email = h("input", { name: "email", type: "email", autocomplete: "username", inputmode: "email", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const submit = async (/** @type {Record<string, string>} */ values) => {
    await entered(await api.logIn(values.email, values.password));
  };
  const content = form(submit, "Log in", field("Mail address", email), field("Password", password));
  fill(main, h("div", { class: "narrow card stack" }, h("h1", {}, `${tenant.name} directory`), content));
  return { title: "Log in", focus: email };
}
