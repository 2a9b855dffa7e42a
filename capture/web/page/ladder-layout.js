// The items of a ladder -> rows of its table and marks of its picture, as plain data.
//
// The table is exact and never overlaps: rows are pushed apart to ROW. The picture is to scale, and a leader ties each
// row to its true time. From the sender's side of the capture point to the point everything is measured; beyond it the
// slant is half of a round trip, drawn lighter, and without a round trip there is no slant and no head.

import { count, duration, size, unit } from "./format.js";

/**
 * @typedef {import("./canvas.js").Mark} Mark
 * @typedef {{n: number, t: number, side: 0 | 1, word: string, detail: string, flags: number, payload: number, seq: number, ack: number, marks: string[], again: number, after: number, red: boolean, probe: boolean, cut: number, unseen: boolean}} Packet
 * @typedef {{n: number, last: number, t: number, end: number, side: 0 | 1, segments: number, acks: number, bytes: number, times: number[], ack_times: number[], first_data: number, last_data: number}} Run
 * @typedef {{session: number, tcp: boolean, packets: number, items: (Packet | Run)[], bands: number[][], total: number, trips: [number, number], span: number, syn: boolean[], gaps: number[][], file_end: number | null}} LadderData
 * @typedef {{mode: "time" | "events", width: number, height: number, zoom: number, selected: number, closed: boolean, sampled?: boolean}} Options
 * @typedef {{y: number, n: number, last: number, run: boolean, side: 0 | 1 | -1, red: boolean, number: string, time: string, delta: string, bar: number, word: string, detail: string, extra: string, extraSide: 0 | 1 | -1}} Row
 * @typedef {{height: number, rowHeight: number, rows: Row[], marks: Mark[], columns: {client: number, here: number, server: number}, table: {number: number, time: number, delta: number, word: number, detail: number, extra: number, end: number}, unit: string, near: "client" | "server", seen: [boolean, boolean], toY: (t: number) => number, breaks: number[][]}} Layout
 */

export const ROW = 17;
export const EVENT_ROW = 21;
const TOP = 20;
const BREAK = 42;
const RIGHT = 190;
const NARROW = 860;
/** @type {["client", "server"]} */
const SIDES = ["client", "server"];

/** @param {Packet | Run} item @returns {item is Run} */
export function isRun(item) {
  return "segments" in item;
}

/** @param {Packet | Run} item @returns {number} */
const endOf = (item) => (isRun(item) ? item.end : item.t);

/**
 * Positions at least `gap` apart, in order, as near to the wanted ones as can be (pool adjacent violators).
 * @param {number[]} wanted @param {number} gap @param {number} top @returns {number[]}
 */
export function apart(wanted, gap, top) {
  /** @type {[number, number][]} sum and count of the pools of wanted[i] - i * gap */
  const pools = [];
  wanted.forEach((y, i) => {
    pools.push([y - i * gap, 1]);
    while (pools.length > 1) {
      const [sum, n] = /** @type {[number, number]} */ (pools[pools.length - 1]);
      const [before, m] = /** @type {[number, number]} */ (pools[pools.length - 2]);
      if (before / m <= sum / n) break;
      pools.pop();
      pools[pools.length - 1] = [sum + before, n + m];
    }
  });
  const placed = [];
  for (const [sum, n] of pools) for (let k = 0; k < n; k++) placed.push(Math.max(sum / n, top) + placed.length * gap);
  return placed;
}

/**
 * Pauses that are drawn as a break: [from, to]. What is to be seen by its length is never broken.
 * @param {LadderData} data @returns {number[][]}
 */
