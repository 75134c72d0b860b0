// What is around every page: navigation, the field for any id, the token, the time zone, keys.

import { change, link, open, sharedLink, useAddress } from "./address.js";
import { useAccess, useToken } from "./ask.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Copy } from "./parts/copy.js";
import { Icon } from "./parts/icons.js";
import { zoneName } from "./text.js";

/** @typedef {{segment: string, label: string, isListed: boolean, Page: (props: any) => any}} Page */

const KEYS = [
  ["/", "find in the trace; elsewhere: show a request by any id"],
  ["↑ ↓", "go through rows"],
  ["← →", "close or open a row; go to the caller"],
  ["Enter", "details of the row"],
  ["Esc", "leave the field, close details, then zoom out"],
  ["n  N", "next or previous match"],
  ["c", "the critical path alone"],
  ["+  −", "zoom in or out; Shift with ← → moves what is shown"],
  ["?", "these keys"],
];

/** Go past the navigation; the address stays as it is. @param {Event} event */
function skip(event) {
  event.preventDefault();
  const content = document.getElementById("content");
  if (content) content.focus();
}

/** The zone that the address asks for. */
export function useZone() {
  return { utc: useAddress().params.tz === "utc" };
}

/**
 * @param {{pages: Page[], page: Page | undefined, children?: any}} props
 */
export function Shell({ pages, page, children }) {
  const { access, hasToken } = useAccess();
  const [hasKeys, showKeys] = useState(false);
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      const isTyping = event.target instanceof HTMLElement
        && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
      const dialog = document.querySelector("dialog");
      // Closed before it is taken away, it gives the focus back.
      if (event.key === "?" && dialog) dialog.close();
      else if (event.key === "?" && !isTyping) showKeys(true);
      else if (event.key === "/" && !isTyping) {
        const field = document.querySelector("[data-find]") || document.getElementById("lookup");
        if (field instanceof HTMLInputElement) {
          field.focus();
          field.select();
        }
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  // Where the navigation is wider than the screen, it shows where one is.
  useEffect(() => {
    const here = document.querySelector(".nav [aria-current]");
    if (here instanceof HTMLElement && here.parentElement) here.parentElement.scrollLeft = here.offsetLeft - 2 * here.parentElement.offsetLeft;
  }, [page]);
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href=${link("")}><span class="brand-mark"></span>Hopline</a>
      <nav class="nav" aria-label="Pages">${pages.filter((each) => each.isListed).map((each) => html`
        <a href=${link(each.segment)} aria-current=${each === page ? "page" : undefined}>${each.label}</a>`)}
      </nav>
      <${Lookup} />
      <${Zone} />
      ${hasToken && access === "open" && html`<button type="button" class="button bare" title="Forget the token" onClick=${() => useToken("")}>Sign out</button>`}
      <button type="button" class="button bare keys-button" aria-label="Keys" title="Keys (?)" onClick=${() => showKeys(true)}>
        <${Icon} name="keyboard" /></button>
    </header>
    <main class="main" id="content" tabindex="-1">
      ${access === "open" ? children : html`<${SignIn} wasRefused=${access === "refused"} />`}
    </main>
    ${hasKeys && html`<${Keys} close=${() => showKeys(false)} />`}`;
}

function Lookup() {
  const [text, setText] = useState("");
  const show = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!text.trim()) return;
    open("request", { id: text.trim() });
    setText("");
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  };
  return html`<form class="lookup" role="search" onSubmit=${show}>
    <label class="offscreen" for="lookup">Any id of a request</label>
    <${Icon} name="search" />
    <input id="lookup" class="input" autocomplete="off" spellcheck=${false} maxlength="2048" value=${text}
      placeholder="Any id: trace, correlation, x-request-id, traceparent …"
      onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
  </form>`;
}

function Zone() {
  const zone = useZone();
  return html`<button type="button" class="button bare zone" title="Time zone: local or UTC"
    onClick=${() => change({ tz: zone.utc ? "" : "utc" })}>
    <${Icon} name="clock" /><span class="offscreen">Times in </span>${zoneName(zone)}</button>`;
}

/** Instead of any page, while the server wants a token. @param {{wasRefused: boolean}} props */
function SignIn({ wasRefused }) {
  const [token, setToken] = useState("");
  const [isKept, keep] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => { if (field.current) field.current.focus(); }, []);
  const use = (/** @type {Event} */ event) => {
    event.preventDefault();
    // As people copy it from a header.
    const given = token.trim().replace(/^bearer\s+/i, "");
    if (given) useToken(given, isKept);
    setToken("");
  };
  useEffect(() => { document.title = "Sign in · Hopline"; }, []);
  return html`<form class="card token" onSubmit=${use}>
    <span class="brand-mark" aria-hidden="true"></span><h1>Sign in</h1>
    <p class=${wasRefused ? "note is-bad" : "quiet"} role=${wasRefused ? "alert" : undefined}>${wasRefused
      ? "This token is not accepted. It may have expired, been taken back or been mistyped."
      : "This server asks for a token before it shows requests."}</p>
    <label for="token">Token</label>
    <input id="token" class="input" type="password" autocomplete="current-password" ref=${field} value=${token}
      aria-describedby="token-hint" onInput=${(/** @type {any} */ event) => setToken(event.target.value)} />
    <label class="row"><input type="checkbox" checked=${isKept} onChange=${(/** @type {any} */ event) => keep(event.target.checked)} /> Stay signed in with this browser</label>
    <button class="button strong">Sign in</button>
    <p class="quiet" id="token-hint">One of <code>HOPLINE_QUERY_TOKENS</code>, or a token of your organisation's issuer; whoever runs Hopline has it.
      Without the tick it is kept in this tab only. It is never put into a link.</p>
  </form>`;
}

/** @param {{close: () => void}} props */
function Keys({ close }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => { if (box.current && !box.current.open) box.current.showModal(); }, []);
  return html`<dialog class="dialog" ref=${box} onClose=${close} aria-labelledby="keys-title">
    <div class="row spread"><h2 id="keys-title">Keys</h2>
      <button type="button" class="button bare" aria-label="Close" onClick=${() => box.current && box.current.close()}><${Icon} name="close" /></button></div>
    <dl class="keys">${KEYS.map(([key, meaning]) => html`<dt><kbd>${key}</kbd></dt><dd>${meaning}</dd>`)}</dl>
  </dialog>`;
}

/**
 * The head of a page: what it is, and how to pass it on.
 * @param {{title: any, name: string, markdown: () => string | Promise<string>, children?: any, extra?: any}} props
 *   `name` becomes the tab's title
 */
export function Head({ title, name, markdown, children, extra }) {
  useEffect(() => { document.title = name + " · Hopline"; }, [name]);
  return html`<div class="head">
    <div class="head-text"><h1>${title}</h1>${children}</div>
    <div class="head-acts">
      <${Copy} label="Copy link" icon="link" text=${sharedLink} />
      <${Copy} label="Copy as Markdown" text=${markdown} />
      ${extra}
    </div></div>`;
}
