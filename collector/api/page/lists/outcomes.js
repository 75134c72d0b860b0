// What consumers got, against what happened inside.

import { link } from "../address.js";
import { useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html } from "../html.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Times } from "../search/times.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, markdownTable, percent, plain, plural } from "../text.js";

/** What an outcome means, and what to do about it. @type {Record<string, [string, string]>} */
const MEANINGS = {
  ok: ["Everything went well, inside and out.", ""],
  failed: ["The consumer got the failure that happened inside.", "Open an example: its verdict names the hop that failed first."],
  masked: ["Something inside failed and the consumer did not notice: a retry, a cache or a fallback.", "Mend it before what hides it no longer does."],
  manufactured: ["Everything inside was well, and the gateway made an error of it.", "Look at the gateway's timeouts, limits and policies."],
  phantom: ["The gateway reports a backend's failure, and no span of that backend exists though it should.", "See whether the gateway reached the backend, and whether the backend sends its spans."],
  abandoned: ["The consumer went away before there was an answer.", "Compare the consumer's timeout with how long this API takes."],
  zombie: ["The inside worked on after somebody further out had stopped waiting.", "Make inner timeouts shorter than outer ones, and pass on that a call was given up."],
};
const ORDER = Object.keys(MEANINGS);

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const { data, failure, isLoading, again } = useAnswer("api/v1/outcomes",
    { start: params.start || DEFAULT_START, end: params.end, api: params.api }, { isEmpty: ({ apis: found }) => !found.length });
  const apis = data ? data.apis : [];
  return html`<div class="outcomes">
    <${Head} title="Outcomes" name="Outcomes" markdown=${() => asMarkdown(apis)}>
      <p class="quiet">What consumers got, against what happened inside${data ? `, in ${plural(data.looked_at, "request")} examined` : ""}</p><//>
    <div class="card search-bar"><dl class="outcome-legend">${ORDER.map((name) => html`<div title=${MEANINGS[name][0]}><dt><span class=${"dot outcome-" + name}></span>${name}</dt></div>`)}</dl>
      <${Times} params=${params} again=${again} /></div>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Looking at requests …" />`}
    ${data && apis.length === 0 && html`<${Nothing} title="No request was examined"><p class="quiet"><${Text}>${data.note}<//></p><//>`}
    ${apis.map((/** @type {any} */ api) => html`<${Api} api=${api} />`)}
    ${data && data.note && apis.length > 0 && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
  </div>`;
}

/** @param {{api: any}} props */
function Api({ api }) {
  const parts = ORDER.filter((name) => api.outcomes[name]);
  return html`<section class="card outcome-card is-drawn">
    <header class="row spread"><h2>${api.api ? html`<a href=${link("requests", { api: api.api })}><${Text}>${api.api}<//></a>` : "Requests without a gateway record"}</h2>
      <span class="quiet">${plural(api.requests, "request")}</span></header>
    <div class="phase-bar" role="img" aria-label=${parts.map((name) => `${name} ${api.outcomes[name]}`).join(", ")}>
      ${parts.map((name) => html`<span class=${"outcome-" + name} title=${`${name}: ${count(api.outcomes[name])}. ${MEANINGS[name][0]}`} style=${{ "flex-grow": api.outcomes[name] / api.requests }}></span>`)}</div>
    ${parts.some((name) => name !== "ok") && html`<ul class="outcome-told">${parts.filter((name) => name !== "ok").map((name) => html`<li><span class=${"dot outcome-" + name}></span><strong>${name}</strong> <span class="quiet">${MEANINGS[name][0]}</span> ${MEANINGS[name][1]}</li>`)}</ul>`}
    <div class="grid-scroll" tabindex="0" role="region" aria-label=${"Outcomes of " + (api.api || "requests without a gateway record")}><table class="grid stacks"><thead><tr><th>Outcome</th><th>Consumer</th><th>Gateway</th><th>Edge</th><th>Application</th><th class="n">Requests</th><th class="n">Share</th><th class="n">Wasted time</th><th>Examples</th></tr></thead>
      <tbody>${api.matrix.map((/** @type {any} */ row) => html`<tr>
        <td title=${(MEANINGS[row.outcome] || [""])[0]}><span class=${"dot outcome-" + row.outcome}></span><strong>${row.outcome}</strong></td>
        <td data-label="consumer"><${Text}>${row.consumer || "–"}<//></td><td data-label="gateway"><${Class} status=${row.gateway_status} /></td><td data-label="edge"><${Class} status=${row.edge_status} /></td><td data-label="application"><${Class} status=${row.app_status} /></td>
        <td class="n" data-label="requests">${count(row.requests)}</td><td class="n" data-label="share">${percent(row.requests / api.requests)}</td><td class="n" data-label="wasted">${row.wasted_ms > 0 ? durationMs(row.wasted_ms) : "–"}</td>
        <td data-label="examples">${row.example_ids.map((/** @type {string} */ id, /** @type {number} */ index) => html`<a href=${link("request", { id })} title=${plain(id)}>${index + 1}</a> `)}</td></tr>`)}</tbody></table></div>
  </section>`;
}

/** @param {{status: string}} props */
function Class({ status }) {
  const kind = status === "2xx" || status === "3xx" || status === "ok" ? "is-good" : status === "4xx" ? "is-warn" : status ? "is-bad" : "";
  return status ? html`<span class=${"status " + kind}>${status}</span>` : html`<span class="quiet">not seen</span>`;
}

/** @param {any[]} apis */
function asMarkdown(apis) {
  const rows = apis.flatMap((api) => api.matrix.map((/** @type {any} */ row) =>
    [api.api || "(no gateway)", row.outcome, row.consumer, row.gateway_status, row.edge_status, row.app_status, row.requests, row.example_ids[0]]));
  return markdownTable(["API", "outcome", "consumer", "gateway", "edge", "application", "requests", "example"], rows) + `\n\nFrom ${location.href}\n`;
}
