// Arrays of a time-sequence -> marks in plots, as plain data: overview, what the server sent, what the client sent, and
// below them round trips, bytes in flight or throughput, all on one axis of time.
//
// An acknowledgment belongs to who sent it: in the plot of the server's bytes, segments are the server's colour, and
// acknowledged line, window and SACK are the client's, for the client said them.

import { duration, rate, size, ticks, unit } from "./format.js";

/**
 * @typedef {import("./canvas.js").Mark} Mark
 * @typedef {Float64Array | Uint8Array} Numbers
 * @typedef {{meta: any, arrays: Record<string, Numbers>}} Data
 * @typedef {{x: number, y: number, w: number, h: number, side: number, low: number, high: number, name: string}} Plot
 * @typedef {{width: number, height: number, from: number, to: number, below: string, selected: number, names: [string, string]}} Options
 * @typedef {{marks: Mark[], plots: Plot[], left: number, right: number, overview: Plot, readings: [string, string][], title: string, x: (t: number) => number, hits: {x: number, y: number, n: number, red: boolean}[]}} Layout
 */

export const LEFT = 76;
export const RIGHT = 206;
const OVERVIEW = 38;
/** @type {["client", "server"]} */
const SIDES = ["client", "server"];
const NONE = new Float64Array(0);

/** Kinds of segments, as capture/web/sequence_graph.py numbers them. */
export const AGAIN = 1;
export const LATE = 2;
export const OVERTAKEN = 3;

/** @param {Data} data @param {string} name @returns {Numbers} */
const column = (data, name) => data.arrays[name] ?? NONE;

/** Index of the first time not below t. @param {Numbers} times @param {number} t @returns {number} */
export function lower(times, t) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (times[middle]) < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Data} data data of the view @param {Data} whole data of the whole session @param {Options} options @returns {Layout} */
export function layout(data, whole, options) {
  const { from, to, width, height } = options;
  const left = LEFT;
  const right = Math.max(width - RIGHT, left + 120);
  const x = (/** @type {number} */ t) => left + ((t - from) / Math.max(to - from, 1)) * (right - left);
  /** @type {Layout} */
  const made = { marks: [], plots: [], left, right, overview: { x: left, y: 10, w: right - left, h: OVERVIEW, side: -1, low: 0, high: 1, name: "whole" }, readings: [], title: "", x, hits: [] };
  const busy = [0, 1].map((side) => inView(column(data, `seg${side}_t`), from, to) > 0);
  const tcp = data.meta.tcp;
  let top = OVERVIEW + 26;
  const room = height - top - 34;
  const heads = 22;
  const share = tcp ? (busy[1] && busy[0] ? [0.57, 0.2, 0.23] : busy[1] || busy[0] ? [0.74, 0.03, 0.23] : [0.05, 0.05, 0.9]) : [0, 0, 1];
  /** @type {[number, number][]} */
  const order = busy[1] || !busy[0] ? [[1, share[0] ?? 0], [0, share[1] ?? 0]] : [[1, share[1] ?? 0], [0, share[0] ?? 0]];
  overview(made, whole, options);
  grid(made, options, top, height - 26);
  if (tcp) {
    for (const [side, part] of order) {
      const h = busy[side] ? Math.max(room * part - heads, 24) : 14;
      const plot = { x: left, y: top + heads, w: right - left, h, side, low: 0, high: 1, name: SIDES[/** @type {0 | 1} */ (side)] };
      head(made, plot, options, busy[side] === true, top);
      if (busy[side]) direction(made, data, plot, options);
      else quiet(made, data, plot);
      made.plots.push(plot);
      top += heads + h + 12;
    }
  }
  const below = { x: left, y: top + heads, w: right - left, h: Math.max(height - 30 - top - heads, 20), side: -1, low: 0, high: 1, name: options.below };
  if (options.below === "flight" && tcp) flight(made, data, below, top);
  else if (options.below === "throughput") throughput(made, data, below, top);
  else trips(made, data, below, top);
  made.plots.push(below);
  signs(made, data);
  axis(made, options, height);
  selection(made, data, whole, options, height);
  return made;
}

/** @param {Numbers} times @param {number} from @param {number} to @returns {number} */
const inView = (times, from, to) => lower(times, to) - lower(times, from);

