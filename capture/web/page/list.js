// The list of sessions: rows of one height, of which only those in view exist; windows of them come from the server.

import { get } from "./api.js";
import { clock, count, duration, size, ticks } from "./format.js";
import { linked } from "./pieces.js";
import { html, nothing, render, svg } from "./vendor/lit-html/lit-html.js";

const ROW = 22;
const GROUP = 28;
const BLOCK = 100;
const TALLEST = 8e6;

/** @typedef {{name: string, start: number, count: number, bad: number, packets: [number, number], bytes: [number, number], again: number, verdicts: [string, number][], when: number[]}} Group */
/** @typedef {{y: number, height: number, group: Group | null, start: number, count: number}} Part */

export class List {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.page = page;
    this.root = root;
    /** @type {Map<number, any[]>} */
    this.blocks = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    this.shown = 0;
    this.total = 0;
    /** @type {[string, number][]} */
    this.hidden = [];
    /** @type {Group[]} */
    this.groups = [];
    /** @type {Set<string>} */
    this.closed = new Set();
    /** @type {Part[]} */
    this.parts = [];
    this.height = 0;
    this.place = -1;
    this.question = 0;
    this.running = false;
    this.error = "";
    this.version = -1;
    this.asking = "";
    render(html`<div class="hd" role="row"></div><div class="rows" role="grid" aria-label="sessions" tabindex="-1"><div class="space"></div></div>`, root);
    this.scroller = /** @type {HTMLElement} */ (root.querySelector(".rows"));
    this.scroller.addEventListener("scroll", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.scroller);
  }

  get narrow() {
    return this.root.classList.contains("narrow");
  }

  /** Ask for the list again: another filter, order or group, or the capture has grown. @param {boolean} [keep] @returns {Promise<void>} */
  async refresh(keep = false) {
    const state = this.page.state;
    const asking = `${state.filter} ${state.sort} ${state.group}`;
    if (!keep || asking !== this.asking) this.place = -1;
    this.asking = asking;
    const question = ++this.question;
    this.running = true;
    this.page.counted();
    try {
      const answer = await get("sessions", { filter: state.filter, sort: state.sort, group: state.group, groups: 1, from: 0, count: BLOCK, find: state.session || undefined });
      if (question !== this.question) return;
      this.error = "";
      this.version = answer.version;
      this.shown = answer.shown;
      this.total = answer.total;
      this.hidden = answer.hidden;
      this.groups = answer.groups ?? [];
      this.blocks = new Map([[0, answer.rows]]);
      this.asked.clear();
      this.place = answer.place;
      this.arrange();
    } catch (error) {
      if (question !== this.question) return;
      this.error = /** @type {Error} */ (error).message;
    }
    this.running = false;
    this.page.counted();
    this.paint();
    if (!keep) this.reveal();
  }

  /** Lay out groups and rows. @returns {void} */
  arrange() {
    this.parts = [];
    let y = 0;
    for (const group of this.groups) {
      const open = !this.closed.has(group.name);
      const height = GROUP + (open ? group.count * ROW : 0);
      this.parts.push({ y, height, group, start: group.start, count: open ? group.count : 0 });
      y += height;
    }
    const grouped = this.groups.reduce((sum, group) => sum + group.count, 0);
    if (grouped < this.shown) {
      this.parts.push({ y, height: (this.shown - grouped) * ROW, group: null, start: grouped, count: this.shown - grouped });
      y += (this.shown - grouped) * ROW;
    }
    this.height = y;
  }

  /** y of a place in the order. @param {number} place @returns {number} */
  yOf(place) {
    const part = this.parts.find((one) => place >= one.start && place < one.start + one.count);
    return part ? part.y + (part.group ? GROUP : 0) + (place - part.start) * ROW : -1;
  }

  /** The browser's limit of heights: beyond it a pixel of the bar is several of the list. @returns {number} */
  get factor() {
    return Math.max(this.height / TALLEST, 1);
  }

  get top() {
    const most = Math.max(this.height - this.scroller.clientHeight, 0);
    return this.factor === 1 ? this.scroller.scrollTop : (this.scroller.scrollTop / Math.max(TALLEST - this.scroller.clientHeight, 1)) * most;
  }

  set top(y) {
    const most = Math.max(this.height - this.scroller.clientHeight, 1);
    this.scroller.scrollTop = this.factor === 1 ? y : (y / most) * (TALLEST - this.scroller.clientHeight);
  }

  /** Scroll to the chosen row if it does not show. @returns {void} */
  reveal() {
    const y = this.place >= 0 ? this.yOf(this.place) : -1;
    if (y < 0) return;
    const height = this.scroller.clientHeight;
    if (y < this.top) this.top = Math.max(y - (y < this.top - height ? height / 2 : 0), 0);
    else if (y + ROW > this.top + height) this.top = y + ROW - height + (y > this.top + 2 * height ? height / 2 : 0);
    this.paint();
  }

  /** @param {number} place @returns {any} */
  rowAt(place) {
    return this.blocks.get(Math.floor(place / BLOCK))?.[place % BLOCK];
  }

  /** @param {number} block @returns {void} */
  ask(block) {
    if (this.blocks.has(block) || this.asked.has(block)) return;
    this.asked.add(block);
    const { state } = this.page;
    const question = this.question;
    get("sessions", { filter: state.filter, sort: state.sort, group: state.group, from: block * BLOCK, count: BLOCK }).then(
      (answer) => {
        if (question !== this.question) return;
        this.blocks.set(block, answer.rows);
        if (this.blocks.size > 60) this.blocks.delete(/** @type {number} */ (this.blocks.keys().next().value));
        this.paint();
      },
      () => this.asked.delete(block),
    );
  }

  /** Choose the next or the previous row. @param {number} step @returns {void} */
  move(step) {
    if (!this.shown) return;
    let place = this.place < 0 ? (step > 0 ? 0 : this.shown - 1) : Math.min(Math.max(this.place + step, 0), this.shown - 1);
    while (this.yOf(place) < 0 && place > 0 && place < this.shown - 1) place += Math.sign(step);
    const row = this.rowAt(place);
    this.place = place;
    if (row) this.page.chooseSession(row.n, false);
    else {
      const block = Math.floor(place / BLOCK);
      this.asked.delete(block);
      const { state } = this.page;
      void get("sessions", { filter: state.filter, sort: state.sort, group: state.group, from: block * BLOCK, count: BLOCK }).then((answer) => {
        this.blocks.set(block, answer.rows);
        const found = this.rowAt(place);
        if (found) this.page.chooseSession(found.n, false);
      });
    }
    this.reveal();
  }

  /** @returns {void} */
  paint() {
    this.header();
    const space = /** @type {HTMLElement} */ (this.root.querySelector(".space"));
    space.style.height = `${Math.min(this.height, TALLEST)}px`;
    const top = this.top;
    const height = this.scroller.clientHeight || 600;
    const offset = this.scroller.scrollTop - top;
    /** @type {unknown[]} */
    const shown = [];
    for (const part of this.parts) {
      if (part.y + part.height < top || part.y > top + height) continue;
      if (part.group && part.y > top - GROUP) shown.push(this.groupRow(part.group, part.y + offset));
      const begin = part.y + (part.group ? GROUP : 0);
      const first = Math.max(Math.floor((top - begin) / ROW) - 2, 0);
      const last = Math.min(Math.ceil((top + height - begin) / ROW) + 2, part.count);
      for (let i = first; i < last; i++) {
        const place = part.start + i;
        const row = this.rowAt(place);
        if (row) shown.push(this.row(row, place, begin + i * ROW + offset));
        else this.ask(Math.floor(place / BLOCK));
      }
    }
    render(this.shown || this.running || !this.page.status?.done ? html`${shown}` : this.page.nothing(), space);
  }

  get span() {
    return Math.max(this.page.status?.span_ns ?? 1, 1);
  }

  /** Width of the column of times. @returns {number} */
  get whenWidth() {
    return this.narrow ? (innerWidth <= 1500 ? 84 : 108) : innerWidth <= 1200 ? 120 : innerWidth <= 1500 ? 150 : 190;
  }

  /** @returns {void} */
  header() {
    const state = this.page.state;
    const sorted = (/** @type {string} */ column, /** @type {string} */ label, /** @type {string} */ kind = "") => {
      const on = state.sort.replace("-", "") === column;
      return html`<span class=${kind} role="columnheader"><button class=${on ? "on" : ""} title="sort by ${label}" @click=${() => this.page.sortBy(column)}>${label}${on ? (state.sort.startsWith("-") ? " ↓" : " ↑") : ""}</button></span>`;
    };
    const width = this.whenWidth;
    const seconds = this.span / 1e9;
    const factor = seconds >= 1 ? 1 : seconds >= 1e-3 ? 1e3 : 1e6;
    const word = factor === 1 ? "s" : factor === 1e3 ? "ms" : "µs";
    const steps = ticks(0, seconds * factor, width > 140 ? 4 : 3);
    const axis = html`<svg width=${width} height="20" aria-hidden="true">${steps.map((t, i) => {
      const x = (t / (seconds * factor)) * width;
      const label = `${Number(t.toFixed(6))}${i === steps.length - 1 ? ` ${word}` : ""}`;
      return svg`<line class="s-tick" x1=${x} x2=${x} y1="15" y2="20"></line><text x=${x} y="11" text-anchor=${i === 0 ? "start" : x > width - 24 ? "end" : "middle"}>${label}</text>`;
    })}</svg>`;
    render(this.narrow
      ? html`${sorted("session", "#", "num")}<span>${axis}</span>${sorted("duration", "took", "num")}<span>client</span><span>verdict</span>`
      : html`${sorted("session", "#", "num c-n")}${sorted("start", "start")}<span>${axis}</span>${sorted("duration", "took", "num")}<span></span><span>client</span><span>server</span>
        ${sorted("packets", "packets", "num")}${sorted("bytes", "bytes", "num c-bytes")}<span class="c-shape">shape</span>${sorted("server_rtt_mean_ns", "round trip", "num c-trip")}${sorted("retransmitted", "again", "num")}<span>verdict</span>`,
    /** @type {HTMLElement} */ (this.root.querySelector(".hd")));
  }

  /** @param {any} row @param {number} place @param {number} y @returns {unknown} */
  row(row, place, y) {
    const on = row.n === this.page.state.session;
    if (on) this.place = place;
    const full = (/** @type {[string, string]} */ [name, port]) => html`${name}${port ? html`<span class="faint">:${port}</span>` : nothing}`;
    const short = (/** @type {[string, string]} */ [name, port]) => full([name.replace(/^.*\//, ""), port]);
    const pair = (/** @type {unknown} */ a, /** @type {unknown} */ b) => html`${a}<span class="sl">/</span>${b}`;
    const when = html`<span>${this.when(row)}</span>`;
    const again = row.again[0] + row.again[1];
    return html`<div class="row ${on ? "on" : ""} ${place % 2 ? "even" : ""} ${row.open ? "open" : ""}" role="row" aria-selected=${on} data-n=${row.n} .style=${`top:${y}px`} @click=${() => this.page.chooseSession(row.n, this.narrow || this.page.state.session === row.n)} @dblclick=${() => this.page.chooseSession(row.n, true)}>
      <span class="num faint c-n">${row.n}</span>
      ${this.narrow ? html`${when}<span class="num dim">${duration(row.took)}</span><span>${short(row.ends[0])}</span><span>${this.verdict(row, true)}</span>` : html`
      <span class="dim">${this.start(row)}</span>${when}<span class="num">${duration(row.took)}</span><span class="faint">${row.protocol}</span>
      <span title=${row.addresses[0]}>${full(row.ends[0])}</span><span title=${row.addresses[1]}>${full(row.ends[1])}</span>
      <span class="num">${pair(count(row.packets[0]), count(row.packets[1]))}</span>
      <span class="num dim c-bytes">${pair(size(row.bytes[0]), size(row.bytes[1]))}</span>
      <span class="c-shape">${this.shape(row)}</span>
      <span class="num dim c-trip">${row.trips[0] < 0 && row.trips[1] < 0 ? html`<span class="faint">–</span>` : pair(duration(row.trips[0]), duration(row.trips[1]))}</span>
      <span class="num ${again ? "bad" : "faint"}">${again ? pair(row.again[0], row.again[1]) : "0"}</span>
      <span>${this.verdict(row, false)}</span>`}
    </div>`;
  }

  /** @param {any} row @returns {string} */
  start(row) {
    const text = clock(BigInt(this.page.status?.start_ns ?? "0"), row.start);
    return this.span > 3600e9 ? text.slice(0, 8) : this.span > 60e9 ? text.slice(3, 10) : text.slice(6);
  }

  /** @param {any} row @returns {unknown} */
  when(row) {
    const scale = this.whenWidth / this.span;
    const x = Math.min(row.start * scale, this.whenWidth - 2);
    return html`<svg width=${this.whenWidth} height="10" aria-hidden="true"><rect class="f-when ${row.bad ? "bad-when" : ""}" x=${x.toFixed(1)} y="1" height="8" width=${Math.max(Math.min(row.took * scale, this.whenWidth - x), 2).toFixed(1)}></rect></svg>`;
  }

  /** @param {any} row @returns {unknown} */
  shape(row) {
    const most = Math.max(1, ...row.shape[0], ...row.shape[1]);
    const path = (/** @type {number[]} */ bins, /** @type {boolean} */ up) => bins.map((bytes, i) => {
      if (!bytes) return "";
      const h = Math.max(Math.sqrt(bytes / most) * 8, 1);
      return `M${i * 3} ${up ? (9 - h).toFixed(1) : 9}h2v${h.toFixed(1)}h-2z`;
    }).join("");
    return html`<svg width="90" height="18" aria-hidden="true"><rect class="f-line" x="0" y="8.5" width="90" height="1"></rect><path class="f-client" d=${path(row.shape[0], true)}></path><path class="f-server" d=${path(row.shape[1], false)}></path></svg>`;
  }

  /** @param {any} row @param {boolean} brief @returns {unknown} */
  verdict(row, brief) {
    /** @type {[string, string][]} */
    let pieces = row.verdict;
    if (brief) {
      const special = pieces.filter(([, tone]) => tone === "bad" || tone === "lack");
      if (special.length) pieces = [[/** @type {[string, string]} */ (special[0])[0].replace(/,? from packet \d+/, "").replace(/ \(.*\)$/, "").replace(/ after .*$/, "").replace(/^complete, then reset by the.*$/, "reset at once").replace(/^SYN unanswered, (\d+) retr.*$/, (_, n) => `${Number(n) + 1} SYN, no answer`), /** @type {[string, string]} */ (special[0])[1]]];
      return html`${pieces.map(([text, tone], i) => html`${i ? ", " : ""}<span class=${tone || "dim"}>${text}</span>`)}${special.length > 1 ? html`<span class="more"> + ${special.length - 1}</span>` : nothing}`;
    }
    return pieces.map(([text, tone], i) => html`${i ? html`<span class="more">, </span>` : nothing}<span class=${tone || "dim"}>${linked(text, (n) => this.page.choosePacket(n, row.n))}</span>`);
  }

  /** @param {Group} group @param {number} y @returns {unknown} */
  groupRow(group, y) {
    const open = !this.closed.has(group.name);
    const toggle = () => {
      if (open) this.closed.add(group.name);
      else this.closed.delete(group.name);
      this.arrange();
      this.paint();
    };
    const w = this.whenWidth / group.when.length;
    const bars = (/** @type {number} */ level) => group.when.map((v, i) => (v >= level ? `M${(i * w).toFixed(1)} 1h${Math.max(w, 1.5).toFixed(1)}v12h-${Math.max(w, 1.5).toFixed(1)}z` : "")).join("");
    const when = html`<span><svg width=${this.whenWidth} height="14" aria-hidden="true"><path class="f-soft" d=${bars(1)}></path><path class="f-soft bad-when" d=${bars(2)}></path></svg></span>`;
    const triangle = html`<button aria-expanded=${open} aria-label=${open ? "fold the group" : "unfold the group"} @click=${toggle}><svg width="10" height="10"><path class="f-ink" d=${open ? "M1 3h8L5 8z" : "M3 1v8l5-4z"}></path></svg></button>`;
    const verdicts = group.verdicts.map(([word, n], i) => html`${i ? ", " : ""}<span class="bad">${count(n)} ${word}</span>`);
    const pair = (/** @type {string} */ a, /** @type {string} */ b) => html`${a}<span class="sl">/</span>${b}`;
    return this.narrow
      ? html`<div class="row g" role="row" .style=${`top:${y}px`}><span class="num">${triangle}</span>${when}<span class="num">${count(group.count)}</span><span .style=${"grid-column:4/6"}>${group.name}&ensp;<span class="dim">${verdicts}</span></span></div>`
      : html`<div class="row g" role="row" .style=${`top:${y}px`}><span class="num c-n">${triangle}</span><span class="num">${count(group.count)}</span>${when}<span></span><span></span><span .style=${"grid-column:span 2"}>${group.name}</span>
        <span class="num dim">${pair(count(group.packets[0]), count(group.packets[1]))}</span><span class="num dim c-bytes">${pair(size(group.bytes[0]), size(group.bytes[1]))}</span><span class="c-shape"></span><span class="c-trip"></span><span class="num dim">${group.again || ""}</span><span>${verdicts}</span></div>`;
  }
}