export function breaksOf(data) {
  const items = data.items;
  if (items.length < 3) return [];
  const retries = items.every((item) => !isRun(item) && (item.flags & 2) > 0 && item.side === 0);
  if (retries) return [];
  /** @type {[number, number, boolean][]} */
  const pauses = [];
  let reached = endOf(/** @type {Packet} */ (items[0]));
  for (let i = 1; i < items.length; i++) {
    const item = /** @type {Packet | Run} */ (items[i]);
    const before = /** @type {Packet | Run} */ (items[i - 1]);
    const asks = before.side !== item.side && (isRun(item) || item.payload > 0) && (isRun(before) || before.payload > 0);
    if (item.t > reached) pauses.push([reached, item.t, asks || (!isRun(item) && item.probe) || (!isRun(before) && before.probe)]);
    reached = Math.max(reached, endOf(item));
  }
  const trip = Math.max(data.trips[0], 0) + Math.max(data.trips[1], 0);
  pauses.sort((a, b) => b[1] - b[0] - (a[1] - a[0]));
  const breaks = [];
  let rest = reached;
  for (const [from, to, seen] of pauses) {
    const length = to - from;
    const others = rest - length;
    if (length <= others / 5) break;
    if (length <= trip * 3) continue;
    if (seen && length < 6 * Math.max(others, 1)) continue;
    breaks.push([from, to]);
    rest = others;
    if (breaks.length >= 12) break;
  }
  return breaks.sort((a, b) => /** @type {number} */ (a[0]) - /** @type {number} */ (b[0]));
}

/**
 * @param {LadderData} data @param {Options} options @returns {Layout}
 */
