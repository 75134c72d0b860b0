// Why: the verdict with its chain, what would settle it, findings with fixes, evidence of joins.

import { change, link } from "../address.js";
import { html } from "../html.js";
import { PHASE_NAMES, phaseLayer } from "../layers.js";
import { Copy } from "../parts/copy.js";
import { Icon } from "../parts/icons.js";
import { Values } from "../parts/values.js";
import { useZone } from "../shell.js";
import { Text, clock, duration, durationMs, percent } from "../text.js";
import { sayLayer } from "./head.js";
import { Section } from "./section.js";

/** @typedef {import("./model.js").Trace} Trace */

/** @param {{trace: Trace, raw: string, select: (row: number) => void}} props */
export function Diagnosis({ trace, raw, select }) {
  const { request } = trace;
  const missing = request.expected.filter((/** @type {any} */ each) => each.status !== "arrived");
  return html`
    <${Verdict} trace=${trace} select=${select} missing=${missing} />
    <${HeldUp} trace=${trace} select=${select} />
    ${request.findings.length > 0 && html`<${Section} title="Findings" count=${request.findings.length}>
      ${request.findings.map((/** @type {any} */ finding) => html`<${Finding} finding=${finding} trace=${trace} select=${select} />`)}<//>`}
    <${Joins} trace=${trace} select=${select} />
    <${PhaseTable} phases=${request.phases} whole=${request.duration_ms} />
    ${request.acts.length > 0 && html`<${Section} title="What layers did" count=${request.acts.length} isOpen=${false}><ul class="plain-list">
      ${request.acts.map((/** @type {any} */ act) => html`<li><strong>${act.feature.replace(/_/g, " ")}</strong> by <${Text}>${act.component}<//> <span class="quiet">${act.layer}</span>: <${Text}>${act.detail}<//>
        <${Refs} refs=${act.refs} trace=${trace} select=${select} /></li>`)}</ul><//>`}
    <${Neighbours} trace=${trace} />
    <${Section} title="Clocks" isOpen=${false}>
      <p class="quiet">${raw === "true" ? "Times are shown as they were sent." : "Times are corrected where hosts' clocks are apart."}</p>
      <button type="button" class="button" onClick=${() => change({ raw: raw === "true" ? "" : "true" })}>
        ${raw === "true" ? "Correct the clocks" : "Show times as they were sent"}</button><//>`;
}

