// Changes as they happen, over a WebSocket that is opened again when it was lost.

import { loggedOut } from "./api.js";

/** @typedef {{ kind: "changed" | "removed", person: number } | { kind: "unknown" }} Change */

/** The pauses before opening again, in milliseconds; the last one stays. */
const PAUSES = [500, 1000, 2000, 5000, 10000];

/** The code that the API closes with when the session has ended. */
const SESSION_ENDED = 1008;

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {WebSocket | null} */
let socket = null;
let lost = 0;
let wanted = false;

/**
 * Calls a function for every change until the returned function is called.
 * @param {(change: Change) => void} listener
 * @returns {() => void}
 */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Begins to listen, for whoever is logged in. */
export function listen() {
  wanted = true;
  if (!socket) open();
}

/** Ends listening. */
export function stopListening() {
  wanted = false;
  socket?.close();
}

function open() {
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket = opened;
  opened.onopen = () => {
    // What happened while nobody listened is not told again.
    if (lost > 0) tell({ kind: "unknown" });
    lost = 0;
  };
  opened.onmessage = (message) => tell(JSON.parse(message.data));
  opened.onclose = ({ code }) => {
    socket = null;
    if (code === SESSION_ENDED) loggedOut.dispatchEvent(new Event("out"));
    if (!wanted) return;
    // Not all at once: a server that comes back is asked by everybody.
    const pause = PAUSES[Math.min(lost, PAUSES.length - 1)] * (0.5 + Math.random());
    lost += 1;
    setTimeout(() => wanted && !socket && open(), pause);
  };
}

/** @param {Change} change */
function tell(change) {
  for (const listener of listeners) listener(change);
}
