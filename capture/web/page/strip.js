// The packet that is chosen: its fields and its bytes, each field with the place of its bytes.

import { get } from "./api.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

export class Strip {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.packet = 0;
    /** @type {any} */
    this.detail = null;
    this.field = -1;
    this.error = "";
  }

  /** @returns {Promise<void>} */
  async show() {
    const packet = this.page.state.packet;
    if (packet !== this.packet) {
      this.packet = packet;
      this.detail = null;
      this.error = "";
      this.field = -1;
      if (packet) {
        try {
          const detail = await get(`packet/${packet}`);
          if (this.packet !== packet) return;
          this.detail = detail;
          this.field = detail.fields.findIndex((/** @type {any} */ one) => one.name === "seq");
        } catch (error) {
          this.error = /** @type {Error} */ (error).message;
        }
      }
    }
    this.paint();
  }

  /** @returns {void} */
  paint() {
    const detail = this.detail;
    if (!this.packet) { render(nothing, this.root); return; }
    if (!detail) { render(html`<div class="pk" role="region" aria-label="packet"><h3>Packet ${this.packet} <span>${this.error}</span></h3></div>`, this.root); return; }
    render(html`<div class="pk" role="region" aria-label="packet"><div><h3>Packet ${detail.n}&ensp;<span>${this.page.about(detail.n)}</span></h3>
      <dl class="fs">${detail.fields.map((/** @type {any} */ one, /** @type {number} */ i) => html`<div class=${i === this.field ? "on" : ""} tabindex=${one.at ? 0 : -1} @click=${() => { this.field = i; this.paint(); }} @focus=${() => { this.field = i; this.paint(); }}><dt>${one.name}</dt><dd title=${one.also ?? one.text}>${one.text}</dd></div>`)}</dl></div>
      <pre tabindex="0" aria-label="bytes">${this.bytes()}</pre></div>`, this.root);
  }

  /** @returns {unknown} */
  bytes() {
    const { detail } = this;
    const at = detail.fields[this.field]?.at ?? [-1, -1];
    const bytes = detail.hex.match(/../g) ?? [];
    const lines = [];
    for (let row = 0; row < bytes.length; row += 16) {
      const cells = [];
      let text = "";
      for (let i = row; i < row + 16; i++) {
        const gap = i % 16 === 8 ? " " : "";
        if (i >= bytes.length) { cells.push(`${gap}   `); continue; }
        const marked = i >= at[0] && i < at[1];
        const joined = marked && i + 1 < at[1] && i % 16 !== 15;
        cells.push(gap, marked ? html`<mark>${bytes[i]}${joined ? " " : ""}</mark>${joined ? "" : " "}` : `${bytes[i]} `);
        const code = parseInt(/** @type {string} */ (bytes[i]), 16);
        text += code >= 32 && code < 127 ? String.fromCharCode(code) : "·";
      }
      lines.push(html`<i>${row.toString(16).padStart(4, "0")}</i>  ${cells} ${text}\n`);
    }
    if (detail.captured < detail.original) lines.push(html`<i>cut here: ${detail.original - detail.captured} more bytes were on the wire</i>`);
    return lines;
  }
}
