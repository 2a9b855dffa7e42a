// What both sides said, beside each other: messages, waits between them, gaps as gaps. Payload is text nodes only.

import { get, save } from "./api.js";
import { count, duration, size } from "./format.js";
import { link } from "./pieces.js";
import { html, nothing, render, svg } from "./vendor/lit-html/lit-html.js";

const DULL = new Set(["date", "server", "connection", "accept", "accept-encoding", "user-agent", "vary", "cache-control"]);
const LINES = 14;
/** @type {["client", "server"]} */
const SIDES = ["client", "server"];

export class Streams {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.page = page;
    this.session = 0;
    /** @type {any} */
    this.data = null;
    /** @type {Set<string>} */
    this.opened = new Set();
    this.root = document.createElement("div");
    root.append(this.root);
  }

  /** @returns {Promise<void>} */
  async show() {
    const session = this.page.state.session;
    if (session !== this.session) {
      this.session = session;
      this.data = null;
      this.opened.clear();
      const data = await get(`session/${session}/streams`);
      if (this.session !== session) return;
      this.data = data;
    }
    this.paint();
  }

  /** @returns {void} */
  paint() {
    const { page, data } = this;
    if (!data) { render(nothing, this.root); return; }
    const row = page.row;
    const inTurn = page.state.form === "turn";
    /** @type {any[][]} */
    const pairs = [];
    for (const turn of data.turns) {
      const last = pairs.at(-1);
      if (!inTurn && turn.side === 1 && last && last.length === 1 && last[0].side === 0) last.push(turn);
      else pairs.push([turn]);
    }
    const count_of = page.state.find ? data.turns.reduce((/** @type {number} */ sum, /** @type {any} */ turn) => sum + matches(turn, page.state.find), 0) : 0;
    render(html`<div class="st ${inTurn ? "in-turn" : ""}">
      <div class="pair h"><span><b class="client">${row?.ends[0][0]}</b>&ensp;asks</span><span class="gut" .style=${"text-align:center"}>time and wait</span><span><b class="server">${row?.ends[1][0]}</b>&ensp;answers${page.state.find ? html`&emsp;${count(count_of)} found` : nothing}</span></div>
      ${data.turns.length ? pairs.map((pair) => this.pair(pair, inTurn)) : html`<div class="say"><h2>Nothing was said</h2><p>No packet of this session carries data.</p></div>`}
      ${data.missing.length ? html`<div class="gap"><b>Not complete</b>: ${data.missing.join("; ")}</div>` : nothing}
      <p class="faint"><br>save as bytes: <button class="lk" @click=${() => this.save(0)}>client</button> <button class="lk" @click=${() => this.save(1)}>server</button></p></div>`, this.root);
  }

  /** @param {number} side @returns {void} */
  save(side) {
    void save(`session/${this.session}/raw/${side}`, {}, `session-${this.session}-${SIDES[/** @type {0 | 1} */ (side)]}.bin`);
  }

  /** @param {any[]} pair @param {boolean} inTurn @returns {unknown} */
  pair(pair, inTurn) {
    const [a, b] = pair;
    if (inTurn) return html`<div class="pair">${this.turn(a)}</div>`;
    const left = a.side === 0 ? a : null;
    const right = a.side === 1 ? a : b;
    return html`<div class="pair">${left ? this.turn(left) : html`<div></div>`}<div class="gut">${this.wait(left, right)}</div>${right ? this.turn(right) : html`<div class="turn">${left ? html`<span class="faint">no answer in the file</span>` : nothing}</div>`}</div>`;
  }

  /** The time, the wait as a bracket, and its length. @param {any} ask @param {any} answer @returns {unknown} */
  wait(ask, answer) {
    if (!ask || !answer) {
      const one = ask ?? answer;
      return html`<svg width="132" height="34"><text x="66" y="16" text-anchor="middle">${duration(one.t) === "0" ? "0.0 ms" : duration(one.t)}</text></svg>`;
    }
    const wait = answer.t - ask.end;
    const slow = wait >= 1e8;
    const time = (/** @type {number} */ t) => (t < 1e5 ? "0.0 ms" : duration(t));
    return html`<svg width="132" height="92" aria-label="waited ${duration(wait)}">
      <text x="66" y="11" text-anchor="middle">${time(ask.t)}</text>
      ${svg`<line x1="10" x2="118" y1="18" y2="18" class="sw-client"></line><path class="f-client" d="M122 18l-7 -2.6v5.2z"></path>
      <line x1="122" x2="122" y1="22" y2="66" class=${slow ? "sw-bad" : "sw-server"}></line>
      <text x="112" y="40" text-anchor="end" class=${slow ? "wait bad" : "wait"}>${duration(wait)}</text><text x="112" y="54" text-anchor="end">first byte</text>
      <line x1="122" x2="14" y1="70" y2="70" class="sw-server"></line><path class="f-server" d="M10 70l7 -2.6v5.2z"></path>
      <text x="66" y="86" text-anchor="middle">${time(answer.t)}</text>`}</svg>`;
  }

  /** @param {any} turn @returns {unknown} */
  turn(turn) {
    const side = SIDES[/** @type {0 | 1} */ (turn.side)];
    const { state } = this.page;
    const choose = (/** @type {number} */ n) => this.page.choosePacket(n, this.session);
    const packets = turn.last !== turn.packet ? html`packets ${link(turn.packet, choose)} to ${link(turn.last, choose)}` : html`packet ${link(turn.packet, choose)}`;
    const key = `${turn.side} ${turn.offset} ${turn.packet}`;
    const all = this.opened.has(`${key} headers`);
    const headers = turn.headers.filter((/** @type {[string, string]} */ [name]) => all || !DULL.has(name.toLowerCase()));
    const dull = turn.headers.length - headers.length;
    return html`<div class="turn"><div class="first"><b class=${turn.status >= 400 ? "bad" : side}>${turn.line ? marked(turn.line, state.find) : `${count(turn.size)} B`}</b><span>${turn.line ? `${count(turn.size)} B, ` : ""}${packets}</span></div>
      ${turn.headers.length ? html`<dl>${headers.map((/** @type {[string, string]} */ [name, value]) => html`<dt>${name}</dt><dd title=${value}>${marked(value, state.find)}</dd>`)}</dl>${dull ? html`<button class="fold" @click=${() => { this.opened.add(`${key} headers`); this.paint(); }}>${dull} more ${dull === 1 ? "header" : "headers"}</button>` : nothing}` : nothing}
      ${turn.body.map((/** @type {any} */ part, /** @type {number} */ i) => this.body(part, side, `${key} ${i}`))}</div>`;
  }

  /** @param {any} part @param {string} side @param {string} key @returns {unknown} */
  body(part, side, key) {
    if (part.gap !== undefined) return html`<div class="gap"><b>${count(part.gap)} bytes not captured</b>: ${part.why}</div>`;
    if (part.more !== undefined) return html`<div class="fold">${size(part.more)} more: save the stream to see them</div>`;
    const { state } = this.page;
    if (part.hex !== undefined || state.form === "hex") return html`<pre class="${side}-rule">${hexLines(part.hex ?? toHex(part.text), this.opened.has(key) ? 4096 : 160)}${this.more(part, key, 160)}</pre>`;
    const lines = part.text.split("\n");
    const open = this.opened.has(key) || state.find !== "" || lines.length <= LINES + 3;
    const shown = open ? part.text : `${lines.slice(0, LINES).join("\n")}\n`;
    const rest = lines.slice(LINES);
    return html`<pre class="${side}-rule">${part.json ? json(shown, state.find) : marked(shown, state.find)}</pre>${open ? nothing : html`<button class="fold" @click=${() => { this.opened.add(key); this.paint(); }}>${rest.length} more lines, ${size(rest.join("\n").length)} <kbd>→</kbd></button>`}`;
  }

  /** @param {any} part @param {string} key @param {number} shown @returns {unknown} */
  more(part, key, shown) {
    const length = (part.hex ?? toHex(part.text)).length / 2;
    return length > shown && !this.opened.has(key) ? html`<button class="fold" @click=${() => { this.opened.add(key); this.paint(); }}>${size((part.size ?? length) - shown)} more <kbd>→</kbd></button>` : nothing;
  }

  /** @returns {number[]} */
  numbers() {
    return (this.data?.turns ?? []).map((/** @type {any} */ turn) => turn.packet).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  }

  /** @param {number} pages @returns {void} */
  pan(pages) {
    const part = /** @type {HTMLElement} */ (this.root.querySelector(".st"));
    part.scrollTop += pages * part.clientHeight;
  }
}