/** @param {Layout} made @param {Data} whole @param {Options} options @returns {void} */
function overview(made, whole, options) {
  const { marks, overview: box } = made;
  const span = Math.max(whole.meta.span, 1);
  const at = (/** @type {number} */ t) => box.x + (t / span) * box.w;
  marks.push({ k: "rect", x: box.x, y: box.y, w: box.w, h: box.h, fill: "sunk" }, { k: "text", x: box.x - 8, y: box.y + box.h / 2 + 4, s: "whole", c: "ink-2", size: 11, align: "right" });
  for (const side of [0, 1]) {
    const t = column(whole, `seg${side}_t`);
    const high = column(whole, `seg${side}_hi`);
    const kind = column(whole, `seg${side}_kind`);
    let most = 1;
    for (const v of high) most = Math.max(most, v);
    const step = Math.max(Math.floor(t.length / 1500), 1);
    for (let i = 0; i < t.length; i++) {
      const red = kind[i] === AGAIN || kind[i] === LATE;
      if (!red && i % step) continue;
      const X = at(/** @type {number} */ (t[i]));
      if (red) marks.push({ k: "line", x1: X, y1: box.y + 2, x2: X, y2: box.y + box.h - 2, c: "trouble", a: 0.7 });
      else marks.push({ k: "rect", x: X - 0.8, y: box.y + box.h - 4 - (/** @type {number} */ (high[i]) / most) * (box.h - 8), w: 2, h: 2, fill: SIDES[/** @type {0 | 1} */ (side)] });
    }
  }
  const [a, b] = [at(Math.max(options.from, 0)), at(Math.min(options.to, span))];
  marks.push({ k: "rect", x: a, y: box.y, w: Math.max(b - a, 2), h: box.h, c: "ink", lw: 1.5 });
  if (a > box.x) marks.push({ k: "rect", x: box.x, y: box.y, w: a - box.x, h: box.h, fill: "bg", a: 0.55 });
  if (b < box.x + box.w) marks.push({ k: "rect", x: b, y: box.y, w: box.x + box.w - b, h: box.h, fill: "bg", a: 0.55 });
}

/** @param {Layout} made @param {Options} options @param {number} top @param {number} bottom @returns {void} */
function grid(made, options, top, bottom) {
  const [factor] = unit(options.to - options.from);
  for (const t of ticks(options.from / factor, options.to / factor, 7)) {
    const X = made.x(t * factor);
    if (X > made.left) made.marks.push({ k: "line", x1: X, y1: top + 18, x2: X, y2: bottom, c: "line" });
  }
}

/** @param {Layout} made @param {Options} options @param {number} height @returns {void} */
function axis(made, options, height) {
  const [factor, name] = unit(Math.max(options.to - options.from, options.to / 1e4));
  const steps = ticks(options.from / factor, options.to / factor, 7);
  const digits = Math.max(0, -Math.floor(Math.log10(Math.max((steps[1] ?? 1) - (steps[0] ?? 0), 1e-9)) + 1e-9));
  made.marks.push({ k: "line", x1: made.left, y1: height - 26, x2: made.right, y2: height - 26, c: "line-2" });
  steps.forEach((t, i) => {
    const X = made.x(t * factor);
    if (X < made.left - 1 || X > made.right + 1) return;
    made.marks.push({ k: "text", x: X, y: height - 11, s: `${t.toFixed(digits)}${i === steps.length - 1 ? ` ${name}` : ""}`, c: "ink-2", size: 11, align: "center" });
  });
}

/** @param {Layout} made @param {Plot} plot @param {Options} options @param {boolean} busy @param {number} top @returns {void} */
function head(made, plot, options, busy, top) {
  const [a, b] = plot.side === 1 ? [options.names[1], options.names[0]] : options.names;
  made.marks.push({ k: "text", x: made.left, y: top + 13, s: `${a} → ${b}`, c: SIDES[/** @type {0 | 1} */ (plot.side)], weight: 600, size: 12, halo: true });
  if (!busy) made.marks.push({ k: "text", x: made.left + 14 + `${a} → ${b}`.length * 7, y: top + 13, s: "no data this way in this view, only acknowledgments", c: "ink-2", size: 11 });
  made.marks.push({ k: "line", x1: made.left, y1: plot.y + plot.h + 2, x2: made.right, y2: plot.y + plot.h + 2, c: "line-2" });
}

