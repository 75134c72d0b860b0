// Who calls whom: gateway, services and dependencies with rates, failures and times, drawn and as tables.

import { change, link } from "../address.js";
import { useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { layerOf } from "../layers.js";
import { Icon } from "../parts/icons.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Filters, POPULATION, readFilters } from "../search/filters.js";
import { Times } from "../search/times.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, markdownTable, percent, plain, plural, rate } from "../text.js";
import { NODE, bow, place } from "./layout.js";

/** @typedef {import("./layout.js").Node} Node */
/** @typedef {import("./layout.js").Edge} Edge */

const ASKED = [...POPULATION, "error"];
/** More than this nobody can read in a picture; the tables have them all. */
const MOST_NODES = 60;
/** Nodes in a smaller part of the requests are drawn on demand only. */
const LEAST_SHARE = 0.01;
/** Narrower than this the map is drawn from top to bottom. */
const NARROW_PX = 620;
const LEAST_SCALE = 0.85;
const LEAST_SCALE_NARROW = 0.6;
const ZOOM_STEP = 1.25;
const [LEAST_ZOOM, MOST_ZOOM] = [0.3, 4];
const FAILING = 0.01;
/** So many calls can always be told apart, or so many for each node. */
const SPARSE_EDGES = 24;
const SPARSE_RATIO = 1.3;
const MOST_FAILING = 10;
/** Rows of a table before one asks for all. */
const MOST_ROWS = 40;

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const filters = readFilters(params, ASKED);
  const question = { ...filters, start: params.start || DEFAULT_START, end: params.end };
  const hasOperations = params.operations === "1";
  const { data, failure, isLoading, again } = useAnswer("api/v1/edges", { ...question, operations: hasOperations ? "true" : "" }, { isEmpty: ({ nodes: found }) => !found.length });
  const services = useAnswer("api/v1/services", question);
  const { data: apis } = useAnswer("api/v1/apis", { start: question.start, end: question.end });
  const nodes = /** @type {Node[]} */ (data ? data.nodes : []);
  const edges = /** @type {Edge[]} */ (data ? data.edges : []);
  const suggested = useMemo(() => nodes.filter((node) => node.role === "service").map((node) => ({ services: [node.name] })), [nodes]);
  const all = () => { again(); services.again(); };
  return html`<div class="map">
    <${Head} title="Map" name=${["Map", ...Object.values(filters).map(plain)].join(" ")} markdown=${() => asMarkdown(edges)}>
      <p class="quiet">Who calls whom${data && data.basis.stitched ? `: ${plural(data.basis.stitched, "stitched request")}, weighed to stand for ${count(data.basis.requests)}` : ""}</p><//>
    <div class="card search-bar"><${Filters} params=${params} rows=${suggested} apis=${apis ? apis.apis : []} names=${ASKED} />
      <button type="button" class="button" aria-pressed=${hasOperations} onClick=${() => change({ operations: hasOperations ? "" : "1" }, { step: true })}>Operations</button>
      <${Times} params=${params} again=${all} /></div>
    ${failure && html`<${Failed} failure=${failure} again=${all} />`}
    ${isLoading && !data && html`<${Loading} what="Adding calls up …" />`}
    ${data && nodes.length === 0 && html`<${Nothing} title="No call is known in this time"><p class="quiet"><${Text}>${data.note}<//></p><//>`}
    ${nodes.length > 0 && html`<${Picture} nodes=${nodes} edges=${edges} at=${params.node || ""} isWhole=${params.all === "1"} zoom=${Number(params.zoom) || 1} />
      ${data.note && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
      ${params.node && html`<${Chosen} node=${nodes.find((each) => each.name === params.node)} services=${services.data ? services.data.services : []} edges=${edges} params=${params} />`}
      <${Services} found=${services} params=${params} />${(services.data || services.failure) && html`<${Calls} edges=${edges} isWhole=${params.rows === "all"} />`}`}
  </div>`;
}

/**
 * What a picture can hold: the busiest nodes and calls. Where many call many, all lines would hide each other: then
 * `calls` are the failing ones and the busiest way to each node, and the others are `rest`.
 * @param {Node[]} nodes @param {Edge[]} edges @param {boolean} isWhole with the rare ones
 */
function choose(nodes, edges, isWhole) {
  const busiest = [...nodes].sort((a, b) => b.requests - a.requests);
  const least = isWhole ? 0 : LEAST_SHARE * Math.max(0, ...nodes.map((node) => node.requests));
  const drawn = busiest.filter((node) => node.requests >= least).slice(0, MOST_NODES);
  const names = new Set(drawn.map((node) => node.name));
  const known = edges.filter(({ caller, callee }) => caller !== callee && names.has(caller) && names.has(callee))
    .sort((a, b) => b.calls - a.calls);
  if (known.length <= Math.max(SPARSE_EDGES, SPARSE_RATIO * drawn.length)) return { drawn, calls: known, rest: [] };
  const main = new Set();
  const reached = new Set([...names].filter((name) => !known.some(({ callee }) => callee === name)));
  while (reached.size < names.size) {
    const next = known.find(({ caller, callee }) => reached.has(caller) && !reached.has(callee));
    if (next) main.add(next);
    // Those that only call each other begin somewhere.
    reached.add(next ? next.callee : [...names].filter((name) => !reached.has(name))[0]);
  }
  for (const edge of known.filter((each) => each.error_ratio >= FAILING).slice(0, MOST_FAILING)) main.add(edge);
  return { drawn, calls: [...main], rest: known.filter((edge) => !main.has(edge)) };
}

/** @param {{nodes: Node[], edges: Edge[], at: string, isWhole: boolean, zoom: number}} props `zoom`: 1 fits the width */
function Picture({ nodes, edges, at, isWhole, zoom }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const { drawn, calls, rest } = useMemo(() => choose(nodes, edges, isWhole), [nodes, edges, isWhole]);
  const isNarrow = width > 0 && width < NARROW_PX;
  const placed = useMemo(() => place(drawn, calls, isNarrow), [drawn, calls, isNarrow]);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    setWidth(box.current.clientWidth);
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const fitting = width ? Math.max(isNarrow ? LEAST_SCALE_NARROW : LEAST_SCALE, Math.min(1, width / placed.width)) : 1;
  const scale = fitting * zoom;
  const zoomAt = useView(box, scale, zoom);
  useEffect(() => {
    const chosen = box.current && box.current.querySelector("[aria-pressed=true]");
    if (chosen) chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [at, placed]);
  const most = Math.max(1, ...calls.map((edge) => edge.calls));
  const isNear = (/** @type {Edge} */ edge) => !at || edge.caller === at || edge.callee === at;
  const added = at ? rest.filter(isNear).map((edge) => bow(edge, placed.nodes)) : [];
  const near = new Set(edges.filter(isNear).flatMap((edge) => [edge.caller, edge.callee]));
  return html`<section class="card map-card is-drawn" aria-label="Map of calls">
    <div class="map-scroll" ref=${box} tabindex="0" role="region" aria-label="Map of calls; the arrows move it, + and − zoom, 0 fits it in"
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        const by = { "+": ZOOM_STEP, "=": ZOOM_STEP, "-": 1 / ZOOM_STEP, 0: 1 / zoom }[event.key];
        if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
        zoomAt(by);
        event.preventDefault();
      }}>
      <div class="map-space" style=${{ width: placed.width * scale + "px", height: placed.height * scale + "px" }}>
        <div class="map-drawing" style=${{ width: placed.width + "px", height: placed.height + "px", transform: `scale(${scale})` }}>
          <svg width=${placed.width} height=${placed.height} aria-hidden="true">
            <defs>${["", "-bad"].map((kind) => html`<marker id=${"arrow" + kind} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path class=${"map-arrow" + kind} d="M0 0L8 4L0 8z" /></marker>`)}</defs>
            ${[...placed.edges, ...added].map(({ edge, path, x, y }) => {
              const isBad = edge.error_ratio >= FAILING;
              return html`<g class=${"map-edge" + (isBad ? " is-bad" : "") + (isNear(edge) ? "" : " is-far")}><path d=${path} fill="none" stroke-width=${1 + 3 * Math.sqrt(edge.calls / most)}
                stroke-dasharray=${edge.async || edge.mirrored ? "5 4" : undefined} marker-end=${isBad ? "url(#arrow-bad)" : "url(#arrow)"} />
                <text x=${x} y=${y - 5} text-anchor="middle">${durationMs(edge.p95_ms)}</text>${isBad && html`<text class="map-failing" x=${x} y=${y + 13} text-anchor="middle">${percent(edge.error_ratio)}</text>`}</g>`;
            })}
          </svg>
          ${placed.nodes.map(({ node, x, y }) => html`<button type="button" class=${"map-node layer-" + layerOf(node.role) + (near.has(node.name) || node.name === at ? "" : " is-far") + (node.inferred ? " is-inferred" : "")}
            style=${{ left: x - NODE.width / 2 + "px", top: y - NODE.height / 2 + "px", width: NODE.width + "px", height: NODE.height + "px" }} aria-pressed=${node.name === at}
            title=${plain(node.name) + (node.inferred ? ": sent no span itself; known from its callers" : "")}
            onClick=${() => change({ node: node.name === at ? "" : node.name }, { step: true })}>
            <span class="map-name"><${Text}>${node.role === "operation" ? node.operation : node.name}<//></span>
            <span class="map-facts">${rate(node.requests_per_s)}/s${node.errors > 0 ? html` · <span class="bad">${percent(node.error_ratio)}</span>` : ""} · ${durationMs(node.p95_ms)}</span></button>`)}
        </div></div></div>
    <div class="map-zoom" role="group" aria-label="Zoom"><button type="button" class="button" aria-label="Zoom in" title="Zoom in (+)" onClick=${() => zoomAt(ZOOM_STEP)}><${Icon} name="plus" /></button>
      <button type="button" class="button" aria-label="Zoom out" title="Zoom out (−)" onClick=${() => zoomAt(1 / ZOOM_STEP)}><${Icon} name="minus" /></button>
      ${zoom !== 1 && html`<button type="button" class="button" title="Fit it in (0)" onClick=${() => zoomAt(1 / zoom)}>Fit</button>`}</div>
    <div class="legend"><span>box: requests/s · errors · p95</span><span>line: p95 of the calls</span><span class="bad">red: 1 % errors or more</span><span>thicker: more calls</span><span>dashed box: sent no spans</span><span>drag to move, Ctrl and wheel to zoom</span>
      <span class="map-count">${count(drawn.length)} of ${plural(nodes.length, "node")} drawn, ${count(calls.length + added.length)} of ${plural(edges.length, "call")}${rest.length ? ": the busiest way to each box; choose one to see all of its own" : ""}
        ${(drawn.length < nodes.length || isWhole) && html` <button type="button" class="plain" onClick=${() => change({ all: isWhole ? "" : "1" })}>${isWhole ? "Without the rare ones" : "Draw rare ones too"}</button>`}</span></div></section>`;
}

/**
 * Let the pointer drag the map, and zoom it around the pointer or the middle.
 * @param {{current: HTMLElement | null}} box the scroller @param {number} scale as drawn @param {number} zoom
 * @returns {(by: number, point?: {x: number, y: number}) => void}
 */
function useView(box, scale, zoom) {
  const kept = useRef(/** @type {{x: number, y: number, left: number, top: number} | null} */ (null));
  const now = useRef({ scale, zoom });
  now.current = { scale, zoom };
  const zoomAt = useCallback((/** @type {number} */ by, /** @type {{x: number, y: number} | undefined} */ point = undefined) => {
    const scroller = box.current;
    const next = Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, now.current.zoom * by));
    if (!scroller || next === now.current.zoom) return;
    const { x, y } = point || { x: scroller.clientWidth / 2, y: scroller.clientHeight / 2 };
    kept.current ||= { x, y, left: (scroller.scrollLeft + x) / now.current.scale, top: (scroller.scrollTop + y) / now.current.scale };
    // The next turn of a wheel may come before this one is drawn.
    now.current = { scale: (now.current.scale * next) / now.current.zoom, zoom: next };
    change({ zoom: Math.abs(next - 1) < 0.01 ? "" : next.toPrecision(3) }, { often: true });
  }, []);
  // What was under the pointer stays there.
  useLayoutEffect(() => {
    const { current: held } = kept;
    if (!held || !box.current) return;
    box.current.scrollTo(held.left * scale - held.x, held.top * scale - held.y);
    kept.current = null;
  }, [scale]);
  useEffect(() => {
    const scroller = box.current;
    if (!scroller) return undefined;
    let began = /** @type {{x: number, y: number} | null} */ (null);
    const down = (/** @type {PointerEvent} */ event) => {
      // A finger scrolls by itself.
      if (event.button || event.pointerType !== "mouse" || (event.target instanceof Element && event.target.closest("button"))) return;
      began = { x: event.clientX + scroller.scrollLeft, y: event.clientY + scroller.scrollTop };
      scroller.setPointerCapture(event.pointerId);
      scroller.classList.add("is-dragged");
    };
    const move = (/** @type {PointerEvent} */ event) => { if (began) scroller.scrollTo(began.x - event.clientX, began.y - event.clientY); };
    const up = () => { began = null; scroller.classList.remove("is-dragged"); };
    const wheel = (/** @type {WheelEvent} */ event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { left, top } = scroller.getBoundingClientRect();
      zoomAt(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.004), { x: event.clientX - left, y: event.clientY - top });
    };
    /** @type {[string, any][]} */
    const heard = [["pointerdown", down], ["pointermove", move], ["pointerup", up], ["pointercancel", up], ["wheel", wheel]];
    for (const [name, hear] of heard) scroller.addEventListener(name, hear, { passive: false });
    return () => { for (const [name, hear] of heard) scroller.removeEventListener(name, hear); };
  }, []);
  return zoomAt;
}

/** @param {{node: Node | undefined, services: any[], edges: Edge[], params: Record<string, string>}} props */
function Chosen({ node, services, edges, params }) {
  if (!node) return null;
  const details = services.find((each) => each.service === node.name);
  const shown = { start: params.start, end: params.end };
  const filter = node.role === "gateway" ? { gateway: node.name } : node.role === "operation" ? { api: node.api, operation: node.operation } : { service: node.name };
  const side = (/** @type {Edge[]} */ found, /** @type {"caller" | "callee"} */ end) => (found.length
    ? found.slice(0, 12).map((edge) => html`<li><button type="button" class="plain" onClick=${() => change({ node: edge[end] }, { step: true })}><${Text}>${edge[end]}<//></button> <span class="quiet">${rate(edge.calls_per_s)}/s · p95 ${durationMs(edge.p95_ms)}</span>${edge.errors > 0 ? html` <span class="bad">${percent(edge.error_ratio)}</span>` : ""}</li>`)
    : html`<li class="quiet">nobody</li>`);
  return html`<section class=${"card chosen layer-" + layerOf(node.role)} aria-label="The chosen node">
    <header class="row spread"><h2><span class="wf-dot"></span><${Text}>${node.name}<//> <span class="quiet role">${node.role}</span></h2>
      <span class="row"><a class="button" href=${link("requests", { ...shown, ...filter })}>Requests</a><a class="button" href=${link("slow", { ...shown, ...filter })}>Why slow</a>
      <button type="button" class="button bare" aria-label="Close" onClick=${() => change({ node: "" }, { step: true })}><${Icon} name="close" /></button></span></header>
    <div class="chosen-parts"><div><h3>Called by</h3><ul>${side(edges.filter((edge) => edge.callee === node.name), "caller")}</ul></div>
      <div><h3>Calls</h3><ul>${side(edges.filter((edge) => edge.caller === node.name), "callee")}</ul></div>
      ${details && html`<div><h3>Runs as</h3><ul>${[["version", details.versions], ["pod", details.pods], ["node", details.nodes], ["zone", details.zones]].filter(([, values]) => values.length).map(([label, values]) => html`
        <li><span class="quiet">${label}</span> <span title=${plain(values.join(", "))}>${values.slice(0, 3).map((/** @type {string} */ value, /** @type {number} */ at) => html`${at ? ", " : ""}<${Text}>${value}<//>`)}${values.length > 3 ? ` and ${values.length - 3} more` : ""}</span></li>`)}</ul></div>`}</div></section>`;
}

/** @param {{found: any, params: Record<string, string>}} props */
function Services({ found, params }) {
  if (found.failure) return html`<${Failed} failure=${found.failure} again=${found.again} />`;
  if (!found.data) return html`<${Loading} what="Adding services up …" />`;
  const isWhole = params.rows === "all";
  const listed = found.data.services.slice(0, isWhole ? undefined : MOST_ROWS);
  const slowest = Math.max(1, ...found.data.services.map((/** @type {any} */ each) => each.p95_ms || 0));
  return html`<section class="card"><header><h2>Services</h2></header><div class="grid-scroll" tabindex="0" role="region" aria-label="Services"><table class="grid stacks"><thead><tr><th>Service</th><th class="n">Requests/s</th><th class="n">Errors</th>
      <th class="wide">p50 · p95</th><th class="n" title="median time of its own, without the calls below it">Self time</th><th class="n" title="how long it alone held up a request, on average">Held up</th><th class="n" title="the part of its time that its proxies took">Proxies</th><th class="n">Retries</th><th>Versions</th></tr></thead>
    <tbody>${listed.map((/** @type {any} */ each) => html`<tr class=${"layer-" + layerOf(each.role)}><td><span class="wf-dot"></span><button type="button" class="plain strong-text" onClick=${() => change({ node: each.service }, { step: true })}><${Text}>${each.service}<//></button>${each.inferred && html` <span class="tag" title="known from its callers">no spans</span>`}</td>
      <td class="n" data-label="requests/s">${rate(each.requests_per_s)}</td><td class="n" data-label="errors">${each.errors ? html`<a class="bad" href=${link("requests", { start: params.start, end: params.end, service: each.service, error: "true" })}>${percent(each.error_ratio)}</a>` : html`<span class="quiet">0 %</span>`}</td>
      <td class="wide" data-label="p50 · p95"><span class="spread-line" aria-hidden="true"><span class="spread-95" style=${{ width: ((each.p95_ms || 0) / slowest) * 100 + "%" }}></span><span class="spread-50" style=${{ width: ((each.p50_ms || 0) / slowest) * 100 + "%" }}></span></span><span class="spread-text">${durationMs(each.p50_ms)} · <strong>${durationMs(each.p95_ms)}</strong></span></td>
      <td class="n" data-label="self time">${durationMs(each.self_p50_ms)}</td><td class="n" data-label="held up">${durationMs(each.critical_ms)}</td><td class="n" data-label="proxies">${percent(each.proxy_share)}</td><td class="n" data-label="retries">${each.retries ? count(each.retries) : html`<span class="quiet">0</span>`}</td>
      <td class="versions" data-label="versions">${each.versions.slice(0, 3).map((/** @type {string} */ value, /** @type {number} */ at) => html`${at ? ", " : ""}<${Text}>${value}<//>`)}</td></tr>`)}</tbody></table></div><${More} total=${found.data.services.length} isWhole=${isWhole} /></section>`;
}

/** Says how many rows there are, where not all are shown. @param {{total: number, isWhole: boolean}} props */
function More({ total, isWhole }) {
  if (total <= MOST_ROWS) return null;
  return html`<div class="list-end"><span>${isWhole ? `all ${count(total)} shown` : `${MOST_ROWS} of ${count(total)} shown`}</span>
    <button type="button" class="button" onClick=${() => change({ rows: isWhole ? "" : "all" })}>${isWhole ? "Show fewer" : "Show all"}</button></div>`;
}

/** @param {{edges: Edge[], isWhole: boolean}} props */
function Calls({ edges, isWhole }) {
  return html`<section class="card"><header><h2>Calls</h2></header><div class="grid-scroll" tabindex="0" role="region" aria-label="Calls"><table class="grid stacks"><thead><tr><th>Caller</th><th>Callee</th><th class="n">Calls/s</th><th class="n">Errors</th><th class="n">p50</th><th class="n">p95</th><th class="n">p99</th><th class="n">Proxies</th><th class="n">Retries</th></tr></thead>
    <tbody>${edges.slice(0, isWhole ? edges.length : MOST_ROWS).map((edge) => html`<tr><td><span class="quiet stacks-only">from </span><${Text}>${edge.caller}<//></td><td class="wide-stacked"><span class="quiet stacks-only">to </span><strong><${Text}>${edge.callee}<//></strong>${edge.async && html` <span class="tag">queue</span>`}${edge.mirrored && html` <span class="tag">mirrored</span>`}</td><td class="n" data-label="calls/s">${rate(edge.calls_per_s)}</td>
      <td data-label="errors" class=${"n" + (edge.errors ? " bad" : " quiet")}>${percent(edge.error_ratio)}</td><td class="n" data-label="p50">${durationMs(edge.p50_ms)}</td><td class="n" data-label="p95"><strong>${durationMs(edge.p95_ms)}</strong></td><td class="n" data-label="p99">${durationMs(edge.p99_ms)}</td>
      <td class="n" data-label="proxies">${edge.proxy_ms === null ? "–" : `${durationMs(edge.proxy_ms)} · ${percent(edge.proxy_share)}`}</td><td class="n" data-label="retries">${edge.retries ? `${count(edge.retries)} · ${percent(edge.retry_ratio)}` : "0"}</td></tr>`)}</tbody></table></div><${More} total=${edges.length} isWhole=${isWhole} /></section>`;
}

/** @param {Edge[]} edges */
function asMarkdown(edges) {
  const rows = edges.map((edge) => [edge.caller, edge.callee, rate(edge.calls_per_s), percent(edge.error_ratio), durationMs(edge.p50_ms), durationMs(edge.p95_ms), edge.retries]);
  return markdownTable(["caller", "called", "a second", "failed", "p50", "p95", "tried again"], rows) + `\n\nFrom ${location.href}\n`;
}
