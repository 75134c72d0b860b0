// Filters: chips of what is asked for, and one field that suggests values that are really there.

import { change, open } from "../address.js";
import { html, useMemo, useRef, useState } from "../html.js";
import { Icon } from "../parts/icons.js";
import { Text, count } from "../text.js";

/** What the search takes, as chips name it. */
export const FILTERS = /** @type {Record<string, string>} */ ({
  q: "text", gateway: "gateway", api: "API", operation: "operation", route: "route", method: "method",
  host: "host", status: "status", status_class: "status", error: "failed", service: "service",
  consumer: "consumer", revision: "revision", min_duration_ms: "at least", max_duration_ms: "at most",
  joined: "joined", state: "state",
});
/** The filters of gateway records: what a question over many requests takes. */
export const POPULATION = ["gateway", "api", "operation", "route", "method", "host", "status", "status_class", "service", "consumer", "revision"];
/** Fields of a row that are filters too. */
const FIELDS = ["api", "operation", "route", "method", "status", "consumer", "gateway", "state"];
const FIXED = [
  ["error", "true"], ["status_class", "5xx"], ["status_class", "4xx"], ["joined", "false"], ["state", "provisional"],
];
const MOST = 12;
/** What a typed text can stand for where texts are not searched for. */
const TYPED = ["api", "service", "operation", "consumer"];

/** @typedef {{name: string, value: string, rows: number}} Suggestion */

const ALL = Object.keys(FILTERS);

/**
 * Return the filters in an address, of those in *names*.
 * @param {Record<string, string>} params @param {string[]} [names] @returns {Record<string, string>}
 */
export function readFilters(params, names = ALL) {
  return Object.fromEntries(Object.entries(params).filter(([name, value]) => names.includes(name) && value));
}

/**
 * Values that rows have, the commonest first.
 * @param {any[]} rows @param {any[]} apis @returns {Suggestion[]}
 */
function collect(rows, apis) {
  /** @type {Map<string, Suggestion>} */
  const found = new Map();
  const add = (/** @type {string} */ name, /** @type {unknown} */ value, /** @type {number} */ by) => {
    if (value === null || value === undefined || value === "") return;
    const key = name + "\0" + value;
    const known = found.get(key);
    if (known) known.rows += by;
    else found.set(key, { name, value: String(value), rows: by });
  };
  for (const row of rows) {
    for (const name of FIELDS) add(name, row[name], 1);
    for (const service of row.services) add("service", service, 1);
  }
  for (const api of apis) {
    if (!found.has("api\0" + api.api)) add("api", api.api, api.requests);
    if (!found.has("gateway\0" + api.gateway)) add("gateway", api.gateway, api.requests);
  }
  for (const [name, value] of FIXED) add(name, value, 0);
  return [...found.values()].sort((a, b) => b.rows - a.rows);
}

/**
 * What a typed text means beside a part of a value.
 * @param {string} text @returns {Suggestion[]}
 */
function understand(text) {
  const found = [];
  if (/^\d{3}$/.test(text)) found.push({ name: "status", value: text, rows: 0 });
  if (/^[1-5]xx$/i.test(text)) found.push({ name: "status_class", value: text.toLowerCase(), rows: 0 });
  const bound = /^([<>])=?\s*(\d+(?:\.\d+)?\s*(?:ms|s|m)?)$/.exec(text);
  if (bound) found.push({ name: bound[1] === ">" ? "min_duration_ms" : "max_duration_ms", value: bound[2].replace(/\s/g, ""), rows: 0 });
  return found;
}

/** @param {string} text */
function looksLikeId(text) {
  return /^[0-9a-f]{16,32}$/i.test(text) || /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text) || /^00-[0-9a-f]{32}-/i.test(text);
}