/** Ticks of the acknowledgments where a direction has no data. @param {Layout} made @param {Data} data @param {Plot} plot @returns {void} */
function quiet(made, data, plot) {
  const t = column(data, `ack${1 - plot.side}_t`);
  let before = -9;
  for (const time of t) {
    const X = made.x(time);
    if (X < made.left || X > made.right || X - before < 1) continue;
    before = X;
    made.marks.push({ k: "line", x1: X, y1: plot.y + 4, x2: X, y2: plot.y + 10, c: SIDES[/** @type {0 | 1} */ (plot.side)], a: 0.7 });
  }
}

/** Segments, acknowledged line, window and SACK of one direction. @param {Layout} made @param {Data} data @param {Plot} plot @param {Options} options @returns {void} */
function direction(made, data, plot, options) {
  const side = /** @type {0 | 1} */ (plot.side);
  const own = SIDES[side];
  const other = SIDES[side === 0 ? 1 : 0];
  const { marks, x } = made;
  const [t, lo, hi, n, kind, copy] = ["t", "lo", "hi", "n", "kind", "copy"].map((name) => column(data, `seg${side}_${name}`));
  const [at, av, aw, , again, zero] = ["t", "v", "w", "n", "again", "zero"].map((name) => column(data, `ack${side}_${name}`));
  if (!t || !lo || !hi || !n || !kind || !copy || !at || !av || !aw || !again || !zero) return;
  const [first, last] = [lower(t, options.from), lower(t, options.to + 1)];
  const [a0, a1] = [Math.max(lower(at, options.from) - 1, 0), lower(at, options.to + 1)];
  // y follows the data in view, never the window
  let [low, high] = [Infinity, -Infinity];
  for (let i = first; i < last; i++) { low = Math.min(low, /** @type {number} */ (lo[i])); high = Math.max(high, /** @type {number} */ (hi[i])); }
  for (let i = a0; i < a1; i++) { const v = /** @type {number} */ (av[i]); if (v >= 0) { low = Math.min(low, v); high = Math.max(high, v); } }
  if (!(high > low)) high = low + 1;
  const pad = (high - low) * 0.05;
  plot.low = low <= 1 ? -pad : low - pad;
  plot.high = high + pad;
  const y = (/** @type {number} */ v) => plot.y + plot.h - ((v - plot.low) / (plot.high - plot.low)) * plot.h;
  const inside = (/** @type {number} */ v) => Math.min(Math.max(v, plot.y), plot.y + plot.h);
  const KiB = plot.high - plot.low >= 4096;
  const base = KiB ? 1024 : 1;
  const steps = ticks(Math.max(plot.low, 0) / base, plot.high / base, plot.h < 120 ? 3 : 6, KiB && options.from <= 0 ? 2 : 10);
  marks.push({ k: "text", x: made.left - 8, y: plot.y - 9, s: KiB ? "KiB" : "B", c: "ink-2", size: 11, align: "right" });
  for (const v of steps) {
    const Y = y(v * base);
    if (Y < plot.y + 4 || Y > plot.y + plot.h) continue;
    marks.push({ k: "line", x1: made.left, y1: Y, x2: made.right, y2: Y, c: "line" }, { k: "text", x: made.left - 8, y: Y + 4, s: (v || 0).toLocaleString("en-US"), c: "ink-2", size: 11, align: "right" });
  }
  // SACK: what is newly reported strongly, the rest of the block faintly
  const [st, sl, sh, sf] = ["t", "lo", "hi", "fresh"].map((name) => column(data, `sack${side}_${name}`));
  if (st && sl && sh && sf) {
    for (let i = lower(st, options.from); i < lower(st, options.to + 1); i++) {
      const X = x(/** @type {number} */ (st[i]));
      marks.push({ k: "line", x1: X, y1: inside(y(/** @type {number} */ (sl[i]))), x2: X, y2: inside(y(/** @type {number} */ (sh[i]))), c: other, w: 2.4, a: 0.11 });
      if (/** @type {number} */ (sh[i]) > /** @type {number} */ (sf[i])) marks.push({ k: "line", x1: X, y1: inside(y(/** @type {number} */ (sf[i]))), x2: X, y2: inside(y(/** @type {number} */ (sh[i]))), c: other, w: 2.4, a: 0.75 });
    }
  }
  answers(made, data, plot, options, y, a0, a1);
  // segments
  for (let i = first; i < last; i++) {
    const X = x(/** @type {number} */ (t[i]));
    let [y1, y2] = [y(/** @type {number} */ (lo[i])), y(/** @type {number} */ (hi[i]))];
    const number = /** @type {number} */ (n[i]);
    const what = kind[i];
    const red = what === AGAIN || what === LATE;
    made.hits.push({ x: X, y: (y1 + y2) / 2, n: number, red });
    if (what === AGAIN) {
      const from = /** @type {number} */ (copy[i]);
      if (from >= 0) marks.push({ k: "line", x1: Math.max(x(from), made.left), y1: (y1 + y2) / 2, x2: X, y2: (y1 + y2) / 2, c: "trouble", dash: [1, 3], n: number, red: true });
      if (y1 - y2 < 5) [y1, y2] = [(y1 + y2) / 2 + 2.5, (y1 + y2) / 2 - 2.5];
      marks.push({ k: "line", x1: X, y1, x2: X, y2, c: "trouble", w: 3, n: number, red: true });
    } else if (what === LATE) {
      marks.push({ k: "rect", x: X - 2, y: Math.min(y2, (y1 + y2) / 2 - 2.5), w: 4, h: Math.max(y1 - y2, 5), c: "trouble", n: number, red: true });
    } else if (what === OVERTAKEN) {
      marks.push({ k: "rect", x: X - 2, y: Math.min(y2, (y1 + y2) / 2 - 2.5), w: 4, h: Math.max(y1 - y2, 5), c: own, n: number });
    } else {
      if (y1 - y2 < 1.6) y2 = y1 - 1.6;
      marks.push({ k: "line", x1: X, y1, x2: X, y2, c: own, w: 2, n: number });
      if (y1 - y2 >= 5) marks.push({ k: "line", x1: X - 2, y1, x2: X + 2, y2: y1, c: own }, { k: "line", x1: X - 2, y1: y2, x2: X + 2, y2, c: own });
    }
  }
}

