// What is heard from whom, how late, and what therefore cannot be seen.

import { link } from "../address.js";
import { now, useAnswer } from "../ask.js";
import { html, useMemo } from "../html.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Head, useZone } from "../shell.js";
import { Text, ago, clock, count, durationMs, markdownTable, percent } from "../text.js";
import { Storage, storageRows } from "./storage.js";

/** A source is quiet when nothing came for so much longer than its records are usually late. */
const QUIET_FACTOR = 4;
const QUIET_AT_LEAST_MS = 180_000;
/** What needs somebody is listed first. */
export const LIGHTS = { good: 0, quiet: 1, bad: 2 };

/**
 * Say how a source is doing.
 * @param {any} source @returns {{kind: "good" | "quiet" | "bad", word: string}}
 */
export function judge(source) {
  if (source.last_error) return { kind: "bad", word: "cannot be read" };
  if (!source.last_received) return { kind: "quiet", word: "nothing came yet" };
  const silence = now() - new Date(source.last_received).getTime();
  const patience = Math.max(QUIET_AT_LEAST_MS, QUIET_FACTOR * (source.lag_p99_ms || 0));
  return silence > patience ? { kind: "quiet", word: "quiet" } : { kind: "good", word: "on time" };
}

/** @param {any} source */
function keyOf(source) {
  return JSON.stringify([source.source, source.stream, source.doors]);
}

/** What a door took in is told again by the names of those who sent it. @param {any} source */
function isDoor(source) {
  return source.doors.length > 0 && !source.rows;
}

