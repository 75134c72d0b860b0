// What changed, and what came with it: revisions, rollouts, pods, nodes, and what deployment tools told.

import { change, link } from "../address.js";
import { useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html } from "../html.js";
import { tokenHeader } from "../parts/command.js";
import { Copy } from "../parts/copy.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Filters, readFilters } from "../search/filters.js";
import { Times } from "../search/times.js";
import { Head, useZone } from "../shell.js";
import { Text, ago, clock, count, durationMs, markdown, percent, plain } from "../text.js";

const ASKED = ["gateway", "api", "service"];
const KINDS = /** @type {Record<string, string>} */ ({
  rollout: "Rollout", revision: "Revision", backend: "Backend", policy: "Policy", operation: "Operation",
  instance: "Gateway instance", pods: "Pods", node: "Node", told: "Told",
});
/** What a verdict means, and how it is coloured. */
const VERDICTS = /** @type {Record<string, [string, string]>} */ ({
  worse: ["got worse", "is-bad"], better: ["got better", "is-good"], none: ["no effect", ""],
  unknown: ["too few requests", ""], elsewhere_too: ["moved elsewhere too", "is-warn"],
});

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const filters = readFilters(params, ASKED);
  const { data, failure, isLoading, again } = useAnswer("api/v1/changes",
    { ...filters, start: params.start || DEFAULT_START, end: params.end, kind: params.kind });
  const { data: apis } = useAnswer("api/v1/apis", { start: params.start || DEFAULT_START, end: params.end });
  const changes = data ? data.changes : [];
  return html`<div class="changes">
    <${Head} title="Changes" name="Changes" markdown=${() => asMarkdown(changes)}>
      <p class="quiet">What was seen for the first time, and whether latency or errors moved with it</p><//>
    <div class="card search-bar"><${Filters} params=${params} rows=${[]} apis=${apis ? apis.apis : []} names=${ASKED} />
      <select class="input" aria-label="Kind of change" value=${params.kind || ""} onChange=${(/** @type {any} */ event) => change({ kind: event.target.value }, { step: true })}>
        <option value="">all kinds</option>${Object.entries(KINDS).map(([value, label]) => html`<option value=${value} selected=${params.kind === value}>${label}</option>`)}</select>
      <${Times} params=${params} again=${again} /></div>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Looking for what is new …" />`}
    ${data && changes.length === 0 && html`<${Nothing} title="Nothing changed"><p class="quiet"><${Text}>${data.note || "No request of this time met something for the first time."}<//></p><//>`}
    <ol class="change-list">${changes.map((/** @type {any} */ each) => html`<${One} found=${each} />`)}</ol>
    ${data && data.note && changes.length > 0 && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
    ${data && html`<${Tell} />`}
  </div>`;
}

/** @param {{found: any}} props */
function One({ found }) {
  const zone = useZone();
  const { effect } = found;
  const [verdict, kind] = effect ? VERDICTS[effect.verdict] || [effect.verdict, ""] : ["", ""];
  const subject = found.service || found.api || found.gateway;
  const around = new Date(found.first_seen).getTime();
  const before = { start: new Date(around - 1_800_000).toISOString(), end: new Date(around + 1_800_000).toISOString() };
  const filter = found.service ? { service: found.service } : found.api ? { api: found.api } : { gateway: found.gateway };
  return html`<li class=${"card change is-drawn " + (kind || "is-quiet")}>
    <div class="change-when"><strong>${clock(found.first_seen, zone).slice(0, -4)}</strong><span class="quiet">${ago(found.first_seen)}</span></div>
    <div class="change-what"><header class="row"><span class="tag">${KINDS[found.kind] || found.kind}</span>${subject && html`<strong><${Text}>${subject}<//></strong>`}
        ${found.former.length > 0 && html`<span class="quiet"><${Text}>${found.former.slice(0, 3).join(", ")}<//> → </span>`}<span class="change-value"><${Text}>${found.value}<//></span>
        ${found.rollback && html`<span class="tag" title="it had been there before">came back</span>`}${effect && html`<span class=${"status " + kind}>${verdict}</span>`}</header>
      <p><${Text}>${found.sentence}<//></p>
      ${effect && effect.p50 && html`<div class="change-shifts"><${Shift} label="p50" shift=${effect.p50} /><${Shift} label="p95" shift=${effect.p95} /><${Failures} shift=${effect.failures} /></div>`}
      <footer class="quiet row">${found.share !== null && html`<span>${percent(found.share)} of requests since</span>`}${effect && html`<span>rests on ${count(effect.before)} before, ${count(effect.after)} after${effect.beside ? `, ${count(effect.beside)} beside` : ""}</span>`}
        <a href=${link("requests", { ...before, ...filter })}>requests around it</a><a href=${link("slow", { ...before, ...filter })}>why slow</a>
        ${effect && effect.example_ids.length > 0 && html`<span>examples: ${effect.example_ids.slice(0, 5).map((/** @type {string} */ id, /** @type {number} */ at) => html`<a href=${link("request", { id })} title=${plain(id)}>${at + 1}</a> `)}</span>`}
        ${found.told.map((/** @type {any} */ told) => html`<span>told: ${/^https?:\/\//i.test(told.url) ? html`<a href=${told.url} rel="noopener noreferrer" target="_blank"><${Text}>${told.title || told.value}<//></a>` : html`<${Text}>${told.title || told.value}<//>`}</span>`)}</footer>
    </div></li>`;
}

/** @param {{label: string, shift: any}} props */
function Shift({ label, shift }) {
  if (!shift) return null;
  const most = Math.max(shift.before_ms, shift.after_ms, 1e-6);
  return html`<div class=${"shift" + (shift.shift ? (shift.delta_ms > 0 ? " is-worse" : " is-better") : "")} title=${`the difference is between ${durationMs(shift.lower_ms)} and ${durationMs(shift.upper_ms)} (99 %)`}>
    <span class="quiet">${label}</span><span class="shift-bars" aria-hidden="true"><span class="pair-bar side-b" style=${{ width: (shift.before_ms / most) * 100 + "%" }}></span><span class="pair-bar side-a" style=${{ width: (shift.after_ms / most) * 100 + "%" }}></span></span>
    <span>${durationMs(shift.before_ms)} → <strong>${durationMs(shift.after_ms)}</strong></span></div>`;
}

/** @param {{shift: any}} props */
function Failures({ shift }) {
  if (!shift || (!shift.shift && !shift.after_ratio && !shift.before_ratio)) return null;
  return html`<div class=${"shift is-ratio" + (shift.shift ? (shift.delta_ratio > 0 ? " is-worse" : " is-better") : "")}><span class="quiet">errors</span>
    <span>${percent(shift.before_ratio)} → <strong>${percent(shift.after_ratio)}</strong></span></div>`;
}

/** How deployment tools tell of what they do. */
function Tell() {
  const { data: doors } = useAnswer("api/page/doors");
  if (!doors) return null;
  const body = '{"kind": "deployment", "service": "orders", "value": "1.4.2", "title": "Release 1.4.2"}';
  const command = `curl -X POST '${new URL("api/v1/changes", location.href.replace(/[^/]*$/, "")).href}' -H 'Content-Type: application/json'${tokenHeader(doors)} -d '${body}'`;
  return html`<details class="card tell"><summary>Report deployments from your pipeline</summary>
    <div class="stack"><pre class="block" tabindex="0" aria-label="Command">${command}</pre><${Copy} text=${() => command} label="Copy the command" class="button bare" isBare=${true} /></div></details>`;
}

/** @param {any[]} changes */
function asMarkdown(changes) {
  return changes.map((each) => `- ${each.first_seen}: ${markdown(each.sentence)}`).join("\n") + `\n\nFrom ${location.href}\n`;
}
