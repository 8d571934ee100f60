// Forms: labelled fields, complaints beside the field they are about, and one submit at a time.

import { Problem } from "./api.js";
import { fill, h } from "./dom.js";

/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */

/**
 * A label, its control and the place for what is wrong with it.
 * @param {string} label
 * @param {Control} control
 * @param {string} [hint]
 */
export function field(label, control, hint) {
  const name = control.name;
  control.id = `field-${name}`;
  control.setAttribute("aria-describedby", `hint-${name} wrong-${name}`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    h("span", { class: "hint", id: `hint-${name}`, hidden: !hint }, hint),
    h("span", { class: "wrong", id: `wrong-${name}`, "data-wrong": name }),
  );
}

/**
 * A form that submits by a function. What the API finds wrong is shown beside its field, the first of them focused;
 * anything else above the buttons.
 * @param {(values: Record<string, string>) => Promise<void>} submit
 * @param {string} verb
 * @param {...import("./dom.js").Child} content
 */
export function form(submit, verb, ...content) {
  const button = h("button", { class: "main-button", type: "submit" }, verb);
  const wrong = h("p", { class: "notice wrong", role: "alert", hidden: true });
  const buttons = h("div", { class: "buttons" }, button);
  const element = h("form", { class: "stack", novalidate: true }, ...content, wrong, buttons);
  let busy = false;
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    complain(element, wrong, null);
    try {
      await submit(values(element));
    } catch (error) {
      complain(element, wrong, error);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });
  return element;
}

/** @param {HTMLFormElement} element */
function values(element) {
  return Object.fromEntries([...new FormData(element)].map(([name, value]) => [name, String(value)]));
}

/**
 * @param {HTMLFormElement} element
 * @param {HTMLElement} general
 * @param {unknown} error
 */
function complain(element, general, error) {
  const fields = { ...(error instanceof Problem ? error.fields : {}) };
  /** @type {Control | null} */
  let first = null;
  for (const place of element.querySelectorAll("[data-wrong]")) {
    const name = place.getAttribute("data-wrong") ?? "";
    const control = /** @type {Control} */ (element.elements.namedItem(name));
    const message = fields[name];
    delete fields[name];
    fill(place, message);
    control.setAttribute("aria-invalid", String(Boolean(message)));
    if (message) first ??= control;
  }
  const left = Object.entries(fields).map(([name, message]) => `${name}: ${message}`);
  const text = error instanceof Problem ? (first ? left : [error.message, ...left]).join(" ") : error ? String(error) : "";
  fill(general, text);
  general.hidden = !text;
  first?.focus();
}

/**
 * Asks before something that cannot be undone.
 * @param {string} question
 * @param {string} verb
 * @returns {Promise<boolean>}
 */
export function confirmed(question, verb) {
  return new Promise((resolve) => {
    const yes = h("button", { class: "danger", value: "yes" }, verb);
    const no = h("button", { value: "no", autofocus: true }, "Keep");
    const content = h("form", { method: "dialog", class: "stack" }, h("p", {}, question), h("div", { class: "buttons" }, no, yes));
    const dialog = h("dialog", { "aria-label": verb }, content);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
