// A chart: uPlot, as wide as there is room and in the reader's colours.

import { html, useLayoutEffect, useRef } from "../html.js";
import uPlot from "../vendor/uplot/uPlot.iife.min.js";

/** @typedef {(variable: string) => string} Colours what a variable of tokens.css is in the reader's scheme */

/**
 * @param {{height: number, data: uPlot.AlignedData, build: (colours: Colours) => Omit<uPlot.Options, "width" | "height">,
 *   chart?: {current: uPlot | null}}} props `build` is asked again when the scheme turns; `chart` receives what is drawn
 */
export function Chart({ height, data, build, chart }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const drawn = useRef(/** @type {uPlot | null} */ (null));
  const now = useRef({ data, build });
  now.current = { data, build };
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const style = getComputedStyle(element);
    const draw = () => {
      if (drawn.current) drawn.current.destroy();
      const options = now.current.build((variable) => style.getPropertyValue(variable));
      drawn.current = new uPlot({ ms: 1, legend: { show: false }, ...options, width: element.clientWidth, height }, now.current.data, element);
      if (chart) chart.current = drawn.current;
    };
    draw();
    const sizes = new ResizeObserver(() => {
      if (drawn.current && drawn.current.width !== element.clientWidth) drawn.current.setSize({ width: element.clientWidth, height });
    });
    sizes.observe(element);
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", draw);
    return () => {
      media.removeEventListener("change", draw);
      sizes.disconnect();
      if (drawn.current) drawn.current.destroy();
    };
  }, []);
  useLayoutEffect(() => { if (drawn.current) drawn.current.setData(data); }, [data]);
  return html`<div class="chart" ref=${box} style=${{ height: height + "px" }}></div>`;
}

/** How many there were when, and in red how many of them failed. @param {{all: number[], failed: number[]}} props */
export function Trend({ all, failed }) {
  const most = Math.max(1, ...all);
  // What is there at all is seen: a single failure among thousands too.
  const data = [all, failed].map((counts) => counts.map((each) => (each ? Math.max(each, most / 10) : null)));
  const bars = uPlot.paths.bars && uPlot.paths.bars({ size: [0.8], align: 1 });
  return html`<${Chart} height=${20} data=${[all.map((_, at) => at), ...data]} build=${(/** @type {Colours} */ colours) => ({
    padding: [0, 0, 0, 0], cursor: { show: false }, axes: [{ show: false }, { show: false }],
    scales: { x: { time: false, range: () => [0, all.length] }, y: { range: () => [0, most] } },
    series: [{}, ...["--trend", "--bad"].map((variable) => ({ fill: colours(variable), paths: bars, points: { show: false } }))],
  })} />`;
}
