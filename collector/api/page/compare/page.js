// Two requests side by side, or one and the typical one of its route, call by call.

import { change, link } from "../address.js";
import { ask, useAnswer } from "../ask.js";
import { html, useState } from "../html.js";
import { PHASE_NAMES, layerOf, phaseLayer } from "../layers.js";
import { Icon } from "../parts/icons.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Status } from "../parts/values.js";
import { Head, useZone } from "../shell.js";
import { Text, clock, count, durationMs, markdown, markdownTable, plain } from "../text.js";

/** @typedef {Record<string, string>} Params */

/** @param {{params: Params}} props */
export function Page({ params }) {
  const { data, failure, isLoading, again } = useAnswer(params.a ? "api/v1/compare" : null, { a: params.a, b: params.b });
  const name = data ? `Compare ${plain(data.a.title)}` : "Compare";
  const markdown = () => ask("api/v1/compare", { a: params.a, b: params.b }).then(asMarkdown);
  return html`<div class="compare">
    <${Head} title="Compare" name=${name} markdown=${markdown} />
    <${Choose} key=${params.a + "/" + params.b} params=${params} />
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${params.a && isLoading && !data && html`<${Loading} what="Comparing …" />`}
    ${!params.a && html`<${Nothing} title="Which request?"><p class="quiet">Give any id, or choose <em>Compare</em> at a request. Without a second id it is held against the typical one of its route.</p><//>`}
    ${data && html`<${Sides} data=${data} /><${Phases} data=${data} /><${Calls} data=${data} />`}
  </div>`;
}

/** @param {{params: Params}} props */
function Choose({ params }) {
  const [a, setA] = useState(params.a || "");
  const [b, setB] = useState(params.b || "");
  const use = (/** @type {Event} */ event) => {
    event.preventDefault();
    change({ a: a.trim(), b: b.trim() }, { step: true });
  };
  return html`<form class="card search-bar compare-ids" onSubmit=${use}>
    <label><span class="side side-a">A</span><input class="input mono" aria-label="Request A" spellcheck=${false} placeholder="any id" value=${a} onInput=${(/** @type {any} */ event) => setA(event.target.value)} /></label>
    <button type="button" class="button bare" aria-label="Swap the two" title="Swap the two" disabled=${!params.b} onClick=${() => change({ a: params.b, b: params.a }, { step: true })}>⇄</button>
    <label><span class="side side-b">B</span><input class="input mono" aria-label="Request B" spellcheck=${false} placeholder="the typical one of its route" value=${b} onInput=${(/** @type {any} */ event) => setB(event.target.value)} /></label>
    <button class="button strong">Compare</button></form>`;
}

/** @param {{data: any}} props */
function Sides({ data }) {
  const { a, b, delta_ms: delta, sentences } = data;
  return html`<div class="columns"><${Side} name="a" request=${a} longest=${Math.max(a.duration_ms || 0, b.duration_ms || 0)} /><${Side} name="b" request=${b} longest=${Math.max(a.duration_ms || 0, b.duration_ms || 0)} /></div>
    <section class="card told is-drawn"><p class="told-delta"><strong>${delta === null || delta === undefined ? "A and B" : `A took ${durationMs(Math.abs(delta))} ${delta >= 0 ? "longer" : "less"}`}</strong></p>
      <ul>${sentences.slice(1).map((/** @type {any} */ each) => html`<li><${Text}>${each.text}<//></li>`)}</ul></section>`;
}

/** @param {{name: string, request: any, longest: number}} props */
function Side({ name, request, longest }) {
  const zone = useZone();
  const isOne = request.requests === 1;
  return html`<section class=${"card compared side-" + name}><header class="row spread"><h2><span class=${"side side-" + name}>${name.toUpperCase()}</span>
      ${isOne && request.id ? html`<a href=${link("request", { id: request.id })}><${Text}>${request.title}<//></a>` : html`<${Text}>${request.title}<//>`}</h2>
      <span class="row"><${Status} status=${request.status ?? null} isError=${false} /><strong class="total">${durationMs(request.duration_ms)}</strong></span></header>
    <p class="quiet compared-facts">${isOne ? request.start ? clock(request.start, zone) : "" : `typical of ${count(request.requests)} good requests`} <${Text}>${[request.gateway, request.api, request.operation].filter(Boolean).join(" · ")}<//></p>
    <span class="short-bar" style=${{ width: longest ? ((request.duration_ms || 0) / longest) * 100 + "%" : "0" }}></span></section>`;
}

/** @param {{data: any}} props */
function Phases({ data }) {
  const most = Math.max(1e-6, ...data.phases.map((/** @type {any} */ phase) => Math.max(phase.a_ms || 0, phase.b_ms || 0)));
  return html`<section class="card"><div class="grid-scroll" tabindex="0" role="region" aria-label="Phases of both"><table class="grid pairs"><thead><tr><th>Phase</th><th class="n">A</th><td></td><th class="n">B</th><th class="n">A − B</th></tr></thead>
    <tbody>${data.phases.map((/** @type {any} */ phase) => html`<tr><td><span class=${"dot fill-" + phaseLayer(phase.name)}></span>${PHASE_NAMES[phase.name] || phase.name}</td>
      <td class="n">${durationMs(phase.a_ms)}</td><td class="pair"><${Pair} a=${phase.a_ms} b=${phase.b_ms} most=${most} /></td><td class="n">${durationMs(phase.b_ms)}</td><${Delta} ms=${phase.delta_ms} most=${most} /></tr>`)}</tbody></table></div></section>`;
}

/** @param {{data: any}} props */
function Calls({ data }) {
  const most = Math.max(1e-6, ...data.calls.map((/** @type {any} */ call) => Math.max(call.a ? call.a.duration_ms || 0 : 0, call.b ? call.b.duration_ms || 0 : 0)));
  return html`<section class="card"><header class="row spread"><h2>Call by call</h2><span class="quiet">bars: how long; difference: how much longer it held the answer up</span></header>
    <div class="grid-scroll" tabindex="0" role="region" aria-label="Call by call"><table class="grid pairs stacks"><thead><tr><th>Call</th><th class="n">A</th><td></td><th class="n">B</th><th class="n">A − B</th></tr></thead>
    <tbody>${data.calls.map((/** @type {any} */ call) => html`<tr class=${"layer-" + layerOf(call.role) + (call.only ? " is-only" : "")}>
      <td style=${{ "padding-left": 10 + Math.min(call.depth, 14) * 14 + "px" }}><span class="wf-dot"></span><strong><${Text}>${call.service}<//></strong> <span class="quiet"><${Text}>${call.operation}<//></span>
        ${call.only && html` <span class="tag">only in ${call.only.toUpperCase()}</span>`}<${Differs} call=${call} /></td>
      <td class="n" data-label="A"><${Half} half=${call.a} /></td><td class="pair"><${Pair} a=${call.a && call.a.duration_ms} b=${call.b && call.b.duration_ms} most=${most} /></td><td class="n" data-label="B"><${Half} half=${call.b} /></td>
      <${Delta} ms=${call.delta_ms} most=${most} /></tr>`)}</tbody></table></div></section>`;
}

/** What else is unlike: instances, statuses. @param {{call: any}} props */
function Differs({ call }) {
  if (!call.a || !call.b) return null;
  const told = [];
  for (const [name, label] of [["statuses", "status"], ["instances", "instance"]]) {
    const [a, b] = [call.a[name] || [], call.b[name] || []].map((values) => values.join(", "));
    if (a && b && a !== b) told.push(html` <span class="tag"><${Text}>${label} ${a} / ${b}<//></span>`);
  }
  return told;
}