export function layout(data, options) {
  const items = data.items;
  const events = options.mode === "events";
  const runs = items.some(isRun);
  const [factor, name] = unit(data.span);
  const digits = factor === 1 ? 0 : 3;
  const wide = options.width >= 940;
  const compact = !events && options.width < NARROW;
  const word = events ? 290 : compact ? 164 : wide ? 234 : 214;
  const longest = Math.max(4, ...items.map((item) => (isRun(item) ? `${count(item.segments)} segments`.length : item.word.length)));
  const detail = word + Math.min(Math.max(longest * 7.5 + 10, 52), 140);
  const tableEnd = runs ? detail + (compact ? 176 : 200) : detail + 150;
  const client = tableEnd + (compact ? 34 : 44);
  const server = Math.max(options.width - (compact ? 140 : RIGHT), client + 110);
  const [toClient, toServer] = data.trips;
  const near = toClient >= 0 && (toServer < 0 || toClient <= toServer) ? "client" : toServer >= 0 ? "server" : "client";
  const here = near === "client" ? client + (toServer < 0 ? 62 : 34) : server - 40;
  const table = { number: 76, time: 142, delta: events ? 270 : compact ? 0 : wide ? 214 : 198, word, detail, extra: tableEnd - 8, end: tableEnd };
  /** @type {[boolean, boolean]} */
  const seen = [items.some((item) => item.side === 0 || (isRun(item) && item.acks > 0)), items.some((item) => (item.side === 1 && (isRun(item) || item.word !== "ICMP")) || (isRun(item) && item.acks > 0))];
  const rowHeight = events ? EVENT_ROW : ROW;
  const tail = data.file_end !== null && !options.closed ? 1 : 0;
  /** @type {Layout} */
  const made = { height: 0, rowHeight, rows: [], marks: [], columns: { client, here, server }, table, unit: name, near, seen, toY: () => 0, breaks: [] };

  // time -> y
  const half = [Math.max(toClient, 0) / 2, Math.max(toServer, 0) / 2];
  let [first, reached] = [0, 0];
  for (const item of items) {
    const [away, toward] = item.side === 0 ? half : [half[1], half[0]];
    first = Math.min(first, item.t - (away ?? 0));
    reached = Math.max(reached, endOf(item) + (toward ?? 0));
  }
  const fileEnd = data.file_end ?? 0;
  const lastItem = items.length ? data.span : 0;
  const endsSoon = tail && fileEnd - lastItem < Math.max(lastItem, 1) * 0.6;
  const last = Math.max(endsSoon ? fileEnd : 0, reached);
  const least = (items.length + tail) * rowHeight + TOP + 40;
  const height = events ? least : Math.max(options.height - 8, least) * options.zoom;
  made.breaks = events ? [] : breaksOf(data);
  const paused = made.breaks.reduce((sum, [from, to]) => sum + /** @type {number} */ (to) - /** @type {number} */ (from), 0);
  const room = Math.max(height - 2 * TOP - 20 - made.breaks.length * BREAK - (endsSoon ? 26 : 0), 40);
  const scale = room / Math.max(last - first - paused, 1);
  const toY = (/** @type {number} */ t) => {
    let y = TOP + (t - first) * scale;
    for (const [from, to] of made.breaks) {
      if (t >= /** @type {number} */ (to)) y -= (/** @type {number} */ (to) - /** @type {number} */ (from)) * scale - BREAK;
      else if (t > /** @type {number} */ (from)) y -= (t - /** @type {number} */ (from)) * (scale - BREAK / (/** @type {number} */ (to) - /** @type {number} */ (from)));
    }
    return y;
  };
  made.toY = events ? (t) => t : toY;
  made.height = height;

  // rows
  const wanted = events
    ? items.map((_, i) => TOP + i * EVENT_ROW)
    : apart([...items.map((item) => toY(isRun(item) ? (item.t + item.end) / 2 : item.t)), ...(endsSoon ? [toY(fileEnd)] : [])], ROW, TOP);
  let syns = 0, synAcks = 0;
  let before = 0;
  items.forEach((item, i) => {
    const delta = item.t - before;
    const y = /** @type {number} */ (wanted[i]);
    /** @type {Row} */
    const row = {
      y, n: item.n, last: isRun(item) ? item.last : item.n, run: isRun(item), side: item.side, red: !isRun(item) && item.red,
      number: isRun(item) ? `${item.n}–${item.last}` : String(item.n),
      time: (item.t / factor).toFixed(digits), delta: i ? duration(delta) : "", bar: i ? Math.max(Math.log10(Math.max(delta, 1) / 1000), 0) * 11 : 0,
      word: "", detail: "", extra: "", extraSide: -1,
    };
    if (isRun(item)) {
      row.word = `${count(item.segments)} ${data.tcp ? "segments" : "datagrams"}`;
      row.detail = `${size(item.bytes)} in ${duration(item.last_data - item.first_data)}`;
      row.extra = item.acks ? `${count(item.acks)} ACK` : "";
      row.extraSide = item.side === 0 ? 1 : 0;
    } else {
      const opens = (item.flags & 2) !== 0; // SYN, and SYN ACK
      const nth = !opens ? 0 : item.flags & 16 ? ++synAcks : ++syns;
      row.word = item.word;
      // Of destination-unreachable/host-unreachable there is room for the half that says more.
      row.detail = nth > 1 ? `again, ${ordinal(nth)} try` : item.word === "ICMP" ? item.detail.split("/").at(-1) ?? "" : item.detail;
      if (item.again && !opens) { row.extra = "again"; row.extraSide = -1; }
      else if (item.marks.includes("copy")) row.extra = "copy";
      else if (item.marks.includes("out of order")) row.extra = "out of order";
      else if (item.marks.some((mark) => mark.includes("lost before"))) row.extra = "lost before here";
      else if (item.cut > 0 && item.payload > 0) row.extra = `${count(item.cut)} B cut`;
      else if (item.unseen) row.extra = "";
    }
    made.rows.push(row);
    before = endOf(item);
  });

  const marks = made.marks;
  const bottom = events ? TOP + items.length * EVENT_ROW : height - 16;
  if (events) drawEvents(made, data, options, bottom);
  else {
    lifelines(made, endsSoon ? toY(fileEnd) : bottom);
    bandsOf(made, data);
    for (const gap of data.gaps) gapMark(made, data, gap, options.sampled === true);
    items.forEach((item, i) => {
      const row = /** @type {Row} */ (made.rows[i]);
      const chosen = options.selected >= row.n && options.selected <= row.last && options.selected > 0;
      const t = isRun(item) ? (item.t + item.end) / 2 : item.t;
      // a leader longer than a screen says nothing
      if (chosen || Math.abs(row.y - toY(t)) < 500) leader(marks, table.end, row.y, client - 4, toY(t), chosen, row.n);
      if (isRun(item)) runMark(made, data, item, chosen);
      else packetMark(made, data, item, chosen);
    });
    ties(made, data);
    brackets(made, data);
    for (const [from, to] of made.breaks) breakMark(made, /** @type {number} */ (from), /** @type {number} */ (to));
    if (endsSoon) fileEndMark(made, data, fileEnd, /** @type {number} */ (wanted[items.length]), factor, digits);
  }
  return made;
}

