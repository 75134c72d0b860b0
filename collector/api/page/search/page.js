// Finding requests: when, which, and the list of them.

import { change } from "../address.js";
import { useAnswer } from "../ask.js";
import { html } from "../html.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, plain, plural } from "../text.js";
import { Filters, readFilters } from "./filters.js";
import { Rows, nameOf } from "./rows.js";
import { DEFAULT_START, Times, readRange } from "./times.js";

const PAGE = 50;
const MOST = 500;

/** @param {{params: Record<string, string>}} props */
export function SearchPage({ params }) {
  const filters = readFilters(params);
  const order = params.order || "-duration";
  const limit = Math.min(MOST, Number(params.limit) || PAGE);
  const times = { start: params.start || DEFAULT_START, end: params.end };
  const { data, failure, isLoading, again } = useAnswer("api/v1/requests",
    { ...filters, ...times, order, limit, cursor: params.cursor });
  const { data: apis } = useAnswer("api/v1/apis", times);
  const rows = data ? data.requests : [];
  return html`<div class="search">
    <${Head} title="Requests" name=${titleOf(filters)} markdown=${() => asMarkdown(rows)} />
    <div class="card search-bar">
      <${Filters} params=${params} rows=${rows} apis=${apis ? apis.apis : []} />
      <${Times} params=${params} again=${again} />
    </div>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Searching …" />`}
    ${data && rows.length > 0 && html`<section class="card list" aria-label="Requests found" aria-busy=${isLoading}>
      <${Rows} rows=${rows} order=${order} />
      <div class="list-end"><span role="status">${plural(rows.length, "request")} shown${data.next_cursor ? ", there are more" : ", that is all"}</span>
        ${data.next_cursor && (limit < MOST
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
  const cell = (/** @type {unknown} */ value) => plain(value).replace(/\|/g, "\\|");
  const lines = rows.slice(0, 100).map((row) => `| ${[row.start, row.status ?? "–", nameOf(row), row.api, durationMs(row.duration_ms), row.verdict, row.id].map(cell).join(" | ")} |`);
  return ["| start | status | request | API | duration | failed first | id |", "|---|---|---|---|---|---|---|", ...lines,
    "", `${count(Math.min(100, rows.length))} of ${count(rows.length)} requests, from ${location.href}`, ""].join("\n");
}
