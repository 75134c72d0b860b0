// What is wrong again and again, where, how much of the traffic it touches, and what cures it.

import { link } from "../address.js";
import { useAnswer } from "../ask.js";
import { DEFAULT_START } from "../early.js";
import { html } from "../html.js";
import { Copy } from "../parts/copy.js";
import { Failed, Loading, Nothing } from "../parts/states.js";
import { Times } from "../search/times.js";
import { Head, useZone } from "../shell.js";
import { Text, ago, clock, count, markdown, percent, plain, plural } from "../text.js";

/** @param {{params: Record<string, string>}} props */
export function Page({ params }) {
  const { data, failure, isLoading, again } = useAnswer("api/v1/doctor",
    { start: params.start || DEFAULT_START, end: params.end, api: params.api }, { isEmpty: ({ looked_at: looked }) => looked === 0 });
  const findings = data ? data.findings : [];
  return html`<div class="doctor">
    <${Head} title="Doctor" name="Doctor" markdown=${() => asMarkdown(findings)}>
      <p class="quiet">What keeps breaking trace context or timings${data ? html`: ${plural(findings.length, "finding")} in ${plural(data.looked_at, "request")} examined` : ""}</p><//>
    <div class="card search-bar"><span class="quiet">${params.api ? html`API <strong><${Text}>${params.api}<//></strong>` : "All APIs"}</span><${Times} params=${params} again=${again} /></div>
    ${failure && html`<${Failed} failure=${failure} again=${again} />`}
    ${isLoading && !data && html`<${Loading} what="Looking at requests …" />`}
    ${data && findings.length === 0 && html`<${Nothing} title="Nothing is wrong"><p class="quiet"><${Text}>${data.note || `${plural(data.looked_at, "request")} examined.`}<//></p><//>`}
    <div class="findings">${findings.map((/** @type {any} */ finding) => html`<${Finding} finding=${finding} />`)}</div>
    ${data && data.note && findings.length > 0 && html`<p class="quiet"><${Text}>${data.note}<//></p>`}
  </div>`;
}

/** @param {{finding: any}} props */
function Finding({ finding }) {
  const zone = useZone();
  return html`<article class=${"card finding-card is-drawn layer-of-" + finding.layer}>
    <header class="row spread"><h2>${finding.title}</h2>
      <span class="row"><span class="tag">${finding.layer}</span>${finding.gateway && html`<span class="tag">${finding.gateway}</span>`}<span class="mono quiet">${finding.rule}</span></span></header>
    <p><strong><${Text}>${finding.hop}<//></strong> <${Text}>${finding.message.startsWith(finding.hop + ": ") ? finding.message.slice(finding.hop.length + 2) : finding.message}<//></p>
    <p class="quiet">${finding.meaning}</p>
    <div class="affected"><span class="affected-bar" role="img" aria-label=${percent(finding.share_of_traffic)}><span style=${{ width: finding.share_of_traffic * 100 + "%" }}></span></span>
      <span><strong>${percent(finding.share_of_traffic)}</strong> of its traffic: ${count(finding.affected)} of ${count(finding.requests)}</span></div>
    ${finding.fix && html`<div class="fix"><p><span class="quiet">Fix</span> <${Text}>${finding.fix}<//></p><${Copy} text=${() => finding.fix} label="Copy the fix" class="button bare" isBare=${true} /></div>`}
    <footer class="quiet">first ${clock(finding.first_seen, zone)}, last ${ago(finding.last_seen)} · examples:
      ${finding.example_ids.map((/** @type {string} */ id, /** @type {number} */ index) => html` <a href=${link("request", { id })} title=${plain(id)}>${index + 1}</a>`)}</footer>
  </article>`;
}

/** @param {any[]} findings */
function asMarkdown(findings) {
  return findings.map((each) => [`## ${markdown(each.title)} (${each.rule})`, "", markdown(each.message), "",
    `${count(each.affected)} of ${count(each.requests)} requests. ${each.meaning}`, "", each.fix && `Fix: ${markdown(each.fix)}`,
    "", `Examples: ${each.example_ids.map(markdown).join(", ")}`, ""].join("\n")).join("\n") + `\nFrom ${location.href}\n`;
}