/** @param {{trace: Trace, select: (row: number) => void, missing: any[]}} props */
function Verdict({ trace, select, missing }) {
  const zone = useZone();
  const { verdict, state } = trace.request;
  const isFailed = verdict.layer !== "none";
  return html`<${Section} title="Verdict">
    <p><strong>${isFailed ? `${sayLayer(verdict.layer)} failed first` : verdict.reason ? "The answer was good" : "Nothing failed"}</strong>${isFailed && verdict.component && html`: <${Text}>${verdict.component}<//>`}</p>
    ${verdict.reason && html`<p><${Text}>${verdict.reason}<//></p>`}
    <div class="meter" role="img" aria-label=${"confidence " + percent(verdict.confidence)}><span style=${{ width: verdict.confidence * 100 + "%" }}></span></div>
    <p class="quiet">confidence ${percent(verdict.confidence)}, by rule ${verdict.rule}${verdict.outcome && verdict.outcome !== "ok" ? `, outcome ${verdict.outcome}` : ""}${
      verdict.who_closed ? `, closed by ${verdict.who_closed}` : ""}${verdict.wasted_ms > 0 ? `, ${durationMs(verdict.wasted_ms)} of work for nobody` : ""}</p>
    ${verdict.chain.length > 0 && html`<ol class="chain">${verdict.chain.map((/** @type {any} */ step) => html`<li>
      <span class="quiet mono">${step.offset_ms === null ? "" : durationMs(step.offset_ms)}</span> <span class=${"tag tag-" + step.layer}>${step.layer}</span>
      <${Text}>${step.component}<//>: <${Text}>${step.what}<//> <${Refs} refs=${step.refs} trace=${trace} select=${select} /></li>`)}</ol>`}
    ${verdict.provisional && html`<div class="note"><p><strong>This verdict may still change</strong></p>
      <p>${verdict.settled_by.map((/** @type {string} */ source, /** @type {number} */ index) => html`${index ? ", " : ""}<strong><${Text}>${source}<//></strong>${when(trace, source, zone)}`)} could overturn it.</p>
      <p class="quiet">This page asks again by itself until it is settled.</p></div>`}
    ${missing.length > 0 && html`<div class="note"><p><strong>${state === "provisional" ? "Still expected" : "Missing"}</strong></p>
      <ul class="plain-list">${missing.map((/** @type {any} */ each) => html`<li><${Text}>${each.source}<//>: ${sayStatus(each.status)}${
        each.deadline ? html`, expected until ${clock(each.deadline, zone)}` : ""}</li>`)}</ul></div>`}
  <//>`;
}

/** Until when a source is waited for. @param {Trace} trace @param {string} source @param {import("../text.js").Zone} zone */
function when(trace, source, zone) {
  const expected = trace.request.expected.find((/** @type {any} */ each) => each.source === source);
  return expected && expected.deadline ? ` (expected until ${clock(expected.deadline, zone)})` : "";
}

/** @param {string} status */
function sayStatus(status) {
  return /** @type {Record<string, string>} */ ({
    late: "late, may still come", not_sampled: "not sampled, will not come", never: "too late to hope for",
  })[status] || status;
}

/** @param {{trace: Trace, select: (row: number) => void}} props */
function HeldUp({ trace, select }) {
  const hops = trace.slowest().slice(0, 6);
  const whole = (trace.request.duration_ms || 1) * 1_000;
  if (!hops.length) return null;
  return html`<${Section} title="Who held the answer up"><ul class="shares">${hops.map((hop) => html`<li class=${"layer-" + hop.layer}>
    <button type="button" class="share" disabled=${hop.row < 0} onClick=${() => select(hop.row)}>
      <span class="share-name"><${Text}>${hop.service}<//> <span class="quiet"><${Text}>${trace.names[hop.row]}<//></span></span><span class="share-value">${duration(hop.criticalUs)} · ${percent(hop.criticalUs / whole)}</span>
      <span class="share-bar" style=${{ width: Math.max(0.5, (hop.criticalUs / whole) * 100) + "%" }}></span></button></li>`)}</ul><//>`;
}

/** @param {{finding: any, trace: Trace, select: (row: number) => void}} props */
function Finding({ finding, trace, select }) {
  return html`<div class="finding"><p><strong>${finding.title || finding.rule}</strong> <span class="quiet mono">${finding.rule}</span></p>
    <p><${Text}>${finding.message}<//></p>
    ${finding.meaning && html`<p class="quiet">${finding.meaning}</p>`}
    ${finding.fix && html`<div class="fix"><p><span class="quiet">Fix</span> <${Text}>${finding.fix}<//></p><${Copy} text=${() => finding.fix} label="Copy the fix" class="button bare" isBare=${true} /></div>`}
    <${Refs} refs=${finding.refs} trace=${trace} select=${select} /></div>`;
}

const TIERS = ["exact", "exact", "normalised id", "second id", "statistical"];

/** @param {{trace: Trace, select: (row: number) => void}} props */
function Joins({ trace, select }) {
  const { links } = trace.request;
  return html`<${Section} title="How it was joined" count=${links.length}>
    ${links.length === 0 && html`<p class="quiet">Nothing was joined: ${trace.request.gateway_records.length ? "no span was found for the record." : "there are spans only."}</p>`}
    ${links.map((/** @type {any} */ each) => html`<div class="join">
      <p><span class="tag">tier ${each.tier}, ${TIERS[each.tier] || ""}</span> <span class="quiet">${percent(each.confidence)}</span></p>
      <p class="mono quiet"><${Text}>${each.from}<//> → <${Refs} refs=${[each.to]} trace=${trace} select=${select} /></p>
      <${Evidence} evidence=${each.evidence} />
      ${(each.contradictions || []).length > 0 && html`<div class="note"><p>The ids are equal, but these values differ:</p><${Evidence} evidence=${each.contradictions} /></div>`}
      ${each.rejected.length > 0 && html`<details><summary>${each.rejected.length} rejected</summary>${each.rejected.map((/** @type {any} */ no) => html`
        <p class="mono"><${Text}>${no.to}<//> <span class="quiet">tier ${no.tier}, ${percent(no.confidence)}: ${no.reason}</span></p><${Evidence} evidence=${no.evidence} />`)}</details>`}
    </div>`)}<//>`;
}

/** @param {{evidence: any[]}} props */
function Evidence({ evidence }) {
  if (!evidence.length) return null;
  return html`<table class="evidence" aria-label="Values that were compared"><tbody>${evidence.map(({ field, left, right }) => html`<tr><th scope="row"><${Text}>${field}<//></th>
    <td class="mono"><${Text}>${left}<//></td><td>${left === right ? "=" : "≠"}</td><td class="mono"><${Text}>${right}<//></td></tr>`)}</tbody></table>`;
}

/** @param {{phases: any[], whole: number}} props */
function PhaseTable({ phases, whole }) {
  return html`<${Section} title="Phases" isOpen=${false}><table class="phase-table"><thead><tr><th>Phase</th><th class="n">Time</th><th class="n">Share</th><th>Bounds and source</th></tr></thead><tbody>
    ${phases.map((phase) => html`<tr><td><span class=${"dot fill-" + phaseLayer(phase.name)}></span>${PHASE_NAMES[phase.name] || phase.name}</td><td class="n">${durationMs(phase.duration_ms)}</td>
      <td class="n">${percent(whole ? phase.duration_ms / whole : 0)}</td><td class="quiet">${phase.lower_ms === phase.upper_ms ? "" : `${durationMs(phase.lower_ms)} – ${durationMs(phase.upper_ms)}, `}${phase.source}
      ${(phase.directions || []).map((/** @type {any} */ way) => html`<br />${way.name}: ${durationMs(way.duration_ms)} (${durationMs(way.lower_ms)} – ${durationMs(way.upper_ms)})`)}</td></tr>`)}</tbody></table><//>`;
}

const AROUND_MS = 600_000;

/** @param {{trace: Trace}} props */
function Neighbours({ trace }) {
  const { request } = trace;
  const ids = request.ids.map((/** @type {any} */ id) => [id.kind, id.value]);
  const { consumer, gateway } = request.gateway_records[0] || {};
  const [start, end] = [-AROUND_MS, AROUND_MS].map((by) => new Date(Date.parse(request.start) + by).toISOString());
  return html`<${Section} title="Ids and neighbours" isOpen=${false}>
    <${Values} label="Ids" values=${Object.fromEntries([...ids, ...request.trace_ids.map((/** @type {string} */ id) => ["trace id", id])])} />
    <p class="quiet">Other requests with one of these ids: ${ids.map((/** @type {string[]} */ [kind, value]) => html`<a href=${link("requests", { q: value, start: "-24h" })}>${kind.replace(/_/g, " ")}</a> `)}</p>
    ${consumer && html`<p class="quiet"><a href=${link("requests", { consumer, gateway, start, end, order: "-start" })}>What <${Text}>${consumer}<//> asked for</a> ten minutes before and after</p>`}
    ${request.other_matches.length > 0 && html`<ul class="plain-list">${request.other_matches.map((/** @type {string} */ other) => html`<li class="mono"><a href=${link("request", { id: other.split("/").pop() })}><${Text}>${other}<//></a></li>`)}</ul>`}
    ${(request.links_to || []).length > 0 && html`<p class="quiet">Linked requests:</p><ul class="plain-list">${request.links_to.map((/** @type {any} */ other) => html`<li class="mono">
      <a href=${link("request", { id: other.trace_id, span: other.span_id, panel: "span" })}>${other.trace_id}/${other.span_id}</a></li>`)}</ul>`}
    ${(request.linked_from || []).length > 0 && html`<p class="quiet">Linked from, as by a batch of messages:</p><ul class="plain-list">${request.linked_from.map((/** @type {any} */ other) => html`<li>
      <a href=${link("request", { id: other.trace_id, span: other.span_id, panel: "span" })}><${Text}>${other.service} ${other.operation}<//></a></li>`)}</ul>`}
    ${request.callers.length > 0 && html`<p class="quiet">Called from: ${request.callers.map((/** @type {any} */ span) => html`<${Text}>${span.service} ${span.name}<//> `)}</p>`}
  <//>`;
}

/** @param {{refs: string[], trace: Trace, select: (row: number) => void}} props */
function Refs({ refs, trace, select }) {
  return html`${refs.slice(0, 5).map((ref) => {
    const row = trace.rowOf(ref);
    return row < 0 ? "" : html`<button type="button" class="plain ref" title="Show this row" onClick=${() => select(row)}><${Icon} name="arrow" /><${Text}>${trace.services[row]}<//></button> `;
  })}${refs.length > 5 ? html`<span class="quiet">and ${refs.length - 5} more</span>` : ""}`;
}
