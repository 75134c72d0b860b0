// The address is the state: which page, and everything that it was asked to show.
//
// Pages have one segment ("requests?api=shop"), so relative links work below any proxy's path.

import { useEffect, useState } from "./html.js";

/** Parameters that stay when another page is opened. */
const STICKY = ["tz"];
/** Browsers refuse more than some 200 changes of the address in 30 s. */
const WRITE_AFTER_MS = 160;

/** @typedef {Record<string, string>} Params */
/** @typedef {{page: string, params: Params}} Address */

/** @type {Set<() => void>} */
const readers = new Set();
let current = read();
let writing = 0;

/** @returns {Address} */
function read() {
  const page = location.pathname.split("/").pop() || "";
  return { page, params: Object.fromEntries(new URLSearchParams(location.search)) };
}

function tell() {
  for (const reader of readers) reader();
}

let drawing = 0;

/** Draw once a frame, however many turns of a wheel come in it. */
function tellSoon() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; tell(); });
}

/**
 * Return the relative address of *page*; parameters that are empty are left out.
 * @param {string} page
 * @param {Record<string, string | number | undefined | null>} [params]
 */
export function link(page, params = {}) {
  /** @type {Record<string, string>} */
  const all = {};
  for (const name of STICKY) if (current.params[name]) all[name] = current.params[name];
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined || value === null || value === "") delete all[name];
    else all[name] = String(value);
  }
  const query = new URLSearchParams(all).toString();
  return (page || "./") + (query ? "?" + query : "");
}

/** The whole address of what is shown, to pass on. */
export function sharedLink() {
  flush();
  return location.href;
}

/**
 * Open a page: the one before is a step back.
 * @param {string} page
 * @param {Record<string, string | number | undefined | null>} [params]
 */
export function open(page, params = {}) {
  flush();
  history.pushState(null, "", link(page, params));
  current = read();
  tell();
  scrollTo(0, 0);
}

/**
 * Change parameters of this page; an empty value removes one. With *step* the state before is a
 * step back; without, it is replaced, as fits what changes with every key or drag. What changes
 * *often*, as while a pointer moves, is drawn once a frame.
 * @param {Record<string, string | number | undefined | null>} changes
 * @param {{step?: boolean, often?: boolean}} [how]
 */
export function change(changes, { step = false, often = false } = {}) {
  const params = { ...current.params };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") delete params[name];
    else params[name] = String(value);
  }
  if (JSON.stringify(params) === JSON.stringify(current.params)) return;
  if (step) flush();
  current = { page: current.page, params };
  if (step) history.pushState(null, "", ownLink());
  else if (!writing) writing = setTimeout(flush, WRITE_AFTER_MS);
  if (often) tellSoon();
  else tell();
}

/** Write what is not in the address bar yet. */
function flush() {
  if (!writing) return;
  clearTimeout(writing);
  writing = 0;
  history.replaceState(history.state, "", ownLink());
}

function ownLink() {
  const query = new URLSearchParams(current.params).toString();
  return location.pathname + (query ? "?" + query : "");
}

/** The address as it is; the part that calls this is drawn again when it changes. */
export function useAddress() {
  const [, draw] = useState(0);
  useEffect(() => {
    const reader = () => draw((count) => count + 1);
    readers.add(reader);
    return () => { readers.delete(reader); };
  }, []);
  return current;
}

/** Listen to the browser: back, forward, and clicks on links of ours. */
export function follow() {
  addEventListener("popstate", () => {
    clearTimeout(writing);
    writing = 0;
    current = read();
    tell();
  });
  addEventListener("pagehide", flush);
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a") : null;
    const isPlain = !event.defaultPrevented && event.button === 0
      && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!target || !isPlain || target.target || target.hasAttribute("download")) return;
    const url = new URL(target.href);
    const folder = location.pathname.replace(/[^/]*$/, "");
    const page = url.pathname.slice(folder.length);
    if (url.origin !== location.origin || !url.pathname.startsWith(folder)) return;
    if (page.includes("/") || !PAGES.has(page)) return;
    event.preventDefault();
    flush();
    history.pushState(null, "", url.href);
    current = read();
    tell();
    scrollTo(0, 0);
  });
}

/** Pages by segment; filled by `main.js`. @type {Set<string>} */
export const PAGES = new Set();
