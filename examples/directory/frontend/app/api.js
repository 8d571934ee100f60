// What the API is asked. Types here mirror what it answers.

/** @typedef {{ id: string, thumbnail: "waiting" | "ready" | "impossible" }} Photo */
/** @typedef {{ id: number, name: string, email: string, title: string, department: string, location: string | null, photo: Photo | null }} Summary */
/** @typedef {Summary & { phone: string | null, about: string | null, manager: number | null, manager_name: string | null, role: string, started_on: string, version: number, reports: Summary[], may_edit: string[], may_remove: boolean }} Profile */
/** @typedef {{ people: Summary[], total: number, next: string | null }} Part */
/** @typedef {{ who: { person?: number, super_admin?: number }, name: string, role: string, may_add_people: boolean, may_run_tenants: boolean }} Session */
/** @typedef {{ id: string, name: string }} Tenant */
/** @typedef {{ week: string, people: number, joined: number, changed: number, anniversaries: number }} Digest */

/** An answer that says what is wrong. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail
   * @param {Record<string, string>} fields
   */
  constructor(status, code, detail, fields) {
    super(detail);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** Told when an answer says that nobody is logged in. */
export const loggedOut = new EventTarget();

/**
 * @param {string} method
 * @param {string} path
 * @param {{ json?: unknown, body?: Blob, signal?: AbortSignal }} [content]
 * @returns {Promise<any>}
 */
async function ask(method, path, content = {}) {
  /** @type {Record<string, string>} */
  const headers = content.json === undefined ? {} : { "content-type": "application/json" };
  const body = content.json === undefined ? content.body : JSON.stringify(content.json);
  /** @type {Response} */
  let response;
  try {
    response = await fetch(`/api${path}`, { method, headers, body, signal: content.signal });
  } catch (error) {
    if (content.signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "The directory cannot be reached. Are you online?", {});
  }
  const isJson = response.headers.get("content-type")?.includes("json");
  const answer = isJson ? await response.json() : null;
  if (response.ok) return answer;
  if (response.status === 401 && answer?.code === "unauthenticated") loggedOut.dispatchEvent(new Event("out"));
  throw problem(response, answer);
}

/**
 * @param {Response} response
 * @param {any} answer
 */
function problem(response, answer) {
  if (answer?.detail) return new Problem(response.status, answer.code, answer.detail, answer.fields ?? {});
  const wait = response.headers.get("retry-after");
  const detail =
    response.status === 429
      ? `That was a lot at once. Try again ${wait ? `in ${wait} seconds` : "in a moment"}.`
      : "This cannot be done right now. Try again in a moment.";
  return new Problem(response.status, "unknown", detail, {});
}

export const api = {
  /** @returns {Promise<Tenant>} */
  tenant: () => ask("GET", "/tenant"),
  /** @returns {Promise<Session>} */
  session: () => ask("GET", "/session"),
  /**
   * @param {string} email
   * @param {string} password
   * @returns {Promise<Session>}
   */
  logIn: (email, password) => ask("POST", "/session", { json: { email, password } }),
  logOut: () => ask("DELETE", "/session"),
  /**
   * @param {{ search?: string, department?: string, after?: string | null, limit?: number }} query
   * @param {AbortSignal} [signal]
   * @returns {Promise<Part>}
   */
  people(query, signal) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return ask("GET", `/people?${text}`, { signal });
  },
  /** @returns {Promise<string[]>} */
  departments: () => ask("GET", "/departments"),
  /** @returns {Promise<Digest | null>} */
  digest: () => ask("GET", "/digest"),
  /**
   * @param {number} id
   * @returns {Promise<Profile>}
   */
  person: (id) => ask("GET", `/people/${id}`),
  /**
   * @param {Record<string, unknown>} person
   * @returns {Promise<Profile>}
   */
  addPerson: (person) => ask("POST", "/people", { json: person }),
  /**
   * @param {number} id
   * @param {Record<string, unknown>} changes
   * @returns {Promise<Profile>}
   */
  changePerson: (id, changes) => ask("PATCH", `/people/${id}`, { json: changes }),
  /** @param {number} id */
  removePerson: (id) => ask("DELETE", `/people/${id}`),
  /**
   * @param {string} current
   * @param {string} password
   */
  changePassword: (current, password) => ask("PUT", "/password", { json: { current, password } }),
  /**
   * @param {number} id
   * @param {File} file
   */
  putPhoto: (id, file) => ask("PUT", `/photos/${id}`, { body: file }),
  /** @param {number} id */
  removePhoto: (id) => ask("DELETE", `/photos/${id}`),
  /** @returns {Promise<Tenant[]>} */
  tenants: () => ask("GET", "/tenants"),
  /** @param {Record<string, unknown>} tenant */
  addTenant: (tenant) => ask("POST", "/tenants", { json: tenant }),
};

/**
 * Where a person's photo is, small when it can be had.
 * @param {number} person
 * @param {Photo} photo
 * @param {boolean} small
 */
export function photoAddress(person, photo, small) {
  return `/api/photos/${person}/${photo.id}${small && photo.thumbnail === "ready" ? "/thumbnail" : ""}`;
}