/** @param {any} turn @param {string} find @returns {number} */
function matches(turn, find) {
  const texts = [turn.line, ...turn.headers.map((/** @type {[string, string]} */ header) => header[1]), ...turn.body.map((/** @type {any} */ part) => part.text ?? "")];
  return texts.reduce((sum, text) => sum + text.toLowerCase().split(find.toLowerCase()).length - 1, 0);
}

/** Text with what was searched for marked. @param {string} text @param {string} find @returns {unknown} */
function marked(text, find) {
  if (!find) return text;
  const parts = [];
  const low = text.toLowerCase();
  let at = 0;
  for (let next = low.indexOf(find.toLowerCase()); next >= 0; next = low.indexOf(find.toLowerCase(), at)) {
    parts.push(text.slice(at, next), html`<mark>${text.slice(next, next + find.length)}</mark>`);
    at = next + find.length;
  }
  parts.push(text.slice(at));
  return parts;
}

/** Keys and brackets of JSON are fainter than values. @param {string} text @param {string} find @returns {unknown} */
function json(text, find) {
  return text.split(/("(?:[^"\\\n]|\\.)*"\s*:|[{}[\],]+)/g).map((piece, i) => (i % 2 ? html`<span class=${piece.startsWith('"') ? "k" : "p"}>${piece}</span>` : marked(piece, find)));
}

/** @param {string} text @returns {string} */
const toHex = (text) => Array.from(new TextEncoder().encode(text.slice(0, 4096)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {string} hex @param {number} most @returns {string} */
function hexLines(hex, most) {
  const bytes = hex.match(/../g) ?? [];
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, most); at += 16) {
    const row = bytes.slice(at, at + 16);
    const text = row.map((byte) => { const code = parseInt(byte, 16); return code >= 32 && code < 127 ? String.fromCharCode(code) : "·"; }).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${row.join(" ").padEnd(48)} ${text}`);
  }
  return lines.join("\n");
}
