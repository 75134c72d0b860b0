// The answer before the picture: the facts, who failed or held the answer up, time by phase.

import { link } from "../address.js";
import { html } from "../html.js";
import { LAYER_NAMES, PHASE_NAMES, phaseLayer } from "../layers.js";
import { Icon } from "../parts/icons.js";
import { StateBadge, Status } from "../parts/values.js";
import { useZone } from "../shell.js";
import { Text, ago, clock, durationMs, duration, percent, zoneName } from "../text.js";

/** @typedef {import("./model.js").Trace} Trace */

/** @param {{trace: Trace}} props */
export function Facts({ trace }) {
  const zone = useZone();
  const { request } = trace;
  const record = request.gateway_records[0];
  const filters = record ? [["gateway", record.gateway], ["api", record.api], ["operation", record.operation], ["consumer", record.consumer]] : [];
  return html`<div class="facts">
    <span class="total">${durationMs(request.duration_ms)}</span>
    <${Status} status=${request.status} isError=${request.error} />
    <${StateBadge} state=${request.state} />
    <span title=${request.start}>${clock(request.start, zone)} ${zoneName(zone)} <span class="quiet">${ago(request.start)}</span></span>
    ${filters.filter(([, value]) => value).map(([name, value]) => html`<a class="fact" title=${"requests with this " + name}
      href=${link("requests", { [name]: value })}><${Text}>${value}<//></a>`)}
  </div>`;
}

/**
 * What a person wants to know first: what failed, and which hop held the answer up.
 * @param {{trace: Trace, select: (row: number) => void}} props
 */
export function Story({ trace, select }) {
  const { verdict, duration_ms: wholeMs } = trace.request;
  const hops = trace.slowest();
  const isFailed = verdict.layer !== "none";
  const isMasked = !isFailed && verdict.reason;
  const [first, ...others] = hops;
  return html`<div class="story">
    <div class=${"verdict " + (isFailed ? "is-bad" : isMasked ? "is-warn" : "is-good")}>
      <${Icon} name=${isFailed || isMasked ? "failed" : "good"} />
      <div>${isFailed ? html`<p><strong>${sayLayer(verdict.layer)} failed first</strong>${verdict.component ? html`: <${Text}>${verdict.component}<//>` : ""}
          ${verdict.class && html` <span class="tag"><${Text}>${verdict.class}<//></span>`}</p>
        ${verdict.reason && html`<p class="quiet"><${Text}>${verdict.reason}<//></p>`}`
      : isMasked ? html`<p><strong>Answered well, but</strong></p><p class="quiet"><${Text}>${verdict.reason}<//></p>`
      : html`<p><strong>Nothing failed</strong></p>`}
      ${verdict.provisional && html`<p class="settled">may change: ${verdict.settled_by.map((/** @type {string} */ source, /** @type {number} */ index) => html`${index ? ", " : ""}<${Text}>${source}<//>`)} still to come</p>`}</div>
      ${verdict.hop >= 0 && isFailed && trace.hopTimes[verdict.hop] && trace.hopTimes[verdict.hop].row >= 0 && html`<button type="button" class="button"
        onClick=${() => select(trace.hopTimes[verdict.hop].row)} aria-label="Show"><span class="show-word">Show</span><${Icon} name="arrow" /></button>`}
    </div>
    ${first && html`<div class=${"slow layer-" + first.layer}>
      <span class="slow-share">${percent(first.criticalUs / (wholeMs * 1_000))}</span>
      <div><p>held up by <strong><${Text}>${first.service}<//></strong> <span class="quiet">${LAYER_NAMES[first.layer].toLowerCase()}</span>: ${duration(first.criticalUs)} of ${durationMs(wholeMs)}</p>
        ${others.length > 0 && html`<p class="quiet slow-others">then ${others.slice(0, 3).map((hop, index) => html`${index ? ", " : ""}<button type="button" class="plain"
          onClick=${() => hop.row >= 0 && select(hop.row)}><${Text}>${hop.service}<//></button> ${duration(hop.criticalUs)}`)}</p>`}</div>
      ${first.row >= 0 && html`<button type="button" class="button" onClick=${() => select(rowOfHop(trace, first))} aria-label="Show"><span class="show-word">Show</span><${Icon} name="arrow" /></button>`}
    </div>`}
  </div>`;
}

/**
 * The row of a hop that held the answer up longest.
 * @param {Trace} trace @param {import("./model.js").HopTime} hop
 */
function rowOfHop(trace, hop) {
  let best = hop.row;
  for (const [row, us] of trace.critical) {
    if (trace.hops[row] === hop.index && us > (trace.critical.get(best) || 0)) best = row;
  }
  return best;
}

/** @param {string} layer */
export function sayLayer(layer) {
  return /** @type {Record<string, string>} */ ({
    client: "The client", gateway: "The gateway", network: "The network", edge: "The mesh's edge",
    mesh: "The mesh", app: "The application", dependency: "A dependency", none: "Nobody",
  })[layer] || layer;
}

/** @param {{trace: Trace}} props */
export function Phases({ trace }) {
  const phases = trace.request.phases.filter((/** @type {any} */ each) => each.duration_ms > 0);
  const whole = trace.request.duration_ms || 1;
  if (!phases.length) return null;
  return html`<section class="phases" aria-label="Time by phase">
    <div class="phase-bar" aria-hidden="true">${phases.map((/** @type {any} */ phase) => html`<span class=${"fill-" + phaseLayer(phase.name)}
      style=${{ "flex-grow": Math.max(0.001, phase.duration_ms / whole) }} title=${`${PHASE_NAMES[phase.name]}: ${durationMs(phase.duration_ms)}`}></span>`)}</div>
    <ul class="phase-list">${phases.map((/** @type {any} */ phase) => html`<li title=${phaseTitle(phase)} class=${phase.duration_ms / whole < 0.01 ? "is-small" : ""}><span class=${"dot fill-" + phaseLayer(phase.name)}></span>
      ${PHASE_NAMES[phase.name] || phase.name} <strong>${durationMs(phase.duration_ms)}</strong> ${phase.duration_ms / whole >= 0.01 && html`<span class="quiet">${percent(phase.duration_ms / whole)}</span>`}</li>`)}</ul>
  </section>`;
}

/** @param {any} phase */
function phaseTitle(phase) {
  const isSure = phase.lower_ms === phase.upper_ms;
  return (isSure ? "" : `between ${durationMs(phase.lower_ms)} and ${durationMs(phase.upper_ms)}; `) + "from " + phase.source;
}

/** @param {{trace: Trace}} props */
export function Legend({ trace }) {
  const present = ["gateway", "edge", "proxy", "app", "dependency", "network"].filter((layer) => trace.layers.includes(layer));
  return html`<div class="legend" aria-label="Legend">
    ${present.map((layer) => html`<span class=${"layer-" + layer}><span class="legend-bar"></span>${LAYER_NAMES[layer]}</span>`)}
    <span class="legend-path"><span class="legend-bar is-path"></span>critical path</span>
    <span><span class="legend-bar"></span>off it</span>
    <span><span class="wf-mark legend-mark"></span>event</span>
    <span><span class="wf-mark legend-mark is-exception"></span>exception</span>
    <span><${Icon} name="clock" />clock corrected</span>
    <span class="quiet">drag over the bars to zoom, twice to reset</span>
  </div>`;
}
