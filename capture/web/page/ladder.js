// The ladder: a table of rows over a canvas, both from one layout.

import { get } from "./api.js";
import { draw, fitted } from "./canvas.js";
import { layout } from "./ladder-layout.js";
import { layout as layoutTwo } from "./ladder-two.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

/** Distance of client and server, pixels, below which there is no room for the name of the point between them. */
const NARROW_HEAD = 200;

/** @typedef {import("./ladder-layout.js").LadderData} LadderData */
/** @typedef {import("./ladder-layout.js").Layout} Layout */
/** @typedef {import("./ladder-layout.js").Row} Row */

export class Ladder {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.root = root;
    this.page = page;
    /** @type {LadderData | null} */
    this.data = null;
    /** @type {import("./ladder-two.js").TwoData | null} */
    this.two = null;
    /** @type {any} */
    this.made = null;
    this.zoom = 1;
    this.hover = 0;
    this.session = 0;
    /** @type {Set<number>} */
    this.opened = new Set();
    this.key = "";
    root.innerHTML = "";
    this.frame = document.createElement("div");
    this.frame.className = "cv fill";
    root.append(this.frame);
    render(html`<div class="lhead"></div><div class="lbody"><div class="ladder" role="table" aria-label="packets of the session"><div class="sheet"><canvas aria-hidden="true"></canvas><div class="lrows"></div></div></div></div>`, this.frame);
    this.scroller = /** @type {HTMLElement} */ (this.frame.querySelector(".ladder"));
    this.canvas = /** @type {HTMLCanvasElement} */ (this.frame.querySelector("canvas"));
    this.scroller.addEventListener("scroll", () => this.paint());
    this.scroller.addEventListener("mousemove", (event) => this.hovered(event));
    this.scroller.addEventListener("click", (event) => this.clicked(event));
    this.scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.relayout()).observe(this.scroller);
  }

  /** Show the session that the page has chosen. @returns {Promise<void>} */
  async show() {
    const state = this.page.state;
    if (state.session !== this.session) {
      this.session = state.session;
      this.zoom = 1;
      this.opened.clear();
      this.data = null;
      this.two = null;
    }
    const key = `${state.session} ${state.fold} ${[...this.opened].join()} ${this.page.status?.packets}`;
    if (this.data === null || key !== this.key) {
      this.key = key;
      const session = state.session;
      const data = await get(`session/${session}/ladder`, { fold: state.fold ? 1 : 0, open: [...this.opened].join() });
      const two = data.other ? await get(`session/${session}/two`).catch(() => null) : null;
      if (session !== this.page.state.session) return;
      [this.data, this.two] = [data, two];
    }
    this.relayout();
    this.reveal();
  }

  /** @returns {void} */
  relayout() {
    if (!this.data || !this.scroller.clientWidth) return;
    const closed = this.page.row ? this.page.row.close !== "open" : true;
    const { clientWidth: width, clientHeight: height } = this.scroller;
    if (this.both && this.two) this.made = layoutTwo(this.two, { width, height, zoom: this.zoom, selected: this.page.state.packet, aligned: this.page.state.clocks === "aligned" });
    else this.made = layout(this.data, {
      mode: this.page.state.scale === "events" ? "events" : "time", width: this.scroller.clientWidth, height: this.scroller.clientHeight, zoom: this.zoom, selected: this.page.state.packet, closed, sampled: onPurpose(this.page.status),
    });
    /** @type {HTMLElement} */ (this.frame.querySelector(".sheet")).style.height = `${this.made.height}px`;
    this.paint();
  }

  /** True if both points are shown. @returns {boolean} */
  get both() {
    return this.two !== null && this.page.state.points === "both";
  }

  /** Scroll to the chosen packet if it does not show. @returns {void} */
  reveal() {
    const row = this.made?.rows.find((/** @type {Row} */ one) => this.page.state.packet >= one.n && this.page.state.packet <= one.last && one.n > 0);
    if (!row) return;
    const top = this.scroller.scrollTop;
    if (row.y < top + 10 || row.y > top + this.scroller.clientHeight - 20) this.scroller.scrollTop = row.y - this.scroller.clientHeight / 2;
  }

  /** @returns {void} */
  paint() {
    const made = this.made;
    if (!made || !this.data) return;
    const [width, height, top] = [this.scroller.clientWidth, this.scroller.clientHeight, this.scroller.scrollTop];
    const g = fitted(this.canvas, width, height);
    g.save();
    g.translate(0, -top);
    const shown = made.marks.filter((/** @type {import("./canvas.js").Mark} */ mark) => {
      const [low, high] = extent(mark);
      return high >= top - 20 && low <= top + height + 20;
    });
    draw(g, this.hover ? shown.map((/** @type {import("./canvas.js").Mark} */ mark) => ("n" in mark && mark.n === this.hover && mark.k === "line" ? { ...mark, w: (mark.w ?? 1) + 0.9 } : mark)) : shown);
    g.restore();
    this.head();
    const rows = made.rows.filter((/** @type {Row} */ row) => row.y >= top - 40 && row.y <= top + height + 40);
    render(html`${rows.map((/** @type {any} */ row) => (this.both ? this.rowOfTwo(row) : this.row(row, made)))}`, /** @type {HTMLElement} */ (this.frame.querySelector(".lrows")));
  }

  /** @returns {void} */
  head() {
    const row = this.page.row;
    if (this.both) { this.headOfTwo(); return; }
    const made = /** @type {Layout} */ (this.made);
    const { client, here, server } = made.columns;
    const events = this.page.state.scale === "events";
    const at = (/** @type {number} */ x) => `left:${x - 16}px;top:9px`;
    const right = (/** @type {number} */ x) => `right:calc(100% - ${x - 16}px)`;
    const end = (/** @type {number} */ i) => (row ? `${row.addresses[i]}${row.ends[i][1] ? `:${row.ends[i][1]}` : ""}` : "");
    const name = (/** @type {number} */ i) => html`<b class=${made.seen[i] ? (i ? "server" : "client") : "dim"}><a class="name" @click=${() => this.page.filterBy(i ? "server" : "client", row)}>${row?.ends[i][0]}</a></b><small>${end(i)}${made.seen[i] ? "" : ", never seen"}</small>`;
    render(html`
      <span class="k" .style=${right(made.table.number)}>#</span>
      <span class="k" .style=${right(made.table.time)}>${made.unit}</span>
      <span class="k" ?hidden=${!made.table.delta} .style=${right(made.table.delta)}>${events ? "since last, log" : "since last"}</span>
      <span class="k" .style=${`left:${made.table.word - 16}px`}>says</span>
      <span class="c" .style=${at(made.near === "client" ? client - 24 : client)}>${name(0)}</span>
      ${events || server - client < NARROW_HEAD ? nothing : html`<span class="c" .style=${at(made.near === "client" ? here + 32 : here - 32)}><b class="dim">here</b><small>${this.page.session?.points?.[0] ?? ""}</small></span>`}
      <span class="c" .style=${at(server)}>${name(1)}</span>`, /** @type {HTMLElement} */ (this.frame.querySelector(".lhead")));
  }

  /** @returns {void} */
  headOfTwo() {
    const { made, two, page } = this;
    if (!two) return;
    const row = page.row;
    const { client, near, far, server } = made.columns;
    const at = (/** @type {number} */ x) => `left:${x - 16}px;top:9px`;
    const right = (/** @type {number} */ x) => `right:calc(100% - ${x - 16}px)`;
    const known = page.state.clocks === "aligned" || two.one_clock;
    const [a, b] = two.points.map((text) => text.split("/"));
    const short = (/** @type {string[] | undefined} */ words) => (words?.[0] ?? "").replace(/\.pcap(ng)?$/, "").slice(0, 7);
    const point = (/** @type {string[] | undefined} */ words) => html`<b class="dim">${(words?.[0] ?? "").replace(/\.pcapng$|\.pcap$/, "")}</b><small>${words?.slice(1).join("/")}</small>`;
    render(html`<span class="k" .style=${right(made.table.near)}>${short(a)}</span><span class="k" .style=${right(made.table.far)}>${short(b)}</span>
      <span class="k" .style=${right(made.table.time)}>${made.unit}</span><span class="k" .style=${right(made.table.way)}>${known ? "one way" : "as written"}</span><span class="k" .style=${`left:${made.table.word - 16}px`}>says</span>
      <span class="c" .style=${at(client - 26)}><b class="client">${row?.ends[0][0]}</b><small>${row?.ends[0][1] ? `:${row.ends[0][1]}` : ""}</small></span>
      <span class="c" .style=${at(near + 20)}>${point(a)}</span><span class="c" .style=${at(far - 20)}>${point(b)}</span>
      <span class="c" .style=${at(server + 26)}><b class="server">${row?.ends[1][0]}</b><small>${row?.ends[1][1] ? `:${row.ends[1][1]}` : ""}</small></span>`, /** @type {HTMLElement} */ (this.frame.querySelector(".lhead")));
  }

  /** @param {import("./ladder-two.js").Row} row @returns {unknown} */
  rowOfTwo(row) {
    const { made, page } = this;
    const chosen = row.numbers.includes(page.state.packet) && page.state.packet > 0;
    const right = (/** @type {number} */ x) => `right:calc(100% - ${x - 8}px)`;
    const left = (/** @type {number} */ x) => `left:${x - 8}px`;
    const tone = row.red ? "bad" : row.side === 0 ? "client" : "server";
    const number = (/** @type {number} */ n) => (n ? n : html`<b class="bad">–</b>`);
    return html`<div class="lrow ${chosen ? "on" : ""}" role="row" data-n=${row.n} .style=${`top:${row.y - 8.5}px;left:8px;width:${made.table.end - 8}px`}>
      <span role="cell" class="dim" .style=${right(made.table.near)}>${number(row.numbers[0])}</span><span role="cell" class="dim" .style=${right(made.table.far)}>${number(row.numbers[1])}</span>
      <span role="cell" .style=${right(made.table.time)}>${row.time}</span><span role="cell" class=${row.lost ? "bad w" : "dim"} .style=${right(made.table.way)}>${row.way}</span>
      <span role="cell" class="w ${tone}" .style=${left(made.table.word)}>${row.word}</span><span role="cell" class="dim" .style=${left(made.table.detail)}>${row.detail}</span><span role="cell" class="bad" .style=${right(made.table.extra)}>${row.extra}</span></div>`;
  }

  /** @param {Row} row @param {Layout} made @returns {unknown} */
  row(row, made) {
    const chosen = this.page.state.packet >= row.n && this.page.state.packet <= row.last && row.n > 0;
    const tone = row.red ? "bad" : row.side === 0 ? "client" : row.side === 1 ? "server" : "dim";
    const right = (/** @type {number} */ x) => `right:calc(100% - ${x - 8}px)`;
    const left = (/** @type {number} */ x) => `left:${x - 8}px`;
    const width = made.table.end - 8;
    return html`<div class="lrow ${chosen ? "on" : ""}" role="row" data-n=${row.n} .style=${`top:${row.y - 8.5}px;left:8px;width:${width}px`}>
      <span role="cell" class="dim" .style=${right(made.table.number)}>${row.number}</span>
      <span role="cell" .style=${right(made.table.time)}>${row.time}</span>
      ${made.table.delta ? html`<span role="cell" class="dim" .style=${right(made.table.delta)}>${row.delta}</span>` : nothing}
      ${row.run ? html`<span class=${tone} .style=${left(made.table.word - 12)} aria-label="folded">▸</span>` : nothing}
      <span role="cell" class="w ${tone}" .style=${left(made.table.word)}>${row.word}</span>
      <span role="cell" class="dim" .style=${left(row.word ? made.table.detail : made.table.word)}>${row.detail}</span>
      <span role="cell" class=${row.extraSide === 0 ? "client" : row.extraSide === 1 ? "server" : row.extra.endsWith(" cut") ? "dim" : "bad"} .style=${right(made.table.extra)}>${row.extra}</span>
    </div>`;
  }

  /** The packet under the pointer: of the rows first, then of the nearest mark. @param {MouseEvent} event @returns {number} */
  hit(event) {
    const made = this.made;
    if (!made) return 0;
    const box = this.scroller.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top + this.scroller.scrollTop];
    if (x < made.table.end) return made.rows.find((/** @type {Row} */ row) => Math.abs(row.y - y) <= made.rowHeight / 2)?.n ?? 0;
    let [best, found] = [8, 0];
    for (const mark of made.marks) {
      if (!("n" in mark) || !mark.n) continue;
      const distance = away(mark, x, y);
      if (distance < best) [best, found] = [distance, mark.n];
    }
    return found;
  }

  /** @param {MouseEvent} event @returns {void} */
  hovered(event) {
    const found = this.hit(event);
    if (found === this.hover) return;
    this.hover = found;
    this.paint();
  }

  /** @param {MouseEvent} event @returns {void} */
  clicked(event) {
    const n = this.hit(event);
    if (!n) return;
    const row = this.made?.rows.find((/** @type {Row} */ one) => one.n === n);
    if (row?.run && (n === this.page.state.packet || event.detail > 1)) this.unfold(n);
    else this.page.choosePacket(n);
  }

  /** Unfold the run that begins with a packet. @param {number} n @returns {void} */
  unfold(n) {
    this.opened.add(n);
    void this.show();
  }

  /** @param {WheelEvent} event @returns {void} */
  wheel(event) {
    if (!event.ctrlKey && !event.altKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, event.clientY - this.scroller.getBoundingClientRect().top);
  }

  /** @param {number} factor @param {number} [at] @returns {void} */
  zoomBy(factor, at = this.scroller.clientHeight / 2) {
    const before = (this.scroller.scrollTop + at) / (this.made?.height ?? 1);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), 400);
    this.relayout();
    this.scroller.scrollTop = before * (this.made?.height ?? 1) - at;
  }

  /** @param {number} pages @returns {void} */
  pan(pages) {
    this.scroller.scrollTop += pages * this.scroller.clientHeight;
  }

  /** @returns {void} */
  whole() {
    this.zoom = 1;
    this.relayout();
  }

  /** Numbers of the packets that red rows are about. @returns {number[]} */
  red() {
    return this.made?.rows.filter((/** @type {Row} */ row) => row.red).map((/** @type {Row} */ row) => row.n) ?? [];
  }

  /** Numbers of the packets that rows begin with. @returns {number[]} */
  numbers() {
    return this.made?.rows.filter((/** @type {Row} */ row) => row.n > 0).map((/** @type {Row} */ row) => row.n) ?? [];
  }
}

