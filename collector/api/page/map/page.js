// Who calls whom: gateway, services and dependencies with rates, failures and times, drawn and as tables.

import { change, link } from "../address.js";
import { useAnswer } from "../ask.js";
import { html, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { Icon } from "../parts/icons.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Filters, readFilters } from "../search/filters.js";
import { DEFAULT_START, Times } from "../search/times.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, percent, plain, plural, rate } from "../text.js";
import { NODE, place } from "./layout.js";

/** @typedef {import("./layout.js").Node} Node */
/** @typedef {import("./layout.js").Edge} Edge */

const POPULATION = ["gateway", "api", "operation", "route", "method", "host", "status", "status_class", "error", "service", "consumer", "revision"];
/** More than this nobody can read in a picture; the tables have them all. */
const MOST_NODES = 60;
const MOST_EDGES = 120;
/** Nodes in a smaller part of the requests are drawn on demand only. */
const LEAST_SHARE = 0.01;
const LEAST_SCALE = 0.85;
const FAILING = 0.01;

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const filters = readFilters(params, POPULATION);
  const question = { ...filters, start: params.start || DEFAULT_START, end: params.end };
  const hasOperations = params.operations === "1";
  const { data, failure, isLoading, again } = useAnswer("api/v1/edges", { ...question, operations: hasOperations ? "true" : "" });
  const services = useAnswer("api/v1/services", question);
  const { data: apis } = useAnswer("api/v1/apis", { start: question.start, end: question.end });
  const nodes = /** @type {Node[]} */ (data ? data.nodes : []);
  const edges = /** @type {Edge[]} */ (data ? data.edges : []);
  const suggested = useMemo(() => nodes.filter((node) => node.role === "service").map((node) => ({ services: [node.name] })), [nodes]);
  const all = () => { again(); services.again(); };
  return html`<div class="map">
    <${Head} title="Map" name=${["Map", ...Object.values(filters).map(plain)].join(" ")} markdown=${() => asMarkdown(edges)}>
      <p class="quiet">Who calls whom${data && data.basis.stitched ? `: ${plural(data.basis.stitched, "stitched request")}, weighed to stand for ${count(data.basis.requests)}` : ""}</p><//>
    <div class="card search-bar"><${Filters} params=${params} rows=${suggested} apis=${apis ? apis.apis : []} names=${POPULATION} />
      <button type="button" class="button" aria-pressed=${hasOperations} onClick=${() => change({ operations: hasOperations ? "" : "1" }, { step: true })}>Operations</button>
      <${Times} params=${params} again=${all} /></div>
    ${failure && html`<${Failed} failure=${failure} again=${all} />`}
    ${isLoading && !data && html`<${Loading} what="Adding calls up …" />`}
    ${data && nodes.length === 0 && html`<${Nothing} title="No call is known in this time"><p class="quiet"><${Text}>${data.note}<//></p><//>`}
    ${nodes.length > 0 && html`<${Picture} nodes=${nodes} edges=${edges} at=${params.node || ""} isWhole=${params.all === "1"} />
      ${data.note && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
      ${params.node && html`<${Chosen} node=${nodes.find((each) => each.name === params.node)} services=${services.data ? services.data.services : []} edges=${edges} params=${params} />`}
      <${Services} found=${services} params=${params} />${(services.data || services.failure) && html`<${Calls} edges=${edges} />`}`}
  </div>`;
}

/**
 * What a picture can hold: the busiest nodes and calls.
 * @param {Node[]} nodes @param {Edge[]} edges @param {boolean} isWhole with the rare ones
 */
function choose(nodes, edges, isWhole) {
  const busiest = [...nodes].sort((a, b) => b.requests - a.requests);
  const least = isWhole ? 0 : LEAST_SHARE * Math.max(0, ...nodes.map((node) => node.requests));
  const drawn = busiest.filter((node) => node.requests >= least).slice(0, MOST_NODES);
  const names = new Set(drawn.map((node) => node.name));
  const calls = edges.filter(({ caller, callee }) => caller !== callee && names.has(caller) && names.has(callee));
  return { drawn, calls: calls.sort((a, b) => b.calls - a.calls).slice(0, MOST_EDGES) };
}

/** @param {{nodes: Node[], edges: Edge[], at: string, isWhole: boolean}} props */
function Picture({ nodes, edges, at, isWhole }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const { drawn, calls } = useMemo(() => choose(nodes, edges, isWhole), [nodes, edges, isWhole]);
  const placed = useMemo(() => place(drawn, calls), [drawn, calls]);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const scale = width ? Math.max(LEAST_SCALE, Math.min(1, width / placed.width)) : 1;
  const most = Math.max(1, ...calls.map((edge) => edge.calls));
  const isNear = (/** @type {Edge} */ edge) => !at || edge.caller === at || edge.callee === at;
  const near = new Set(edges.filter(isNear).flatMap((edge) => [edge.caller, edge.callee]));
  return html`<section class="card map-card is-drawn" aria-label="Map of calls">
    <div class="map-scroll" ref=${box} tabindex="0" role="region" aria-label="Map of calls, to be scrolled">
      <div class="map-space" style=${{ width: placed.width * scale + "px", height: placed.height * scale + "px" }}>
        <div class="map-drawing" style=${{ width: placed.width + "px", height: placed.height + "px", transform: `scale(${scale})` }}>
          <svg width=${placed.width} height=${placed.height} aria-hidden="true">
            <defs>${["", "-bad"].map((kind) => html`<marker id=${"arrow" + kind} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path class=${"map-arrow" + kind} d="M0 0L8 4L0 8z" /></marker>`)}</defs>
            ${placed.edges.map(({ edge, path, x, y }) => {
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
    <div class="legend"><span>in a box: requests a second, failed, 95 % took at most</span><span>on a line: 95 % of the calls took at most</span><span class="bad">red: 1 % and more failed</span><span>thicker: more calls</span><span>dashed box: sent no spans</span>
      <span class="map-count">${count(drawn.length)} of ${plural(nodes.length, "node")} drawn, ${count(calls.length)} of ${plural(edges.length, "call")}
        ${(drawn.length < nodes.length || isWhole) && html` <button type="button" class="plain" onClick=${() => change({ all: isWhole ? "" : "1" })}>${isWhole ? "Without the rare ones" : "Draw rare ones too"}</button>`}</span></div></section>`;
}

/** @param {string} role */
function layerOf(role) {
  return { service: "app", operation: "gateway", client_proxy: "proxy", server_proxy: "proxy", waypoint: "proxy" }[role] || role;
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
  const slowest = Math.max(1, ...found.data.services.map((/** @type {any} */ each) => each.p95_ms || 0));
  return html`<section class="card"><header><h2>Services</h2></header><div class="grid-scroll" tabindex="0" role="region" aria-label="Services"><table class="grid stacks"><thead><tr><th>Service</th><th class="n">a second</th><th class="n">Failed</th>
      <th class="wide">Half · 95 % took at most</th><th class="n" title="without the calls below it, half took at most">Itself</th><th class="n" title="how long it alone held up a request, on average">Held up</th><th class="n" title="the part of its time that its proxies took">Proxies</th><th class="n">Tried again</th><th>Versions</th></tr></thead>
    <tbody>${found.data.services.map((/** @type {any} */ each) => html`<tr class=${"layer-" + layerOf(each.role)}><td><span class="wf-dot"></span><button type="button" class="plain strong-text" onClick=${() => change({ node: each.service }, { step: true })}><${Text}>${each.service}<//></button>${each.inferred && html` <span class="tag" title="known from its callers">no spans</span>`}</td>
      <td class="n" data-label="a second">${rate(each.requests_per_s)}</td><td class="n" data-label="failed">${each.errors ? html`<a class="bad" href=${link("requests", { start: params.start, end: params.end, service: each.service, error: "true" })}>${percent(each.error_ratio)}</a>` : html`<span class="quiet">0 %</span>`}</td>
      <td class="wide" data-label="half · 95 % took at most"><span class="spread-line" aria-hidden="true"><span class="spread-95" style=${{ width: ((each.p95_ms || 0) / slowest) * 100 + "%" }}></span><span class="spread-50" style=${{ width: ((each.p50_ms || 0) / slowest) * 100 + "%" }}></span></span><span class="spread-text">${durationMs(each.p50_ms)} · <strong>${durationMs(each.p95_ms)}</strong></span></td>
      <td class="n" data-label="itself">${durationMs(each.self_p50_ms)}</td><td class="n" data-label="held up">${durationMs(each.critical_ms)}</td><td class="n" data-label="proxies">${percent(each.proxy_share)}</td><td class="n" data-label="tried again">${each.retries ? count(each.retries) : html`<span class="quiet">0</span>`}</td>
      <td class="versions" data-label="versions">${each.versions.slice(0, 3).map((/** @type {string} */ value, /** @type {number} */ at) => html`${at ? ", " : ""}<${Text}>${value}<//>`)}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {{edges: Edge[]}} props */
function Calls({ edges }) {
  return html`<section class="card"><header><h2>Calls</h2></header><div class="grid-scroll" tabindex="0" role="region" aria-label="Calls"><table class="grid stacks"><thead><tr><th>Caller</th><th>Called</th><th class="n">a second</th><th class="n">Failed</th><th class="n">Half</th><th class="n">95 %</th><th class="n">99 %</th><th class="n">Proxies</th><th class="n">Tried again</th></tr></thead>
    <tbody>${edges.map((edge) => html`<tr><td><span class="quiet stacks-only">from </span><${Text}>${edge.caller}<//></td><td class="wide-stacked"><span class="quiet stacks-only">to </span><strong><${Text}>${edge.callee}<//></strong>${edge.async && html` <span class="tag">queue</span>`}${edge.mirrored && html` <span class="tag">mirrored</span>`}</td><td class="n" data-label="a second">${rate(edge.calls_per_s)}</td>
      <td data-label="failed" class=${"n" + (edge.errors ? " bad" : " quiet")}>${percent(edge.error_ratio)}</td><td class="n" data-label="half">${durationMs(edge.p50_ms)}</td><td class="n" data-label="95 %"><strong>${durationMs(edge.p95_ms)}</strong></td><td class="n" data-label="99 %">${durationMs(edge.p99_ms)}</td>
      <td class="n" data-label="proxies">${edge.proxy_ms === null ? "–" : `${durationMs(edge.proxy_ms)} · ${percent(edge.proxy_share)}`}</td><td class="n" data-label="tried again">${edge.retries ? `${count(edge.retries)} · ${percent(edge.retry_ratio)}` : "0"}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {Edge[]} edges */
function asMarkdown(edges) {
  const lines = edges.map((edge) => `| ${[edge.caller, edge.callee, rate(edge.calls_per_s), percent(edge.error_ratio), durationMs(edge.p50_ms), durationMs(edge.p95_ms), edge.retries].map((value) => plain(value).replace(/\|/g, "\\|")).join(" | ")} |`);
  return ["| caller | called | a second | failed | p50 | p95 | tried again |", "|---|---|---|---|---|---|---|", ...lines, "", `From ${location.href}`, ""].join("\n");
}
