// The drawing list of a time-sequence, as data.

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout } from "../../capture/web/page/sequence-layout.js";

const MS = 1e6;
/** @param {object} arrays @param {object} [meta] @returns {any} */
const data = (arrays, meta = {}) => ({
  meta: { from: 0, to: 10 * MS, span: 10 * MS, tcp: true, scales: [7, 7], syn: [true, true], packets: 4, reduced: false, ...meta },
  arrays: Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, /kind|again|zero|side|what/.test(name) ? Uint8Array.from(values) : Float64Array.from(values)])),
});
const segments = { seg1_t: [1 * MS, 2 * MS, 6 * MS], seg1_lo: [1, 1449, 1], seg1_hi: [1449, 2897, 1449], seg1_n: [4, 5, 9], seg1_kind: [0, 0, 1], seg1_copy: [-1, -1, 1 * MS] };
const answers = { ack1_t: [3 * MS, 4 * MS, 7 * MS], ack1_v: [1, 1, 2897], ack1_w: [65537, 65537, 2897], ack1_n: [6, 7, 10], ack1_again: [0, 1, 0], ack1_zero: [0, 0, 1] };
const options = { width: 1080, height: 640, from: 0, to: 10 * MS, below: "trip", selected: 0, names: /** @type {[string, string]} */ (["a", "b"]) };

test("segments have their sender's colour, what acknowledges them the other's", () => {
  const found = data({ ...segments, ...answers });
  const { marks } = layout(found, found, options);
  const first = /** @type {any} */ (marks.find((mark) => mark.k === "line" && mark.n === 4));
  assert.equal(first.c, "server");
  assert.ok(marks.some((mark) => mark.k === "poly" && mark.c === "client" && mark.w === 1.3));
});

test("what was sent again is red and thicker at any zoom, and tied to its first copy", () => {
  const found = data({ ...segments, ...answers });
  for (const [from, to] of [[0, 10 * MS], [5.9 * MS, 6.1 * MS]]) {
    const { marks } = layout(found, found, { ...options, from: /** @type {number} */ (from), to: /** @type {number} */ (to) });
    const red = /** @type {any[]} */ (marks.filter((mark) => mark.k === "line" && mark.n === 9));
    assert.ok(red.some((mark) => mark.w === 3 && mark.c === "trouble"));
    assert.ok(red.some((mark) => mark.dash));
  }
});

test("a window of zero is a red bar with its length; the same ACK again is a tick", () => {
  const found = data({ ...segments, ...answers });
  const { marks } = layout(found, found, options);
  assert.ok(marks.some((mark) => mark.k === "text" && mark.s === "no room, 3.00 ms" && mark.red));
  assert.ok(marks.some((mark) => mark.k === "line" && mark.n === 7));
});

test("without the SYN the window's scale is not known, and it is dotted and says so", () => {
  const found = data({ ...segments, ...answers }, { scales: [-1, -1] });
  const { marks } = layout(found, found, options);
  assert.ok(marks.some((mark) => mark.k === "text" && mark.s === "window, × 2^n"));
});

test("a chosen packet has a line through all plots, a ring and its numbers", () => {
  const found = data({ ...segments, ...answers });
  const made = layout(found, found, { ...options, selected: 9 });
  assert.equal(made.title, "Sent again");
  assert.deepEqual(made.readings.slice(0, 4), [["packet", "9"], ["time", "6.00 ms"], ["bytes", "1–1,449"], ["sent again after", "5.00 ms"]]);
  assert.ok(made.marks.some((mark) => mark.k === "dot" && mark.c === "select-line"));
});