/** The line of what was acknowledged, its repeats, the window and where it was zero. @param {Layout} made @param {Data} data @param {Plot} plot @param {Options} options @param {(v: number) => number} y @param {number} a0 @param {number} a1 @returns {void} */
function answers(made, data, plot, options, y, a0, a1) {
  const side = /** @type {0 | 1} */ (plot.side);
  const other = SIDES[side === 0 ? 1 : 0];
  const { marks, x } = made;
  const [at, av, aw, again, zero, n] = ["t", "v", "w", "again", "zero", "n"].map((name) => column(data, `ack${side}_${name}`));
  if (!at || !av || !aw || !again || !zero || !n || a1 <= a0) return;
  const inside = (/** @type {number} */ v) => Math.min(Math.max(v, plot.y), plot.y + plot.h);
  const clip = (/** @type {number} */ v) => Math.min(Math.max(v, made.left), made.right);
  /** @type {number[]} */
  const line = [];
  /** @type {number[]} */
  let window = [];
  const scaled = data.meta.scales[side === 0 ? 1 : 0] >= 0;
  const flush = () => { if (window.length > 2) marks.push({ k: "poly", open: true, points: window, c: other, dash: scaled ? [5, 3] : [1.5, 2.5], a: 0.65, w: 1 }); window = []; };
  let since = -1;
  for (let i = a0; i < a1; i++) {
    const X = clip(x(/** @type {number} */ (at[i])));
    const Y = inside(y(/** @type {number} */ (av[i])));
    if (line.length) line.push(X, /** @type {number} */ (line.at(-1)));
    line.push(X, Y);
    const W = y(/** @type {number} */ (aw[i]));
    if (W >= plot.y - 1) {
      if (window.length) window.push(X, /** @type {number} */ (window.at(-1)));
      window.push(X, W);
    } else { if (window.length) window.push(X, /** @type {number} */ (window.at(-1)), X, plot.y); flush(); }
    if (again[i] && X > made.left) marks.push({ k: "line", x1: X, y1: Y, x2: X, y2: Y + 6, c: other, w: 1.2, n: /** @type {number} */ (n[i]) });
    if (zero[i] && since < 0) since = i;
    if (!zero[i] && since >= 0) { noRoom(made, at, since, /** @type {number} */ (at[i]), Y); since = -1; }
    if (i - a0 < 4000) made.hits.push({ x: X, y: Y, n: /** @type {number} */ (n[i]), red: zero[i] === 1 });
  }
  const end = clip(x(Math.min(options.to, data.meta.span)));
  if (line.length) line.push(end, /** @type {number} */ (line.at(-1)));
  if (window.length) window.push(end, /** @type {number} */ (window.at(-1)));
  if (since >= 0) noRoom(made, at, since, Math.min(options.to, data.meta.span), /** @type {number} */ (line.at(-1)));
  flush();
  marks.push({ k: "poly", open: true, points: line, c: other, w: 1.3 });
  if (!scaled) marks.push({ k: "text", x: made.right - 4, y: plot.y + 12, s: "window, × 2^n", c: "ink-2", size: 11, align: "right", halo: true });
}

