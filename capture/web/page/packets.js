// Packets in order, of a session or of the whole file: virtual rows, as bicap read says them.

import { get } from "./api.js";
import { count, duration } from "./format.js";
import { html, render } from "./vendor/lit-html/lit-html.js";

const ROW = 22;
const BLOCK = 100;
const TALLEST = 8e6;

export class Packets {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page @param {boolean} whole */
  constructor(root, page, whole) {
    this.page = page;
    this.whole_file = whole;
    this.session = -1;
    this.total = 0;
    /** @type {Map<number, any[]>} */
    this.blocks = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    const part = document.createElement("div");
    part.className = "pl";
    root.append(part);
    this.root = part;
    render(html`<div class="hd"><span class="num">#</span><span class="num">time</span><span class="num">${whole ? "session" : "since last"}</span><span>from, to</span><span>says</span><span class="num">bytes</span></div><div class="rows" role="grid" aria-label="packets"><div class="space"></div></div>`, part);
    this.scroller = /** @type {HTMLElement} */ (part.querySelector(".rows"));
    this.scroller.addEventListener("scroll", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.scroller);
  }

  /** @returns {Promise<void>} */
  async show() {
    const session = this.whole_file ? 0 : this.page.state.session;
    if (session !== this.session || this.total !== (this.whole_file ? this.page.status?.packets : this.total)) {
      this.session = session;
      this.blocks.clear();
      this.asked.clear();
      const answer = await get("packets", { session, from: 0, count: BLOCK });
      this.total = answer.total;
      this.blocks.set(0, answer.rows);
    }
    this.paint();
  }

  get top() {
    const most = Math.max(this.total * ROW - this.scroller.clientHeight, 0);
    return this.total * ROW <= TALLEST ? this.scroller.scrollTop : (this.scroller.scrollTop / (TALLEST - this.scroller.clientHeight)) * most;
  }

  /** @returns {void} */
  paint() {
    const space = /** @type {HTMLElement} */ (this.root.querySelector(".space"));
    space.style.height = `${Math.min(this.total * ROW, TALLEST)}px`;
    const { top } = this;
    const offset = this.scroller.scrollTop - top;
    const first = Math.max(Math.floor(top / ROW) - 2, 0);
    const last = Math.min(Math.ceil((top + this.scroller.clientHeight) / ROW) + 2, this.total);
    const rows = [];
    for (let i = first; i < last; i++) {
      const row = this.blocks.get(Math.floor(i / BLOCK))?.[i % BLOCK];
      if (!row) { this.ask(Math.floor(i / BLOCK)); continue; }
      const before = this.blocks.get(Math.floor((i - 1) / BLOCK))?.[(i - 1 + BLOCK) % BLOCK];
      const on = row.n === this.page.state.packet;
      rows.push(html`<div class="row ${on ? "on" : ""} ${i % 2 ? "even" : ""}" role="row" .style=${`top:${i * ROW + offset}px`} @click=${() => (this.whole_file && !row.session ? this.page.set({ packet: row.n }) : this.whole_file ? this.page.choosePacket(row.n, row.session) : this.page.set({ packet: row.n }, true))}>
        <span class="num dim">${row.n}</span><span class="num">${(row.t / 1e9).toFixed(6)}</span><span class="num dim">${this.whole_file ? row.session || "" : i && before ? duration(row.t - before.t) : ""}</span>
        <span class=${row.side ? "server" : "client"} title=${row.ends}>${row.ends}</span><span class="dim" title=${row.text}>${row.text}</span><span class="num dim">${count(row.size)}</span></div>`);
    }
    render(html`${rows}`, space);
  }

  /** @param {number} block @returns {void} */
  ask(block) {
    if (this.asked.has(block)) return;
    this.asked.add(block);
    const session = this.session;
    get("packets", { session, from: block * BLOCK, count: BLOCK }).then((answer) => {
      if (session !== this.session) return;
      this.blocks.set(block, answer.rows);
      if (this.blocks.size > 80) { const oldest = /** @type {number} */ (this.blocks.keys().next().value); this.blocks.delete(oldest); this.asked.delete(oldest); }
      this.paint();
    }, () => this.asked.delete(block));
  }

  /** @returns {number[]} */
  numbers() {
    return [...this.blocks.values()].flat().map((row) => row.n).sort((a, b) => a - b);
  }

  /** @param {number} pages @returns {void} */
  pan(pages) {
    this.scroller.scrollTop += pages * this.scroller.clientHeight;
  }
}
