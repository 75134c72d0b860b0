// The few icons, drawn: 16 units square, in the colour of the text around them.

import { html } from "../html.js";

const PATHS = /** @type {Record<string, string>} */ ({
  search: "M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2zm3.6 8.6L14 14",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2",
  link: "M6.5 9.5l3-3M7 5l1.6-1.6a2.5 2.5 0 0 1 3.6 3.6L10.6 8.6M9 11l-1.6 1.6a2.5 2.5 0 0 1-3.6-3.6L5.4 7.4",
  failed: "M8 2.2l6.2 11H1.8zM8 6.5v3.2M8 11.3v.4",
  good: "M3.5 8.5l3 3 6-7",
  clock: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 5v3.2l2.2 1.4",
  download: "M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13.5h10",
  filter: "M2.5 3.5h11L9.5 8.5v4l-3 1.5v-5.5z",
  orphan: "M5 4.5h6M5 11.5h6M8 4.5v2M8 9.5v2",
  exception: "M8 2.5v7M8 12.2v.8",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  back: "M9.5 4l-4 4 4 4",
  forward: "M6.5 4l4 4-4 4",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  keyboard: "M1.5 4.5h13v7h-13zM4 7h.5M7 7h.5M10 7h.5M4.5 9.3h7",
  arrow: "M3 8h10M9.5 4.5L13 8l-3.5 3.5",
  panel: "M2.5 3h11v10h-11zM9.5 3v10",
});

/** @param {{name: string, class?: string}} props */
export function Icon({ name, class: more = "" }) {
  return html`<svg class=${"icon " + more} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.6"
      stroke-linecap="round" stroke-linejoin="round" /></svg>`;
}
