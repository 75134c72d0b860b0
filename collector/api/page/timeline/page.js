// One request: who held it up, who failed, and all its rows.

import { ask } from "../ask.js";
import { change, link } from "../address.js";
import { html, memo, useCallback, useMemo, useRef } from "../html.js";
import { Icon } from "../parts/icons.js";
import { Menu } from "../parts/menu.js";
import { Failed, Loading } from "../parts/states.js";
import { Head } from "../shell.js";
import { Text, count, duration, plain } from "../text.js";
import { EXPORTS } from "./export.js";
import { Facts, Legend, Phases, Story } from "./head.js";
import { useTrace } from "./load.js";
import { Minimap } from "./minimap.js";
import { listRows, listServices, titleOf } from "./model.js";
import { Panel } from "./panel.js";
import { Services } from "./services.js";
import { Waterfall } from "./waterfall.js";

/** @typedef {import("./model.js").Trace} Trace */
/** @typedef {import("./waterfall.js").Range} Range */

/** Branches that were switched are kept in the address, as far as addresses may be long. */
const MOST_SWITCHED = 100;
const ZOOM_STEP = 1.6;

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const { trace, loaded, failure, isLoading, again } = useTrace(params.id || "", params.as_of || "", params.raw || "");
  const name = trace ? titleOf(trace) : params.id || "Request";
  const markdown = () => ask(`api/v1/requests/${encodeURIComponent(params.id)}/explain`,
    { as_of: params.as_of }, { accept: "text/markdown" })
    .then((text) => `${text}\n\n[${plain(name)}](${location.href})\n`);
  const extra = trace && html`<a class="button" href=${link("compare", { a: params.id })}>Compare</a><${Menu} label="Export" icon="download" items=${EXPORTS.map(({ label, save }) => ({
    label, act: () => save(trace, { params, markdown }),
  }))} />`;
  return html`<div class="request">
    <div class="crumb-line"><nav class="crumbs" aria-label="Where this is"><a href=${link("requests")}>Requests</a> <span>/</span>
      <span class="mono"><${Text}>${params.id}<//></span></nav></div>
    <${Head} title=${html`<${Text}>${name}<//>`} name=${plain(name)} markdown=${markdown} extra=${extra}>
      ${trace && html`<${Facts} trace=${trace} />`}
    <//>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && html`<${Loading} what="Joining records and spans …" />`}
    ${trace && html`<${Body} trace=${trace} loaded=${loaded} params=${params} />`}
  </div>`;
}

// Zooming and scrolling leave these as they are.
const StillStory = memo(Story);
const StillPhases = memo(Phases);
const StillLegend = memo(Legend);
const StillPanel = memo(Panel);

/** @param {{trace: Trace, loaded: number, params: Record<string, string>}} props */
function Body({ trace, loaded, params }) {
  const slowest = useMemo(() => trace.slowestRow(), [trace, loaded]);
  const folding = useFolding(trace, loaded, params);
  const rows = useMemo(() => listRows(trace, folding), [trace, loaded, folding]);
  const isByService = params.fold === "services";
  const [range, setRange] = useRange(trace, params.zoom || "");
  const found = useMemo(() => trace.find(params.find || ""), [trace, loaded, params.find]);
  const matches = useMemo(() => new Set(found), [found]);
  const selected = params.span ? trace.rowOf(params.span) : -1;
  const panel = params.panel || "request";
  const select = useCallback((/** @type {number} */ row) => {
    change({ span: trace.ids[row], panel: "span" });
    reveal(trace, row, folding);
  }, [trace, folding]);
  // The text as it was typed: Enter may come before the rows are marked.
  const step = (/** @type {number} */ by, text = params.find || "") => {
    const hits = trace.find(text);
    const at = hits.indexOf(selected);
    if (hits.length) select(hits[at < 0 && by < 0 ? hits.length - 1 : (at + by + hits.length) % hits.length]);
  };
  const toggle = useCallback((/** @type {import("./model.js").Shown} */ shown) => {
    const closed = new Set(folding.closed);
    if (!closed.delete(shown.row)) closed.add(shown.row);
    change({ closed: [...closed].slice(-MOST_SWITCHED).map((row) => trace.ids[row]).join(".") });
  }, [trace, folding]);
  const onKey = useKeys({ trace, rows, selected, range, setRange, select, toggle, step, params });
  return html`
    <${StillStory} trace=${trace} select=${select} />
    <${StillPhases} trace=${trace} />
    <div class=${"request-body" + (panel === "none" ? "" : " has-panel")}>
      <section class="waterfall card" aria-label="Where the time went, call by call">
        <${Tools} trace=${trace} loaded=${loaded} rows=${rows.length} params=${params} found=${found}
          selected=${selected} step=${step} isZoomed=${range.from > trace.from || range.to < trace.to}
          unzoom=${() => setRange({ from: -Infinity, to: Infinity })} range=${range} />
        <${Minimap} trace=${trace} loaded=${loaded} range=${range} onRange=${setRange} />
        ${isByService
          ? html`<${Services} lines=${listServices(trace)} range=${range} select=${select} />`
          : html`<${Waterfall} trace=${trace} rows=${rows} range=${range} selected=${selected} matches=${matches}
            slowest=${slowest} onSelect=${select} onToggle=${toggle} onRange=${setRange} onKey=${onKey} />`}
        <${StillLegend} trace=${trace} loaded=${loaded} />
      </section>
      ${panel !== "none" && html`<${StillPanel} trace=${trace} loaded=${loaded} id=${params.id} asOf=${params.as_of} raw=${params.raw}
        span=${params.span} tab=${panel} selected=${selected} select=${select} />`}
    </div>`;
}

/**
 * @param {Trace} trace @param {number} loaded @param {Record<string, string>} params
 * @returns {import("./model.js").Folding}
 */
function useFolding(trace, loaded, params) {
  return useMemo(() => ({
    fold: params.fold || "",
    closed: new Set((params.closed || "").split(".").map((id) => trace.rowOf(id)).filter((row) => row >= 0)),
    unfolded: new Set(),
    pathOnly: params.path === "1",
  }), [trace, loaded, params.fold, params.closed, params.path]);
}

/** Open the branches above a row. @param {Trace} trace @param {number} row @param {import("./model.js").Folding} folding */
function reveal(trace, row, folding) {
  const closed = new Set(folding.closed);
  for (let above = trace.parents[row]; above >= 0; above = trace.parents[above]) closed.delete(above);
  if (closed.size === folding.closed.size) return;
  change({ closed: [...closed].map((each) => trace.ids[each]).join(".") });
}

/**
 * The stretch that is shown, from the address; what lies outside of the request is cut off.
 * @param {Trace} trace @param {string} zoom `<from>-<to>` in microseconds
 * @returns {[Range, (range: Range) => void]}
 */
function useRange(trace, zoom) {
  const range = useMemo(() => {
    const [from, to] = zoom.split("~").map(Number);
    return zoom && from < to ? { from: Math.max(from, trace.from), to: Math.min(to, trace.to) } : { from: trace.from, to: trace.to };
  }, [trace, zoom]);
  const set = useCallback((/** @type {Range} */ { from, to }) => {
    const begin = Math.max(from, trace.from);
    const end = Math.min(to, trace.to);
    if (end - begin < 1) return;
    const isWhole = begin <= trace.from && end >= trace.to;
    change({ zoom: isWhole ? "" : `${Math.floor(begin)}~${Math.ceil(end)}` }, { often: true });
  }, [trace]);
  return [range, set];
}

/**
 * @param {{trace: Trace, rows: import("./model.js").Shown[], selected: number, range: Range,
 *   setRange: (range: Range) => void, select: (row: number) => void,
 *   toggle: (shown: import("./model.js").Shown) => void, step: (by: number) => void,
 *   params: Record<string, string>}} state
 */
function useKeys(state) {
  const now = useRef(state);
  now.current = state;
  return useCallback((/** @type {KeyboardEvent} */ event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const { trace, rows, selected, range, setRange, select, toggle, step, params } = now.current;
    const at = rows.findIndex((each) => each.row === selected);
    const shown = rows[at];
    const goTo = (/** @type {number} */ to) => { if (rows.length) select(rows[Math.max(0, Math.min(rows.length - 1, to))].row); };
    const zoom = (/** @type {number} */ factor) => {
      const middle = shown ? trace.starts[shown.row] + (trace.durations[shown.row] || 0) / 2 : (range.from + range.to) / 2;
      const half = ((range.to - range.from) / 2) * factor;
      setRange({ from: middle - half, to: middle + half });
    };
    const move = (/** @type {number} */ by) => {
      const whole = range.to - range.from;
      const from = Math.max(trace.from, Math.min(trace.to - whole, range.from + by * whole));
      setRange({ from, to: from + whole });
    };
    if (event.shiftKey && /^Arrow(Left|Right)$/.test(event.key)) move(event.key === "ArrowLeft" ? -0.25 : 0.25);
    else if (event.key === "ArrowDown") goTo(at + 1);
    else if (event.key === "ArrowUp") goTo(at < 0 ? 0 : at - 1);
    else if (event.key === "Home") goTo(0);
    else if (event.key === "End") goTo(rows.length - 1);
    else if (event.key === "PageDown") goTo(at + 20);
    else if (event.key === "PageUp") goTo(Math.max(0, at - 20));
    else if (event.key === "ArrowRight" && shown) { if (shown.isClosed) toggle(shown); else if (shown.hasCaret) goTo(at + 1); }
    else if (event.key === "ArrowLeft" && shown) {
      if (shown.hasCaret && !shown.isClosed) toggle(shown);
      else for (let up = at - 1; up >= 0; up -= 1) if (rows[up].depth < shown.depth) { goTo(up); break; }
    } else if (event.key === "Enter" && shown) {
      change({ panel: "span" });
      requestAnimationFrame(() => { const box = document.getElementById("panel"); if (box) box.focus(); });
    } else if (event.key === "Escape") {
      if (params.panel !== "none" && params.span) change({ span: "", panel: "" });
      else if (params.zoom) change({ zoom: "" });
      else return;
    } else if (event.key === "n") step(1);
    else if (event.key === "N") step(-1);
    else if (event.key === "c") change({ path: params.path ? "" : "1" });
    else if (event.key === "+" || event.key === "=") zoom(1 / ZOOM_STEP);
    else if (event.key === "-") zoom(ZOOM_STEP);
    else return;
    event.preventDefault();
  }, []);
}

/**
 * @param {{trace: Trace, loaded: number, rows: number, params: Record<string, string>, found: number[],
 *   selected: number, step: (by: number, text?: string) => void, isZoomed: boolean, unzoom: () => void, range: Range}} props
 */
function Tools({ trace, loaded, rows, params, found, selected, step, isZoomed, unzoom, range }) {
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1, /** @type {HTMLInputElement} */ (event.target).value);
    else if (event.key === "Escape") {
      const grid = document.querySelector("[role=treegrid]");
      if (grid instanceof HTMLElement) grid.focus();
    } else return;
    event.preventDefault();
  };
  const at = found.indexOf(selected);
  const folds = [["", "Spans"], ["hops", "Hops"], ["services", "Services"]];
  return html`<div class="tools">
    <div class="find"><${Icon} name="search" />
      <input class="input" data-find="1" aria-label="Find in this request" placeholder="Find service, operation, span id …"
        value=${params.find || ""} onKeyDown=${onKey}
        onInput=${(/** @type {any} */ event) => change({ find: event.target.value })} />
      ${params.find && html`<span class="find-count" role="status">${found.length ? `${at >= 0 ? at + 1 : "–"} of ${count(found.length)}` : "none"}</span>
        <button type="button" class="button bare" aria-label="Previous match" onClick=${() => step(-1)}><${Icon} name="back" /></button>
        <button type="button" class="button bare" aria-label="Next match" onClick=${() => step(1)}><${Icon} name="forward" /></button>`}
    </div>
    <div class="segments" role="group" aria-label="One row for each">${folds.map(([value, label]) => html`
      <button type="button" aria-pressed=${(params.fold || "") === value} onClick=${() => change({ fold: value })}>${label}</button>`)}</div>
    ${params.fold !== "services" && html`<button type="button" class="button" aria-pressed=${params.path === "1"} title="Only what held the answer up (c)"
      onClick=${() => change({ path: params.path ? "" : "1" })}>Critical path</button>`}
    ${params.fold !== "services" && (params.closed ? html`<button type="button" class="button" onClick=${() => change({ closed: "" })}>Open all</button>` : "")}
    ${isZoomed && html`<button type="button" class="button" onClick=${unzoom} title="Show the whole request">
      ${duration(range.from)} – ${duration(range.to)}<${Icon} name="close" /></button>`}
    <span class="tools-count" role="status">${params.fold === "services" ? "" : `${count(rows)} of ${count(trace.total)} spans shown`}${loaded < trace.total ? `, ${count(loaded)} loaded` : ""}</span>
    <button type="button" class="button bare" aria-pressed=${params.panel !== "none"} aria-label="Details beside the rows"
      onClick=${() => change({ panel: params.panel === "none" ? "" : "none" })}><${Icon} name="panel" /></button>
  </div>`;
}
