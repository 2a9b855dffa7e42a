// A session at two points -> rows and marks of a ladder with four columns: client, its point, server's point, server.
//
// Between the points slants are measured; outside them nothing is known, so there are level dotted stubs. With two
// clocks the far side may slide as a whole by the uncertainty: one grey band for all its ends.

import { count, duration, unit } from "./format.js";
import { apart, ROW } from "./ladder-layout.js";

/**
 * @typedef {import("./canvas.js").Mark} Mark
 * @typedef {import("./ladder-layout.js").Packet & {times: [number | null, number | null], numbers: [number, number], lost: boolean, only: number}} Seen
 * @typedef {{sessions: [number, number], points: [string, string], items: Seen[], offset: number, uncertainty: number, one_clock: boolean}} TwoData
 * @typedef {{width: number, height: number, zoom: number, selected: number, aligned: boolean}} Options
 * @typedef {{y: number, n: number, last: number, red: boolean, side: 0 | 1, numbers: [number, number], time: string, way: string, word: string, detail: string, extra: string, lost: boolean, run: boolean}} Row
 * @typedef {{height: number, rowHeight: number, rows: Row[], marks: Mark[], columns: {client: number, near: number, far: number, server: number}, table: {near: number, far: number, time: number, way: number, word: number, detail: number, extra: number, end: number}, unit: string, toY: (t: number) => number, breaks: number[][], lost: number}} Layout
 */

const TOP = 26;
const BREAK = 42;
/** @type {["client", "server"]} */
const SIDES = ["client", "server"];

