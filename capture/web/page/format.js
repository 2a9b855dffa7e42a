// Numbers -> the text of page-look: three digits that count, zeros kept, so that columns align.

/** @param {number} value @returns {string} */
const three = (value) => (value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2));

/** A whole number with commas. @param {number} value @returns {string} */
export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** A duration in ns; "–" for none. @param {number} ns @returns {string} */
export function duration(ns) {
  if (ns < 0) return "–";
  if (ns === 0) return "0";
  if (ns < 999.5) return `${Math.round(ns)} ns`;
  if (ns < 999.5e3) return `${three(ns / 1e3)} µs`;
  if (ns < 999.5e6) return `${three(ns / 1e6)} ms`;
  if (ns < 600e9) return `${three(ns / 1e9)} s`;
  const minutes = Math.floor(ns / 60e9);
  if (minutes < 60) return `${minutes}m${String(Math.floor((ns / 1e9) % 60)).padStart(2, "0")}s`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}m`;
}

/** A number of bytes. @param {number} bytes @returns {string} */
export function size(bytes) {
  if (bytes < 1024) return `${count(bytes)} B`;
  for (const [unit, factor] of /** @type {[string, number][]} */ ([["KiB", 1024], ["MiB", 1048576], ["GiB", 1073741824]])) {
    if (bytes < factor * 1023.5) return `${three(bytes / factor)} ${unit}`;
  }
  return `${three(bytes / 1099511627776)} TiB`;
}

/** Bytes a second. @param {number} rate @returns {string} */
export function rate(rate) {
  return `${size(rate)}/s`;
}

/** "1 session", "2 sessions". @param {number} n @param {string} one @param {string} [many] @returns {string} */
export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : (many ?? `${one}s`)}`;
}

/** The time of day of an offset from the file's start, local, to the millisecond. @param {bigint} start @param {number} ns @returns {string} */
export function clock(start, ns) {
  const when = new Date(Number(start / 1000000n) + ns / 1e6);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}.${String(when.getMilliseconds()).padStart(3, "0")}`;
}

/** Steps of an axis: at most `most` round values within [low, high]. @param {number} low @param {number} high @param {number} most @param {number} [base] @returns {number[]} */
export function ticks(low, high, most, base = 10) {
  const span = high - low;
  if (!(span > 0)) return [low];
  let step = base === 2 ? 1 : 10 ** Math.floor(Math.log10(span / most));
  if (base === 2) while (span / step > most) step *= 2;
  else for (const factor of [1, 2, 5, 10]) if (span / (step * factor) <= most) { step *= factor; break; }
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

/** The unit in which all times of a span are written, and its name. @param {number} span @returns {[number, string]} */
export function unit(span) {
  if (span >= 2e9) return [1e9, "s"];
  if (span >= 2e6) return [1e6, "ms"];
  if (span >= 2e3) return [1e3, "µs"];
  return [1, "ns"];
}
