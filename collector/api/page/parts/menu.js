// A button with a list of actions below it.

import { html, useEffect } from "../html.js";
import { Icon } from "./icons.js";
import { usePopup } from "./popup.js";

/**
 * @param {{label: string, icon?: string, items: {label: string, act: () => void}[]}} props
 */
export function Menu({ label, icon = "", items }) {
  const { isOpen, turn, close, box, opener } = usePopup();
  useEffect(() => {
    const first = isOpen && box.current && box.current.querySelector("[role=menuitem]");
    if (first instanceof HTMLElement) first.focus();
  }, [isOpen]);
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen || !box.current) return;
    const entries = /** @type {HTMLElement[]} */ ([...box.current.querySelectorAll("[role=menuitem]")]);
    const at = entries.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (event.key === "ArrowDown") entries[(at + 1) % entries.length].focus();
    else if (event.key === "ArrowUp") entries[(at + entries.length - 1) % entries.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="menu" ref=${box} onKeyDown=${onKey}>
    <button type="button" class="button" aria-haspopup="menu" aria-expanded=${isOpen} ref=${opener}
      onClick=${turn}>${icon && html`<${Icon} name=${icon} />`}${label}<${Icon} name="down" /></button>
    ${isOpen && html`<div class="menu-list" role="menu">${items.map(({ label: text, act }) => html`
      <button type="button" role="menuitem" class="menu-item" onClick=${() => { close(); act(); }}>${text}</button>`)}
    </div>`}
  </div>`;
}
