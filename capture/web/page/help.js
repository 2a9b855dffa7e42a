// Keys and legend: what the page's marks mean, drawn as they are drawn everywhere else.

import { draw, fitted } from "./canvas.js";
import { html, render } from "./vendor/lit-html/lit-html.js";

/** @typedef {import("./canvas.js").Mark} Mark */

const KEYS = [
  ["j k", "next, previous row", "/", "filter; Tab takes, Esc leaves"],
  ["↵", "open a session, a finding's evidence; unfold", "Esc", "back, one step"],
  ["1–4", "ladder, time-sequence, streams, packets", "n N", "next, previous finding"],
  ["[ ]", "previous, next packet of the session", "{ }", "previous, next red one"],
  ["w s a d", "in, out, left, right (ladder: time)", "0", "the whole"],
  ["f", "fold, unfold all", "e", "to scale, by events"],
  ["c", "clocks as written, aligned", "g", "group by next"],
  ["p", "pin, to see two sessions", "x", "export"],
  ["y", "copy the command", "Y", "copy the address"],
  ["t", "theme", "?", "keys and legend"],
];

/** @type {Mark[]} */
const LIFE = [{ k: "line", x1: 40, y1: 4, x2: 40, y2: 106, c: "client", w: 1.5 }, { k: "line", x1: 290, y1: 4, x2: 290, y2: 106, c: "server", w: 1.5 }];

/** @type {[string, string, Mark[]][]} */
export const CELLS = [
  ["Not captured", "Acknowledged by the other side, and not in the file. Grey, hollow, dashed; always with the number of bytes.", [...LIFE, { k: "poly", points: [40, 46, 290, 38, 290, 66, 40, 74], c: "unknown", dash: [3, 3] }, { k: "text", x: 165, y: 60, s: "2,896 B not captured", c: "ink-2", size: 11, align: "center", halo: true }]],
  ["Sampled out", "The capture was told to leave them out: hatched, with the rule. The count is known, the packets are not.", [...LIFE, { k: "rect", x: 36, y: 36, w: 258, h: 34, hatch: true }, { k: "text", x: 165, y: 57, s: "412 packets sampled out", c: "ink-2", size: 11, align: "center", halo: true }]],
  ["Cut", "The snap length kept a part of the packet. What is behind the edge counts in sizes, and is not decoded. In the ladder its dot is hollow, and the row says how many bytes.", [{ k: "rect", x: 40, y: 34, w: 110, h: 34, fill: "server-t", c: "server" }, { k: "rect", x: 162, y: 34, w: 128, h: 34, c: "unknown", dash: [3, 3] }, { k: "text", x: 226, y: 55, s: "1,386 B cut", c: "ink-2", size: 11, align: "center" }]],
  ["Beyond the point", "One point sees a packet pass, not where it goes: the line fades. With an answer the slant is half of the round trip, lighter.", [...LIFE, { k: "line", x1: 90, y1: 4, x2: 90, y2: 106, c: "line-2", dash: [1, 3] }, { k: "line", x1: 41, y1: 30, x2: 90, y2: 30, c: "client", w: 1.6 }, { k: "fade", x1: 93, x2: 200, y: 30, c: "client" }, { k: "line", x1: 41, y1: 60, x2: 90, y2: 60, c: "client", w: 1.6 }, { k: "line", x1: 90, y1: 60, x2: 289, y2: 78, c: "client", w: 1.4, a: 0.55, head: true }]],
  ["Lost, and why", "Cross on the leg. Without a drop that the kernel recorded: not known, and the line stays dashed to the next point.", [...LIFE, { k: "line", x1: 41, y1: 40, x2: 130, y2: 47, c: "trouble", w: 1.6 }, { k: "line", x1: 130, y1: 47, x2: 289, y2: 60, c: "trouble", dash: [2, 3] }, { k: "cross", x: 165, y: 50 }, { k: "text", x: 176, y: 38, s: "why is not known", c: "trouble", weight: 600, halo: true }]],
  ["Sent again", "Red, and tied to the first copy on the sender's side.", [...LIFE, { k: "line", x1: 41, y1: 26, x2: 289, y2: 32, c: "client", w: 1.6, head: true }, { k: "line", x1: 41, y1: 84, x2: 289, y2: 90, c: "trouble", w: 1.6, head: true }, { k: "arc", x: 40, y1: 26, y2: 84, out: -24, c: "trouble", dash: [1.5, 2.5] }]],
  ["Estimated by the page", "What is estimated (half of a round trip) is lighter, and has the word “about” before its number.", [...LIFE, { k: "line", x1: 41, y1: 40, x2: 289, y2: 48, c: "client", w: 1.6, head: true }, { k: "line", x1: 289, y1: 66, x2: 41, y2: 78, c: "server", w: 1.6, a: 0.55, head: true }]],
  ["A run", "Data of one side with the other's pure acknowledgments between, folded into a band; Enter unfolds.", [...LIFE, { k: "poly", points: [40, 30, 290, 20, 290, 70, 40, 80], fill: "server-t" }, ...[0, 10, 20, 30, 40, 50].map((d) => /** @type {Mark} */ ({ k: "line", x1: 290, y1: 20 + d, x2: 40, y2: 30 + d, c: "server", a: 0.5 })), { k: "text", x: 165, y: 54, s: "138 segments, 195 KiB", c: "server", weight: 600, align: "center", halo: true }]],
];

/** @param {import("./main.js").Page} page @returns {void} */
export function help(page) {
  let root = /** @type {HTMLElement | null} */ (page.root.querySelector(".help"));
  if (!root) {
    root = document.createElement("div");
    root.className = "help";
    root.tabIndex = 0;
    page.root.append(root);
  }
  const key = (/** @type {string | undefined} */ text) => (text ?? "").split(" ").map((one) => html`<kbd>${one}</kbd> `);
  render(html`<h2>Keys</h2><table><tbody>${KEYS.map(([a, b, c, d]) => html`<tr><td>${key(a)}</td><td>${b}</td><td>${key(c)}</td><td>${d}</td></tr>`)}</tbody></table>
    <h2>How things are drawn</h2><p class="dim">Ink is for what was measured, colour for who sent it, red for what went wrong, grey for what is not known.</p><br>
    <div class="cells">${CELLS.map(([title, text]) => html`<div><b>${title}</b><canvas aria-hidden="true"></canvas><p>${text}</p></div>`)}</div>`, root);
  root.querySelectorAll("canvas").forEach((canvas, i) => draw(fitted(canvas, 320, 110), /** @type {[string, string, Mark[]]} */ (CELLS[i])[2]));
}
