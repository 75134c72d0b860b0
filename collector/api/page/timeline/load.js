// Loading a timeline: page by page, and again until nothing can change any more.

import { Failure, ask, useAccess } from "../ask.js";
import { useEffect, useState } from "../html.js";
import { Trace } from "./model.js";

/** How long after an answer to ask again, by state; a final timeline does not change. */
const AGAIN_MS = /** @type {Record<string, number>} */ ({ provisional: 5_000, complete: 20_000 });
/** An id that is not known yet may come with the next record. */
const UNKNOWN_MS = 10_000;
/** Asking must cost the service little: so many times what the last answer took. */
const PAUSES = 10;

/**
 * @typedef {{trace: Trace | null, loaded: number, failure: Failure | null, isLoading: boolean,
 *   again: () => void}} Loaded
 */

/**
 * Return the timeline of an id; `loaded` grows with every page of its rows.
 * @param {string} id @param {string} asOf @param {string} raw
 * @returns {Loaded}
 */
export function useTrace(id, asOf, raw) {
  const { epoch } = useAccess();
  const [turn, setTurn] = useState(0);
  const key = JSON.stringify([id, asOf, raw]);
  const [state, setState] = useState(
    /** @type {{key: string, trace: Trace | null, loaded: number, failure: Failure | null}} */
    ({ key, trace: null, loaded: 0, failure: null }));
  useEffect(() => {
    const control = new AbortController();
    let timer = 0;
    const later = (/** @type {number} */ ms) => {
      timer = setTimeout(() => {
        if (document.hidden) later(ms);
        else setTurn((count) => count + 1);
      }, ms);
    };
    const params = { id, as_of: asOf, raw };
    const load = async () => {
      const began = performance.now();
      const first = await ask("api/page/timeline", params, { signal: control.signal });
      const took = performance.now() - began;
      let trace = new Trace(first);
      setState((before) => {
        if (before.key === key && before.trace && isSame(before.trace, trace)) trace = before.trace;
        return { key, trace, loaded: trace.loaded, failure: null };
      });
      while (trace.loaded < trace.total) {
        const next = await ask("api/page/timeline", { ...params, first: trace.loaded }, { signal: control.signal });
        // Rows that no longer fit to those before are asked for anew as a whole.
        if (next.spans.total !== trace.total || !next.spans.span_id.length) break;
        trace.add(next);
        setState({ key, trace, loaded: trace.loaded, failure: null });
      }
      const pause = AGAIN_MS[trace.request.state];
      if (pause && !asOf) later(Math.max(pause, PAUSES * took));
    };
    load().catch((error) => {
      if (control.signal.aborted) return;
      const failure = error instanceof Failure ? error : new Failure("page", String(error));
      // What was drawn stays true while nobody answers.
      setState((before) => ({
        key,
        trace: failure.againMs && before.key === key ? before.trace : null,
        loaded: before.loaded,
        failure,
      }));
      const againMs = failure.status === 404 ? UNKNOWN_MS : failure.againMs;
      if (againMs) later(againMs);
    });
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [key, turn, epoch]);
  const isCurrent = state.key === key;
  return {
    trace: isCurrent ? state.trace : null,
    loaded: isCurrent ? state.loaded : 0,
    failure: isCurrent ? state.failure : null,
    isLoading: !isCurrent || (!state.trace && !state.failure),
    again: () => setTurn((count) => count + 1),
  };
}

/** Nothing new came: what is drawn may stay. @param {Trace} before @param {Trace} after */
function isSame(before, after) {
  return before.total === after.total && before.request.revision === after.request.revision
    && before.loaded === before.total
    && JSON.stringify(before.request) === JSON.stringify(after.request);
}
