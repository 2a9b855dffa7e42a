// Text with numbers of packets in it -> templates in which each number is a link.

import { html } from "./vendor/lit-html/lit-html.js";

/**
 * "from packet 3817", "packets 575, 576, 577": every number behind the word is a link.
 * @param {string} text @param {(n: number) => void} choose @returns {unknown[]}
 */
export function linked(text, choose) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(/packets (\d+(?:(?:, | and | to )\d+)*)|packet (\d+)/g)) {
    const numbers = /** @type {string} */ (match[1] ?? match[2]);
    parts.push(text.slice(at, /** @type {number} */ (match.index) + match[0].length - numbers.length));
    for (const piece of numbers.split(/(\d+)/)) parts.push(/^\d+$/.test(piece) ? link(Number(piece), choose) : piece);
    at = /** @type {number} */ (match.index) + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

/** @param {number} n @param {(n: number) => void} choose @returns {unknown} */
export function link(n, choose) {
  return html`<a class="lk" tabindex="0" role="link" @click=${(/** @type {Event} */ event) => { event.stopPropagation(); choose(n); }} @keydown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") { event.stopPropagation(); choose(n); } }}>${n}</a>`;
}

/** "18 of 29 connections to bank/api-0:80": numbers and names in 600. @param {string} text @returns {unknown[]} */
export function strong(text) {
  return text.split(/(^[\d,]+ of [\d,]+|[\w.-]+\/[\w.-]+(?::\d+)?|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?)/g).map((piece, i) => (i % 2 ? html`<b>${piece}</b>` : piece));
}