/** @param {TwoData} data @param {Options} options @returns {Layout} */
export function layout(data, options) {
  const shift = options.aligned ? data.offset : 0;
  const start = Math.min(...data.items.map((item) => item.times[0] ?? /** @type {number} */ (item.times[1]) - shift));
  const times = data.items.map((item) => /** @type {[number | null, number | null]} */ ([item.times[0] === null ? null : item.times[0] - start, item.times[1] === null ? null : item.times[1] - shift - start]));
  const compact = options.width < 900;
  const table = compact ? { near: 44, far: 84, time: 146, way: 204, word: 216, detail: 286, extra: 438, end: 442 } : { near: 50, far: 96, time: 168, way: 236, word: 252, detail: 330, extra: 508, end: 514 };
  const client = table.end + 44;
  const server = Math.max(options.width - (compact ? 130 : 190), client + 200);
  const near = client + Math.min(60, (server - client) * 0.18);
  const far = server - Math.min(60, (server - client) * 0.18);
  const firsts = times.map((pair, i) => pair[data.items[i]?.side === 0 ? 0 : 1] ?? pair[0] ?? /** @type {number} */ (pair[1]));
  const order = firsts.map((t, i) => /** @type {[number, number]} */ ([t, i])).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, i]) => i);
  const every = times.flat().filter((t) => t !== null);
  const [low, high] = [Math.min(...every), Math.max(...every)];
  const breaks = breaksOf(every);
  const paused = breaks.reduce((sum, [from, to]) => sum + /** @type {number} */ (to) - /** @type {number} */ (from), 0);
  const height = Math.max(options.height - 8, data.items.length * ROW + TOP + 40) * options.zoom;
  const scale = Math.max(height - 2 * TOP - breaks.length * BREAK, 40) / Math.max(high - low - paused, 1);
  const toY = (/** @type {number} */ t) => {
    let y = TOP + (t - low) * scale;
    for (const [from, to] of /** @type {[number, number][]} */ (breaks)) {
      if (t >= to) y -= (to - from) * scale - BREAK;
      else if (t > from) y -= (t - from) * (scale - BREAK / (to - from));
    }
    return y;
  };
  const [factor, name] = unit(high - low);
  /** @type {Layout} */
  const made = { height, rowHeight: ROW, rows: [], marks: [], columns: { client, near, far, server }, table, unit: name, toY, breaks, lost: data.items.filter((item) => item.lost).length };
  const { marks } = made;
  const wanted = apart(order.map((i) => toY(/** @type {number} */ (firsts[i]))), ROW, TOP);
  marks.push({ k: "line", x1: client, y1: 4, x2: client, y2: height - 14, c: "client", w: 1.2, a: 0.7 }, { k: "line", x1: near, y1: 4, x2: near, y2: height - 14, c: "ink-3" }, { k: "line", x1: far, y1: 4, x2: far, y2: height - 14, c: "ink-3" }, { k: "line", x1: server, y1: 4, x2: server, y2: height - 14, c: "server", w: 1.2, a: 0.7 });
  if (options.aligned && data.uncertainty > 0) band(made, data, times, order);
  const late = new Map();
  order.forEach((i, place) => {
    const item = /** @type {Seen} */ (data.items[i]);
    const pair = /** @type {[number | null, number | null]} */ (times[i]);
    const y = /** @type {number} */ (wanted[place]);
    const way = pair[0] !== null && pair[1] !== null ? (item.side === 0 ? pair[1] - pair[0] : pair[0] - pair[1]) : null;
    const known = options.aligned || data.one_clock;
    made.rows.push({ y, n: item.n, last: item.n, run: false, red: item.red || item.lost, side: item.side, numbers: item.numbers, time: (/** @type {number} */ (firsts[i]) / factor).toFixed(3), way: item.lost ? "lost" : way === null ? "–" : known ? duration(Math.max(way, 0)) : `${way < 0 ? "−" : ""}${duration(Math.abs(way))}`, word: item.word, detail: item.detail, extra: item.again ? "again" : "", lost: item.lost });
    const chosen = options.selected === item.numbers[0] || options.selected === item.numbers[1];
    const t = /** @type {number} */ (firsts[i]);
    marks.push({ k: "poly", open: true, points: [table.end, y, table.end + 12, y, client - 22, toY(t), client - 4, toY(t)], c: chosen ? "ink-2" : "line-2", w: chosen ? 1.2 : 1, n: item.n });
    arrow(made, item, pair, chosen);
    late.set(item.n, t);
  });
  for (const item of data.items) {
    if (!item.again || !late.has(item.again) || !late.has(item.n)) continue;
    const x = item.side === 0 ? near : far;
    const [y1, y2] = [toY(late.get(item.again)), toY(late.get(item.n))];
    marks.push({ k: "arc", x, y1, y2, out: item.side === 0 ? -34 : 34, c: "trouble", dash: [1.5, 2.5], n: item.n, red: true }, { k: "text", x: server + 16, y: y2 + 4, s: `sent again after ${duration(late.get(item.n) - late.get(item.again))}`, c: "trouble", size: 11, halo: true, n: item.n, red: true });
  }
  for (const [from, to] of /** @type {[number, number][]} */ (breaks)) {
    const y = (toY(from) + toY(to)) / 2;
    marks.push({ k: "rect", x: client - 8, y: y - 5, w: server - client + 16, h: 10, fill: "bg" }, { k: "wave", x1: client - 10, x2: server + 10, y, c: "ink-3" }, { k: "text", x: (client + server) / 2, y: y + 4, s: `${duration(to - from)} with nothing: not to scale`, c: "ink-2", size: 11, align: "center", halo: true });
  }
  return made;
}

/** Long pauses between any two times. @param {number[]} times @returns {number[][]} */
function breaksOf(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const pauses = [];
  for (let i = 1; i < sorted.length; i++) pauses.push([/** @type {number} */ (sorted[i - 1]), /** @type {number} */ (sorted[i])]);
  pauses.sort((a, b) => /** @type {number} */ (b[1]) - /** @type {number} */ (b[0]) - (/** @type {number} */ (a[1]) - /** @type {number} */ (a[0])));
  let rest = /** @type {number} */ (sorted.at(-1)) - /** @type {number} */ (sorted[0]);
  const found = [];
  for (const [from, to] of /** @type {[number, number][]} */ (pauses)) {
    const others = rest - (to - from);
    if (to - from < others || found.length >= 12) break;
    found.push([from, to]);
    rest = others;
  }
  return found.sort((a, b) => /** @type {number} */ (a[0]) - /** @type {number} */ (b[0]));
}

/** The far side may slide as a whole. @param {Layout} made @param {TwoData} data @param {(number | null)[][]} times @param {number[]} order @returns {void} */
function band(made, data, times, order) {
  const { far } = made.columns;
  for (const i of order) {
    const t = times[i]?.[1];
    if (t === null || t === undefined) continue;
    const [top, low] = [made.toY(t - data.uncertainty), made.toY(t + data.uncertainty)];
    made.marks.push({ k: "rect", x: far - 4, y: top, w: 8, h: Math.max(low - top, 1), fill: "unknown", a: 0.12 });
  }
  made.marks.push({ k: "text", x: far - 10, y: 16, s: `may slide ± ${duration(data.uncertainty)}, as a whole`, c: "ink-2", size: 11, align: "right", halo: true });
}

