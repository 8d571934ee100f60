// Everybody, with a search. The address holds the search, so that it can be kept and shared.

import { api, Problem } from "../api.js";
import { avatar } from "../avatar.js";
import { fill, h } from "../dom.js";
import { onChange } from "../live.js";

/** How long typing must pause before it is searched for, in milliseconds. */
const TYPING_PAUSE = 150;
/** How long changes are gathered before the list is asked for again, in milliseconds: the first, and further ones. */
const CHANGES_PAUSE = { first: 200, further: 2000 };
/** How many people a part of the list has. */
const PART = 50;

/**
 * @param {HTMLElement} main
 * @param {import("../router.js").Address} address
 * @returns {Promise<import("../router.js").Shown>}
 */
export async function peoplePage(main, { query }) {
  const [departments, digest] = await Promise.all([api.departments(), api.digest()]);
  const search = h("input", {
    type: "search",
    id: "search",
    value: query.get("search") ?? "",
    placeholder: "Name, work, place",
    autocomplete: "off",
    "aria-keyshortcuts": "/",
  });
  const department = h(
    "select",
    { id: "department" },
    h("option", { value: "" }, "All departments"),
    departments.map((name) => h("option", { value: name, selected: name === query.get("department") }, name)),
  );
  const list = new PeopleList();
  const load = () => list.ask(search.value.trim(), department.value);
  const ask = () => {
    keepInAddress({ search: search.value.trim(), department: department.value });
    return load();
  };

  let pause = 0;
  search.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(ask, TYPING_PAUSE);
  });
  department.addEventListener("change", ask);
  const steps = (/** @type {KeyboardEvent} */ event) => step(event, search, list.element);
  document.addEventListener("keydown", steps);
  const changes = gathered(() => list.askAgain());
  const deaf = onChange((change) => {
    if (change.kind === "changed") list.mark(change.person);
    changes.come();
  });

  fill(
    main,
    h("h1", { class: "unseen" }, "People"),
    digest && week(digest),
    h(
      "div",
      { class: "tools", role: "search" },
      h("div", {}, h("label", { class: "unseen", for: "search" }, "Search people (press / to begin)"), search),
      h("div", {}, h("label", { class: "unseen", for: "department" }, "Department"), department),
    ),
    list.counted,
    list.element,
    list.more,
  );
  await load();
  const leave = () => {
    clearTimeout(pause);
    document.removeEventListener("keydown", steps);
    deaf();
    changes.stop();
    list.stop();
  };
  return { title: "People", leave };
}

/** @param {{ search: string, department: string }} query */
function keepInAddress(query) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  history.replaceState(null, "", text ? `/?${text}` : "/");
}

/**
 * Does something soon after a change has come, once for all that come meanwhile, and not too often.
 * @param {() => void} work
 */
function gathered(work) {
  let [timer, last] = [0, 0];
  const come = () => {
    if (timer) return;
    const pause = Math.max(CHANGES_PAUSE.first, last + CHANGES_PAUSE.further - Date.now());
    timer = setTimeout(() => {
      [timer, last] = [0, Date.now()];
      work();
    }, pause);
  };
  return { come, stop: () => clearTimeout(timer) };
}

/** @param {import("../api.js").Digest} digest */
function week(digest) {
  const count = (/** @type {number} */ number, /** @type {string} */ what) =>
    h("span", {}, h("strong", {}, number), ` ${what}`);
  return h(
    "p",
    { class: "notice week" },
    h("span", {}, "Last week:"),
    count(digest.joined, "joined"),
    count(digest.anniversaries, "anniversaries"),
    count(digest.changed, "entries changed"),
  );
}

/**
 * `/` begins a search, the arrows go through its results, Escape goes back to it.
 * @param {KeyboardEvent} event
 * @param {HTMLInputElement} search
 * @param {HTMLElement} list
 */
