// The drawing list of a session at two points, as data.

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout, summary } from "../../capture/web/page/ladder-two.js";

const MS = 1e6;
const OFFSET = 5 * MS;
/** @param {number} n @param {0 | 1} side @param {number | null} near @param {number | null} far @param {object} [more] */
const seen = (n, side, near, far, more = {}) => ({ n, t: near ?? far ?? 0, side, word: "ACK", detail: "", flags: 16, payload: 0, seq: 1, ack: 1, marks: [], again: 0, after: 0, red: false, probe: false, cut: 0, unseen: false, times: [near, far], numbers: [near === null ? 0 : n, far === null ? 0 : n + 100], lost: false, only: near === null ? 1 : far === null ? 0 : -1, ...more });
/** @type {any} */
const data = {
  sessions: [1, 2], points: ["node-1/veth0", "node-2/veth1"], offset: OFFSET, uncertainty: 0.6 * MS, one_clock: false,
  items: [
    seen(1, 0, 0, null, { word: "SYN", flags: 2, lost: true }),
    seen(2, 0, 1000 * MS, 1000.6 * MS + OFFSET, { word: "SYN", flags: 2, again: 1, red: true }),
    seen(3, 1, 1001.3 * MS, 1000.7 * MS + OFFSET, { word: "SYN ACK", flags: 18 }),
  ],
};
const options = { width: 1080, height: 600, zoom: 1, selected: 0, aligned: true };

test("a lost packet has a cross and no head, and nothing claims to know why", () => {
  const made = layout(data, options);
  const own = made.marks.filter((mark) => "n" in mark && mark.n === 1);
  assert.equal(own.filter((mark) => mark.k === "cross").length, 1);
  assert.ok(own.every((mark) => mark.k !== "line" || !mark.head));
  assert.ok(made.marks.some((mark) => mark.k === "text" && mark.s === "why is not known" && mark.red));
});

test("between the points the slant is measured; outside them stubs are level and dotted", () => {
  const made = layout(data, options);
  const lines = /** @type {any[]} */ (made.marks.filter((mark) => mark.k === "line" && mark.n === 3));
  const measured = lines.filter((line) => !line.dash);
  assert.equal(measured.length, 1);
  assert.ok(Math.abs(measured[0].y2 - measured[0].y1 - (made.toY(1001.3 * MS) - made.toY(1000.7 * MS))) < 1e-6);
  assert.ok(lines.filter((line) => line.dash).every((line) => line.y1 === line.y2));
});

test("aligned clocks have a band on the far side and one number for it; as written they have neither", () => {
  const bands = (/** @type {any} */ made) => made.marks.filter((/** @type {any} */ mark) => mark.k === "rect" && mark.fill === "unknown").length;
  const aligned = layout(data, options);
  assert.ok(bands(aligned) > 0);
  assert.ok(aligned.marks.some((mark) => mark.k === "text" && mark.s === "may slide ± 600 µs, as a whole"));
  const written = layout(data, { ...options, aligned: false });
  assert.equal(bands(written), 0);
  assert.deepEqual(aligned.rows.map((row) => row.way), ["lost", "600 µs", "600 µs"]);
  assert.deepEqual(written.rows.map((row) => row.way), ["lost", "5.60 ms", "−4.40 ms"]);
});

test("what was sent again is tied to the lost copy, at the point of its sender", () => {
  const made = layout(data, options);
  const arc = /** @type {any} */ (made.marks.find((mark) => mark.k === "arc"));
  assert.equal(arc.x, made.columns.near);
  assert.equal(made.breaks.length, 1);
});

test("the sentence counts the lost, and says how well the clocks compare", () => {
  assert.equal(summary(data), "1 lost between the points: packet 1. One way about 600 µs, ± 600 µs between the clocks.");
});
