// The first page: what is wrong now, which API is worst, which requests to look at.

import { change, link } from "../address.js";
import { useAnswer } from "../ask.js";
import { homeQuestions } from "../early.js";
import { html, later } from "../html.js";
import { LIGHTS, judge, nameOf as sourceName } from "../lists/sources.js";
import { SHARES } from "../layers.js";
import { Icon } from "../parts/icons.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Status } from "../parts/values.js";
import { nameOf } from "../search/rows.js";
import { Times, readRange } from "../search/times.js";
import { Head, useZone } from "../shell.js";
import { Text, ago, clock, count, durationMs, markdownTable, percent, plural, rate } from "../text.js";
import { FirstSteps } from "./first_steps.js";

const Bars = later(() => import("../parts/chart.js").then((module) => module.Trend));

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const asked = homeQuestions(params);
  const [, grouped] = asked.apis;
  const { group_by: _, ...times } = grouped;
  const sources = useAnswer(...asked.sources, { everyMs: 4_000 });
  const isEmpty = sources.data && sources.data.sources.every((/** @type {any} */ each) => !each.rows && !each.accepted);
  const everyMs = isEmpty ? 3_000 : 20_000;
  const apis = useAnswer(...asked.apis, { everyMs });
  const series = useAnswer(apis.data ? "api/page/series" : null, grouped, { everyMs });
  const slowest = useAnswer(...asked.slowest, { everyMs });
  const failed = useAnswer(...asked.failed, { everyMs });
  const failure = sources.failure || apis.failure;
  // What is drawn stays where it is: nothing is put above it later.
  const isAsking = [apis, slowest, failed].some((each) => !each.data && !each.failure);
  // It looks through many requests: what people wait for comes first.
  const doctor = useAnswer(isAsking ? null : "api/v1/doctor", times);
  const again = () => { for (const each of [sources, apis, series, slowest, failed, doctor]) each.again(); };
  const worst = apis.data ? sortWorst(apis.data.apis) : [];
  return html`<div class="home">
    <${Head} title=${isEmpty ? "Nothing is stored yet" : "Home"} name="Home" markdown=${() => asMarkdown(worst)} extra=${!isEmpty && html`<${Times} params=${params} again=${again} />`} />
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${!sources.data && !failure && html`<${Loading} what="Looking around …" />`}
    ${isEmpty && html`<${FirstSteps} />`}
    ${sources.data && !isEmpty && html`
      <${Strip} sources=${sources.data.sources} doctor=${doctor} params=${params} />
      ${apis.data && worst.length > 0 && html`<${Apis} apis=${worst} lines=${series.data ? series.data.lines : []} params=${params} />`}
      ${apis.data && worst.length === 0 && html`<${Nothing} title="No gateway wrote a request down in this time">
        <p class="quiet">${slowest.data && slowest.data.requests.length ? "There are requests that only the mesh tells of, see below." : "Choose a longer time."}</p><//>`}
      ${isAsking ? html`<${Loading} what="Searching …" />` : html`<div class="columns">
        <${Short} title="Slowest" found=${slowest} to=${link("requests", { start: params.start, end: params.end })} />
        <${Short} title="Failed lately" found=${failed} to=${link("requests", { start: params.start, end: params.end, error: "true", order: "-start" })} />
      </div>`}`}
  </div>`;
}

/** Most callers failed, then slowed down most, then the slowest tail. @param {any[]} apis */
function sortWorst(apis) {
  const slower = (/** @type {any} */ api) => Math.max(0, ...(api.changes || []).map((/** @type {any} */ each) => (each.p95 && each.p95.significant ? each.p95.delta_ms : 0)));
  return [...apis].sort((a, b) => b.errors - a.errors || slower(b) - slower(a) || (b.p95_ms || 0) - (a.p95_ms || 0));
}

/**
 * How sources and doctor are doing, in a line that is always there.
 * @param {{sources: any[], doctor: any, params: Record<string, string>}} props
 */
