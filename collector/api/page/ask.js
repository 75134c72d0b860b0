// Questions to the API: the token, errors in one shape, and answers that are no longer wanted.

import { headersFor, keepToken, readToken, takeEarly, urlOf } from "./early.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";

/** What went wrong, in the API's words: a stable code, what happened, what to do. */
export class Failure extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {string} hint
   * @param {number} status 0: no answer at all
   */
  constructor(code, message, hint = "", status = 0) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }

  /** After how many ms it is worth to ask again: 0 if the answer would be the same. */
  get againMs() {
    // Too much at once: what was begun is often there when it is asked again. Proxies say 502 of a restart.
    return this.code === "unreachable" ? 3_000 : [429, 502, 503, 504].includes(this.status) ? 5_000 : 0;
  }
}

/** @type {Set<() => void>} */
const watchers = new Set();
/** What the server says of the token: nothing, that it wants one, or that ours is not known. */
let access = /** @type {"open" | "wanted" | "refused"} */ ("open");
let epoch = 0;

function tell() {
  for (const watcher of watchers) watcher();
}

/** How far the server's clock is ahead of the browser's, ms; 0 while they agree well enough. */
let ahead = 0;
const CLOCKS_AGREE_MS = 5_000;

/** @param {string | null} date header of an answer, in whole seconds */
function readClock(date) {
  const found = date ? Date.parse(date) - Date.now() : NaN;
  if (!Number.isNaN(found)) ahead = Math.abs(found) < CLOCKS_AGREE_MS ? 0 : found;
}

/** The time, Unix ms, as the server has it: a browser's clock may be wrong by hours. */
export function now() {
  return Date.now() + ahead;
}

/**
 * Use another token from now on; every question is asked again.
 * @param {string} token "": none any more @param {boolean} [isKept] until it is forgotten, not in this tab only
 */
export function useToken(token, isKept = false) {
  keepToken(token, isKept);
  access = token ? "open" : "wanted";
  epoch += 1;
  tell();
}

/** Whether a token is wanted or held, and a number that grows when everything has to be asked again. */
export function useAccess() {
  const [, draw] = useState(0);
  useEffect(() => {
    const watcher = () => draw((count) => count + 1);
    watchers.add(watcher);
    return () => { watchers.delete(watcher); };
  }, []);
  return { access, epoch, hasToken: readToken() !== "" };
}

/**
 * Ask the API.
 * @param {string} path relative, such as "api/v1/requests"
 * @param {Record<string, string | number | undefined>} [params]
 * @param {{signal?: AbortSignal, accept?: string}} [how]
 * @returns {Promise<any>} parsed JSON, or text where another type was accepted
 */
export async function ask(path, params = {}, { signal, accept = "application/json" } = {}) {
  const answer = await request(path, params, accept, signal);
  const body = await (accept === "application/json" ? answer.json() : answer.text());
  if (signal) signal.throwIfAborted();
  return body;
}

/**
 * Listen to server-sent events until the stream ends. (An EventSource could not send the token.)
 * @param {string} path
 * @param {Record<string, any>} params
 * @param {(kind: string, body: any) => void} hear
 * @param {AbortSignal} signal
 */
export async function listen(path, params, hear, signal) {
  const answer = await request(path, params, "text/event-stream", signal);
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop() || "";
    for (const event of events) {
      const lines = event.split("\n");
      const kind = (lines.find((line) => line.startsWith("event: ")) || "event: message").slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data) hear(kind, JSON.parse(data));
    }
  }
}

/**
 * @param {string} path @param {Record<string, any>} params @param {string} accept
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Response>} an answer that is no error
 */
async function request(path, params, accept, signal) {
  const url = urlOf(path, params);
  let answer;
  try {
    answer = await (takeEarly(url) || fetch(url, { headers: headersFor(accept), signal }));
    if (signal) signal.throwIfAborted();
  } catch (error) {
    if (signal && signal.aborted) throw error;
    throw new Failure("unreachable", "Hopline does not answer.",
      "The service may be stopped or restarting; this page asks again by itself.");
  }
  readClock(answer.headers.get("Date"));
  if (answer.status === 401) {
    access = readToken() ? "refused" : "wanted";
    tell();
  } else if (access !== "open") {
    access = "open";
    tell();
  }
  if (answer.ok) return answer;
  let told = { code: "http", message: "HTTP " + answer.status, hint: "" };
  try {
    told = (await answer.json()).error || told;
  } catch { /* a proxy's error page is no JSON: its status says enough */ }
  throw new Failure(told.code, told.message, told.hint, answer.status);
}

/**
 * Ask when drawn, again when the question changes, and every *everyMs* if that is given.
 *
 * An answer to an earlier question is never shown: `data` is null until the new one is there. While
 * the service cannot be reached it is asked again every 3 s, every 5 s while it has too much to do, and
 * every 10 s while the answer *isEmpty*: what came last is not stitched at once.
 * @param {string | null} path null: nothing is asked
 * @param {Record<string, string | number | undefined>} [params]
 * @param {{everyMs?: number, isEmpty?: (data: any) => boolean}} [how]
 * @returns {{data: any, failure: Failure | null, isLoading: boolean, again: () => void}}
 */
export function useAnswer(path, params = {}, { everyMs = 0, isEmpty = () => false } = {}) {
  const { epoch: turn } = useAccess();
  const question = path === null ? "" : path + "?" + JSON.stringify(params);
  const [state, setState] = useState(
    /** @type {{question: string, data: any, failure: Failure | null, isLoading: boolean}} */
    ({ question: "", data: null, failure: null, isLoading: true }));
  const [count, setCount] = useState(0);
  const again = useCallback(() => setCount((value) => value + 1), []);
  const asked = useRef({ path, params });
  asked.current = { path, params };
  useEffect(() => {
    const { path: target, params: given } = asked.current;
    if (target === null) return undefined;
    const control = new AbortController();
    let timer = 0;
    const later = (/** @type {number} */ ms) => {
      timer = setTimeout(() => (document.hidden ? later(ms) : again()), ms);
    };
    setState((before) => ({
      question,
      data: before.question === question ? before.data : null,
      failure: before.question === question ? before.failure : null,
      isLoading: true,
    }));
    ask(target, given, { signal: control.signal }).then(
      (data) => {
        setState({ question, data, failure: null, isLoading: false });
        if (everyMs) later(everyMs);
        else if (isEmpty(data)) later(10_000);
      },
      (error) => {
        if (control.signal.aborted) return;
        const failure = error instanceof Failure ? error : new Failure("page", String(error));
        // What was answered to this very question stays true while nobody answers it again.
        setState((before) => ({
          question,
          data: failure.againMs && before.question === question ? before.data : null,
          failure,
          isLoading: false,
        }));
        if (failure.againMs) later(failure.againMs);
      });
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [question, turn, count, everyMs]);
  const isCurrent = state.question === question;
  return {
    data: isCurrent ? state.data : null,
    failure: isCurrent ? state.failure : null,
    isLoading: !isCurrent || state.isLoading,
    again,
  };
}
