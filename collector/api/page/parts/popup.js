// What opens below a button: a click or the focus elsewhere closes it, Escape leads back to the button.

import { useEffect, useRef, useState } from "../html.js";

/** Returns whether it is open, ways to turn and close it, and places for the whole and its button. */
export function usePopup() {
  const [isOpen, setOpen] = useState(false);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const opener = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const close = () => {
    setOpen(false);
    if (opener.current) opener.current.focus();
  };
  useEffect(() => {
    const whole = box.current;
    if (!isOpen || !whole) return undefined;
    const leave = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !whole.contains(event.target)) setOpen(false);
    };
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      close();
      event.stopPropagation();
    };
    addEventListener("pointerdown", leave);
    addEventListener("focusin", leave);
    whole.addEventListener("keydown", onKey);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("focusin", leave);
      whole.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  return { isOpen, turn: () => setOpen(!isOpen), close, box, opener };
}