/** @param {number} n @returns {string} */
const ordinal = (n) => `${n}${n === 2 ? "nd" : n === 3 ? "rd" : "th"}`;

/** @param {Layout} made @param {number} end @returns {void} */
function lifelines(made, end) {
  const { client, here, server } = made.columns;
  for (const [side, x] of /** @type {[0 | 1, number][]} */ ([[0, client], [1, server]])) {
    const line = /** @type {Mark} */ ({ k: "line", x1: x, y1: 4, x2: x, y2: end, c: made.seen[side] ? SIDES[side] : "ink-3", w: made.seen[side] ? 1.5 : 1 });
    if (!made.seen[side]) /** @type {any} */ (line).dash = [3, 5];
    made.marks.push(line);
  }
  if (made.toY(1) !== 1) made.marks.push({ k: "line", x1: here, y1: 4, x2: here, y2: end, c: "line-2", dash: [1, 3] });
}

/** @param {Mark[]} marks @param {number} x1 @param {number} rowY @param {number} x2 @param {number} y @param {boolean} chosen @param {number} n @returns {void} */
function leader(marks, x1, rowY, x2, y, chosen, n) {
  marks.push({ k: "poly", open: true, points: [x1, rowY, x1 + 12, rowY, x2 - 18, y, x2, y], c: chosen ? "ink-2" : "line-2", w: chosen ? 1.2 : 1, n });
}

/** Colour of a packet. @param {Packet} item @returns {string} */
const colourOf = (item) => (item.red ? "trouble" : SIDES[item.side]);

/** @param {Layout} made @param {LadderData} data @param {Packet} item @param {boolean} chosen @returns {void} */
function packetMark(made, data, item, chosen) {
  const { client, here, server } = made.columns;
  const { marks, toY } = made;
  const c = colourOf(item);
  const w = chosen ? 2.4 : 1.6;
  const [toClient, toServer] = data.trips;
  const red = item.red || undefined;
  const more = { n: item.n, ...(red ? { red: true } : {}) };
  const y = toY(item.t);
  const nearX = made.near === "client" ? client : server;
  const farX = made.near === "client" ? server : client;
  const nearTrip = made.near === "client" ? toClient : toServer;
  const farTrip = made.near === "client" ? toServer : toClient;
  const sign = farX > nearX ? 1 : -1;
  const fromNear = (item.side === 0) === (made.near === "client");
  const far = toY(item.t + (fromNear ? 1 : -1) * (farTrip / 2));
  const close = toY(item.t + (fromNear ? -1 : 1) * (Math.max(nearTrip, 0) / 2));
  if (fromNear) {
    marks.push({ k: "line", x1: nearX + sign, y1: close, x2: here, y2: y, c, w, ...more });
    if (farTrip >= 0) marks.push({ k: "line", x1: here, y1: y, x2: farX - sign, y2: far, c, w: chosen ? 2 : 1.4, a: 0.55, head: true, ...more });
    else marks.push({ k: "fade", x1: here + 3 * sign, x2: here + (farX - here) * 0.5, y, c, w, ...more });
  } else {
    if (farTrip >= 0) marks.push({ k: "line", x1: farX - sign, y1: far, x2: here, y2: y, c, w: chosen ? 2 : 1.4, a: 0.55, ...more });
    else marks.push({ k: "fade", x1: here + 3 * sign, x2: here + (farX - here) * 0.5, y, c, w, ...more });
    marks.push({ k: "line", x1: here, y1: y, x2: nearX + sign, y2: close, c, w, head: true, ...more });
  }
  marks.push({ k: "dot", x: here, y, r: chosen ? 3.2 : 2.4, c, ...(item.cut > 0 && item.payload > 0 ? { hollow: true, w: 1.2 } : {}), ...more });
}

