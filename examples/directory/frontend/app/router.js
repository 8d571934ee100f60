// Which page an address shows. Pages are functions that fill an element of their own, which is shown once they have, unless
// somebody has gone elsewhere meanwhile.

/** @typedef {{ parts: string[], query: URLSearchParams }} Address */
/** @typedef {{ title: string, focus?: HTMLElement, leave?: () => void }} Shown */
/** @typedef {(main: HTMLElement, address: Address) => Shown | Promise<Shown>} Page */

import { byId, fill, h } from "./dom.js";

/** @type {{ pattern: RegExp, page: Page }[]} */
const routes = [];
/** @type {(() => void) | undefined} */
let leave;
let visit = 0;

/**
 * @param {RegExp} pattern
 * @param {Page} page
 */
export function route(pattern, page) {
  routes.push({ pattern, page });
}

/**
 * Goes to an address of this site.
 * @param {string} path
 * @param {{ replace?: boolean }} [how]
 */
export function go(path, how = {}) {
  history[how.replace ? "replaceState" : "pushState"](null, "", path);
  return show();
}

/** Shows what the address says. */
export async function show() {
  leave?.();
  leave = undefined;
  visit += 1;
  const [own, content] = [visit, h("div", {})];
  const address = new URL(location.href);
  const found = routes.find(({ pattern }) => pattern.test(address.pathname)) ?? routes[routes.length - 1];
  const parts = found.pattern.exec(address.pathname)?.slice(1) ?? [];
  const shown = await found.page(content, { parts, query: address.searchParams });
  // Somebody was quicker than this page.
  if (own !== visit) return shown.leave?.();
  leave = shown.leave;
  document.title = `${shown.title} · Directory`;
  const main = byId("main");
  fill(main, content);
  (shown.focus ?? main).focus({ preventScroll: true });
}

/** Follows links of this site without loading the page again. */
export function followLinks() {
  addEventListener("popstate", show);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0;
    if (!link || modified || event.defaultPrevented || link.target || link.hash) return;
    if (link.origin !== location.origin || link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    scrollTo(0, 0);
    go(link.pathname + link.search);
  });
}
