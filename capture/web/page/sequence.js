// The time-sequence: a canvas whose view is moved at once with what is at hand, and filled in when the server answered.

import { getArrays, isKept } from "./api.js";
import { draw, fitted } from "./canvas.js";
import { LEFT, RIGHT, layout } from "./sequence-layout.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

/** @typedef {import("./sequence-layout.js").Data} Data */

export class Sequence {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.page = page;
    this.session = 0;
    /** @type {Data | null} */
    this.all = null;
    /** @type {Data | null} */
    this.part = null;
    this.below = "";
    this.from = 0;
    this.to = 1;
    this.span = 1;
    this.asking = 0;
    this.pending = false;
    /** @type {AbortController | null} */
    this.abort = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {import("./sequence-layout.js").Layout | null} */
    this.made = null;
    /** @type {{x: number, from: number, to: number, box: boolean, overview: boolean, moved: boolean} | null} */
    this.drag = null;
    render(html`<div class="seq"><canvas tabindex="0" role="img" aria-label="time-sequence of the session; the ladder has the same packets as a table"></canvas><div class="side"></div></div>`, root);
    this.frame = /** @type {HTMLElement} */ (root.querySelector(".seq"));
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.release(event));
    this.canvas.addEventListener("dblclick", () => this.whole());
    new ResizeObserver(() => this.paint()).observe(this.frame);
  }

  /** @returns {number} */
  get pixels() {
    return Math.max(Math.round(this.frame.clientWidth - LEFT - RIGHT), 100);
  }

  /** @returns {Promise<void>} */
  async show() {
    const { state } = this.page;
    if (state.session !== this.session || this.all === null || state.below !== this.below) {
      const fresh = state.session !== this.session;
      this.session = state.session;
      this.below = state.below;
      const all = await getArrays(`session/${state.session}/sequence`, { width: this.pixels, below: state.below });
      if (state.session !== this.session) return;
      this.all = all;
      this.part = all;
      this.span = Math.max(all.meta.span, 1);
      if (fresh) [this.from, this.to] = state.to > state.from && state.from >= -1e15 && state.to > 0 ? [state.from, state.to] : this.wholeView();
      if (this.to - this.from < this.span * 0.98) this.fill();
    } else if (state.to > state.from && state.to > 0 && (Math.abs(state.from - this.from) > 1 || Math.abs(state.to - this.to) > 1) && !this.drag) {
      [this.from, this.to] = [state.from, state.to];
      this.fill();
    }
    this.bring();
    this.paint();
  }

  /** @returns {[number, number]} */
  wholeView() {
    return [-this.span * 0.012, this.span * 1.015];
  }

  /** Move the view so that the chosen packet is in it. @returns {void} */
  bring() {
    const n = this.page.state.packet;
    if (!n || !this.all) return;
    for (const name of ["seg0", "seg1", "ack0", "ack1"]) {
      const i = (this.all.arrays[`${name}_n`] ?? new Float64Array(0)).indexOf(n);
      if (i < 0) continue;
      const t = /** @type {number} */ (/** @type {Float64Array} */ (this.all.arrays[`${name}_t`])[i]);
      if (t < this.from || t > this.to) {
        const half = (this.to - this.from) / 2;
        this.look(t - half, t + half);
      }
      return;
    }
  }

  /** Set the view: drawn at once, then filled in. @param {number} from @param {number} to @returns {void} */
  look(from, to) {
    const least = 2000;
    if (to - from < least) { const middle = (from + to) / 2; [from, to] = [middle - least / 2, middle + least / 2]; }
    const [low, high] = this.wholeView();
    const span = Math.min(to - from, high - low);
    from = Math.min(Math.max(from, low), high - span);
    [this.from, this.to] = [from, from + span];
    this.schedule();
    this.fill();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const whole = this.from === low && this.to === high;
      this.page.set(whole ? { from: -1, to: -1 } : { from: Math.round(this.from), to: Math.round(this.to) }, true);
    }, 300);
  }

  /** @returns {void} */
  schedule() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.paint(); });
  }

  /** Ask for the points of the view and as much on both sides, unless what is at hand is fine enough. @returns {void} */
  fill() {
    if (!this.all || isKept()) return;
    const { part } = this;
    const span = this.to - this.from;
    const covers = part && part.meta.from <= Math.max(this.from, 0) && part.meta.to >= Math.min(this.to, this.span);
    if (covers && (!part.meta.reduced || part.meta.to - part.meta.from < span * 3.4) && this.below !== "throughput") return;
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const [from, to] = [Math.max(Math.round(this.from - span), 0), Math.min(Math.round(this.to + span), this.span)];
    getArrays(`session/${this.session}/sequence`, { from, to, width: this.pixels * 3, below: this.below }, abort.signal).then((data) => {
      if (abort !== this.abort) return;
      this.part = data;
      this.schedule();
    }, () => {});
  }

  /** @returns {void} */
  paint() {
    if (!this.all || !this.part || !this.frame.clientWidth) return;
    const { width, height } = this.frame.getBoundingClientRect();
    const row = this.page.row;
    const covered = this.part.meta.from <= Math.max(this.from, 0) + 1 && this.part.meta.to >= Math.min(this.to, this.span) - 1;
    this.made = layout(covered ? this.part : this.all, this.all, { width, height, from: this.from, to: this.to, below: this.below, selected: this.page.state.packet, names: row ? [row.ends[0][0], row.ends[1][0]] : ["client", "server"] });
    const g = fitted(this.canvas, width, height);
    const { made } = this;
    g.save();
    draw(g, made.marks);
    if (this.drag?.box) draw(g, [{ k: "rect", x: Math.min(this.drag.x, this.drag.to), y: 60, w: Math.abs(this.drag.to - this.drag.x), h: height - 86, fill: "select", a: 0.5, c: "select-line" }]);
    g.restore();
    this.side();
  }

  /** Readings of the chosen packet, and the legend. @returns {void} */
  side() {
    const made = /** @type {import("./sequence-layout.js").Layout} */ (this.made);
    const red = made.title === "Sent again" || made.title === "New here, late";
    render(html`${made.title ? html`<h3 class=${red ? "bad" : ""}>${made.title}</h3><dl>${made.readings.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>` : nothing}
      ${this.all?.meta.tcp ? html`<div class="legend" aria-label="legend">${LEGEND.map(([path, kind, text]) => html`<div><svg width="16" height="12"><path d=${path} class=${kind}></path></svg>${text}</div>`)}
      <p>in blue what the client sent,<br>in green what the server sent</p></div>` : nothing}`, /** @type {HTMLElement} */ (this.frame.querySelector(".side")));
  }

  /** @param {number} x @returns {number} */
  time(x) {
    return this.from + ((x - LEFT) / this.pixels) * (this.to - this.from);
  }

  /** @param {WheelEvent} event @returns {void} */
  wheel(event) {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.pan(event.deltaX / this.pixels);
      return;
    }
    this.zoomAt(Math.exp(-event.deltaY / 400), this.time(event.offsetX));
  }

  /** @param {number} factor @param {number} t @returns {void} */
  zoomAt(factor, t) {
    this.look(t - (t - this.from) / factor, t + (this.to - t) / factor);
  }

  /** @param {number} factor @returns {void} */
  zoomBy(factor) {
    this.zoomAt(factor, (this.from + this.to) / 2);
  }

  /** @param {number} share @returns {void} */
  pan(share) {
    const step = (this.to - this.from) * share;
    this.look(this.from + step, this.to + step);
  }

  /** @returns {void} */
  whole() {
    this.look(...this.wholeView());
  }

  /** @param {PointerEvent} event @returns {void} */
  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    const overview = event.offsetY < 52;
    this.drag = { x: event.offsetX, from: this.from, to: event.shiftKey ? event.offsetX : this.to, box: event.shiftKey, overview, moved: false };
    if (overview) this.jump(event.offsetX);
  }

  /** @param {number} x @returns {void} */
  jump(x) {
    const t = ((x - LEFT) / this.pixels) * this.span;
    const half = (this.to - this.from) / 2;
    this.look(t - half, t + half);
  }

  /** @param {PointerEvent} event @returns {void} */
  move(event) {
    const { drag } = this;
    if (!drag) return;
    if (Math.abs(event.offsetX - drag.x) > 3) drag.moved = true;
    if (drag.overview) this.jump(event.offsetX);
    else if (drag.box) { drag.to = event.offsetX; this.schedule(); }
    else if (drag.moved) {
      const step = ((drag.x - event.offsetX) / this.pixels) * (drag.to - drag.from);
      this.look(drag.from + step, drag.to + step);
    }
  }

  /** @param {PointerEvent} event @returns {void} */
  release(event) {
    const { drag } = this;
    this.drag = null;
    if (!drag || drag.overview) return;
    if (drag.box) {
      const [a, b] = [this.time(Math.min(drag.x, drag.to)), this.time(Math.max(drag.x, drag.to))];
      if (drag.moved) this.look(a, b);
      return;
    }
    if (drag.moved) return;
    let [best, found] = [8 ** 2, 0];
    for (const hit of this.made?.hits ?? []) {
      const distance = (hit.x - event.offsetX) ** 2 + (hit.y - event.offsetY) ** 2 - (hit.red ? 30 : 0);
      if (distance < best) [best, found] = [distance, hit.n];
    }
    if (found) this.page.choosePacket(found, this.session);
  }

  /** @returns {number[]} */
  numbers() {
    const data = this.part ?? this.all;
    if (!data) return [];
    return ["seg0_n", "seg1_n", "ack0_n", "ack1_n"].flatMap((name) => Array.from(data.arrays[name] ?? [])).sort((a, b) => a - b);
  }

  /** @returns {number[]} */
  red() {
    const { all } = this;
    if (!all) return [];
    return [0, 1].flatMap((side) => Array.from(all.arrays[`seg${side}_n`] ?? []).filter((_, i) => [1, 2].includes(/** @type {Uint8Array} */ (all.arrays[`seg${side}_kind`])[i] ?? 0))).sort((a, b) => a - b);
  }
}

/** @type {[string, string, string][]} */
const LEGEND = [
  ["M8 1v10", "lg-server", "segment, first byte to last"],
  ["M0 6h7M9 2v8", "lg-bad", "sent again, tied to the first"],
  ["M6 1h5v10h-5z", "lg-late", "new here, late: lost before"],
  ["M0 10h6v-7h9", "lg-client", "acknowledged up to here"],
  ["M0 4h15M8 4v6", "lg-client", "the same ACK again"],
  ["M0 6h15", "lg-window", "window: the limit"],
  ["M8 0v12", "lg-sack", "SACK: arrived out of order"],
];
