// A session that stays beside the chosen one: a panel of its own, which asks this for what it asks the page otherwise.
//
// Panel, form and filter are those of the page, so that both sides are drawn alike; packet and zoom are its own.

import { get } from "./api.js";
import { duration, plural } from "./format.js";
import { linked } from "./pieces.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

/** @typedef {import("./main.js").State} State */

export class Pinned {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page @param {Record<string, any>} kinds */
  constructor(root, page, kinds) {
    this.page = page;
    this.kinds = kinds;
    this.own = { packet: 0, from: -1, to: -1 };
    /** @type {any} */
    this.session = null;
    /** @type {any} */
    this.panel = null;
    this.panelName = "";
    this.missing = "";
    render(html`<div class="ttl"></div><nav class="tabs"></nav><div class="side cv"></div>`, root);
    this.root = root;
  }

  /** @returns {State} */
  get state() {
    return { ...this.page.state, session: this.page.state.pin, ...this.own };
  }

  /** @returns {any} */
  get status() {
    return this.page.status;
  }

  /** @returns {any} */
  get row() {
    return this.session?.n === this.page.state.pin ? this.session : null;
  }

  /** What is its own changes here, all else on the page. @param {Partial<State>} change @param {boolean} [quiet] @returns {void} */
  set(change, quiet = false) {
    const { packet, from, to, session: _, ...shared } = change;
    this.own = { packet: packet ?? this.own.packet, from: from ?? this.own.from, to: to ?? this.own.to };
    if (Object.keys(shared).length) this.page.set(shared, quiet);
    else void this.show();
  }

  /** @param {number} packet @returns {void} */
  choosePacket(packet) {
    this.set({ packet });
  }

  /** @param {string} side @param {any} row @returns {void} */
  filterBy(side, row) {
    this.page.filterBy(side, row);
  }

  /** @returns {Promise<void>} */
  async show() {
    const number = this.page.state.pin;
    if (!number || !this.page.isRead(number)) return;
    try {
      if (this.session?.n !== number || this.session.open) {
        const session = await get(`session/${number}`);
        if (number !== this.page.state.pin) return;
        if (this.session?.n !== number) this.own = { packet: 0, from: -1, to: -1 };
        this.session = session;
      }
      this.missing = "";
      this.paint();
      await this.panel?.show();
    } catch (error) {
      this.missing = /** @type {Error} */ (error).message;
      this.paint();
    }
  }

  /** @returns {void} */
  paint() {
    const { row } = this;
    const at = (/** @type {string} */ name) => /** @type {HTMLElement} */ (this.root.querySelector(name));
    if (!row) { render(html`<h1>${this.missing}</h1>`, at(".ttl")); return; }
    const end = (/** @type {number} */ i) => html`${row.ends[i][0]}<span class="port">${row.ends[i][1] ? `:${row.ends[i][1]}` : ""}</span>`;
    render(html`<h1><span>${end(0)}</span><span class="faint">→</span><span>${end(1)}</span><span class="fx">${row.protocol}, session ${row.n}, ${plural(row.packets[0] + row.packets[1], "packet")}, ${duration(row.took)}</span></h1>
      <p>${row.sentence.map((/** @type {[string, string]} */ [text, tone]) => (tone ? html`<b class=${tone === "bad" ? "bad" : ""}>${linked(text, (n) => this.choosePacket(n))}</b>` : linked(text, (n) => this.choosePacket(n))))}${this.missing ? html` <b class="bad">${this.missing}</b>` : nothing}</p>`, at(".ttl"));
    render(html`<span class="faint">pinned</span><span class="sp"></span><button @click=${() => this.page.set({ pin: 0 })}><kbd>p</kbd> unpin</button>`, at(".tabs"));
    if (this.panelName === this.page.state.panel) return;
    this.panelName = this.page.state.panel;
    const holder = at(".side");
    const fresh = document.createElement("div");
    fresh.className = "side cv";
    holder.replaceWith(fresh);
    this.panel = new (this.kinds[this.panelName] ?? this.kinds["ladder"])(fresh, this, false);
  }
}
