// Preact and its hooks with htm's templates: what every part of the pages is written in.

import htm from "./vendor/htm/htm.module.js";
import { h } from "./vendor/preact/preact.mjs";

export { Fragment, h, render } from "./vendor/preact/preact.mjs";
export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from "./vendor/preact/hooks.mjs";

/** @typedef {import("preact").ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