/** @param {Layout} made @param {LadderData} data @param {Run} run @param {boolean} chosen @returns {void} */
function runMark(made, data, run, chosen) {
  const { client, here, server } = made.columns;
  const { marks, toY } = made;
  const c = SIDES[run.side];
  const other = SIDES[run.side === 0 ? 1 : 0];
  const line = (/** @type {number} */ t, /** @type {0 | 1} */ side) => {
    // y at client, here and server of a packet that passed here at t
    const [toClient, toServer] = data.trips;
    const direction = side === 0 ? 1 : -1;
    return [toY(t - direction * (Math.max(toClient, 0) / 2)), toY(t), toY(t + direction * (Math.max(toServer, 0) / 2))];
  };
  const far = made.near === "client" ? data.trips[1] : data.trips[0];
  const limit = far >= 0 ? [client, here, server] : made.near === "client" ? [client, here, here + (server - here) * 0.4] : [here - (here - client) * 0.4, here, server];
  const [x1, x2, x3] = /** @type {[number, number, number]} */ (limit);
  const top = /** @type {[number, number, number]} */ (line(run.first_data, run.side));
  const low = /** @type {[number, number, number]} */ (line(run.last_data, run.side));
  marks.push({ k: "poly", points: [x1, top[0], x2, top[1], x3, top[2], x3, low[2], x2, low[1], x1, low[0]], fill: `${c}-t`, n: run.n });
  let drawn = -Infinity;
  for (const t of run.times) {
    const [a, b, d] = /** @type {[number, number, number]} */ (line(t, run.side));
    if (b - drawn < 3 && t !== run.last_data) continue;
    drawn = b;
    marks.push({ k: "poly", open: true, points: [x1, a, x2, b, x3, d], c, w: chosen ? 1.2 : 1, a: 0.5, n: run.n });
  }
  drawn = -Infinity;
  for (const t of run.ack_times) {
    const [a, b, d] = /** @type {[number, number, number]} */ (line(t, run.side === 0 ? 1 : 0));
    if (b - drawn < 5) continue;
    drawn = b;
    marks.push({ k: "poly", open: true, points: [x1, a, x2, b, x3, d], c: other, w: 1, a: 0.22, n: run.n });
  }
  const bar = made.near === "client" ? client - 4 : server + 4;
  marks.push({ k: "line", x1: bar, y1: Math.min(top[1], low[1] - 2), x2: bar, y2: Math.max(low[1], top[1] + 2), c, w: chosen ? 5 : 3, n: run.n });
  const middle = ((top[0] + top[2]) / 2 + (low[0] + low[2]) / 2) / 2;
  if (low[1] - top[1] >= 15) marks.push({ k: "text", x: (client + server) / 2, y: middle + 4, s: `${count(run.segments)} ${data.tcp ? "segments" : "datagrams"}, ${size(run.bytes)}`, c, weight: 600, align: "center", halo: true, n: run.n });
}

/** Marks of bytes that were acknowledged and are not in the file; hatched if the capture left out packets on purpose, and lost none. @param {Layout} made @param {LadderData} data @param {number[]} gap @param {boolean} sampled @returns {void} */
function gapMark(made, data, gap, sampled) {
  const [t, side, , bytes] = /** @type {[number, 0 | 1, number, number]} */ (gap);
  const { client, server } = made.columns;
  let from = 0;
  for (const item of data.items) if (endOf(item) < t && item.side === side) from = endOf(item);
  const slant = made.toY(t + Math.max(data.trips[1], 0) / 2) - made.toY(t);
  const [top, low] = [made.toY(from) + 3, Math.max(made.toY(t) - 3, made.toY(from) + 9)];
  const points = side === 1 ? [server, top - slant, client, top, client, low, server, low - slant] : [client, top, server, top + slant, server, low + slant, client, low];
  made.marks.push({ k: "poly", points, c: "unknown", dash: [3, 3], ...(sampled ? { hatch: true } : {}) });
  made.marks.push({ k: "text", x: (client + server) / 2, y: (top + low) / 2 - slant / 2 + 4, s: `${count(bytes)} B ${sampled ? "sampled out" : "not captured"}`, c: "ink-2", size: 11, align: "center", halo: true });
}