function step(event, search, list) {
  const focused = document.activeElement;
  const typing = focused instanceof HTMLInputElement || focused instanceof HTMLSelectElement;
  const links = [...list.querySelectorAll("a")];
  const at = links.indexOf(/** @type {HTMLAnchorElement} */ (focused));
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !typing) {
    search.focus();
    search.select();
  } else if (event.key === "ArrowDown" && (focused === search || at >= 0)) {
    links[Math.min(at + 1, links.length - 1)]?.focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    (links[at - 1] ?? search).focus();
  } else if (event.key === "Escape" && at >= 0) {
    search.focus();
  } else {
    return;
  }
  event.preventDefault();
}

/** The list and what belongs to it. Entries that stay keep their element, and with it the focus. */
class PeopleList {
  element = h("ul", { class: "people" });
  counted = h("p", { class: "counted", role: "status" });
  more = h("button", { type: "button", hidden: true, onclick: () => this.askMore() }, "Show more");

  #search = "";
  #department = "";
  /** @type {import("../api.js").Summary[]} */
  #people = [];
  /** @type {string | null} */
  #next = null;
  #total = 0;
  #asking = new AbortController();
  /** @type {Map<number, { text: string, element: HTMLElement }>} */
  #entries = new Map();
  /** @type {Set<number>} */
  #marked = new Set();

  /**
   * @param {string} search
   * @param {string} department
   */
  ask(search, department) {
    [this.#search, this.#department] = [search, department];
    return this.#load(null, PART);
  }

  /** The same again, as many as are shown (but no more than one answer holds). */
  askAgain() {
    return this.#load(null, Math.min(Math.max(this.#people.length, PART), 100));
  }

  askMore() {
    return this.#load(this.#next, PART);
  }

  /**
   * Points out a person when they are next shown.
   * @param {number} person
   */
  mark(person) {
    this.#marked.add(person);
  }

  stop() {
    this.#asking.abort();
  }

  /**
   * @param {string | null} after
   * @param {number} limit
   */
  async #load(after, limit) {
    this.#asking.abort();
    const asking = (this.#asking = new AbortController());
    const query = { search: this.#search, department: this.#department, after, limit };
    try {
      const part = await api.people(query, asking.signal);
      if (asking.signal.aborted) return;
      this.#people = after ? [...this.#people, ...part.people] : part.people;
      [this.#next, this.#total] = [part.next, part.total];
      this.#show();
    } catch (error) {
      if (asking.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      fill(this.counted, error.message);
    }
  }

  #show() {
    const entries = new Map(this.#people.map((person) => [person.id, this.#entry(person)]));
    this.#entries = entries;
    this.#marked.clear();
    const wanted = [...entries.values()].map((entry) => entry.element);
    for (const element of [...this.element.children]) {
      if (!wanted.includes(/** @type {HTMLElement} */ (element))) element.remove();
    }
    wanted.forEach((element, at) => {
      if (this.element.children[at] !== element) this.element.insertBefore(element, this.element.children[at] ?? null);
    });
    const shown = this.#people.length < this.#total ? ` (${this.#people.length} shown)` : "";
    fill(this.counted, this.#total === 0 ? "Nobody found. Try fewer words." : `${this.#total} people${shown}`);
    this.more.hidden = !this.#next;
  }

  /** @param {import("../api.js").Summary} person */
  #entry(person) {
    const text = JSON.stringify(person);
    const before = this.#entries.get(person.id);
    if (before?.text === text) return before;
    const element = before?.element ?? h("li", {});
    const focused = element.contains(document.activeElement);
    fill(element, entryLink(person));
    if (focused) element.querySelector("a")?.focus();
    element.classList.toggle("changed", this.#marked.has(person.id));
    return { text, element };
  }
}

/** @param {import("../api.js").Summary} person */
export function entryLink(person) {
  const where = [person.department, person.location].filter(Boolean).join(" · ");
  return h(
    "a",
    { href: `/people/${person.id}` },
    avatar(person, "small"),
    h(
      "span",
      { class: "who" },
      h("span", { class: "name" }, person.name),
      h("span", {}, person.title),
      h("span", { class: "quiet" }, where),
    ),
  );
}