/** @param {Layout} made @param {Numbers} at @param {number} since @param {number} until @param {number} Y @returns {void} */
function noRoom(made, at, since, until, Y) {
  const from = /** @type {number} */ (at[since]);
  const [x1, x2] = [Math.max(made.x(from), made.left), Math.min(made.x(until), made.right)];
  if (x2 < made.left || x1 > made.right) return;
  made.marks.push({ k: "line", x1, y1: Y, x2: Math.max(x2, x1 + 2), y2: Y, c: "trouble", w: 4, red: true }, { k: "text", x: (x1 + x2) / 2, y: Y - 7, s: `no room, ${duration(until - from)}`, c: "trouble", size: 11, align: "center", halo: true, red: true });
}

/** SYN, FIN and RST through all plots. @param {Layout} made @param {Data} data @returns {void} */
function signs(made, data) {
  const [t, side, what, n] = ["t", "side", "what", "n"].map((name) => column(data, `mark_${name}`));
  if (!t || !side || !what || !n) return;
  const words = ["SYN", "FIN", "RST"];
  const plots = made.plots.filter((plot) => plot.side >= 0 && plot.h > 20);
  let before = -99;
  for (let i = 0; i < t.length; i++) {
    const X = made.x(/** @type {number} */ (t[i]));
    if (X < made.left - 1 || X > made.right + 1) continue;
    const plot = plots.find((one) => one.side === side[i]) ?? plots[0];
    if (!plot) continue;
    const red = what[i] === 2;
    const c = red ? "trouble" : SIDES[/** @type {0 | 1} */ (side[i])];
    made.marks.push({ k: "line", x1: X, y1: plot.y, x2: X, y2: plot.y + plot.h, c: red ? "trouble" : "ink-3", dash: [1, 3], n: /** @type {number} */ (n[i]), ...(red ? { red: true } : {}) });
    if (X - before > 30) {
      const toLeft = X > made.right - 40;
      made.marks.push({ k: "text", x: X + (toLeft ? -4 : 4), y: plot.y + plot.h - 4, s: words[/** @type {number} */ (what[i])] ?? "", c, size: 11, align: toLeft ? "right" : "left", halo: true, n: /** @type {number} */ (n[i]), ...(red ? { red: true } : {}) });
      before = X;
    }
  }
}

/** @param {Layout} made @param {Plot} plot @param {number} top @param {string} title @param {string} name @param {number} high @param {(v: number) => string} label @returns {(v: number) => number} */
function belowFrame(made, plot, top, title, name, high, label) {
  plot.high = high * 1.1 || 1;
  const y = (/** @type {number} */ v) => plot.y + plot.h - (v / plot.high) * plot.h;
  made.marks.push({ k: "text", x: made.left - 8, y: top + 13, s: name, c: "ink-2", size: 11, align: "right" }, { k: "text", x: made.left, y: top + 13, s: title, c: "ink", weight: 600, halo: true });
  for (const v of ticks(0, plot.high, 3)) {
    if (y(v) < plot.y - 2) continue;
    made.marks.push({ k: "line", x1: made.left, y1: y(v), x2: made.right, y2: y(v), c: "line" }, { k: "text", x: made.left - 8, y: y(v) + 4, s: label(v), c: "ink-2", size: 11, align: "right" });
  }
  return y;
}

