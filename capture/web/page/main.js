// The page: its state, which is its address; one selection for all panels; keys.

import { ApiError, follow, get, isKept, save, takeToken, useKept } from "./api.js";
import { readColours } from "./canvas.js";
import { FilterBar } from "./filter.js";
import { findings } from "./findings.js";
import { clock, duration, plural, size } from "./format.js";
import { help } from "./help.js";
import { Ladder } from "./ladder.js";
import { summary } from "./ladder-two.js";
import { List } from "./list.js";
import { Packets } from "./packets.js";
import { link, linked } from "./pieces.js";
import { Pinned } from "./pinned.js";
import { Sequence } from "./sequence.js";
import { Streams } from "./streams.js";
import { Strip } from "./strip.js";
import { html, nothing, render } from "./vendor/lit-html/lit-html.js";

/**
 * @typedef {{filter: string, sort: string, group: string, session: number, packet: number, panel: string, view: string, scale: string, fold: boolean, below: string, from: number, to: number, finding: number, form: string, find: string, clocks: string, points: string, pin: number}} State
 */

/** @type {State} */
const START = { filter: "", sort: "start", group: "none", session: 0, packet: 0, panel: "ladder", view: "sessions", scale: "time", fold: true, below: "trip", from: -1, to: -1, finding: 0, form: "beside", find: "", clocks: "written", points: "both", pin: 0 };
const KINDS = /** @type {Record<string, any>} */ ({ ladder: Ladder, sequence: Sequence, streams: Streams, packets: Packets });
const PANELS = [["ladder", "Ladder"], ["sequence", "Time-sequence"], ["streams", "Streams"], ["packets", "Packets"]];

/** @param {string} hash @returns {State} */
export function stateOf(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {any} */
  const state = { ...START };
  for (const [name, value] of words) {
    if (!(name in START)) continue;
    const kind = typeof (/** @type {any} */ (START)[name]);
    if (kind === "number") state[name] = Number.isFinite(Number(value)) ? Number(value) : state[name];
    else state[name] = kind === "boolean" ? value === "1" : value;
  }
  return state;
}

/** @param {State} state @returns {string} */
export function hashOf(state) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== /** @type {any} */ (START)[name]) words.set(name, typeof value === "boolean" ? (value ? "1" : "0") : String(value));
  }
  const text = words.toString();
  return text ? `#${text}` : "#";
}

