// What stands where rows would: asking, nothing found, something went wrong.

import { useAccess } from "../ask.js";
import { html } from "../html.js";
import { Text } from "../text.js";
import { Icon } from "./icons.js";

/** @param {{what: string}} props */
export function Loading({ what }) {
  return html`<p class="state state-loading" role="status"><span class="spinner"></span>${what}</p>`;
}

/** @param {{failure: import("../ask.js").Failure, again?: () => void}} props */
export function Failed({ failure, again }) {
  const { access } = useAccess();
  // The question for a token is in the shell, above everything that needs it.
  if (failure.status === 401 && access !== "open") return null;
  return html`<div class="state state-failed" role="alert">
    <${Icon} name="failed" />
    <div><p class="state-title"><${Text}>${failure.message}<//></p>
      ${failure.hint && html`<p class="quiet"><${Text}>${failure.hint}<//></p>`}
      ${again && html`<button type="button" class="button" onClick=${again}>
        <${Icon} name="again" />Ask again</button>`}
    </div></div>`;
}

/** @param {{title: string, children?: any}} props */
export function Nothing({ title, children }) {
  return html`<div class="state state-nothing"><p class="state-title">${title}</p>${children}</div>`;
}
