// Beside the rows: the request's diagnosis, the selected span, the gateway's record.

import { change } from "../address.js";
import { html } from "../html.js";
import { Icon } from "../parts/icons.js";
import { Diagnosis } from "./diagnosis.js";
import { Records } from "./records.js";
import { SpanDetails } from "./span.js";

/**
 * @param {{trace: import("./model.js").Trace, id: string, asOf: string, raw: string, span: string, tab: string,
 *   selected: number, select: (row: number) => void}} props
 */
export function Panel({ trace, id, asOf, raw, span, tab, selected, select }) {
  const tabs = [["request", "Request"], ["span", "Span"], ["gateway", "Gateway record"]];
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") {
      change({ span: "", panel: "" });
      focusRows();
    } else if (by && event.target instanceof HTMLElement && event.target.role === "tab") {
      const at = tabs.findIndex(([name]) => name === tab);
      const next = tabs[(at + by + tabs.length) % tabs.length][0];
      change({ panel: next === "request" ? "" : next });
      const button = document.getElementById("tab-" + next);
      if (button) button.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<aside class=${"panel card" + (tab === "span" ? " is-span" : "")} aria-label="Details" onKeyDown=${onKey}>
    <div class="tabs"><div role="tablist" aria-label="Details of">${tabs.map(([name, label]) => html`
      <button type="button" role="tab" id=${"tab-" + name} aria-selected=${tab === name} aria-controls="panel" tabindex=${tab === name ? 0 : -1}
        onClick=${() => change({ panel: name === "request" ? "" : name })}>${label}</button>`)}</div>
      <button type="button" class="button bare" aria-label="Close the details" onClick=${() => { change({ panel: "none" }); focusRows(); }}><${Icon} name="close" /></button></div>
    <div class="panel-body" id="panel" role="tabpanel" tabindex="0" aria-labelledby=${"tab-" + tab}>
      ${tab === "span" ? html`<${SpanDetails} trace=${trace} id=${id} asOf=${asOf} raw=${raw} span=${span} row=${selected} select=${select} />`
      : tab === "gateway" ? html`<${Records} trace=${trace} />`
      : html`<${Diagnosis} trace=${trace} raw=${raw} select=${select} />`}
    </div>
  </aside>`;
}

/** Where the focus goes when its place is gone. */
function focusRows() {
  const grid = document.querySelector("[role=treegrid]");
  if (grid instanceof HTMLElement) grid.focus();
}