/** @param {{params: Record<string, string>, rows: any[], apis: any[], names?: string[]}} props */
export function Filters({ params, rows, apis, names = ALL }) {
  const filters = readFilters(params, names);
  const [text, setText] = useState("");
  const [isOpen, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const known = useMemo(() => collect(rows, apis), [rows, apis]);
  const wanted = text.trim().toLowerCase();
  const suggestions = useMemo(() => {
    const matching = known.filter(({ name, value }) => filters[name] !== value
      && (`${FILTERS[name]} ${value}`.toLowerCase().includes(wanted)));
    const asText = (wanted ? names.includes("q") ? ["q"] : TYPED : []).map((name) => ({ name, value: text.trim(), rows: 0 }));
    return [...understand(text.trim()), ...matching.slice(0, MOST), ...asText].filter(({ name }) => names.includes(name));
  }, [known, wanted, names, JSON.stringify(filters)]);
  const use = (/** @type {Suggestion} */ { name, value }) => {
    const other = name === "status" ? { status_class: "" } : name === "status_class" ? { status: "" } : {};
    change({ ...other, [name]: value, cursor: "", limit: "" }, { step: true });
    setText("");
    setOpen(false);
    setAt(0);
  };
  const drop = (/** @type {string[]} */ dropped) => {
    change({ ...Object.fromEntries(dropped.map((name) => [name, ""])), cursor: "" }, { step: true });
    if (field.current) field.current.focus();
    setOpen(false);
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown") { setOpen(true); setAt(Math.min(suggestions.length - 1, at + 1)); }
    else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
    else if (event.key === "Escape" && isOpen) setOpen(false);
    else if (event.key === "Enter") {
      if (looksLikeId(text.trim())) open("request", { id: text.trim() });
      else if (suggestions[at]) use(suggestions[at]);
    } else if (event.key === "Backspace" && !text && Object.keys(filters).length) {
      drop(Object.keys(filters).slice(-1));
    } else return;
    event.preventDefault();
  };
  return html`<div class="filters">
    ${Object.entries(filters).map(([name, value]) => html`<span class="chip"><span class="chip-name">${FILTERS[name]}</span>
      <span class="chip-value"><${Text}>${say(name, value)}<//></span>
      <button type="button" class="chip-drop" aria-label=${`Drop the filter ${FILTERS[name]} ${value}`}
        onClick=${() => drop([name])}><${Icon} name="close" /></button></span>`)}
    <div class="combo" onFocusOut=${(/** @type {FocusEvent} */ event) => {
      if (!(event.currentTarget instanceof Node && event.relatedTarget instanceof Node && event.currentTarget.contains(event.relatedTarget))) setOpen(false);
    }}>
      <${Icon} name="filter" />
      <input class="input" ref=${field} role="combobox" aria-label="Add a filter" aria-expanded=${isOpen && suggestions.length > 0} aria-controls="suggestions"
        aria-autocomplete="list" aria-activedescendant=${isOpen && suggestions[at] ? "suggestion-" + at : undefined}
        autocomplete="off" spellcheck=${false} maxlength="512" placeholder=${names.includes("q") ? "Filter: a service, 504, 5xx, > 500ms, any text …" : "Filter: an API, a service, 5xx …"} value=${text}
        onFocus=${() => setOpen(true)} onClick=${() => setOpen(true)} onKeyDown=${onKey}
        onInput=${(/** @type {any} */ event) => { setText(event.target.value); setOpen(true); setAt(0); }} />
      <ul class="suggestions" id="suggestions" role="listbox" aria-label="Filters" hidden=${!isOpen || !suggestions.length}>
        ${suggestions.map((each, index) => html`<li role="option" id=${"suggestion-" + index} aria-selected=${index === at}
          onPointerDown=${(/** @type {Event} */ event) => { event.preventDefault(); use(each); }} onPointerEnter=${() => setAt(index)}>
          <span class="chip-name">${FILTERS[each.name]}</span> <${Text}>${say(each.name, each.value)}<//>
          ${each.rows > 0 && html`<span class="quiet suggestion-rows">${count(each.rows)}</span>`}</li>`)}</ul>
    </div>
    ${Object.keys(filters).length > 1 && html`<button type="button" class="plain" onClick=${() => drop(Object.keys(filters))}>Drop all</button>`}
  </div>`;
}

/** @param {string} name @param {string} value */
function say(name, value) {
  if (name === "error" || name === "joined") return value === "true" ? "yes" : "no";
  if (/_duration_ms$/.test(name) && /^[\d.]+$/.test(value)) return value + " ms";
  return value;
}
