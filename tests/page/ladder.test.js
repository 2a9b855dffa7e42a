// The drawing list of a ladder, as data: no browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { apart, breaksOf, layout, ROW } from "../../capture/web/page/ladder-layout.js";

/** @param {number} n @param {number} t @param {0 | 1} side @param {object} [more] */
const packet = (n, t, side, more = {}) => ({ n, t, side, word: "ACK", detail: "", flags: 16, payload: 0, seq: 1, ack: 1, marks: [], again: 0, after: 0, red: false, probe: false, cut: 0, unseen: false, ...more });
const syn = (/** @type {number} */ n, /** @type {number} */ t, more = {}) => packet(n, t, 0, { word: "SYN", flags: 2, ack: -1, ...more });
const MS = 1e6;
/** @param {any[]} items @param {object} [more] @returns {any} */
const data = (items, more = {}) => ({ session: 1, tcp: true, packets: items.length, items, bands: [], total: items.length, trips: [-1, -1], span: items.at(-1).t, syn: [true, true], gaps: [], file_end: null, ...more });
const options = { mode: /** @type {"time"} */ ("time"), width: 1080, height: 600, zoom: 1, selected: 0, closed: true };
const handshake = [syn(1, 0), packet(2, 0.9 * MS, 1, { word: "SYN ACK", flags: 18 }), packet(3, 0.91 * MS, 0)];

test("rows never overlap, keep their order, and stay near their time", () => {
  const placed = apart([10, 10, 11, 12, 300, 301], ROW, 0);
  for (let i = 1; i < placed.length; i++) assert.ok(placed[i] - placed[i - 1] >= ROW - 1e-9);
  assert.ok(Math.abs((placed[4] + placed[5]) / 2 - 300.5) < 1);
});

test("without a round trip nothing beyond the point is drawn: the line fades, level, and has no head", () => {
  const made = layout(data([syn(1, 0), syn(2, 1e9, { red: true, again: 1, after: 1e9 })]), options);
  const fades = made.marks.filter((mark) => mark.k === "fade");
  assert.equal(fades.length, 2);
  const lines = made.marks.filter((mark) => mark.k === "line" && "n" in mark);
  assert.ok(lines.every((line) => line.k === "line" && !line.head && line.y1 === line.y2));
  assert.deepEqual(made.seen, [true, false]);
});

test("with the handshake's round trip the slant is half of it, lighter, on the far side only", () => {
  const made = layout(data(handshake, { trips: [0.01 * MS, 0.9 * MS] }), options);
  const estimated = /** @type {any[]} */ (made.marks.filter((mark) => mark.k === "line" && mark.a === 0.55));
  assert.equal(estimated.length, 3);
  const first = estimated.find((line) => line.n === 1);
  assert.ok(first.head && first.y2 > first.y1);
  assert.ok(Math.abs(first.y2 - first.y1 - (made.toY(0.45 * MS) - made.toY(0))) < 1e-6);
  const answer = estimated.find((line) => line.n === 2);
  assert.ok(!answer.head && answer.y1 < answer.y2, "the answer left before it passed here");
});

test("what was sent again is red, and tied to its first copy on the sender's side", () => {
  const items = [...handshake, packet(4, 1 * MS, 1, { word: "1,448 B", payload: 1448 }), packet(5, 9 * MS, 1, { word: "1,448 B", payload: 1448, again: 4, after: 8 * MS, red: true, marks: ["retransmission"] })];
  const made = layout(data(items, { trips: [0.01 * MS, 0.9 * MS] }), options);
  const arcs = /** @type {any[]} */ (made.marks.filter((mark) => mark.k === "arc"));
  assert.equal(arcs.length, 1);
  assert.equal(arcs[0].x, made.columns.server);
  assert.deepEqual([arcs[0].y1, arcs[0].y2], [made.toY(1 * MS), made.toY(9 * MS)]);
  assert.ok(made.marks.some((mark) => mark.k === "text" && mark.s === "sent again after 8.00 ms" && mark.red));
});

test("retries are to scale, with how many times the last pause each was; nothing is broken off", () => {
  const items = [syn(1, 0), syn(2, 1e9, { red: true }), syn(3, 3e9, { red: true }), syn(4, 7e9, { red: true })];
  const found = data(items, { file_end: 8e9 });
  assert.deepEqual(breaksOf(found), []);
  const made = layout(found, { ...options, closed: false });
  const texts = made.marks.filter((mark) => mark.k === "text").map((mark) => mark.k === "text" && mark.s);
  assert.ok(texts.includes("nothing came back") && texts.includes("× 2.0") && texts.includes("4.00 s"));
  assert.ok(texts.includes("1.00 s after the last try: too early for another"));
});

