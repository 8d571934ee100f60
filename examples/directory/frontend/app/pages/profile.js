// Everything about a person, as it is right now.

import { api, Problem } from "../api.js";
import { avatar } from "../avatar.js";
import { fill, h, say } from "../dom.js";
import { confirmed } from "../form.js";
import { onChange } from "../live.js";
import { go } from "../router.js";
import { entryLink } from "./people.js";

/** The largest photo that is taken, in bytes. */
const PHOTO_MAX = 5 * 1024 * 1024;
const ROLES = { user: "User", manager: "Manager", admin: "Admin" };

/**
 * @param {HTMLElement} main
 * @param {import("../router.js").Address} address
 * @returns {Promise<import("../router.js").Shown>}
 */
export async function profilePage(main, { parts }) {
  const id = Number(parts[0]);
  const person = await api.person(id);
  let asked = 0;
  const again = async () => {
    const own = ++asked;
    // Answers may overtake each other: only what was asked last is shown, and nothing once this page was left.
    const isCurrent = () => own === asked;
    try {
      const now = await api.person(id);
      if (isCurrent()) show(main, now);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (isCurrent()) say(error.status === 404 ? "This person was removed." : error.message);
    }
  };
  show(main, person);
  const deaf = onChange((change) => {
    if (change.kind === "unknown" || change.person === id) again();
  });
  const leave = () => {
    deaf();
    asked += 1;
  };
  return { title: person.name, leave };
}

/**
 * @param {HTMLElement} main
 * @param {import("../api.js").Profile} person
 */
function show(main, person) {
  const focused = document.activeElement?.id;
  fill(
    main,
    h(
      "article",
      { class: "profile" },
      h(
        "div",
        { class: "top" },
        avatar(person, "large"),
        h("div", {}, h("h1", {}, person.name), h("p", {}, person.title), h("p", { class: "quiet" }, person.department)),
      ),
      actions(person),
      h("div", { class: "card stack" }, facts(person), person.about && h("p", { class: "about" }, person.about)),
      person.reports.length > 0 && h("h2", {}, `Reports (${person.reports.length})`),
      person.reports.length > 0 && h("ul", { class: "people" }, person.reports.map((report) => h("li", {}, entryLink(report)))),
    ),
  );
  if (focused) document.getElementById(focused)?.focus();
}

/** @param {import("../api.js").Profile} person */
function facts(person) {
  const fact = (/** @type {string} */ name, /** @type {import("../dom.js").Child} */ value) =>
    value ? h("div", {}, h("dt", {}, name), h("dd", {}, value)) : null;
  const since = new Date(`${person.started_on}T12:00`).toLocaleDateString(undefined, { dateStyle: "long" });
  return h(
    "dl",
    { class: "facts" },
    fact("Mail", h("a", { href: `mailto:${person.email}` }, person.email)),
    fact("Phone", person.phone && h("a", { href: `tel:${person.phone.replace(/[^+\d]/g, "")}` }, person.phone)),
    fact("Location", person.location),
    fact("Manager", person.manager && h("a", { href: `/people/${person.manager}` }, person.manager_name ?? "")),
    fact("Here since", since),
    fact("Role", ROLES[/** @type {keyof ROLES} */ (person.role)]),
  );
}

/** @param {import("../api.js").Profile} person */
function actions(person) {
  const fields = person.may_edit.filter((name) => name !== "photo");
  const photo = person.may_edit.includes("photo");
  if (fields.length === 0 && !photo && !person.may_remove) return null;
  return h(
    "div",
    { class: "buttons" },
    fields.length > 0 && h("a", { class: "button main-button", id: "edit", href: `/people/${person.id}/edit` }, "Edit"),
    photo && photoButton(person),
    photo && person.photo && h("button", { type: "button", id: "no-photo", onclick: () => removePhoto(person) }, "Remove photo"),
    person.may_remove && h("button", { type: "button", id: "remove", class: "danger", onclick: () => remove(person) }, "Remove person"),
  );
}

/** @param {import("../api.js").Profile} person */
function photoButton(person) {
  const input = h("input", { type: "file", id: "photo", class: "unseen", accept: "image/jpeg,image/png" });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    if (file.size > PHOTO_MAX) return say("A photo has at most 5 MB.");
    say("Sending the photo…");
    await attempt(() => api.putPhoto(person.id, file), "The photo is there.");
  });
  return h("label", { class: "button file" }, person.photo ? "Change photo" : "Add a photo", input);
}

/** @param {import("../api.js").Profile} person */
async function removePhoto(person) {
  if (await confirmed(`Remove the photo of ${person.name}?`, "Remove photo")) {
    await attempt(() => api.removePhoto(person.id), "The photo is removed.");
  }
}

/** @param {import("../api.js").Profile} person */
async function remove(person) {
  if (!(await confirmed(`Remove ${person.name} from the directory? This cannot be undone.`, "Remove person"))) return;
  if (await attempt(() => api.removePerson(person.id), `${person.name} is removed.`)) await go("/");
}

/**
 * Does something and says what came of it. The page itself changes when the change is told.
 * @param {() => Promise<unknown>} work
 * @param {string} done
 */
async function attempt(work, done) {
  try {
    await work();
    say(done);
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(error.message);
    return false;
  }
}
