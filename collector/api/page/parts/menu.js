// A button with a list of actions below it.

import { html, useEffect, useRef, useState } from "../html.js";
import { Icon } from "./icons.js";

/**
 * @param {{label: string, icon?: string, items: {label: string, act: () => void}[]}} props
 */
export function Menu({ label, icon = "", items }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  useEffect(() => {
    if (!isOpen) return undefined;
    const first = box.current && box.current.querySelector("[role=menuitem]");
    if (first instanceof HTMLElement) first.focus();
    const leave = (/** @type {Event} */ event) => {
      if (box.current && event.target instanceof Node && !box.current.contains(event.target)) setOpen(false);
    };
    addEventListener("pointerdown", leave);
    addEventListener("focusin", leave);
    return () => { removeEventListener("pointerdown", leave); removeEventListener("focusin", leave); };
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    if (button.current) button.current.focus();
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen || !box.current) return;
    const entries = /** @type {HTMLElement[]} */ ([...box.current.querySelectorAll("[role=menuitem]")]);
    const at = entries.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") entries[(at + 1) % entries.length].focus();
    else if (event.key === "ArrowUp") entries[(at + entries.length - 1) % entries.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="menu" ref=${box} onKeyDown=${onKey}>
    <button type="button" class="button" aria-haspopup="menu" aria-expanded=${isOpen} ref=${button}
      onClick=${() => setOpen(!isOpen)}>${icon && html`<${Icon} name=${icon} />`}${label}<${Icon} name="down" /></button>
    ${isOpen && html`<div class="menu-list" role="menu">${items.map(({ label: text, act }) => html`
      <button type="button" role="menuitem" class="menu-item" onClick=${() => { close(); act(); }}>${text}</button>`)}
    </div>`}
  </div>`;
}
