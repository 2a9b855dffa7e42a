// The line of conditions: what is typed, its completion, and how many sessions are left.

import { get } from "./api.js";
import { count, plural } from "./format.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

export class FilterBar {
  /** @param {HTMLElement} root @param {import("./main.js").Page} page */
  constructor(root, page) {
    this.root = root;
    this.page = page;
    /** @type {any[]} */
    this.suggestions = [];
    this.at = 0;
    this.open = false;
    this.question = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.paint();
  }

  get input() {
    return /** @type {HTMLInputElement} */ (this.root.querySelector("input"));
  }

  /** @returns {void} */
  focus() {
    this.input.focus();
    this.input.select();
  }

  /** @returns {void} */
  paint() {
    const { page } = this;
    const { state, list } = page;
    const groups = ["none", "server", "client", "verdict"];
    const hidden = (list?.hidden ?? []).filter(([, n]) => n > 0);
    const left = list ? list.total - list.shown : 0;
    const counts = !list || list.error
      ? html`<span class="bad">${list?.error ?? ""}</span>`
      : html`<b>${count(list.shown)}</b>${state.filter ? html` of ${plural(list.total, "session")}${list.running ? " so far" : ""}, ${left ? `${count(left)} hidden` : "none hidden"}${hidden.length > 1 ? `: ${hidden.map(([name, n]) => `${count(n)} by ${name}`).join(", ")}` : ""}` : ` ${list.shown === 1 ? "session" : "sessions"}, none hidden`}`;
    render(html`
      <label class="in"><span class="faint" aria-hidden="true">/</span><span class="hidden">filter</span>
        <input spellcheck="false" autocomplete="off" placeholder="filter: server=bank/api-0 handshake!=complete duration>1s" .value=${state.filter} role="combobox" aria-expanded=${this.open} aria-controls="completion"
          @input=${() => this.typed()} @keydown=${(/** @type {KeyboardEvent} */ event) => this.key(event)} @focus=${() => this.typed()} @blur=${() => { this.open = false; this.paint(); }}>
      </label>
      <span class="counts" role="status">${counts}${list?.running ? html`<span class="run" aria-hidden="true"><i></i></span>still counting` : nothing}</span>
      <span class="sp"></span>
      <span class="seg"><i>group by</i>${groups.map((name) => html`<button class=${state.group === name ? "on" : ""} aria-pressed=${state.group === name} @click=${() => page.set({ group: name })}>${name}</button>`)}</span>
      ${this.open && this.suggestions.length ? this.popup() : nothing}`, this.root);
  }

  /** @returns {unknown} */
  popup() {
    const most = Math.max(1, ...this.suggestions.map((one) => one.count ?? 0));
    return html`<div class="pop" id="completion" role="listbox">${this.suggestions.map((one, i) => html`
      <button class="r ${i === this.at ? "on" : ""} ${one.count === 0 ? "none" : ""}" role="option" aria-selected=${i === this.at} tabindex="-1" @mousedown=${(/** @type {Event} */ event) => { event.preventDefault(); this.at = i; this.take(); }}>
        <span class="mono">${one.text}</span><span>${one.count ? html`<i class="share-bar" .style=${`width:${(one.count / most) * 100}%`}></i>` : nothing}</span>
        <span class="num ${one.count ? "" : "faint"}">${one.count === null ? "" : count(one.count)}</span><span class="dim">${one.meaning}</span></button>`)}
      <div class="f"><span><kbd>↹</kbd> take</span><span><kbd>↓</kbd> next</span><span>numbers: sessions that would be left</span></div></div>`;
  }

  /** @returns {void} */
  typed() {
    const text = this.input.value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (text !== this.page.state.filter && !/(=|<|>|!)\s*$/.test(text) && (text === "" || /[=<>]/.test(text.split(" ").at(-1) || "=")) ) this.page.set({ filter: text.trim() === "" ? "" : text }, true);
    }, 250);
    const question = ++this.question;
    get("complete", { text }).then((found) => {
      if (question !== this.question || document.activeElement !== this.input) return;
      this.suggestions = found;
      this.at = 0;
      this.open = true;
      this.paint();
    }, () => {});
  }

  /** @returns {void} */
  take() {
    const chosen = this.suggestions[this.at];
    if (!chosen) return;
    const before = this.input.value.replace(/\S*$/, "");
    this.input.value = before + chosen.insert + (chosen.count === null ? "" : " ");
    this.typed();
  }

  /** @param {KeyboardEvent} event @returns {void} */
  key(event) {
    event.stopPropagation();
    if (event.key === "Escape") {
      if (this.open) { this.open = false; this.paint(); } else if (this.input.value && this.page.list?.shown === 0) { this.input.value = ""; this.page.set({ filter: "" }); } else this.input.blur();
    } else if (event.key === "Tab" && this.open && this.suggestions.length && this.input.value) {
      event.preventDefault();
      this.take();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const n = this.suggestions.length;
      if (n) this.at = (this.at + (event.key === "ArrowDown" ? 1 : n - 1)) % n;
      this.paint();
    } else if (event.key === "Enter") {
      this.open = false;
      clearTimeout(this.timer);
      this.page.set({ filter: this.input.value.trim() });
      this.input.blur();
    }
  }
}