export class Page {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.state = stateOf(location.hash);
    /** @type {any} */
    this.status = null;
    /** @type {any} */
    this.found = null;
    /** @type {any} */
    this.session = null;
    this.ended = "";
    this.helping = false;
    this.copied = "";
    /** @type {List | undefined} */
    this.list = undefined;
    /** @type {any} */
    this.panel = null;
    this.panelName = "";
    this.body = "";
    render(html`<header class="bar"></header><div class="filter"></div><div class="above"></div><main></main><footer class="foot"></footer>`, root);
    this.filter = new FilterBar(this.at(".filter"), this);
    addEventListener("hashchange", () => { this.state = stateOf(location.hash); this.update(true); });
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.paint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme());
    this.theme();
  }

  /** @param {string} selector @returns {HTMLElement} */
  at(selector) {
    return /** @type {HTMLElement} */ (this.root.querySelector(selector));
  }

  /** Row of the chosen session. @returns {any} */
  get row() {
    return this.session?.n === this.state.session ? this.session : null;
  }

  /** @param {string} [wanted] @returns {void} */
  theme(wanted) {
    if (wanted) localStorage.setItem("bicap-theme", wanted);
    const chosen = localStorage.getItem("bicap-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset["theme"] = chosen;
    readColours();
    this.panel?.relayout?.();
    this.panel?.paint?.();
  }

  /** Change the state: the address follows. @param {Partial<State>} change @param {boolean} [quiet] @returns {void} */
  set(change, quiet = false) {
    const before = this.state;
    this.state = { ...this.state, ...change };
    const hash = hashOf(this.state);
    const fine = quiet || (before.session === this.state.session && before.view === this.state.view && before.panel === this.state.panel && before.filter === this.state.filter && before.group === this.state.group);
    if (hash !== hashOf(before) && !isKept()) history[fine ? "replaceState" : "pushState"](null, "", hash);
    this.update(before.filter !== this.state.filter || before.sort !== this.state.sort || before.group !== this.state.group);
  }

  /** @param {boolean} relist @returns {void} */
  update(relist) {
    this.paint();
    if (relist) void this.list?.refresh();
    else this.list?.reveal();
    void this.showSession();
  }

  /** False as long as a session may still come; the page is told when more was read. @param {number} session @returns {boolean} */
  isRead(session) {
    return this.status?.done || session <= (this.status?.sessions ?? 0);
  }

  /** @returns {Promise<void>} */
  async showSession() {
    const number = this.state.session;
    if (!this.isRead(number)) return;
    if (number && (this.session?.n !== number || this.session.open)) {
      try {
        const session = await get(`session/${number}`);
        if (this.state.session !== number) return;
        this.session = session;
        this.missing = "";
      } catch (error) {
        this.session = null;
        this.missing = /** @type {Error} */ (error).message;
      }
      this.paint();
    }
    if (number) await this.showPanel();
    this.pinnedPart();
    if (this.strip) await this.strip.show();
  }

  /** @returns {Promise<void>} */
  async showPanel() {
    if (!this.panel || !this.session) return;
    try {
      await this.panel.show();
      this.detail();
      this.foot();
    } catch (error) {
      this.missing = /** @type {Error} */ (error).message;
      this.paint();
    }
  }

  /** @param {number} number @param {boolean} open @returns {void} */
  chooseSession(number, open) {
    const detail = this.isSplit() || open;
    this.set({ session: number, packet: 0, from: -1, to: -1, view: detail ? "session" : "sessions", find: "" });
  }

  /** @param {number} packet @param {number} [session] @returns {void} */
  choosePacket(packet, session) {
    if (!packet) { if (session) this.chooseSession(session, true); return; }
    if (session || (this.row && this.state.view === "session" && this.panel?.numbers?.().includes(packet))) {
      const other = session !== undefined && session !== this.state.session;
      this.set({ packet, session: session ?? this.state.session, view: "session", ...(other ? { from: -1, to: -1 } : {}) });
      return;
    }
    void get(`where/${packet}`).then((found) => {
      const other = found.session !== this.state.session;
      this.set(found.session ? { packet, session: found.session, view: "session", ...(other ? { from: -1, to: -1 } : {}) } : { packet, view: "packets" });
    });
  }

  /** @param {number} number @returns {void} */
  chooseFinding(number) {
    if (this.state.finding === number) this.openFinding(number);
    else this.set({ finding: number });
  }

  /** @param {number} number @returns {void} */
  openFinding(number) {
    const evidence = this.found?.findings[number - 1]?.evidence[0];
    if (evidence) { this.set({ finding: number }, true); this.choosePacket(evidence.packet, evidence.session); }
  }

  /** @param {string} column @returns {void} */
  sortBy(column) {
    const same = this.state.sort.replace("-", "") === column;
    this.set({ sort: same ? (this.state.sort.startsWith("-") ? column : `-${column}`) : ["session", "start"].includes(column) ? column : `-${column}` });
  }

  /** Show only sessions of an end. @param {string} side @param {any} row @returns {void} */
  filterBy(side, row) {
    if (!row) return;
    const name = row.ends[side === "client" ? 0 : 1][0];
    this.set({ filter: `${side}=${name}` });
  }

  /** The list says how many there are. @returns {void} */
  counted() {
    this.filter.paint();
  }

  /** @returns {boolean} */
  isSplit() {
    return this.state.view === "session";
  }

  /** What else is known of a packet, for the strip. @param {number} n @returns {unknown} */
  about(n) {
    const items = this.panel?.data?.items ?? [];
    const item = items.find((/** @type {any} */ one) => one.n === n);
    const copies = items.filter((/** @type {any} */ one) => one.again === n).map((/** @type {any} */ one) => one.n);
    const marks = (item?.marks ?? []).filter((/** @type {string} */ mark) => mark !== "retransmission");
    return html`${item?.again ? html`sent again, first as ${link(item.again, (p) => this.choosePacket(p))} ` : nothing}${copies.length ? html`sent again as ${copies.slice(0, 8).map((/** @type {number} */ p) => html`${link(p, (q) => this.choosePacket(q))} `)}` : nothing}${marks.join(", ")}`;
  }

  /** What is shown instead of rows. @returns {unknown} */
  nothing() {
    if (this.list?.error) return html`<div class="say"><h2>The filter is not understood</h2><p>${this.list.error}</p></div>`;
    const total = this.list?.total ?? 0;
    if (!total) {
      return html`<div class="say"><h2>No sessions</h2><p>${this.status?.packets ? `The file has ${plural(this.status.packets, "packet")}, and none of them is IP.` : "The file has no packets."}</p></div>`;
    }
    const conditions = this.state.filter.split(/\s+/);
    return html`<div class="say"><h2>None of ${plural(total, "session")}</h2><p><code>${this.state.filter}</code></p>
      <p>${conditions.map((one, i) => html`Without <code>${one}</code> <button class="lk" @click=${() => this.set({ filter: conditions.filter((_, k) => k !== i).join(" ") })}>see what is left</button>. `)}</p>
      <p><kbd>/</kbd> changes the conditions, <kbd>Esc</kbd> takes all of them away.</p></div>`;
  }

  /** @returns {void} */
  paint() {
    this.bar();
    this.filter.paint();
    this.mainPart();
    this.foot();
  }

  /** @returns {void} */
  bar() {
    const status = this.status;
    const { state } = this;
    const top = [["sessions", "Sessions"], ["findings", "Findings"], ["packets", "Packets"]];
    const on = state.view === "session" ? "sessions" : state.view;
    const facts = status ? html`
      <span>${duration(status.span_ns)} from ${clock(BigInt(status.start_ns), 0).slice(0, 8)}</span><span>${plural(status.packets, "packet")}${status.interfaces > 1 ? ` at ${plural(status.interfaces, "point")}` : ""}</span>
      <span>${plural(status.sessions, "session")}</span><span>${size(status.bytes)}</span>
      <span class=${status.completeness.lost ? "bad" : ""}>${status.completeness.text}</span>` : nothing;
    const part = status && !status.done && status.size ? Math.min(status.position / status.size, 1) : 0;
    render(html`${status && !status.done && status.size ? html`<i class="progress" .style=${`width:${part * 100}%`}></i>` : nothing}
      <span class="name">${status?.name ?? "bicap"}</span><span class="facts">${status && !status.done ? html`<span><b>${status.size ? `${Math.floor(part * 100)} % read` : "live"}</b></span>` : nothing}${facts}</span>
      ${this.ended ? html`<span class="bad">${this.ended}</span>` : nothing}<span class="sp"></span>
      <nav class="tabs-top">${top.map(([name, label]) => html`<button class=${on === name ? "on" : ""} aria-current=${on === name ? "page" : "false"} @click=${() => this.set({ view: /** @type {string} */ (name), ...(name === "sessions" ? { packet: 0 } : {}) })}>${label}</button>`)}</nav>
      <button aria-label="keys and legend" @click=${() => this.help()}><kbd>?</kbd></button>`, this.at(".bar"));
  }

  /** @returns {void} */
  mainPart() {
    const { state } = this;
    const body = state.view === "session" ? "session" : state.view;
    const main = this.at("main");
    const notes = this.notes();
    render(html`${notes}${body === "sessions" ? findings(this, false) : nothing}`, this.at(".above"));
    if (body !== this.body) {
      this.body = body;
      main.className = body === "session" ? "split" : "solo";
      this.panel = null;
      this.panelName = "";
      this.strip = undefined;
      main.textContent = "";
      const make = (/** @type {string} */ name) => { const part = document.createElement("div"); part.className = name; main.append(part); return part; };
      this.list = undefined;
      if (body === "sessions" || body === "session") {
        this.list = new List(make(`list ${body === "session" ? "narrow" : "full"}`), this);
        void this.list.refresh();
      }
      if (body === "session") {
        this.det = make("det");
        render(html`<div class="ttl"></div><nav class="tabs"></nav><div class="holder cv"></div><div class="below"></div>`, this.det);
        this.strip = new Strip(this.at(".below"), this);
      }
      if (body === "packets") this.panel = new Packets(make("cv"), this, true);
      if (body === "findings") make("holder-findings");
      if (body === "packets") void this.panel.show();
    }
    if (body === "findings") render(findings(this, true), this.at(".holder-findings"));
    if (body === "session") this.detail();
    else this.list?.paint();
    if (this.helping) help(this);
  }

  /** @returns {unknown} */
  notes() {
    const status = this.status;
    if (!status) return nothing;
    const damage = status.damage ? html`<div class="note" role="alert"><b class="bad">The rest of the file is damaged.</b> ${status.damage}. What could be read is shown.</div>` : nothing;
    return html`${damage}${status.notes.map((/** @type {string} */ note) => html`<div class="note">${note}</div>`)}`;
  }

  /** Title, tabs and the panel of the chosen session. @returns {void} */
  detail() {
    const { state, row } = this;
    if (!row) {
      render(this.missing ? html`<h1>${this.missing}</h1>` : nothing, this.at(".det:not(.pin) > .ttl"));
      return;
    }
    const end = (/** @type {number} */ i) => html`${row.ends[i][0]}<span class="port">${row.ends[i][1] ? `:${row.ends[i][1]}` : ""}</span>`;
    render(html`<h1><span>${end(0)}</span><span class="faint">→</span><span>${end(1)}</span><span class="fx">${row.protocol}, session ${row.n}, ${plural(row.packets[0] + row.packets[1], "packet")}, ${duration(row.took)}, ${clock(BigInt(this.status?.start_ns ?? "0"), row.start)}</span></h1>
      <p>${row.sentence.map((/** @type {[string, string]} */ [text, tone]) => (tone ? html`<b class=${tone === "bad" ? "bad" : ""}>${linked(text, (n) => this.choosePacket(n, row.n))}</b>` : linked(text, (n) => this.choosePacket(n, row.n))))}${this.panel?.two && state.panel === "ladder" ? html` <b>${linked(summary(this.panel.two), (n) => this.choosePacket(n))}</b>` : nothing}${this.missing ? html` <b class="bad">${this.missing}</b>` : nothing}</p>`, this.at(".det:not(.pin) > .ttl"));
    if (this.panelName !== state.panel) {
      this.panelName = state.panel;
      const holder = this.at(".holder");
      const fresh = document.createElement("div");
      fresh.className = "holder cv";
      holder.replaceWith(fresh);
      this.panel = new (KINDS[state.panel] ?? Ladder)(fresh, this, false);
    }
    render(html`${PANELS.map(([name, label], i) => html`<button class="tab ${state.panel === name ? "on" : ""}" aria-current=${state.panel === name ? "page" : "false"} @click=${() => this.set({ panel: /** @type {string} */ (name) })}><i>${i + 1}</i>${label}</button>`)}<span class="sp"></span>${this.options()}<button class="pin ${state.pin ? "on" : ""}" aria-pressed=${state.pin > 0} @click=${() => this.pin()}><kbd>p</kbd> ${state.pin === state.session ? "pinned; j, k: another" : state.pin ? "unpin" : "pin"}</button>`, this.at(".det:not(.pin) > .tabs"));
  }

  /** Keep the chosen session beside those that are chosen next, or let it go. @returns {void} */
  pin() {
    this.set({ pin: this.state.pin ? 0 : this.state.session });
  }

  /** The session that stays beside the chosen one. @returns {void} */
  pinnedPart() {
    const { pin, session } = this.state;
    const beside = pin > 0 && pin !== session && this.isSplit();
    this.at("main").classList.toggle("two", beside);
    let part = /** @type {HTMLElement | null} */ (this.root.querySelector(".det.pin"));
    if (!beside) { part?.remove(); this.pinned = undefined; return; }
    if (!part) {
      part = document.createElement("section");
      part.className = "det pin";
      part.setAttribute("aria-label", "pinned session");
      /** @type {HTMLElement} */ (this.det).before(part);
      this.pinned = new Pinned(part, this, KINDS);
    }
    void this.pinned?.show();
  }

  /** @returns {unknown} */
  options() {
    const { state } = this;
    const seg = (/** @type {string} */ label, /** @type {[string, boolean, Partial<State>][]} */ choices) => html`<span class="seg">${label ? html`<i>${label}</i>` : nothing}${choices.map(([text, on, change]) => html`<button class=${on ? "on" : ""} aria-pressed=${on} @click=${() => this.set(change)}>${text}</button>`)}</span>`;
    if (state.panel === "ladder") {
      const two = this.panel?.two;
      const uncertain = two && !two.one_clock ? (two.uncertainty >= 0 ? ` ± ${duration(two.uncertainty)}` : "") : "";
      const clocks = two && state.points === "both" && !two.one_clock && two.uncertainty >= 0 ? seg("clocks", [["as written", state.clocks === "written", { clocks: "written" }], [`aligned${uncertain}`, state.clocks === "aligned", { clocks: "aligned" }]]) : nothing;
      const points = two ? seg("points", [["both", state.points === "both", { points: "both" }], ["this one", state.points === "one", { points: "one" }]]) : nothing;
      if (two && state.points === "both") return html`${points}${clocks}`;
      return html`${points}${seg("time", [["to scale", state.scale === "time", { scale: "time" }], ["by events", state.scale === "events", { scale: "events" }]])}${seg("runs", [["folded", state.fold, { fold: true }], ["all", !state.fold, { fold: false }]])}`;
    }
    if (state.panel === "sequence") return seg("below", [["round trip", state.below === "trip", { below: "trip" }], ["in flight", state.below === "flight", { below: "flight" }], ["throughput", state.below === "throughput", { below: "throughput" }]]);
    if (state.panel === "streams") {
      return html`${seg("", [["beside", state.form === "beside", { form: "beside" }], ["in turn", state.form === "turn", { form: "turn" }], ["hex", state.form === "hex", { form: "hex" }]])}
        <label class="faint">find <input class="find-in" .value=${state.find} @keydown=${(/** @type {Event} */ event) => event.stopPropagation()} @input=${(/** @type {Event} */ event) => this.set({ find: /** @type {HTMLInputElement} */ (event.target).value }, true)}></label>`;
    }
    return nothing;
  }

  /** The command line that says the same. @returns {string} */
  command() {
    const { state } = this;
    const files = (this.status?.files ?? []).join(" ");
    if (state.view === "session" && state.session) {
      if (state.panel === "ladder" && this.panel?.two && state.points === "both") return `bicap legs --lost ${files}`;
      if (state.panel === "streams") return `bicap follow ${files} ${state.session}`;
      return `bicap read --session ${state.session} ${files}`;
    }
    if (state.view === "findings") return `bicap diagnose ${files}`;
    if (state.view === "packets") return `bicap read ${files}`;
    const filters = state.filter.split(/\s+/).filter(Boolean).map((one) => `--filter ${/[<>'"$ ]/.test(one) ? `'${one.replaceAll("'", "")}'` : one} `).join("");
    return `bicap sessions ${filters}${state.sort === "start" ? "" : `--sort ${state.sort} `}${files}`;
  }

  /** @returns {void} */
  foot() {
    const split = this.isSplit();
    const keys = split
      ? html`<span><kbd>[</kbd> <kbd>]</kbd> packet</span><span><kbd>w</kbd> <kbd>s</kbd> zoom</span><span><kbd>a</kbd> <kbd>d</kbd> pan</span><span><kbd>1</kbd> <kbd>4</kbd> panel</span><button @click=${() => this.export()}><kbd>x</kbd> export</button><button @click=${() => this.back()}><kbd>Esc</kbd> back</button>`
      : html`<span><kbd>j</kbd> <kbd>k</kbd> next, previous</span><span><kbd>↵</kbd> open</span><span><kbd>g</kbd> group</span><button @click=${() => this.theme(document.documentElement.dataset["theme"] === "dark" ? "light" : "dark")}><kbd>t</kbd> theme</button>`;
    render(html`<code>${this.command()}</code><button @click=${() => this.copy(this.command())}><kbd>y</kbd> ${this.copied || "copy"}</button><span class="sp"></span><span class="keys">${keys}</span>`, this.at(".foot"));
  }

  /** @param {string} text @returns {void} */
  copy(text) {
    navigator.clipboard?.writeText(text).catch(() => {});
    this.copied = "copied";
    this.foot();
    setTimeout(() => { this.copied = ""; this.foot(); }, 1200);
  }

  /** Choose what is exported: the session as pcapng, JSON, or a page. @returns {void} */
  export() {
    if (!this.state.session) return;
    this.exporting = !this.exporting;
    const n = this.state.session;
    const stem = `${(this.status?.files?.[0] ?? "capture").replace(/\.(pcapng|pcap|cap)(\.\w+)?$/, "")}-session-${n}`;
    const note = document.createElement("div");
    this.root.querySelector(".pop.export")?.remove();
    if (!this.exporting) return;
    note.className = "pop export";
    this.at(".foot").before(note);
    const choose = (/** @type {string} */ path, /** @type {string} */ suffix) => async () => {
      this.exporting = false;
      note.remove();
      await save(path, { sessions: n }, stem + suffix);
    };
    render(html`<button class="r" @click=${choose("export/pcapng", ".pcapng")}><span class="mono">pcapng</span><span></span><span></span><span class="dim">the packets of this session</span></button>
      ${isKept() ? nothing : html`<button class="r" @click=${choose("export/json", ".json")}><span class="mono">json</span><span></span><span></span><span class="dim">its row, as bicap sessions --json</span></button>
      <button class="r" @click=${choose("export/html", ".html")}><span class="mono">html</span><span></span><span></span><span class="dim">this page with this session, for a ticket</span></button>`}`, note);
    /** @type {HTMLElement} */ (note.querySelector("button")).focus();
  }

  /** @returns {void} */
  help() {
    this.helping = !this.helping;
    if (this.helping) help(this);
    else this.root.querySelector(".help")?.remove();
  }

  /** One step back. @returns {void} */
  back() {
    if (this.helping) this.help();
    else if (this.exporting) this.export();
    else if (this.state.packet && this.isSplit()) this.set({ packet: 0 });
    else if (this.isSplit()) this.set({ view: "sessions" });
    else if (this.state.view !== "sessions") this.set({ view: "sessions" });
    else if (this.state.finding) this.set({ finding: 0 });
    else if (this.state.filter) this.set({ filter: "" });
  }

  /** @param {number} step @param {boolean} red @returns {void} */
  step(step, red) {
    const numbers = red ? (this.panel?.red?.() ?? []) : (this.panel?.numbers?.() ?? []);
    if (!numbers.length) return;
    const now = this.state.packet;
    const next = step > 0 ? numbers.find((/** @type {number} */ n) => n > now) : [...numbers].reverse().find((/** @type {number} */ n) => n < now);
    const chosen = next ?? (now ? undefined : numbers[0]);
    if (chosen !== undefined) this.set({ packet: chosen }, true);
  }

  /** @param {KeyboardEvent} event @returns {void} */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (["INPUT", "TEXTAREA"].includes(target.tagName)) return;
    const { state } = this;
    const split = this.isSplit();
    const panel = this.panel;
    /** @type {Record<string, () => void>} */
    const keys = {
      j: () => this.list?.move(1), k: () => this.list?.move(-1), ArrowDown: () => this.list?.move(1), ArrowUp: () => this.list?.move(-1),
      Enter: () => { if (split && state.packet && panel?.unfold) panel.unfold(state.packet); else if (!split && state.finding) this.openFinding(state.finding); else if (state.session) this.set({ view: "session" }); },
      Escape: () => this.back(), "/": () => this.filter.focus(), "?": () => this.help(),
      1: () => this.set({ panel: "ladder" }), 2: () => this.set({ panel: "sequence" }), 3: () => this.set({ panel: "streams" }), 4: () => this.set({ panel: "packets" }),
      n: () => this.nextFinding(1), N: () => this.nextFinding(-1),
      "[": () => this.step(-1, false), "]": () => this.step(1, false), "{": () => this.step(-1, true), "}": () => this.step(1, true),
      w: () => panel?.zoomBy?.(1.5), s: () => panel?.zoomBy?.(1 / 1.5), a: () => panel?.pan?.(-0.25), d: () => panel?.pan?.(0.25), 0: () => panel?.whole?.(),
      f: () => this.set({ fold: !state.fold }), e: () => this.set({ scale: state.scale === "time" ? "events" : "time" }),
      g: () => this.set({ group: /** @type {string} */ (["none", "server", "client", "verdict"][(["none", "server", "client", "verdict"].indexOf(state.group) + 1) % 4]) }),
      p: () => { if (state.session) this.pin(); }, x: () => this.export(), y: () => this.copy(this.command()), Y: () => this.copy(location.href),
      c: () => this.set({ clocks: state.clocks === "written" ? "aligned" : "written" }),
      t: () => this.theme(document.documentElement.dataset["theme"] === "dark" ? "light" : "dark"),
    };
    if (event.key === "Enter" && ["BUTTON", "A"].includes(target.tagName)) return;
    const found = keys[event.key];
    if (!found) return;
    event.preventDefault();
    found();
  }

  /** @param {number} step @returns {void} */
  nextFinding(step) {
    const many = this.found?.findings.length ?? 0;
    if (!many) return;
    const next = ((this.state.finding - 1 + step + (this.state.finding ? 0 : step > 0 ? 0 : 1)) % many + many) % many + 1;
    if (this.isSplit()) this.openFinding(next);
    else this.set({ finding: next });
  }

  /** The capture has grown, or is complete. @param {any} status @returns {void} */
  changed(status) {
    const before = this.status;
    this.status = status;
    document.title = `${status.name} · bicap`;
    if (!before || before.version !== status.version) {
      void get("findings").then((found) => { this.found = found; this.mainPart(); }, () => {});
      void this.list?.refresh(true);
      if (this.row?.open || (this.state.session && !this.row) || (this.pinned && !this.pinned.row) || this.state.view === "packets") void this.showSession();
    }
    this.paint();
  }

  /** @returns {Promise<void>} */
  async start() {
    try {
      this.changed(await get("status"));
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401;
      render(html`<div class="say"><h2>${refused ? "Open the address that bicap web printed" : "The server does not answer"}</h2><p>${/** @type {Error} */ (error).message}</p><pre>bicap web demo.pcapng\nbicap web /var/lib/bicap/\nbicap capture -i veth-client -w - | bicap web -</pre><p>The files stay on this machine: the page loads nothing from elsewhere.</p></div>`, this.at("main"));
      return;
    }
    if (isKept() && !this.state.session) this.state = { ...this.state, session: (await get("sessions")).rows[0].n, view: "session" };
    this.update(true);
    if (!isKept()) void follow((status) => this.changed(status), (error) => { this.ended = error.message; this.bar(); });
  }
}

const data = document.getElementById("incident");
if (data) useKept(JSON.parse(/** @type {string} */ (data.textContent)));
else takeToken();
const page = new Page(/** @type {HTMLElement} */ (document.getElementById("app")));
void page.start();