/** True if what is missing was left out on purpose: packets were sampled out, and none got lost. @param {any} status @returns {boolean} */
function onPurpose(status) {
  const account = status?.completeness;
  return account?.known === true && account.sampled_out > 0 && account.lost === 0 && account.over_limit === 0 && !account.only;
}

/** Lowest and highest y of a mark. @param {import("./canvas.js").Mark} m @returns {[number, number]} */
export function extent(m) {
  switch (m.k) {
    case "line": return [Math.min(m.y1, m.y2), Math.max(m.y1, m.y2)];
    case "arc": return [Math.min(m.y1, m.y2), Math.max(m.y1, m.y2)];
    case "poly": {
      let [low, high] = [Infinity, -Infinity];
      for (let i = 1; i < m.points.length; i += 2) { low = Math.min(low, /** @type {number} */ (m.points[i])); high = Math.max(high, /** @type {number} */ (m.points[i])); }
      return [low, high];
    }
    case "rect": return [m.y, m.y + m.h];
    default: return [m.y - 14, m.y + 14];
  }
}

/** Distance of a point from a mark. @param {import("./canvas.js").Mark} m @param {number} x @param {number} y @returns {number} */
function away(m, x, y) {
  const segment = (/** @type {number} */ x1, /** @type {number} */ y1, /** @type {number} */ x2, /** @type {number} */ y2) => {
    const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
    const t = Math.min(Math.max(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0), 1);
    return Math.hypot(x - x1 - t * (x2 - x1), y - y1 - t * (y2 - y1));
  };
  if (m.k === "line") return segment(m.x1, m.y1, m.x2, m.y2);
  if (m.k === "fade") return segment(m.x1, m.y, m.x2, m.y);
  if (m.k === "dot" || m.k === "cross") return Math.hypot(x - m.x, y - m.y);
  if (m.k === "poly" && m.fill) {
    const [low, high] = extent(m);
    return y >= low && y <= high ? 5 : Infinity;
  }
  if (m.k === "poly") {
    let best = Infinity;
    for (let i = 2; i < m.points.length; i += 2) best = Math.min(best, segment(/** @type {number} */ (m.points[i - 2]), /** @type {number} */ (m.points[i - 1]), /** @type {number} */ (m.points[i]), /** @type {number} */ (m.points[i + 1])));
    return best;
  }
  return Infinity;
}