function Strip({ sources, doctor, params }) {
  const zone = useZone();
  const told = sources.filter((source) => source.rows || source.stream === "pull");
  // One that cannot be read is worse than one from which nothing came for a while.
  const late = told.filter((source) => judge(source).kind !== "good")
    .sort((a, b) => LIGHTS[judge(b).kind] - LIGHTS[judge(a).kind]);
  const { from, to } = readRange(params);
  const findings = doctor.data ? doctor.data.findings : [];
  // Seen from some moment on, though requests were looked at before: new.
  const fresh = findings.filter((/** @type {any} */ finding) => new Date(finding.first_seen).getTime() > from + (to - from) / 4
    && finding.affected < finding.requests);
  const times = { start: params.start, end: params.end };
  const word = (/** @type {any} */ finding) => html`<strong>${finding.title}</strong> <${Text}>${finding.hop}<//>`;
  const worst = late.length ? judge(late[0]).kind : "good";
  const health = doctor.failure ? "unknown" : !doctor.data ? "unknown" : findings.length ? "quiet" : "good";
  return html`<div class="strip" role="status">
    <a class=${"strip-item" + (worst === "bad" ? " is-bad" : late.length ? " is-warn" : "")} href=${link("sources")}>${late.length ? html`<${Icon} name="failed" />` : html`<span class="light is-good"></span>`}
      ${late.length === 0 ? `${plural(told.length, "source")} on time` : html`<span><strong><${Text}>${sourceName(late[0])}<//></strong> ${judge(late[0]).word}${
        late[0].last_received ? `, last heard ${ago(late[0].last_received)}` : ""}${late.length > 1 ? `, and ${late.length - 1} more` : ""}: what comes from there may be missing here</span>`}</a>
    <a class=${"strip-item" + (fresh.length ? " is-warn" : "")} href=${link("doctor", times)}>${fresh.length ? html`<${Icon} name="failed" />` : html`<span class=${"light is-" + health}></span>`}
      ${doctor.failure ? html`<span>the doctor has no answer: <${Text}>${doctor.failure.message}<//></span>` : !doctor.data ? "checking for broken context and clocks …" : fresh.length ? html`<span>New since ${clock(fresh[0].first_seen, zone)}: ${word(fresh[0])}${fresh.length > 1 ? `, and ${fresh.length - 1} more` : ""}</span>`
      : findings.length ? html`<span>${word(findings[0])}${findings.length > 1 ? `, and ${findings.length - 1} more` : ""}</span>` : "no broken context, no clock problem"}</a></div>`;
}

const MOST_APIS = 15;
const AGAINST = /** @type {Record<string, string>} */ ({ previous: "just before", day: "a day ago", week: "a week ago" });

/** @param {any} api */
function keyOf(api) {
  return JSON.stringify([api.gateway, api.api, (api.groups || {}).operation]);
}

/** @param {{apis: any[], lines: any[], params: Record<string, string>}} props */
function Apis({ apis, lines, params }) {
  const known = new Map(lines.map((line) => [keyOf(line), line]));
  const isByApi = params.by === "api";
  const isLong = apis.length > MOST_APIS && params.all !== "1";
  const slowest = Math.max(1, ...apis.map((api) => api.p99_ms || 0));
  const times = { start: params.start, end: params.end };
  const only = (/** @type {any} */ api) => ({ ...times, gateway: api.gateway, api: api.api, operation: (api.groups || {}).operation });
  return html`<section class="card is-drawn apis"><header class="row spread"><h2>${isByApi ? "APIs" : "Operations"}, worst first</h2>
      <div class="segments" role="group" aria-label="Rows">${[["", "Operations"], ["api", "APIs"]].map(([value, label]) => html`<button type="button" aria-pressed=${(params.by || "") === value} onClick=${() => change({ by: value }, { step: true })}>${label}</button>`)}</div></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label="Worst first"><table class="grid stacks"><thead><tr><th>${isByApi ? "API" : "Operation"}</th><th>Requests</th><th class="n">Errors</th>
      <th class="wide">p50 · p95 · p99</th><th class="n">p95 change</th><th class="shares-cell">Where time goes</th><th class="n">Joined</th></tr></thead>
    <tbody>${(isLong ? apis.slice(0, MOST_APIS) : apis).map((api) => html`<tr>
      <td><a href=${link("requests", only(api))}><strong><${Text}>${(api.groups || {}).operation || api.api || "without a name"}<//></strong></a> <span class="quiet"><${Text}>${isByApi ? api.gateway : api.api}<//></span></td>
      <td class="trend" data-label="requests"><${Trend} line=${known.get(keyOf(api))} />
        <span class="trend-text">${count(api.requests)} <span class="quiet">${rate(api.requests_per_s)}/s</span></span></td>
      <td class="n" data-label="errors">${api.errors ? html`<a class="bad" href=${link("requests", { ...only(api), error: "true" })}>${percent(api.error_ratio)}</a>` : html`<span class="quiet">0 %</span>`}<${Moved} changes=${api.changes} of="error_ratio" /></td>
      <td class="wide" data-label="p50 · p95 · p99"><span class="spread-line" aria-hidden="true"><span class="spread-99" style=${{ width: ((api.p99_ms || 0) / slowest) * 100 + "%" }}></span><span class="spread-95" style=${{ width: ((api.p95_ms || 0) / slowest) * 100 + "%" }}></span><span class="spread-50" style=${{ width: ((api.p50_ms || 0) / slowest) * 100 + "%" }}></span></span>
        <span class="spread-text">${durationMs(api.p50_ms)} · <a href=${link("slow", only(api))} title="Why are they slow?">${durationMs(api.p95_ms)}</a> · <strong>${durationMs(api.p99_ms)}</strong></span></td>
      <td class="n" data-label="p95 change"><${Moved} changes=${api.changes} of="p95" /></td>
      <td class="shares-cell" data-label="where time goes"><${Shares} shares=${api.shares} /></td>
      <td class="n" data-label="joined">${percent(api.join_coverage)}</td></tr>`)}</tbody></table></div>
    <div class="legend">${SHARES.map(([, layer, label]) => html`<span><span class=${"dot fill-" + layer}></span>${label}</span>`)}
      ${apis.length > MOST_APIS && html`<button type="button" class="plain map-count" onClick=${() => change({ all: isLong ? "1" : "" })}>${isLong ? `${MOST_APIS} of ${apis.length} shown: show all` : "Show the worst"}</button>`}</div></section>`;
}

/**
 * How a number moved against an earlier range, where that is more than chance.
 * @param {{changes: any[] | undefined, of: "p95" | "error_ratio"}} props
 */
function Moved({ changes, of }) {
  const found = (changes || []).map((each) => ({ against: each.against, shift: each[of] })).filter(({ shift }) => shift && shift.significant);
  if (!found.length) return of === "p95" ? html`<span class="quiet" title="no significant difference">${changes && changes.length ? "same" : "–"}</span>` : null;
  const { against, shift } = found[0];
  const delta = of === "p95" ? shift.delta_ms : shift.delta;
  const said = of === "p95" ? durationMs(Math.abs(delta)) : percent(Math.abs(delta));
  const title = found.map((each) => `${AGAINST[each.against] || each.against}: ${of === "p95" ? durationMs(each.shift.before_ms) : percent(each.shift.before)}`).join(", ");
  return html` <span class=${"moved " + (delta > 0 ? "bad" : "good")} title=${title}>${delta > 0 ? "▲" : "▼"} ${said}<span class="offscreen">${delta > 0 ? "more" : "less"} than ${AGAINST[against] || against}</span></span>`;
}

/** How many requests there were when; the part that failed is red. @param {{line: any}} props */
function Trend({ line }) {
  if (!line) return html`<span class="trend-line"></span>`;
  const failed = line.errors.reduce((/** @type {number} */ sum, /** @type {number} */ each) => sum + each, 0);
  return html`<span class="trend-line" role="img" aria-label=${`at most ${plural(Math.max(...line.requests), "request")} in 1/${line.requests.length} of the time${failed ? `, ${count(failed)} failed` : ""}`}>
    <${Bars} all=${line.requests} failed=${line.errors} /></span>`;
}

/** @param {{shares: Record<string, number> | null | undefined}} props */
function Shares({ shares }) {
  if (!shares) return html`<span class="quiet" title="no request of it has been stitched yet">not known yet</span>`;
  const parts = SHARES.filter(([name]) => shares[name] > 0);
  return html`<span class="shares-bar" role="img" aria-label=${parts.map(([name, , label]) => `${label} ${percent(shares[name])}`).join(", ")}>${parts.map(([name, layer, label]) => html`
    <span class=${"fill-" + layer} title=${`${label}: ${percent(shares[name])}`} style=${{ "flex-grow": shares[name] }}></span>`)}</span>`;
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
  const rows = apis.map((api) => [api.gateway, api.api, (api.groups || {}).operation, api.requests, percent(api.error_ratio),
    durationMs(api.p50_ms), durationMs(api.p95_ms), durationMs(api.p99_ms), percent(api.join_coverage)]);
  return markdownTable(["gateway", "API", "operation", "requests", "failed", "p50", "p95", "p99", "joined"], rows) + `\n\nFrom ${location.href}\n`;
}