test("a pause in which nothing happens is broken off, and says how long it is", () => {
  const items = [...handshake, packet(4, 4e9, 0, { word: "FIN", flags: 17 })];
  const made = layout(data(items, { trips: [0.01 * MS, 0.9 * MS] }), options);
  assert.equal(made.breaks.length, 1);
  assert.ok(made.marks.some((mark) => mark.k === "text" && mark.s === "4.00 s with nothing: not to scale"));
  assert.ok(made.toY(4e9) - made.toY(0) < 700);
});

test("bytes that the file lacks are a dashed grey outline with their number, never a packet", () => {
  const items = [...handshake, packet(4, 2 * MS, 1, { payload: 100 }), packet(5, 3 * MS, 0, { unseen: true })];
  const made = layout(data(items, { trips: [0.01 * MS, 0.9 * MS], gaps: [[3 * MS, 1, 101, 2896]] }), options);
  assert.ok(made.marks.some((mark) => mark.k === "text" && mark.s === "2,896 B not captured"));
  assert.ok(made.marks.some((mark) => mark.k === "poly" && mark.c === "unknown" && mark.dash && !mark.fill));
});

test("by events each item has a row of one height and a level arrow", () => {
  const made = layout(data(handshake), { ...options, mode: "events" });
  assert.deepEqual(made.rows.map((row) => row.y), [20, 41, 62]);
  const arrows = made.marks.filter((mark) => mark.k === "line" && mark.head);
  assert.ok(arrows.length === 3 && arrows.every((line) => line.k === "line" && line.y1 === line.y2));
});

test("a run is one band between its first and last packet, and every packet is in a row", () => {
  const run = { n: 4, last: 9, t: 1 * MS, end: 2 * MS, side: 1, segments: 4, acks: 2, bytes: 5792, times: [1, 1.3, 1.6, 2].map((t) => t * MS), ack_times: [1.3 * MS, 2 * MS], first_data: 1 * MS, last_data: 2 * MS };
  const made = layout(data([...handshake, run], { trips: [0.01 * MS, 0.9 * MS], span: 2 * MS }), options);
  const row = /** @type {any} */ (made.rows[3]);
  assert.deepEqual([row.number, row.word, row.detail, row.extra], ["4–9", "4 segments", "5.66 KiB in 1.00 ms", "2 ACK"]);
  assert.equal(made.marks.filter((mark) => mark.k === "poly" && mark.fill === "server-t").length, 1);
});

test("what is missing is hatched if the capture left packets out on purpose, and dashed only if it is not known why", () => {
  const found = data(handshake, { trips: [0.01 * MS, 0.9 * MS], gaps: [[0.91 * MS, 1, 1, 2896]] });
  const texts = (/** @type {any} */ made) => made.marks.filter((/** @type {any} */ mark) => mark.k === "text").map((/** @type {any} */ mark) => mark.s);
  const hatched = (/** @type {any} */ made) => made.marks.filter((/** @type {any} */ mark) => mark.hatch).length;
  const lost = layout(found, options);
  assert.deepEqual([texts(lost).includes("2,896 B not captured"), hatched(lost)], [true, 0]);
  const sampled = layout(found, { ...options, sampled: true });
  assert.deepEqual([texts(sampled).includes("2,896 B sampled out"), hatched(sampled)], [true, 1]);
});

test("a packet that was cut has a hollow dot, and its row says how many bytes are missing", () => {
  const items = [...handshake, packet(4, 1 * MS, 1, { word: "1,448 B", payload: 1448, cut: 1386 }), packet(5, 2 * MS, 1, { word: "1,448 B", payload: 1448 })];
  const made = layout(data(items, { trips: [0.01 * MS, 0.9 * MS] }), options);
  const dots = /** @type {any[]} */ (made.marks.filter((mark) => mark.k === "dot"));
  assert.deepEqual(dots.filter((dot) => dot.hollow).map((dot) => dot.n), [4]);
  assert.deepEqual(made.rows.filter((row) => row.extra).map((row) => [row.n, row.extra]), [[4, "1,386 B cut"]]);
});
