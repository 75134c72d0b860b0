// One part of the panel beside the waterfall, which opens and closes.

import { html } from "../html.js";

/** One part of the panel. @param {{title: any, count?: number, isOpen?: boolean, children?: any}} props */
export function Section({ title, count, isOpen = true, children }) {
  return html`<details class="section" open=${isOpen}><summary>${title}${count === undefined ? "" : html` <span class="quiet">${count}</span>`}</summary>
    <div class="section-body">${children}</div></details>`;
}