/** @param {Layout} made @param {Data} data @param {Plot} plot @param {number} top @returns {void} */
function trips(made, data, plot, top) {
  const [t, v, side, kind] = ["t", "v", "side", "kind"].map((name) => column(data, `trip_${name}`));
  if (!t || !v || !side || !kind) return;
  let high = 0;
  for (const value of v) high = Math.max(high, value);
  const [factor, name] = unit(high);
  const y = belowFrame(made, plot, top, "Round trip from here", name, high / factor, (value) => String(Number(value.toPrecision(6))));
  let at = made.left + 150;
  const say = (/** @type {string} */ s, /** @type {string} */ c) => { if (at + s.length * 6.1 < made.right + 120) made.marks.push({ k: "text", x: at, y: top + 13, s, c, size: 11, halo: true }); at += s.length * 6.1 + 16; };
  say("to the client", "client");
  say("to the server", "server");
  const kinds = new Set(kind);
  if (kinds.has(8)) say("square: came with an answer, in which the answering is", "ink-2");
  if (kinds.has(3)) say("cross: by timestamps", "ink-2");
  if (kinds.has(0)) say("diamond: handshake", "ink-2");
  if (!v.length) made.marks.push({ k: "text", x: (made.left + made.right) / 2, y: plot.y + plot.h / 2, s: "no round trip was measured in this view", c: "ink-2", size: 11, align: "center" });
  for (let i = 0; i < v.length; i++) {
    const X = made.x(/** @type {number} */ (t[i]));
    if (X < made.left || X > made.right) continue;
    made.marks.push({ k: "dot", x: X, y: y(/** @type {number} */ (v[i]) / factor), r: kind[i] === 3 ? 1.8 : 2, c: SIDES[/** @type {0 | 1} */ (side[i])], ...(kind[i] === 8 ? { square: true, hollow: true } : kind[i] === 3 ? { plus: true, a: 0.7 } : kind[i] === 0 ? { diamond: true } : {}) });
  }
}

/** @param {Layout} made @param {Data} data @param {Plot} plot @param {number} top @returns {void} */
function flight(made, data, plot, top) {
  let high = 0;
  for (const side of [0, 1]) for (const v of column(data, `flight${side}_v`)) high = Math.max(high, v);
  const y = belowFrame(made, plot, top, "Bytes in flight", high >= 4096 ? "KiB" : "B", high >= 4096 ? high / 1024 : high, (v) => String(Number(v.toPrecision(6))));
  const factor = high >= 4096 ? 1024 : 1;
  made.marks.push({ k: "text", x: made.left + 108, y: top + 13, s: "of the client", c: "client", size: 11 }, { k: "text", x: made.left + 190, y: top + 13, s: "of the server", c: "server", size: 11 });
  for (const side of /** @type {(0 | 1)[]} */ ([0, 1])) {
    const [t, v] = [column(data, `flight${side}_t`), column(data, `flight${side}_v`)];
    /** @type {number[]} */
    const points = [];
    for (let i = 0; i < t.length; i++) {
      const X = Math.min(Math.max(made.x(/** @type {number} */ (t[i])), made.left), made.right);
      if (points.length) points.push(X, /** @type {number} */ (points.at(-1)));
      points.push(X, y(/** @type {number} */ (v[i]) / factor));
    }
    if (points.length > 2) made.marks.push({ k: "poly", open: true, points, c: SIDES[side], w: 1.3 });
  }
}

/** @param {Layout} made @param {Data} data @param {Plot} plot @param {number} top @returns {void} */
function throughput(made, data, plot, top) {
  let high = 0;
  for (const side of [0, 1]) for (const v of column(data, `rate${side}_v`)) high = Math.max(high, v);
  const [word] = rate(high).split(" ").slice(1);
  const factor = high / Math.max(parseFloat(size(high)), 1e-9) || 1;
  const y = belowFrame(made, plot, top, "Throughput", word ?? "B/s", high / factor, (v) => String(Number(v.toPrecision(6))));
  const t = column(data, "rate_t");
  const step = t.length > 1 ? /** @type {number} */ (t[1]) - /** @type {number} */ (t[0]) : 1;
  made.marks.push({ k: "text", x: made.left + 90, y: top + 13, s: "of the client", c: "client", size: 11 }, { k: "text", x: made.left + 172, y: top + 13, s: "of the server", c: "server", size: 11 }, { k: "text", x: made.left + 256, y: top + 13, s: `on the wire, ${duration(Math.round(step))} each`, c: "ink-2", size: 11 });
  for (const side of /** @type {(0 | 1)[]} */ ([0, 1])) {
    const v = column(data, `rate${side}_v`);
    /** @type {number[]} */
    const points = [];
    for (let i = 0; i < t.length; i++) {
      const [x1, x2] = [made.x(/** @type {number} */ (t[i])), made.x(/** @type {number} */ (t[i]) + step)].map((X) => Math.min(Math.max(X, made.left), made.right));
      points.push(/** @type {number} */ (x1), y(/** @type {number} */ (v[i]) / factor), /** @type {number} */ (x2), y(/** @type {number} */ (v[i]) / factor));
    }
    if (points.length) made.marks.push({ k: "poly", open: true, points, c: SIDES[side], w: 1.3 });
  }
}