/** @param {Layout} made @param {Seen} item @param {[number | null, number | null]} pair @param {boolean} chosen @returns {void} */
function arrow(made, item, pair, chosen) {
  const { client, near, far, server } = made.columns;
  const { marks, toY } = made;
  const c = item.red || item.lost ? "trouble" : SIDES[item.side];
  const w = chosen ? 2.4 : 1.6;
  const red = item.red || item.lost ? { red: true } : {};
  const more = { n: item.n, ...red };
  const [a, b] = pair;
  if (a !== null) marks.push({ k: "line", x1: item.side === 0 ? client : near, y1: toY(a), x2: item.side === 0 ? near : client + 1, y2: toY(a), c, w: 1, dash: [1.5, 2.5], ...(item.side === 1 ? { head: true } : {}), ...more });
  if (b !== null) marks.push({ k: "line", x1: item.side === 0 ? far : server, y1: toY(b), x2: item.side === 0 ? server - 1 : far, y2: toY(b), c, w: 1, dash: [1.5, 2.5], ...(item.side === 0 ? { head: true } : {}), ...more });
  if (a !== null && b !== null) {
    const [x1, y1, x2, y2] = item.side === 0 ? [near, toY(a), far - 1, toY(b)] : [far, toY(b), near + 1, toY(a)];
    marks.push({ k: "line", x1, y1, x2, y2, c, w, head: true, ...more });
    return;
  }
  const [x1, x2, t] = a !== null ? [near, far, a] : [far, near, /** @type {number} */ (b)];
  const leaves = (a !== null) === (item.side === 0);
  if (!item.lost || !leaves) {
    marks.push({ k: "line", x1, y1: toY(t), x2: x1 + (x2 - x1) * 0.3, y2: toY(t), c: "unknown", dash: [3, 3], n: item.n });
    return;
  }
  const y = toY(t);
  const slope = 18;
  const middle = (x1 + x2) / 2;
  marks.push({ k: "line", x1, y1: y, x2: x1 + (x2 - x1) * 0.34, y2: y + slope * 0.34, c, w, ...more }, { k: "line", x1: x1 + (x2 - x1) * 0.34, y1: y + slope * 0.34, x2, y2: y + slope, c, dash: [2, 3], ...more }, { k: "cross", x: middle, y: y + slope / 2, n: item.n, red: true });
  marks.push({ k: "line", x1: middle + 8, y1: y + slope / 2 - 2, x2: server + 12, y2: y - 1, c: "trouble", a: 0.5, n: item.n }, { k: "text", x: server + 16, y: y + 3, s: "why is not known", c: "trouble", weight: 600, halo: true, n: item.n, red: true }, { k: "text", x: server + 16, y: y + 17, s: "no drop was recorded:", c: "ink-2", size: 11, halo: true }, { k: "text", x: server + 16, y: y + 30, s: "it may be anywhere on the leg", c: "ink-2", size: 11, halo: true });
}

/** What is lost between the points, in words. @param {TwoData} data @returns {string} */
export function summary(data) {
  const lost = data.items.filter((item) => item.lost);
  const ways = data.items.filter((item) => item.times[0] !== null && item.times[1] !== null).map((item) => (item.side === 0 ? 1 : -1) * (/** @type {number} */ (item.times[1]) - data.offset - /** @type {number} */ (item.times[0]))).sort((a, b) => a - b);
  const middle = ways[Math.floor(ways.length / 2)];
  const words = lost.length ? `${count(lost.length)} lost between the points: ${lost.length === 1 ? "packet" : "packets"} ${lost.map((item) => item.n).join(", ")}.` : "Nothing was lost between the points.";
  const clock = data.one_clock ? "by one clock" : data.uncertainty < 0 ? "the clocks cannot be compared" : `± ${duration(data.uncertainty)} between the clocks`;
  return `${words}${middle === undefined ? "" : ` One way about ${duration(Math.max(middle, 0))}, ${clock}.`}`;
}