/** Bands of what is too much for rows. @param {Layout} made @param {LadderData} data @returns {void} */
function bandsOf(made, data) {
  const { client, server } = made.columns;
  const most = Math.max(1, ...data.bands.map((band) => /** @type {number} */ (band[3]) + /** @type {number} */ (band[4])));
  for (const [from, to, , up, down] of /** @type {[number, number, number, number, number][]} */ (data.bands)) {
    const [y, h] = [made.toY(from), Math.max(made.toY(to) - made.toY(from), 1)];
    for (const [bytes, c] of /** @type {[number, string][]} */ ([[up, "client"], [down, "server"]])) {
      if (bytes) made.marks.push({ k: "rect", x: client + 2, y, w: server - client - 4, h, fill: c, a: 0.06 + 0.3 * Math.sqrt(bytes / most) });
    }
  }
}

/** Dotted arcs from a repeated packet to its first copy. @param {Layout} made @param {LadderData} data @returns {void} */
function ties(made, data) {
  const { client, server } = made.columns;
  /** @type {Map<number, number>} */
  const times = new Map();
  for (const item of data.items) if (!isRun(item)) times.set(item.n, item.t);
  let lastLabel = -Infinity;
  for (const item of data.items) {
    if (isRun(item) || !item.again || (item.flags & 18) === 2) continue;
    const from = times.get(item.again) ?? item.t - item.after;
    const x = item.side === 0 ? client : server;
    const [y1, y2] = [made.toY(from), made.toY(item.t)];
    made.marks.push({ k: "arc", x, y1, y2, out: item.side === 0 ? -30 : 30, c: "trouble", dash: [1.5, 2.5], n: item.n, red: true });
    if (y2 - lastLabel > 14) {
      made.marks.push({ k: "text", x: server + 34, y: y2 + 4, s: `sent again after ${duration(item.after)}`, c: "trouble", size: 11, halo: true, n: item.n, red: true });
      lastLabel = y2;
    }
  }
}

/** What pauses say, in the right margin. @param {Layout} made @param {LadderData} data @returns {void} */
function brackets(made, data) {
  const { here, server } = made.columns;
  const items = data.items;
  const x = server + 26;
  const half = Math.max(data.trips[1], 0) / 2;
  const syns = /** @type {Packet[]} */ (items.filter((item) => !isRun(item) && (item.flags & 18) === 2));
  if (syns.length > 1 && syns.length === items.length) {
    made.marks.push({ k: "text", x: server - 10, y: made.toY(0) - 6, s: "seen here; where it went is not known", c: "ink-2", size: 11, align: "right", halo: true });
    for (let i = 1; i < syns.length; i++) {
      const [a, b] = [/** @type {Packet} */ (syns[i - 1]), /** @type {Packet} */ (syns[i])];
      const before = i > 1 ? a.t - /** @type {Packet} */ (syns[i - 2]).t : 0;
      bracket(made.marks, x, made.toY(a.t), made.toY(b.t), duration(b.t - a.t), "", "trouble", before ? `× ${((b.t - a.t) / before).toFixed(1)}` : "");
    }
    const [a, b] = [/** @type {Packet} */ (syns[syns.length - 2]), /** @type {Packet} */ (syns[syns.length - 1])];
    const y = (made.toY(a.t) + made.toY(b.t)) / 2;
    made.marks.push({ k: "text", x: (here + server) / 2 + 20, y: y - 4, s: "nothing came back", c: "ink", size: 13, weight: 600, align: "center", halo: true });
    made.marks.push({ k: "text", x: (here + server) / 2 + 20, y: y + 13, s: `no SYN ACK, no RST, no ICMP error in ${duration(b.t)}`, c: "ink-2", size: 11, align: "center", halo: true });
    return;
  }
  const reply = items.find((item) => !isRun(item) && (item.flags & 18) === 18);
  let taken = -Infinity;
  if (reply && data.trips[1] >= 0 && syns.length) {
    const y = made.toY(reply.t - half);
    made.marks.push({ k: "text", x: server + 14, y: y + 2, s: `round trip ${duration(data.trips[1])}`, c: "ink-2", size: 11, halo: true });
    made.marks.push({ k: "text", x: server + 14, y: y + 15, s: "of the handshake", c: "ink-3", size: 11, halo: true });
    taken = y + 20;
  }
  for (let i = 1; i < items.length; i++) {
    const [a, b] = [/** @type {Packet | Run} */ (items[i - 1]), /** @type {Packet | Run} */ (items[i])];
    const asked = a.side === 0 && (isRun(a) || a.payload > 0);
    const answered = b.side === 1 && (isRun(b) || b.payload > 0);
    if (!asked || !answered) continue;
    const [from, to] = [endOf(a) + half, b.t - half];
    if (to <= from) continue;
    const [y1, y2] = [made.toY(from), made.toY(to)];
    if (y2 - y1 < 26 || y1 < taken) continue;
    const slow = to - from >= 1e8;
    bracket(made.marks, x, y1, y2, duration(to - from), "the server thinks", slow ? "trouble" : "line-2", "");
    taken = y2;
  }
  roomBracket(made, data, x);
}

