// The first page: what is wrong now, which API is worst, which requests to look at.

import { link } from "../address.js";
import { useAnswer } from "../ask.js";
import { html } from "../html.js";
import { judge, nameOf as sourceName } from "../lists/sources.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Status } from "../parts/values.js";
import { nameOf } from "../search/rows.js";
import { DEFAULT_START, Times, readRange } from "../search/times.js";
import { Head, useZone } from "../shell.js";
import { Text, ago, clock, count, durationMs, percent, plain, plural } from "../text.js";
import { FirstSteps } from "./first_steps.js";

const LISTED = 8;

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const times = { start: params.start || DEFAULT_START, end: params.end };
  const sources = useAnswer("api/v1/sources", {}, { everyMs: 4_000 });
  const isEmpty = sources.data && sources.data.sources.every((/** @type {any} */ each) => !each.rows && !each.accepted);
  const everyMs = isEmpty ? 3_000 : 20_000;
  const apis = useAnswer("api/v1/apis", times, { everyMs });
  const slowest = useAnswer("api/v1/requests", { ...times, limit: LISTED }, { everyMs });
  const failed = useAnswer("api/v1/requests", { ...times, limit: LISTED, error: "true", order: "-start" }, { everyMs });
  const failure = sources.failure || apis.failure;
  // What is drawn stays where it is: nothing is put above it later.
  const isAsking = [apis, slowest, failed].some((each) => !each.data && !each.failure);
  // It looks through many requests: what people wait for comes first.
  const doctor = useAnswer(isAsking ? null : "api/v1/doctor", times);
  const again = () => { for (const each of [sources, apis, slowest, failed, doctor]) each.again(); };
  const worst = apis.data ? sortWorst(apis.data.apis) : [];
  return html`<div class="home">
    <${Head} title=${isEmpty ? "Nothing is stored yet" : "Home"} name="Home" markdown=${() => asMarkdown(worst)} extra=${!isEmpty && html`<${Times} params=${params} again=${again} />`} />
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${!sources.data && !failure && html`<${Loading} what="Looking around …" />`}
    ${isEmpty && html`<${FirstSteps} />`}
    ${sources.data && !isEmpty && html`
      <${Strip} sources=${sources.data.sources} doctor=${doctor} params=${params} />
      ${apis.data && worst.length > 0 && html`<${Apis} apis=${worst} params=${params} />`}
      ${apis.data && worst.length === 0 && html`<${Nothing} title="No gateway wrote a request down in this time">
        <p class="quiet">${slowest.data && slowest.data.requests.length ? "There are requests that only the mesh tells of, see below." : "Choose a longer time."}</p><//>`}
      ${isAsking ? html`<${Loading} what="Searching …" />` : html`<div class="columns">
        <${Short} title="Slowest" found=${slowest} to=${link("requests", { start: params.start, end: params.end })} />
        <${Short} title="Failed lately" found=${failed} to=${link("requests", { start: params.start, end: params.end, error: "true", order: "-start" })} />
      </div>`}`}
  </div>`;
}

/** Errors weigh most, then the slow tail. @param {any[]} apis */
function sortWorst(apis) {
  return [...apis].sort((a, b) => b.error_ratio - a.error_ratio || b.p95_ms - a.p95_ms);
}

/**
 * How sources and doctor are doing, in a line that is always there.
 * @param {{sources: any[], doctor: any, params: Record<string, string>}} props
 */
function Strip({ sources, doctor, params }) {
  const zone = useZone();
  const told = sources.filter((source) => source.rows || source.stream === "pull");
  const late = told.filter((source) => judge(source).kind !== "good");
  const { from, to } = readRange(params);
  const findings = doctor.data ? doctor.data.findings : [];
  // Seen from some moment on, though requests were looked at before: new.
  const fresh = findings.filter((/** @type {any} */ finding) => new Date(finding.first_seen).getTime() > from + (to - from) / 4
    && finding.affected < finding.requests);
  const times = { start: params.start, end: params.end };
  const word = (/** @type {any} */ finding) => html`<strong>${finding.title}</strong> <${Text}>${finding.hop}<//>`;
  return html`<div class="strip">
    <a class=${"strip-item" + (late.length ? " is-warn" : "")} href=${link("sources")}><span class=${"light is-" + (late.some((source) => judge(source).kind === "bad") ? "bad" : late.length ? "quiet" : "good")}></span>
      ${late.length === 0 ? `${plural(told.length, "source")} on time` : html`<span><strong><${Text}>${sourceName(late[0])}<//></strong> ${judge(late[0]).word}${
        late[0].last_received ? `, last heard ${ago(late[0].last_received)}` : ""}${late.length > 1 ? `, and ${late.length - 1} more` : ""}: what comes from there may be missing here</span>`}</a>
    <a class=${"strip-item" + (fresh.length ? " is-warn" : "")} href=${link("doctor", times)}><span class=${"light is-" + (findings.length ? "quiet" : "good")}></span>
      ${!doctor.data ? "looking for faults …" : fresh.length ? html`<span>New since ${clock(fresh[0].first_seen, zone)}: ${word(fresh[0])}${fresh.length > 1 ? `, and ${fresh.length - 1} more` : ""}</span>`
      : findings.length ? html`<span>${word(findings[0])}${findings.length > 1 ? `, and ${findings.length - 1} more` : ""}</span>` : "nothing breaks context or timings"}</a></div>`;
}

