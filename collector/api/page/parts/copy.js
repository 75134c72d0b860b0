// Copying: to the clipboard with a word of confirmation, and to files.

import { html, useEffect, useRef, useState } from "../html.js";
import { Icon } from "./icons.js";

const SAID_MS = 1_600;

/**
 * Put *text* on the clipboard.
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers keep the clipboard from pages that came over plain HTTP; the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/**
 * A button that copies what *text* returns and says so.
 * @param {{text: () => string | Promise<string>, label: string, icon?: string, class?: string,
 *   isBare?: boolean}} props
 */
export function Copy({ text, label, icon = "copy", class: more = "button", isBare = false }) {
  const [said, say] = useState("");
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    let done = false;
    try {
      done = await copyText(await text());
    } catch { /* what could not be had could not be copied: said below */ }
    say(done ? "Copied" : "Not copied");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => say(""), SAID_MS);
  };
  return html`<button type="button" class=${more} onClick=${copy} title=${isBare ? label : ""}
      aria-label=${isBare ? label : undefined}>
    <${Icon} name=${said === "Copied" ? "good" : icon} />${isBare ? "" : html`<span>${said || label}</span>`}
  </button><span class="offscreen" role="status">${said}</span>`;
}

/**
 * Give the reader a file.
 * @param {string} name
 * @param {Blob} content
 */
export function saveFile(name, content) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(content);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}