/** How long a side had no room. @param {Layout} made @param {LadderData} data @param {number} x @returns {void} */
function roomBracket(made, data, x) {
  const span = noRoom(data);
  if (!span) return;
  const [first, end, side] = span;
  bracket(made.marks, x, made.toY(first.t), made.toY(end), duration(end - first.t), `no room at the ${SIDES[side]}`, "trouble", "");
}

/** @param {LadderData} data @returns {[Packet, number, 0 | 1] | null} first packet without room, end, side */
export function noRoom(data) {
  const full = /** @type {Packet | undefined} */ (data.items.find((item) => !isRun(item) && item.marks.includes("zero window")));
  if (!full) return null;
  const after = data.items.slice(data.items.indexOf(full));
  const room = after.find((item) => !isRun(item) && item.side === full.side && item.word.includes("room again"));
  const lastFull = after.filter((item) => !isRun(item) && item.marks.includes("zero window")).at(-1);
  return [full, room ? room.t : /** @type {Packet} */ (lastFull).t, full.side];
}

/** @param {Mark[]} marks @param {number} x @param {number} y1 @param {number} y2 @param {string} label @param {string} below @param {string} c @param {string} more @returns {void} */
function bracket(marks, x, y1, y2, label, below, c, more) {
  const [a, b] = [y1 + 2, y2 - 2];
  const red = c === "trouble" ? { red: true } : {};
  marks.push({ k: "line", x1: x, y1: a, x2: x, y2: b, c, ...red }, { k: "line", x1: x - 3, y1: a, x2: x + 3, y2: a, c, ...red }, { k: "line", x1: x - 3, y1: b, x2: x + 3, y2: b, c, ...red });
  const middle = (a + b) / 2;
  marks.push({ k: "text", x: x + 10, y: below ? middle - 1 : middle + 4, s: label, c: below ? (c === "trouble" ? "trouble" : "ink") : "ink", size: 12, weight: below ? 600 : 400, halo: true });
  if (below) marks.push({ k: "text", x: x + 10, y: middle + 13, s: below, c: "ink-2", size: 11, halo: true });
  if (more) marks.push({ k: "text", x: x + 64, y: middle + 4, s: more, c: "ink-2", size: 12, halo: true });
}

/** @param {Layout} made @param {number} from @param {number} to @returns {void} */
function breakMark(made, from, to) {
  const { client, server } = made.columns;
  const y = (made.toY(from) + made.toY(to)) / 2;
  made.marks.push({ k: "rect", x: client - 8, y: y - 5, w: server - client + 16, h: 10, fill: "bg" });
  made.marks.push({ k: "wave", x1: client - 10, x2: server + 10, y, c: "ink-3" });
  made.marks.push({ k: "text", x: (client + server) / 2, y: y + 4, s: `${duration(to - from)} with nothing: not to scale`, c: "ink-2", size: 11, align: "center", halo: true });
}