/** @param {{apis: any[], params: Record<string, string>}} props */
function Apis({ apis, params }) {
  const slowest = Math.max(1, ...apis.map((api) => api.p99_ms));
  const times = { start: params.start, end: params.end };
  return html`<section class="card is-drawn apis"><div class="grid-scroll" tabindex="0" role="region" aria-label="APIs, the worst first"><table class="grid"><thead><tr><th>API</th><th class="n">Requests</th><th class="n">a second</th><th class="n">Failed</th>
      <th class="wide">Half · 95 % · 99 % took at most</th><th class="n">Joined</th></tr></thead>
    <tbody>${apis.map((api) => html`<tr>
      <td><a href=${link("requests", { ...times, api: api.api, gateway: api.gateway })}><strong><${Text}>${api.api || "without a name"}<//></strong></a> <span class="quiet"><${Text}>${api.gateway}<//></span></td>
      <td class="n">${count(api.requests)}</td><td class="n">${rate(api.requests_per_s)}</td>
      <td class="n">${api.errors ? html`<a class="bad" href=${link("requests", { ...times, api: api.api, gateway: api.gateway, error: "true" })}>${percent(api.error_ratio)}</a>` : html`<span class="quiet">0 %</span>`}</td>
      <td class="wide"><span class="spread-line" aria-hidden="true"><span class="spread-99" style=${{ width: (api.p99_ms / slowest) * 100 + "%" }}></span><span class="spread-95" style=${{ width: (api.p95_ms / slowest) * 100 + "%" }}></span><span class="spread-50" style=${{ width: (api.p50_ms / slowest) * 100 + "%" }}></span></span>
        <span class="spread-text">${durationMs(api.p50_ms)} · ${durationMs(api.p95_ms)} · <strong>${durationMs(api.p99_ms)}</strong></span></td>
      <td class="n">${percent(api.join_coverage)}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {number} perSecond */
function rate(perSecond) {
  return perSecond >= 10 ? perSecond.toFixed(0) : perSecond >= 0.1 ? perSecond.toFixed(1) : perSecond.toFixed(3);
}

/** @param {{title: string, found: any, to: string}} props */
function Short({ title, found, to }) {
  const zone = useZone();
  const rows = found.data ? found.data.requests : [];
  const longest = Math.max(1, ...rows.map((/** @type {any} */ row) => row.duration_ms || 0));
  return html`<section class="card short" aria-label=${title}><header class="row spread"><h2>${title}</h2><a href=${to}>All</a></header>
    ${found.failure && html`<${Failed} failure=${found.failure} again=${found.again} />`}
    ${found.data && rows.length === 0 && html`<p class="quiet short-none">None in this time.</p>`}
    <ol>${rows.map((/** @type {any} */ row) => html`<li><a class="short-row" href=${link("request", { id: row.id })}>
      <span class="short-name"><${Status} status=${row.status} isError=${row.error} /> <strong><${Text}>${nameOf(row)}<//></strong> <span class="quiet"><${Text}>${row.api}<//></span></span>
      <span class="short-time">${durationMs(row.duration_ms)}</span>
      <span class="short-more quiet">${clock(row.start, zone)}${row.slowest_hop ? html` · held up by <span class="short-held"><${Text}>${row.slowest_hop}<//></span> ${durationMs(row.slowest_hop_ms)}` : ""}${row.verdict && row.verdict !== "none" ? html` · <${Text}>${row.verdict.replace(":", " failed: ")}<//>` : ""}</span>
      <span class="short-bar" style=${{ width: ((row.duration_ms || 0) / longest) * 100 + "%" }}></span></a></li>`)}</ol></section>`;
}

/** @param {any[]} apis */
function asMarkdown(apis) {
  const lines = apis.map((api) => `| ${[api.gateway, api.api, api.requests, percent(api.error_ratio), durationMs(api.p50_ms), durationMs(api.p95_ms), durationMs(api.p99_ms), percent(api.join_coverage)].map((value) => plain(value).replace(/\|/g, "\\|")).join(" | ")} |`);
  return ["| gateway | API | requests | failed | p50 | p95 | p99 | joined |", "|---|---|---|---|---|---|---|---|", ...lines, "", `From ${location.href}`, ""].join("\n");
}
