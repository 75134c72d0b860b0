// Why requests are slow, or fail: what they have that the others have not, the likeliest cause first.

import { change, link } from "../address.js";
import { ask, useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html, later, useState } from "../html.js";
import { PHASE_NAMES, phaseLayer } from "../layers.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Filters, POPULATION, readFilters } from "../search/filters.js";
import { Times } from "../search/times.js";
import { Head } from "../shell.js";
import { Text, count, durationMs, markdown, markdownTable, percent, plain, plural } from "../text.js";

/** @typedef {Record<string, string | number | null | undefined>} Chosen */

const HeatMap = later(() => import("../parts/heat.js").then((module) => module.HeatMap), html`<section class="card heat"><p class="heat-none"></p></section>`);
const SELECTS = [["slow", "Slow"], ["failed", "Failed"]];
const BASELINES = [["", "the rest"], ["previous", "the range before"], ["day", "a day ago"], ["week", "a week ago"]];
/** Filters of the search that a feature is. */
const FILTER_OF = /** @type {Record<string, string>} */ ({
  API: "api", "API revision": "revision", operation: "operation", consumer: "consumer", method: "method", host: "host",
});

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const filters = readFilters(params, POPULATION);
  const select = params.select === "failed" ? "failed" : "slow";
  const question = {
    ...filters, start: params.start || DEFAULT_START, end: params.end, select,
    slower_than_ms: select === "slow" ? params.slower_than_ms : "", baseline: params.baseline,
  };
  const { data, failure, isLoading, again } = useAnswer("api/v1/slow", question);
  const { data: apis } = useAnswer("api/v1/apis", { start: question.start, end: question.end });
  const title = select === "failed" ? "Why do they fail?" : "Why are they slow?";
  const word = select === "failed" ? "failed" : "slow";
  /** The chosen requests as the search finds them. @type {Chosen} */
  const chosen = { ...filters, start: params.start, end: params.end, ...(select === "failed" ? { error: "true" } : { min_duration_ms: data ? data.threshold_ms : "" }) };
  const versus = params.baseline ? (BASELINES.find(([value]) => value === params.baseline) || ["", "the others"])[1] : "the others";
  return html`<div class="why">
    <${Head} title=${title} name=${[title, ...Object.values(filters).map(plain)].join(" ")} markdown=${() => ask("api/v1/slow", question).then((answer) => asMarkdown(answer, title))} />
    <div class="card search-bar">
      <${Filters} params=${params} rows=${[]} apis=${apis ? apis.apis : []} names=${POPULATION} />
      <${Times} params=${params} again=${again} />
      <${Choose} key=${params.slower_than_ms} params=${params} select=${select} threshold=${data ? data.threshold_ms : null} />
    </div>
    <${HeatMap} filters=${filters} times=${{ start: question.start, end: question.end }} threshold=${select === "slow" && data ? data.threshold_ms : null}
      choose=${(/** @type {import("../parts/heat.js").Chosen} */ chosen) => change({ start: chosen.start, end: chosen.end, slower_than_ms: chosen.minMs ?? params.slower_than_ms }, { step: true })} />
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Comparing the requests …" />`}
    ${data && html`<${Sets} data=${data} select=${select} chosen=${chosen} versus=${versus} />
      ${data.differences.length > 0 ? html`<section class="card" aria-label="What sets them apart"><header class="row spread"><h2>What sets them apart</h2><span class="quiet">most likely cause first</span></header>
        <ol class="differences">${data.differences.map((/** @type {any} */ each, /** @type {number} */ at) => html`<${Difference} found=${each} rank=${at + 1} word=${word} versus=${versus} chosen=${chosen} select=${select} />`)}</ol></section>`
      : html`<${Nothing} title=${!data.selected.observed ? `There are no ${word} requests to look at` : /^Too few/.test(data.note) ? "Too few requests to tell" : "Nothing sets them apart"}><p class="quiet"><${Text}>${data.note || "The two sets do not differ significantly in anything that is known of them."}<//></p><//>`}
      ${data.differences.length > 0 && data.note && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
      <div class="columns"><${Times2} title="Phases" rows=${data.phases} word=${word} name=${(/** @type {any} */ row) => html`<span class=${"dot fill-" + phaseLayer(row.name)}></span>${PHASE_NAMES[row.name] || row.name}`} />
        <${Times2} title="Calls" rows=${data.calls.slice(0, 12)} word=${word} name=${(/** @type {any} */ row) => html`<strong><${Text}>${row.service || row.name}<//></strong> <span class="quiet"><${Text}>${row.operation}<//></span>`} /></div>`}
  </div>`;
}

/** @param {{params: Record<string, string>, select: string, threshold: number | null}} props */
function Choose({ params, select, threshold }) {
  const [text, setText] = useState(params.slower_than_ms || "");
  const use = (/** @type {Event} */ event) => {
    event.preventDefault();
    change({ slower_than_ms: text.trim().replace(/\s/g, "") }, { step: true });
  };
  return html`<div class="row why-choice">
    <div class="segments" role="group" aria-label="Which requests">${SELECTS.map(([value, label]) => html`<button type="button" aria-pressed=${select === value}
      onClick=${() => change({ select: value === "slow" ? "" : value }, { step: true })}>${label}</button>`)}</div>
    ${select === "slow" && html`<form class="row" onSubmit=${use}><label class="row">at least <input class="input threshold" inputmode="decimal" aria-label="Slow from, in ms" maxlength="20" value=${text}
      placeholder=${threshold === null ? "p95" : `${durationMs(threshold)} (p95)`} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /> ms</label></form>`}
    <label class="row">against <select class="input" aria-label="Compared with" value=${params.baseline || ""} onChange=${(/** @type {any} */ event) => change({ baseline: event.target.value }, { step: true })}>
      ${BASELINES.map(([value, label]) => html`<option value=${value} selected=${(params.baseline || "") === value}>${label}</option>`)}
      ${params.baseline && !BASELINES.some(([value]) => value === params.baseline) && html`<option value=${params.baseline} selected>${plain(params.baseline)}</option>`}</select></label>
  </div>`;
}

/** @param {{data: any, select: string, chosen: Chosen, versus: string}} props */
function Sets({ data, select, chosen, versus }) {
  const { population, selected, baseline } = data;
  return html`<section class="card sets is-drawn" aria-label="The two sets">
    <div><span class="quiet">${select === "failed" ? "failed" : "slow"}</span>
      <a class="figure" href=${link("requests", chosen)}>${count(selected.requests)}</a><span class="quiet">${select === "slow" && data.threshold_ms !== null ? `took ${durationMs(data.threshold_ms)} or more` : ""}</span></div>
    <div><span class="quiet">${versus}</span><span class="figure">${count(baseline.requests)}</span><span class="quiet">sampled: ${count(selected.observed)} against ${count(baseline.observed)}</span></div>
    ${["p50", "p95", "p99"].map((name) => html`<div><span class="quiet">${name}</span><span class="figure">${durationMs(population[name + "_ms"])}</span></div>`)}
    <p class="quiet sets-rest">Percentiles rest on ${population.source === "records" ? `all ${plural(population.measured, "gateway record")}` : `${plural(population.measured, "stitched request")}, weighted`}.</p>
    ${data.sentences.length > 0 && html`<ul class="sets-told">${data.sentences.slice(0, 3).map((/** @type {any} */ each) => html`<li><${Text}>${each.text}<//></li>`)}</ul>`}
  </section>`;
}

/** @param {any} feature */
function nameOf(feature) {
  if (feature.name === "hop") return html`<span class="quiet">${feature.value === "present" ? "calls" : "does not call"}</span> <strong><${Text}>${feature.service}<//></strong>`;
  return html`<span class="quiet">${feature.name}</span> <strong><${Text}>${feature.value}<//></strong>${feature.service && html` <span class="quiet">of <${Text}>${feature.service}<//></span>`}`;
}

/** @param {any} feature */
function sayName(feature) {
  return plain([feature.name, feature.value, feature.service && "of " + feature.service].filter(Boolean).join(" "));
}

/**
 * @param {{found: any, rank: number, word: string, versus: string, chosen: Chosen, select: string}} props
 */
function Difference({ found, rank, word, versus, chosen, select }) {
  const filter = FILTER_OF[found.feature.name];
  const reach = (/** @type {number} */ bound) => Math.max(0, Math.min(1, found.share_baseline + bound)) * 100;
  return html`<li class="difference"><span class="rank" aria-hidden="true">${rank}</span>
    <div class="difference-what"><p>${nameOf(found.feature)}${found.feature.symptom && html` <span class="tag" title="what happened to the request, not what it was or where it ran">what happened</span>`}
        ${filter && html` <a href=${link("requests", { ...chosen, [filter]: found.feature.value })}>requests</a>`}</p>
      ${found.also.length > 0 && html`<p class="quiet also" title=${found.also.map(sayName).join("\n")}>the same requests: ${found.also.slice(0, 3).map((/** @type {any} */ each, /** @type {number} */ at) => html`${at ? ", " : ""}${each.name} <${Text}>${each.value}<//>`)}${found.also.length > 3 ? ` and ${found.also.length - 3} more` : ""}</p>`}
      <p class="quiet">${word}: ${examples(found.examples_selected)} · ${versus}: ${examples(found.examples_baseline)}</p></div>
    <div class="difference-shares" role="img" aria-label=${`${percent(found.share_selected)} of the ${word}, ${percent(found.share_baseline)} of ${versus}; the difference is between ${percent(found.lower)} and ${percent(found.upper)}`}>
      <span class="share-label">${word}</span><span class="share-track"><span class="share-fill is-selected" style=${{ width: found.share_selected * 100 + "%" }}></span>
        <span class="share-bound" style=${{ left: reach(found.lower) + "%", width: Math.max(0.4, reach(found.upper) - reach(found.lower)) + "%" }}></span></span><strong>${percent(found.share_selected)}</strong><span class="quiet">${count(found.selected)}</span>
      <span class="share-label">${versus}</span><span class="share-track"><span class="share-fill" style=${{ width: found.share_baseline * 100 + "%" }}></span></span><span>${percent(found.share_baseline)}</span><span class="quiet">${count(found.baseline)}</span></div>
    <div class="difference-delta">${found.delta_ms === null || select === "failed" ? "" : html`<strong>${found.delta_ms >= 0 ? "+" : "−"}${durationMs(Math.abs(found.delta_ms))}</strong><span class="quiet">median with it</span>`}
      <span class="quiet" title="difference of the shares with its 95 % bounds">${signed(found.lower)} to ${signed(found.upper)} points</span></div>
  </li>`;
}

/** @param {number} ratio */
function signed(ratio) {
  const points = Math.round(ratio * 100);
  return (points < 0 ? "−" : "+") + Math.abs(points);
}

/** @param {string[]} ids */
function examples(ids) {
  return ids.length ? ids.slice(0, 5).map((id, at) => html`<a href=${link("request", { id })} title=${plain(id)}>${at ? " " : ""}${at + 1}</a> `) : "none";
}

/**
 * Where time goes on both sides.
 * @param {{title: string, rows: any[], word: string, name: (row: any) => any}} props
 */
function Times2({ title, rows, word, name }) {
  if (!rows.length) return html`<section class="card"><header><h2>${title}</h2></header><p class="quiet short-none">Nothing is known of them.</p></section>`;
  const most = Math.max(1e-6, ...rows.map((row) => Math.max(row.selected_ms, row.baseline_ms)));
  return html`<section class="card"><header class="row spread"><h2>${title}</h2><span class="quiet">mean per request</span></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label=${title}><table class="grid pairs stacks"><thead><tr><th>${title.slice(0, -1)}</th><th class="n">${word}</th><td></td><th class="n">others</th><th class="n">difference</th><th class="n">share of it</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr title=${`p50 ${durationMs(row.p50_ms)}, p95 ${durationMs(row.p95_ms)}, in ${plural(row.requests, "request")}`}><td>${name(row)}</td><td class="n" data-label=${word}>${durationMs(row.selected_ms)}</td>
      <td class="pair"><span class="pair-bar side-a" style=${{ width: (row.selected_ms / most) * 100 + "%" }}></span><span class="pair-bar side-b" style=${{ width: (row.baseline_ms / most) * 100 + "%" }}></span></td>
      <td class="n" data-label="others">${durationMs(row.baseline_ms)}</td><td data-label="difference" class=${"n delta" + (row.share > 0.1 ? " is-worse" : "")}>${row.delta_ms > 0 ? "+" : row.delta_ms < 0 ? "−" : ""}${durationMs(Math.abs(row.delta_ms))}</td>
      <td class="n" data-label="share of it">${row.share > 0 ? percent(Math.min(1, row.share)) : "–"}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {any} data @param {string} title */
function asMarkdown(data, title) {
  const rows = data.differences.map((/** @type {any} */ each) => [sayName(each.feature), percent(each.share_selected), percent(each.share_baseline),
    signed(each.lower) + " points", each.examples_selected[0]]);
  return [`# ${title}`, "", ...data.sentences.map((/** @type {any} */ each) => "- " + markdown(each.text)), "",
    markdownTable(["what", "selected", "others", "difference at least", "example"], rows), "", data.note && markdown(data.note), `From ${location.href}`, ""].join("\n");
}
