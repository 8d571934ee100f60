// The start: who is logged in decides what is shown. Read `router.js` for addresses, `pages/` for what they show.

import { api, loggedOut, Problem } from "./api.js";
import { byId, fill, h, say } from "./dom.js";
import { listen, stopListening } from "./live.js";
import { addPage } from "./pages/add.js";
import { editPage } from "./pages/edit.js";
import { logInPage } from "./pages/login.js";
import { passwordPage } from "./pages/password.js";
import { peoplePage } from "./pages/people.js";
import { profilePage } from "./pages/profile.js";
import { tenantsPage } from "./pages/tenants.js";
import { followLinks, go, route, show } from "./router.js";

/** @type {import("./api.js").Session | null} */
let session = null;
/** @type {import("./api.js").Tenant | null} */
let tenant = null;

/**
 * A page for who is logged in; anybody else logs in first and comes back.
 * @param {import("./router.js").Page} page
 * @returns {import("./router.js").Page}
 */
function known(page) {
  return async (main, address) => {
    if (!session) return logInPage(main, tenant, entered);
    try {
      return await page(main, address);
    } catch (error) {
      return problemPage(main, error);
    }
  };
}

/**
 * @param {HTMLElement} main
 * @param {unknown} error
 * @returns {import("./router.js").Shown}
 */
function problemPage(main, error) {
  if (!(error instanceof Problem)) throw error;
  const text = error.status === 404 ? "There is nobody and nothing at this address." : error.message;
  fill(main, h("div", { class: "stack narrow" }, h("h1", {}, "Not here"), h("p", {}, text), h("a", { href: "/" }, "All people")));
  return { title: "Not here" };
}

/** @param {import("./api.js").Session} now */
function entered(now) {
  session = now;
  listen();
  showBar();
  return show();
}

function left() {
  if (!session) return;
  session = null;
  stopListening();
  showBar();
  show();
}

async function logOut() {
  try {
    await api.logOut();
  } catch (error) {
    // Without a session there is none to end.
    if (!(error instanceof Problem && error.status === 401)) return say(String(error));
  }
  left();
  go("/");
}

function showBar() {
  const own = session?.who.person;
  const nav =
    session &&
    h(
      "nav",
      { "aria-label": "You" },
      own !== undefined && h("a", { href: `/people/${own}` }, session.name),
      own === undefined && h("span", {}, session.name),
      session.may_add_people && h("a", { href: "/add" }, "Add a person"),
      session.may_run_tenants && h("a", { href: "/tenants" }, "Companies"),
      h("a", { href: "/password" }, "Password"),
      h("button", { class: "plain", type: "button", onclick: logOut }, "Log out"),
    );
  fill(byId("bar"), h("div", { class: "bar" }, h("a", { class: "home", href: "/" }, tenant?.name ?? "Company Directory"), nav));
}

route(/^\/$/, known(peoplePage));
route(/^\/people\/(\d+)$/, known(profilePage));
route(/^\/people\/(\d+)\/edit$/, known(editPage));
route(/^\/add$/, known(addPage));
route(/^\/password$/, known(passwordPage));
route(/^\/tenants$/, known(tenantsPage));
route(/^/, known(async (main) => problemPage(main, new Problem(404, "not-found", "", {}))));

async function start() {
  followLinks();
  loggedOut.addEventListener("out", left);
  const [company, current] = await Promise.allSettled([api.tenant(), api.session()]);
  tenant = company.status === "fulfilled" ? company.value : null;
  session = current.status === "fulfilled" ? current.value : null;
  showBar();
  if (session) listen();
  await show();
}

await start();
