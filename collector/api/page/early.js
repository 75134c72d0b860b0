// What a page asks first, asked while the rest of its script is still on its way.
//
// This module imports nothing, so it runs at once. `ask.js` takes the answers, each once.

// A library asks for it that expects a build step.
/** @type {any} */ (globalThis).process ??= { env: { NODE_ENV: "production" } };

/** The time that pages show unless the address says otherwise. */
export const DEFAULT_START = "-1h";
const TOKEN = "hopline-token";

/** The reader's token: of this tab, else of this browser; "" if there is none. */
export function readToken() {
  return sessionStorage.getItem(TOKEN) || localStorage.getItem(TOKEN) || "";
}

/** @param {string} token "" forgets it everywhere @param {boolean} [isKept] in this browser, not in this tab only */
export function keepToken(token, isKept = false) {
  sessionStorage.removeItem(TOKEN);
  localStorage.removeItem(TOKEN);
  if (token) (isKept ? localStorage : sessionStorage).setItem(TOKEN, token);
}

/**
 * Return the address of a question; parameters that are empty are left out.
 * @param {string} path relative @param {Record<string, unknown>} params
 */
export function urlOf(path, params) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return path + (query ? "?" + query : "");
}

/** @param {string} accept @returns {Record<string, string>} */
export function headersFor(accept) {
  const token = readToken();
  return token ? { Accept: accept, Authorization: "Bearer " + token } : { Accept: accept };
}

/** @type {Map<string, Promise<Response>>} */
const asked = new Map();

/** Return the answer that is on its way already, if this was asked early. @param {string} url */
export function takeEarly(url) {
  const answer = asked.get(url);
  asked.delete(url);
  return answer;
}

/** @param {string} path @param {Record<string, unknown>} params */
function askEarly(path, params) {
  const url = urlOf(path, params);
  const answer = fetch(url, { headers: headersFor("application/json") });
  answer.catch(() => { /* whoever takes it is told */ });
  asked.set(url, answer);
}

/**
 * What the first page asks, in the order of its parameters.
 * @param {Record<string, string | undefined>} params of its address
 * @returns {Record<"sources" | "apis" | "slowest" | "failed", [string, Record<string, string | number | undefined>]>}
 */
export function homeQuestions({ start = DEFAULT_START, end, by }) {
  const some = { start, end, limit: 8 };
  return {
    sources: ["api/v1/sources", {}],
    apis: ["api/v1/apis", { start, end, group_by: by === "api" ? "" : "operation" }],
    slowest: ["api/v1/requests", some],
    failed: ["api/v1/requests", { ...some, error: "true", order: "-start" }],
  };
}

const page = location.pathname.split("/").pop();
const given = Object.fromEntries(new URLSearchParams(location.search));
if (page === "request" && given.id) askEarly("api/page/timeline", { id: given.id, as_of: given.as_of, raw: given.raw });
if (page === "") for (const [path, params] of Object.values(homeQuestions(given))) askEarly(path, params);
if (page === "requests" && !location.search) {
  askEarly("api/v1/requests", { start: DEFAULT_START, order: "-duration", limit: 50 });
}
