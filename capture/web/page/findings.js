// Findings, ranked: a bar of the share, the sentence, its sessions and packets.

import { plural } from "./format.js";
import { link, strong } from "./pieces.js";
import { html, nothing } from "./vendor/lit-html/lit-html.js";

const SHOWN = 6;

/** Share of sessions or packets that a finding is about, from its own words. @param {any} finding @param {number} sessions @returns {number} */
export function share(finding, sessions) {
  const match = /^([\d,]+) of ([\d,]+)/.exec(finding.what);
  if (match) return Number(/** @type {string} */ (match[1]).replaceAll(",", "")) / Number(/** @type {string} */ (match[2]).replaceAll(",", ""));
  return finding.sessions / Math.max(sessions, 1);
}

/** @param {import("./main.js").Page} page @param {boolean} all @returns {unknown} */
export function findings(page, all) {
  const found = page.found?.findings ?? [];
  const sessions = page.status?.sessions ?? 1;
  const chosen = page.state.finding;
  if (!found.length) return all ? html`<div class="say"><h2>No problems found</h2><p>${page.status?.done ? "None of the kinds of trouble that are looked for." : "So far: the file is still read."}</p></div>` : nothing;
  const shown = all ? found : found.slice(0, SHOWN);
  return html`<div class="find ${all ? "all" : ""}" role="list" aria-label="findings">${shown.map((/** @type {any} */ one, /** @type {number} */ i) => html`
    <div class="r ${i + 1 === chosen ? "on" : ""}" role="listitem" tabindex="0" @click=${() => page.chooseFinding(i + 1)} @keydown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") { event.stopPropagation(); page.openFinding(i + 1); } }}>
      <span class="num faint">${i + 1}</span><span class="share ${share(one, sessions) < 0.05 || i > 3 ? "mild" : ""}"><i .style=${`width:${Math.max(3, Math.min(share(one, sessions), 1) * 100)}%`}></i></span>
      <span class="t">${strong(one.what)}</span>
      <span class="ev">${plural(one.sessions, "session")}, ${one.evidence.length === 1 ? "packet" : "packets"} ${one.evidence.slice(0, 3).map((/** @type {any} */ e) => html`${link(e.packet || 0, () => page.choosePacket(e.packet, e.session))}`)}${one.evidence.length > 3 ? " …" : ""}</span>
    </div>${all || i + 1 === chosen ? html`<div class="nx">next: ${one.next}</div>` : nothing}`)}
    <div class="rest">${found.length > shown.length ? html`<button @click=${() => page.set({ view: "findings" })}>${found.length - shown.length} more</button>` : nothing}<span class="faint">${page.found?.waits ?? ""}</span><span class="sp"></span><kbd>n</kbd> next finding</div></div>`;
}