/** @param {Layout} made @param {LadderData} data @param {number} end @param {number} rowY @param {number} factor @param {number} digits @returns {void} */
function fileEndMark(made, data, end, rowY, factor, digits) {
  const { client, server } = made.columns;
  const y = made.toY(end);
  made.rows.push({ y: rowY, n: 0, last: 0, run: false, side: -1, red: false, number: "", time: (end / factor).toFixed(digits), delta: "", bar: 0, word: "", detail: "the file ends", extra: "", extraSide: -1 });
  made.marks.push({ k: "line", x1: client - 44, y1: y, x2: server + 30, y2: y, c: "ink-3", dash: [8, 3] });
  const syns = data.items.filter((item) => !isRun(item) && (item.flags & 18) === 2);
  if (syns.length !== data.items.length || syns.length < 2) return;
  const [a, b] = [/** @type {Packet} */ (syns.at(-2)), /** @type {Packet} */ (syns.at(-1))];
  if (end - b.t < 2 * (b.t - a.t)) made.marks.push({ k: "text", x: server + 30, y: y + 15, s: `${duration(end - b.t)} after the last try: too early for another`, c: "ink-2", size: 11, align: "right", halo: true });
}

/** One row each, in order: no slant, the bars say the pauses. @param {Layout} made @param {LadderData} data @param {Options} options @param {number} bottom @returns {void} */
function drawEvents(made, data, options, bottom) {
  const { client, server } = made.columns;
  const { marks } = made;
  made.rows.forEach((row, i) => {
    if (i % 2) marks.push({ k: "rect", x: 8, y: row.y - EVENT_ROW / 2, w: options.width - 24, h: EVENT_ROW, fill: "sunk", a: 0.5 });
  });
  lifelines(made, bottom);
  data.items.forEach((item, i) => {
    const row = /** @type {Row} */ (made.rows[i]);
    const y = row.y;
    const chosen = options.selected >= row.n && options.selected <= row.last && options.selected > 0;
    const [x1, x2] = item.side === 0 ? [client + 1, server - 1] : [server - 1, client + 1];
    const c = isRun(item) ? SIDES[item.side] : colourOf(item);
    const w = chosen ? 2.4 : 1.6;
    const red = !isRun(item) && item.red ? { red: true } : {};
    if (row.bar) marks.push({ k: "rect", x: made.table.delta - 62 - row.bar, y: y - 3, w: row.bar, h: 6, fill: "ink-3", a: 0.6 });
    if (isRun(item)) marks.push({ k: "rect", x: Math.min(x1, x2), y: y - 3, w: Math.abs(x2 - x1), h: 6, fill: `${c}-t`, c, n: item.n });
    marks.push({ k: "line", x1, y1: y, x2, y2: y, c, w: isRun(item) ? 1 : w, head: true, n: item.n, ...(!isRun(item) && item.probe ? { dash: [4, 2] } : {}), ...red });
  });
  const span = noRoom(data);
  if (span) {
    const [first, end, side] = span;
    const from = made.rows.find((row) => row.n === first.n);
    const to = [...made.rows].reverse().find((row, i) => /** @type {Packet | Run} */ (data.items[data.items.length - 1 - i]).t <= end);
    if (from && to) {
      const x = server + 16;
      marks.push({ k: "poly", open: true, points: [x - 8, from.y, x, from.y, x, to.y, x - 8, to.y], c: "trouble", w: 1.4, red: true });
      const middle = (from.y + to.y) / 2;
      marks.push({ k: "text", x: x + 10, y: middle, s: duration(end - first.t), c: "trouble", weight: 600, red: true }, { k: "text", x: x + 10, y: middle + 14, s: `no room at the ${SIDES[side]}`, c: "ink-2", size: 11 });
    }
  }
  marks.push({ k: "text", x: made.table.word, y: TOP + data.items.length * EVENT_ROW + 14, s: "One row each, in the order of time and number; no slant, the bars say the pauses.", c: "ink-2", size: 11 });
}