/** @param {any} source */
export function nameOf(source) {
  return source.source || `${source.stream}s without a name`;
}

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const { data, failure, isLoading, again } = useAnswer("api/v1/sources", {}, { everyMs: 10_000 });
  const joins = useAnswer("api/v1/joins", {});
  const clocks = useAnswer("api/v1/clocks", {});
  const storage = useAnswer("api/v1/storage", {});
  const heard = /** @type {any[]} */ (data ? data.sources : []);
  // Rows keep their places while one reads, whatever becomes of them.
  const ranks = useMemo(() => new Map(heard.map((source) => [keyOf(source), LIGHTS[judge(source).kind]])), [heard.map(keyOf).join()]);
  const sources = [...heard].sort((a, b) => (ranks.get(keyOf(b)) || 0) - (ranks.get(keyOf(a)) || 0) || Number(isDoor(b)) - Number(isDoor(a)));
  return html`<div class="sources">
    <${Head} title="Sources" name="Sources" markdown=${() => asMarkdown(sources, storage.data)}><p class="quiet">Who is heard, how late, and what therefore cannot be seen</p><//>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Asking the sources …" />`}
    ${data && sources.length === 0 && html`<${Nothing} title="Nothing has ever come"><p class="quiet"><a href=${link("")}>How to send the first record and span</a></p><//>`}
    ${sources.length > 0 && html`<${Sources} sources=${sources} />`}
    ${data && joins.data && joins.data.apis.length > 0 && html`<${Joins} report=${joins.data} />`}
    ${data && !joins.isLoading && clocks.data && clocks.data.pairs.length > 0 && html`<${Clocks} report=${clocks.data} />`}
    ${data && storage.failure && html`<${Failed} failure=${storage.failure} again=${storage.again} />`}
    ${data && !joins.isLoading && storage.data && storage.data.kinds.length > 0 && html`<${Storage} report=${storage.data} days=${params.keep || ""} />`}
  </div>`;
}

/** @param {{sources: any[]}} props */
function Sources({ sources }) {
  const zone = useZone();
  return html`<section class="card is-drawn"><div class="grid-scroll" tabindex="0" role="region" aria-label="Sources"><table class="grid stacks"><thead><tr><th>Source</th><th>Sends</th><th>State</th><th>Last event</th><th>Last heard</th>
      <th>Late by, p50 · p90 · p99</th><th>Known up to</th><th class="n">Rows</th><th class="n">Accepted</th><th class="n">Rejected</th></tr></thead>
    <tbody>${sources.map((source) => { const { kind, word } = judge(source); return html`<tr>
      <td><strong><${Text}>${nameOf(source)}<//></strong>${source.doors.length > 0 && html` <span class="quiet">${isDoor(source) ? "all that came in by " : ""}${source.doors.join(", ")}</span>`}${source.last_error && html`<br /><span class="bad"><${Text}>${source.last_error}<//></span>`}${source.note && html`<br /><span class="quiet"><${Text}>${source.note}<//></span>`}${source.polled_by && html`<br /><span class="quiet">polled by <${Text}>${source.polled_by}<//> since ${clock(source.polled_since, zone)}</span>`}</td>
      <td class="line" data-label="sends">${source.stream === "pull" ? "is polled" : source.stream + "s"}</td>
      <td class="line" data-label="state"><span class=${"light is-" + kind}></span>${word}</td>
      <td class="line" data-label="last event">${source.last_event ? clock(source.last_event, zone) : "–"}</td><td class="line" data-label="last heard">${source.last_received ? ago(source.last_received) : "–"}</td>
      <td class="lags wide-stacked" data-label="late by, p50 · p90 · p99">${source.lag_p50_ms === null ? "–" : html`${durationMs(source.lag_p50_ms)} · ${durationMs(source.lag_p90_ms)} · ${durationMs(source.lag_p99_ms)}`}</td>
      <td class="line" data-label="known up to">${source.watermark ? clock(source.watermark, zone) : "–"}</td>
      <td class="n" data-label="rows">${source.rows ? count(source.rows) : "–"}</td><td class="n" data-label="accepted">${source.accepted ? count(source.accepted) : "–"}</td><td data-label="rejected" class=${"n" + (source.rejected ? " bad" : "")}>${source.rejected ? count(source.rejected) : "–"}</td></tr>`; })}</tbody></table></div></section>`;
}

/** How records were joined, as bars are coloured. */
const TIERS = [["0", "exact: trace id and parent"], ["1", "exact"], ["2", "normalised id"], ["3", "second id"], ["none", "no id joins them"]];

/** @param {{report: any}} props */
function Joins({ report }) {
  return html`<section class="card is-drawn"><header class="row spread"><h2>What could be joined</h2><span class="quiet">${count(report.looked_at)} requests examined${report.unrecorded ? `, ${count(report.unrecorded)} without a gateway record` : ""}</span></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label="What could be joined"><table class="grid stacks"><thead><tr><th>API</th><th>Gateway</th><th class="n">Records</th><th>By tier</th><th class="n">Joined by id</th><th class="n">Without ids</th><th class="n">Of those right</th></tr></thead>
    <tbody>${report.apis.map((/** @type {any} */ api) => html`<tr><td><a href=${link("requests", { api: api.api, joined: "false" })}><${Text}>${api.api || "–"}<//></a></td><td data-label="gateway"><${Text}>${api.gateway}<//></td><td class="n" data-label="records">${count(api.records)}</td>
      <td class="tier-cell wide-stacked" data-label="by tier"><span class="phase-bar" role="img" aria-label=${TIERS.filter(([tier]) => api.tiers[tier]).map(([tier, word]) => `${word}: ${api.tiers[tier]}`).join(", ")}>
        ${TIERS.filter(([tier]) => api.tiers[tier]).map(([tier, word]) => html`<span class=${"tier-" + tier} title=${`${word}: ${count(api.tiers[tier])}`} style=${{ "flex-grow": api.tiers[tier] / api.records }}></span>`)}</span></td>
      <td class="n" data-label="joined by id">${percent(api.joined_ratio)}</td><td class="n" data-label="without ids">${api.statistical ? count(api.statistical.joined) : "–"}</td><td class="n" data-label="of those right">${api.statistical && api.statistical.routes.length ? percent(precision(api.statistical.routes)) : "–"}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {any[]} routes */
function precision(routes) {
  const claimed = routes.reduce((sum, route) => sum + route.claimed, 0);
  return claimed ? routes.reduce((sum, route) => sum + route.precision * route.claimed, 0) / claimed : null;
}

/** @param {{report: any}} props */
function Clocks({ report }) {
  return html`<section class="card is-drawn"><header class="row spread"><h2>Clocks of hosts</h2><span class="quiet">learned from ${count(report.calls)} calls</span></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label="Clocks of hosts"><table class="grid stacks"><thead><tr><th>Host</th><th>is compared with</th><th class="n">Ahead by</th><th class="n">±</th><th class="n">Drift</th><th class="n">Calls</th><th>State</th></tr></thead>
    <tbody>${report.pairs.slice(0, 200).map((/** @type {any} */ pair) => html`<tr><td><${Text}>${pair.second}<//></td><td class="wide-stacked" data-label="is compared with"><${Text}>${pair.first}<//></td><td class="n" data-label="ahead by">${durationMs(pair.offset_ms)}</td><td class="n" data-label="±">${durationMs(pair.bound_ms)}</td>
      <td class="n" data-label="drift">${pair.drift_ppm === null ? "–" : pair.drift_ppm.toFixed(1) + " ppm"}</td><td class="n" data-label="calls">${count(pair.samples)}</td><td data-label="state"><span class=${"light is-" + ({ ok: "good", unknown: "quiet" }[/** @type {string} */ (pair.health)] || "bad")}></span>${pair.health}</td></tr>`)}</tbody></table></div>
    ${report.pairs.length > 200 && html`<p class="list-end">200 of ${count(report.pairs.length)} shown</p>`}</section>`;
}

/** @param {any[]} sources @param {any} storage */
function asMarkdown(sources, storage) {
  const rows = sources.map((source) => [nameOf(source), source.stream, judge(source).word, source.last_received || "–", source.watermark || "–", source.rows, source.accepted ?? "", source.rejected ?? "", source.last_error]);
  return markdownTable(["source", "stream", "state", "last heard", "known up to", "rows", "accepted", "rejected", "error"], rows)
    + (storage ? `\n\n${markdownTable(["kind", "kept for", "rows", "on disk", "per day"], storageRows(storage))}` : "") + `\n\nFrom ${location.href}\n`;
}
