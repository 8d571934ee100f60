// Changing one's password. That ends every session, so one logs in again.

import { api, loggedOut } from "../api.js";
import { fill, h, say } from "../dom.js";
import { field, form } from "../form.js";
import { go } from "../router.js";

/**
 * @param {HTMLElement} main
 * @returns {import("../router.js").Shown}
 */
export function passwordPage(main) {
  const input = (/** @type {string} */ name, /** @type {string} */ autocomplete) =>
    h("input", { name, type: "password", autocomplete });
  const submit = async (/** @type {Record<string, string>} */ { current, password }) => {
    await api.changePassword(current, password);
    say("Your password is changed. Log in with the new one.");
    loggedOut.dispatchEvent(new Event("out"));
    await go("/", { replace: true });
  };
  const content = form(
    submit,
    "Change",
    field("Present password", input("current", "current-password")),
    field("New password", input("password", "new-password"), "At least 10 characters"),
  );
  fill(main, h("div", { class: "narrow stack" }, h("h1", {}, "Change your password"), content));
  return { title: "Change your password" };
}