/** The chosen packet: a line through all plots, a ring, its numbers. @param {Layout} made @param {Data} data @param {Data} whole @param {Options} options @param {number} height @returns {void} */
function selection(made, data, whole, options, height) {
  if (!options.selected) return;
  for (const source of [data, whole]) {
    for (const side of /** @type {(0 | 1)[]} */ ([0, 1])) if (segmentChosen(made, source, side, options.selected, height)) return;
    for (const side of /** @type {(0 | 1)[]} */ ([0, 1])) if (answerChosen(made, source, side, options.selected, height)) return;
  }
}

/** @param {Layout} made @param {Data} source @param {0 | 1} side @param {number} selected @param {number} height @returns {boolean} */
function segmentChosen(made, source, side, selected, height) {
  const i = column(source, `seg${side}_n`).indexOf(selected);
  if (i < 0) return false;
  const [t, lo, hi, kind, copy] = /** @type {[number, number, number, number, number]} */ (["t", "lo", "hi", "kind", "copy"].map((name) => column(source, `seg${side}_${name}`)[i]));
  made.title = kind === AGAIN ? "Sent again" : kind === LATE ? "New here, late" : kind === OVERTAKEN ? "Out of order" : "Segment";
  made.readings = [["packet", String(selected)], ["time", duration(t)], ["bytes", `${lo.toLocaleString("en-US")}–${hi.toLocaleString("en-US")}`]];
  if (kind === AGAIN && copy >= 0) made.readings.push(["sent again after", duration(t - copy)]);
  const [at, av, aw] = ["t", "v", "w"].map((name) => column(source, `ack${side}_${name}`));
  const before = at ? lower(at, t) - 1 : -1;
  if (av && aw && before >= 0) {
    const [acked, limit] = [/** @type {number} */ (av[before]), /** @type {number} */ (aw[before])];
    const ends = column(source, `seg${side}_hi`);
    let highest = hi;
    for (let k = 0; k < i; k++) highest = Math.max(highest, /** @type {number} */ (ends[k]));
    made.readings.push(["in flight", size(Math.max(highest - acked, 0))], ["window", size(limit - acked)]);
  }
  mark(made, t, side, (lo + hi) / 2, height);
  return true;
}

/** @param {Layout} made @param {Data} source @param {0 | 1} side @param {number} selected @param {number} height @returns {boolean} */
function answerChosen(made, source, side, selected, height) {
  const i = column(source, `ack${side}_n`).indexOf(selected);
  if (i < 0) return false;
  const [t, v, w, again] = /** @type {[number, number, number, number]} */ (["t", "v", "w", "again"].map((name) => column(source, `ack${side}_${name}`)[i]));
  made.title = again ? "The same ACK again" : "ACK";
  made.readings = [["packet", String(selected)], ["time", duration(t)], ["acknowledges up to", v.toLocaleString("en-US")], ["window", size(w - v)]];
  mark(made, t, side, v, height);
  return true;
}

/** @param {Layout} made @param {number} t @param {number} side @param {number} v @param {number} height @returns {void} */
function mark(made, t, side, v, height) {
  const X = made.x(t);
  if (X < made.left || X > made.right) return;
  made.marks.push({ k: "line", x1: X, y1: OVERVIEW + 26, x2: X, y2: height - 26, c: "select-line", w: 1.2 });
  const plot = made.plots.find((one) => one.side === side);
  if (!plot || plot.high <= plot.low || plot.h < 20) return;
  const Y = plot.y + plot.h - ((v - plot.low) / (plot.high - plot.low)) * plot.h;
  if (Y >= plot.y && Y <= plot.y + plot.h) made.marks.push({ k: "dot", x: X, y: Y, r: 7, c: "select-line", hollow: true, w: 1.6 });
}
