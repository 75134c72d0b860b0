// Finding requests: when, which, and the list of them.

import { change, link } from "../address.js";
import { useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html, later, useMemo } from "../html.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, markdownTable, plain, plural } from "../text.js";
import { Filters, POPULATION, readFilters } from "./filters.js";
import { useLive } from "./live.js";
import { Rows, nameOf } from "./rows.js";
import { Times, readRange } from "./times.js";

const HeatMap = later(() => import("../parts/heat.js").then((module) => module.HeatMap), html`<section class="card heat"><p class="heat-none"></p></section>`);
const PAGE = 50;
const MOST = 500;

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const filters = readFilters(params);
  const isLive = params.live === "1";
  const order = isLive ? "-start" : params.order || "-duration";
  const limit = Math.min(MOST, Number(params.limit) || PAGE);
  const times = { start: params.start || DEFAULT_START, end: params.end };
  const { data, failure, isLoading, again } = useAnswer("api/v1/requests",
    { ...filters, ...times, order, limit, cursor: params.cursor });
  const { data: apis } = useAnswer("api/v1/apis", times);
  const found = useMemo(() => (data ? data.requests : []), [data]);
  const live = useLive(isLive, filters, found);
  const rows = live.rows;
  return html`<div class="search">
    <${Head} title="Requests" name=${titleOf(filters)} markdown=${() => asMarkdown(rows)}
      extra=${html`<a class="button" href=${link("slow", { ...readFilters(params, POPULATION), ...times, slower_than_ms: filters.min_duration_ms })}>Why slow</a>`} />
    <div class="card search-bar">
      <${Filters} params=${params} rows=${rows} apis=${apis ? apis.apis : []} />
      <div class="row"><button type="button" class=${"button live" + (isLive ? " is-on" : "")} aria-pressed=${isLive} title="Show requests as they become known"
        onClick=${() => change({ live: isLive ? "" : "1", cursor: "", limit: "" }, { step: true })}><span class="live-dot"></span>Live</button>
      <${Times} params=${params} again=${again} /></div>
    </div>
    <${HeatMap} filters=${filters} times=${times} everyMs=${isLive ? 5_000 : 0} choose=${(/** @type {import("../parts/heat.js").Chosen} */ chosen) => change(
      { start: chosen.start, end: chosen.end, min_duration_ms: chosen.minMs ?? params.min_duration_ms, max_duration_ms: chosen.maxMs ?? params.max_duration_ms, cursor: "", limit: "", live: "" }, { step: true })} />
    ${isLive && html`<div class="live-line" role="status">${live.problem ? html`<span class="bad"><${Text}>${live.problem}<//></span> Trying again …`
      : live.waiting ? html`<button type="button" class="button strong" onClick=${live.resume}>${plural(live.waiting, "new request")}: show</button> held back while you read`
      : "Rows appear as requests become known; they hold still while you scroll."}${live.missed > 0 ? ` ${count(live.missed)} came too fast to be shown.` : ""}</div>`}
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Searching …" />`}
    ${data && rows.length > 0 && html`<section class="card list" aria-label="Requests found" aria-busy=${isLoading}>
      <${Rows} rows=${rows} order=${order} />
      <div class="list-end"><span role="status">${plural(rows.length, "request")} shown${isLive ? ", the newest" : data.next_cursor ? ", there are more" : ", that is all"}</span>
        ${!isLive && data.next_cursor && (limit < MOST
          ? html`<button type="button" class="button" onClick=${() => change({ limit: Math.min(MOST, limit + PAGE) })}>Show more</button>`
          : html`<button type="button" class="button" onClick=${() => change({ cursor: data.next_cursor }, { step: true })}>Next ${MOST}</button>`)}
        ${params.cursor && html`<button type="button" class="button" onClick=${() => change({ cursor: "" }, { step: true })}>Back to the first</button>`}
      </div></section>`}
    ${data && rows.length === 0 && html`<${Empty} data=${data} filters=${filters} params=${params} />`}
  </div>`;
}

/** @param {Record<string, string>} filters */
function titleOf(filters) {
  const said = Object.values(filters).map(plain).join(", ");
  return said ? "Requests: " + said : "Requests";
}

/** @param {{data: any, filters: Record<string, string>, params: Record<string, string>}} props */
function Empty({ data, filters, params }) {
  const { from, to } = readRange(params);
  return html`<${Nothing} title="No request was found">
    <p class="quiet"><${Text}>${data.note}<//></p>
    <p class="row">
      ${Object.keys(filters).length > 0 && html`<button type="button" class="button" onClick=${() => change(
        Object.fromEntries(Object.keys(filters).map((name) => [name, ""])), { step: true })}>Drop the filters</button>`}
      ${to - from < 86_400_000 && html`<button type="button" class="button" onClick=${() => change({ start: "-1d", end: "" }, { step: true })}>Search 24 hours</button>`}
    </p><//>`;
}

/** @param {any[]} rows */
function asMarkdown(rows) {
  const lines = rows.slice(0, 100).map((row) => [row.start, row.status ?? "–", nameOf(row), row.api, durationMs(row.duration_ms), row.verdict, row.id]);
  return [markdownTable(["start", "status", "request", "API", "duration", "failed first", "id"], lines),
    "", `${count(Math.min(100, rows.length))} of ${count(rows.length)} requests, from ${location.href}`, ""].join("\n");
}