/** @param {{half: any}} props */
function Half({ half }) {
  if (!half) return html`<span class="quiet">–</span>`;
  return html`${durationMs(half.duration_ms)}${half.calls > 1 ? html` <span class="quiet">${count(Math.round(half.calls * 10) / 10)} ×</span>` : ""}${half.errors > 0 ? html` <span class="bad"><${Icon} name="failed" /></span>` : ""}`;
}

/** @param {{a: number | null | undefined, b: number | null | undefined, most: number}} props */
function Pair({ a, b, most }) {
  return html`<span class="pair-bar side-a" style=${{ width: ((a || 0) / most) * 100 + "%" }}></span><span class="pair-bar side-b" style=${{ width: ((b || 0) / most) * 100 + "%" }}></span>`;
}

/** @param {{ms: number, most: number}} props */
function Delta({ ms, most }) {
  const isMuch = Math.abs(ms) > most * 0.1;
  return html`<td data-label="A − B" class=${"n delta" + (isMuch ? (ms > 0 ? " is-worse" : " is-better") : "")}>${ms > 0 ? "+" : ""}${durationMs(ms).replace("-", "−")}</td>`;
}

/** @param {any} data */
function asMarkdown(data) {
  const rows = data.calls.map((/** @type {any} */ call) => [`${"· ".repeat(call.depth)}${call.service} ${call.operation}`,
    durationMs(call.a && call.a.duration_ms), durationMs(call.b && call.b.duration_ms), durationMs(call.delta_ms)]);
  return [`# ${markdown(data.a.title)}: A ${durationMs(data.a.duration_ms)}, B ${durationMs(data.b.duration_ms)}`, "",
    ...data.sentences.map((/** @type {any} */ each) => "- " + markdown(each.text)), "", markdownTable(["call", "A", "B", "A − B"], rows),
    "", `From ${location.href}`, ""].join("\n");
}
