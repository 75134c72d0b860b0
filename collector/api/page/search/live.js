// Requests as they become known: the tail, merged into the rows; it holds still while one reads.

import { Failure, listen, useAccess } from "../ask.js";
import { useEffect, useMemo, useRef, useState } from "../html.js";

const MOST_ROWS = 300;
/** Rows are drawn so often at most, however fast requests come. */
const DRAW_EVERY_MS = 300;
const AGAIN_MS = 3_000;
/** Scrolled further than this somebody reads, and rows must not move. */
const READING_PX = 60;
/** What the tail does not take: it has no range, pages or states. */
const NOT_FOR_TAIL = new Set(["state"]);

/**
 * @typedef {{rows: any[], waiting: number, missed: number, problem: string, resume: () => void}} Live
 */

/**
 * Follow the tail of *filters* and put its rows before those in *known*.
 * @param {boolean} isOn @param {Record<string, string>} filters @param {any[]} known
 * @returns {Live}
 */
export function useLive(isOn, filters, known) {
  const { epoch } = useAccess();
  const arrived = useRef(/** @type {Map<string, any>} */ (new Map()));
  const [shown, setShown] = useState(/** @type {any[]} */ ([]));
  const [waiting, setWaiting] = useState(0);
  const [missed, setMissed] = useState(0);
  const [problem, setProblem] = useState("");
  const [turn, setTurn] = useState(0);
  const question = JSON.stringify(filters);
  const draw = useRef(() => {});
  draw.current = () => {
    const isReading = scrollY > READING_PX;
    const drawn = new Set(shown.map((row) => row.id));
    if (isReading) setWaiting([...arrived.current.keys()].filter((id) => !drawn.has(id)).length);
    else {
      setShown([...arrived.current.values()]);
      setWaiting(0);
    }
  };
  useEffect(() => {
    arrived.current = new Map();
    setShown([]);
    setMissed(0);
    setWaiting(0);
  }, [isOn, question]);
  useEffect(() => {
    if (!isOn) return undefined;
    const control = new AbortController();
    let timer = 0;
    let isStale = false;
    const drawing = setInterval(() => {
      if (isStale) draw.current();
      isStale = false;
    }, DRAW_EVERY_MS);
    const onScroll = () => { if (scrollY <= READING_PX) isStale = true; };
    addEventListener("scroll", onScroll, { passive: true });
    const params = Object.fromEntries(Object.entries(JSON.parse(question)).filter(([name]) => !NOT_FOR_TAIL.has(name)));
    listen("api/v1/tail", params, (kind, body) => {
      setProblem("");
      if (kind === "missed") setMissed((count) => count + (body.requests ?? 1));
      else if (kind === "error") setProblem(body.error ? body.error.message : "the tail has a problem");
      else {
        // Put anew at the end: the last to change is the first to be shown.
        arrived.current.delete(body.id);
        arrived.current.set(body.id, body);
        if (arrived.current.size > MOST_ROWS) arrived.current.delete([...arrived.current.keys()][0]);
        isStale = true;
      }
    }, control.signal).then(
      () => { timer = setTimeout(() => setTurn((count) => count + 1), AGAIN_MS); },
      (error) => {
        if (control.signal.aborted) return;
        setProblem(error instanceof Failure ? error.message : String(error));
        timer = setTimeout(() => setTurn((count) => count + 1), AGAIN_MS);
      });
    return () => {
      control.abort();
      clearTimeout(timer);
      clearInterval(drawing);
      removeEventListener("scroll", onScroll);
    };
  }, [isOn, question, turn, epoch]);
  const rows = useMemo(() => {
    if (!isOn) return known;
    const merged = new Map(known.map((row) => [row.id, row]));
    for (const row of shown) merged.set(row.id, row);
    return [...merged.values()].sort((a, b) => (a.start < b.start ? 1 : a.start > b.start ? -1 : 0)).slice(0, MOST_ROWS);
  }, [isOn, known, shown]);
  return { rows, waiting, missed, problem, resume: () => { scrollTo(0, 0); setShown([...arrived.current.values()]); setWaiting(0); } };
}
