// Preact and its hooks with htm's templates: what every part of the pages is written in.

import htm from "./vendor/htm/htm.module.js";
import { useEffect, useState } from "./vendor/preact/hooks.mjs";
import { Component, h } from "./vendor/preact/preact.mjs";

export { h, render } from "./vendor/preact/preact.mjs";
export {
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from "./vendor/preact/hooks.mjs";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);

/**
 * Return a part that is drawn again only when one of its values is another one.
 * @template {Record<string, any>} T
 * @param {(props: T) => any} draw
 */
export function memo(draw) {
  return class extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      const before = /** @type {any} */ (this.props);
      const names = Object.keys(next);
      return names.length !== Object.keys(before).length || names.some((name) => next[name] !== before[name]);
    }

    render() { return h(/** @type {any} */ (draw), this.props); }
  };
}

/**
 * Return a part whose script is loaded when it is drawn first; until then there is *instead*.
 * @param {() => Promise<(props: any) => any>} load @param {any} [instead]
 * @param {(props: {problem: unknown}) => any} [Failed] draws that it could not be loaded
 */
export function later(load, instead = null, Failed) {
  /** @type {any} */
  let part;
  return function Later(/** @type {any} */ props) {
    const [problem, setProblem] = useState(/** @type {unknown} */ (null));
    const [, draw] = useState(false);
    useEffect(() => {
      if (!part) load().then((loaded) => { part = loaded; draw(true); }, setProblem);
    }, []);
    if (part) return h(part, props);
    return problem && Failed ? h(/** @type {any} */ (Failed), { problem }) : instead;
  };
}
