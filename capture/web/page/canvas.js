// A drawing list -> a canvas. The list is plain data, so that tests read it without a browser.

/**
 * @typedef {{k: "line", x1: number, y1: number, x2: number, y2: number, c: string, w?: number, dash?: number[], a?: number, head?: boolean, n?: number, red?: boolean}} Line
 * @typedef {{k: "fade", x1: number, x2: number, y: number, c: string, w?: number, n?: number, red?: boolean}} Fade
 * @typedef {{k: "poly", points: number[], fill?: string, c?: string, a?: number, w?: number, dash?: number[], open?: boolean, hatch?: boolean, n?: number, red?: boolean}} Poly
 * @typedef {{k: "rect", x: number, y: number, w: number, h: number, fill?: string, c?: string, a?: number, dash?: number[], lw?: number, n?: number, red?: boolean, hatch?: boolean}} Rect
 * @typedef {{k: "text", x: number, y: number, s: string, c: string, size?: number, weight?: number, align?: "left" | "right" | "center", halo?: boolean, n?: number, red?: boolean}} Text
 * @typedef {{k: "cross", x: number, y: number, n?: number, red?: boolean}} Cross
 * @typedef {{k: "dot", x: number, y: number, r: number, c: string, hollow?: boolean, square?: boolean, diamond?: boolean, plus?: boolean, a?: number, n?: number, red?: boolean, w?: number}} Dot
 * @typedef {{k: "arc", x: number, y1: number, y2: number, out: number, c: string, dash?: number[], n?: number, red?: boolean}} Arc
 * @typedef {{k: "wave", x1: number, x2: number, y: number, c: string}} Wave
 * @typedef {Line | Fade | Poly | Rect | Text | Cross | Dot | Arc | Wave} Mark
 */

/** Colours of the theme, by name. @type {Record<string, string>} */
let colours = {};
let font = "sans-serif";

/** Read the colours of the present theme. @returns {void} */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = {};
  for (const name of ["bg", "panel", "sunk", "line", "line-2", "ink", "ink-2", "ink-3", "unknown", "client", "server", "trouble", "client-t", "server-t", "trouble-t", "select", "select-line", "hatch"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  font = style.getPropertyValue("--font").trim();
}

/** @param {string} name @returns {string} */
const colour = (name) => colours[name] ?? name;

/** Fit a canvas to its size on the screen. @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @returns {CanvasRenderingContext2D} */
export function fitted(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** @param {CanvasRenderingContext2D} g @param {Mark[]} marks @returns {void} */
export function draw(g, marks) {
  for (const mark of marks) {
    g.globalAlpha = "a" in mark && mark.a !== undefined ? mark.a : 1;
    g.setLineDash("dash" in mark && mark.dash ? mark.dash : []);
    one(g, mark);
  }
  g.globalAlpha = 1;
  g.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} g @param {Mark} m @returns {void} */
function one(g, m) {
  switch (m.k) {
    case "line":
      g.strokeStyle = colour(m.c);
      g.lineWidth = m.w ?? 1;
      g.beginPath();
      g.moveTo(m.x1, m.y1);
      g.lineTo(m.x2, m.y2);
      g.stroke();
      if (m.head) arrowHead(g, m.x1, m.y1, m.x2, m.y2, colour(m.c));
      break;
    case "fade": {
      const gradient = g.createLinearGradient(m.x1, 0, m.x2, 0);
      gradient.addColorStop(0, colour(m.c));
      gradient.addColorStop(0.3, `${colour(m.c)}8c`);
      gradient.addColorStop(1, `${colour(m.c)}00`);
      g.strokeStyle = gradient;
      g.lineWidth = m.w ?? 1.6;
      g.beginPath();
      g.moveTo(m.x1, m.y);
      g.lineTo(m.x2, m.y);
      g.stroke();
      break;
    }
    case "poly":
      g.beginPath();
      for (let i = 0; i < m.points.length; i += 2) {
        if (i) g.lineTo(/** @type {number} */ (m.points[i]), /** @type {number} */ (m.points[i + 1]));
        else g.moveTo(/** @type {number} */ (m.points[i]), /** @type {number} */ (m.points[i + 1]));
      }
      if (!m.open) g.closePath();
      if (m.fill) { g.fillStyle = colour(m.fill); g.fill(); }
      if (m.c) { g.strokeStyle = colour(m.c); g.lineWidth = m.w ?? 1; g.stroke(); }
      if (m.hatch) hatch(g, m.points);
      break;
    case "rect":
      if (m.hatch) hatch(g, [m.x, m.y, m.x + m.w, m.y, m.x + m.w, m.y + m.h, m.x, m.y + m.h]);
      if (m.fill) { g.fillStyle = colour(m.fill); g.fillRect(m.x, m.y, m.w, m.h); }
      if (m.c) { g.strokeStyle = colour(m.c); g.lineWidth = m.lw ?? 1; g.strokeRect(m.x, m.y, m.w, m.h); }
      break;
    case "text":
      g.font = `${m.weight ?? 400} ${m.size ?? 12}px ${font}`;
      g.textAlign = m.align ?? "left";
      g.textBaseline = "alphabetic";
      if (m.halo) { g.strokeStyle = colour("bg"); g.lineWidth = 4; g.lineJoin = "round"; g.strokeText(m.s, m.x, m.y); }
      g.fillStyle = colour(m.c);
      g.fillText(m.s, m.x, m.y);
      break;
    case "cross":
      g.strokeStyle = colour("trouble");
      g.lineWidth = 2;
      g.lineCap = "round";
      g.beginPath();
      g.moveTo(m.x - 5.5, m.y - 5.5);
      g.lineTo(m.x + 5.5, m.y + 5.5);
      g.moveTo(m.x - 5.5, m.y + 5.5);
      g.lineTo(m.x + 5.5, m.y - 5.5);
      g.stroke();
      g.lineCap = "butt";
      break;
    case "dot":
      dot(g, m);
      break;
    case "arc": {
      g.strokeStyle = colour(m.c);
      g.lineWidth = 1.2;
      g.beginPath();
      g.moveTo(m.x, m.y1);
      g.bezierCurveTo(m.x + m.out, m.y1, m.x + m.out, m.y2, m.x, m.y2);
      g.stroke();
      break;
    }
    case "wave": {
      g.strokeStyle = colour(m.c);
      g.lineWidth = 1;
      for (const y of [m.y - 5, m.y + 5]) {
        g.beginPath();
        g.moveTo(m.x1, y);
        for (let x = m.x1; x < m.x2; x += 12) g.quadraticCurveTo(x + 3, y - 3, x + 6, y), g.quadraticCurveTo(x + 9, y + 3, x + 12, y);
        g.stroke();
      }
      break;
    }
  }
}

/** @param {CanvasRenderingContext2D} g @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} fill @returns {void} */
function arrowHead(g, x1, y1, x2, y2, fill) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  g.fillStyle = fill;
  g.setLineDash([]);
  g.beginPath();
  g.moveTo(x2, y2);
  g.lineTo(x2 - Math.cos(angle + 0.36) * 7, y2 - Math.sin(angle + 0.36) * 7);
  g.lineTo(x2 - Math.cos(angle - 0.36) * 7, y2 - Math.sin(angle - 0.36) * 7);
  g.fill();
}

/** @param {CanvasRenderingContext2D} g @param {Dot} m @returns {void} */
function dot(g, m) {
  g.beginPath();
  if (m.square) g.rect(m.x - m.r, m.y - m.r, 2 * m.r, 2 * m.r);
  else if (m.diamond) { g.moveTo(m.x, m.y - m.r - 1); g.lineTo(m.x + m.r + 1, m.y); g.lineTo(m.x, m.y + m.r + 1); g.lineTo(m.x - m.r - 1, m.y); g.closePath(); }
  else if (m.plus) { g.moveTo(m.x - m.r, m.y - m.r); g.lineTo(m.x + m.r, m.y + m.r); g.moveTo(m.x - m.r, m.y + m.r); g.lineTo(m.x + m.r, m.y - m.r); }
  else g.arc(m.x, m.y, m.r, 0, 7);
  if (m.hollow || m.plus) { g.strokeStyle = colour(m.c); g.lineWidth = m.w ?? 1; g.stroke(); }
  else { g.fillStyle = colour(m.c); g.fill(); }
}

/** Hatch the inside of a polygon. @param {CanvasRenderingContext2D} g @param {number[]} points @returns {void} */
function hatch(g, points) {
  const xs = points.filter((_, i) => i % 2 === 0);
  const ys = points.filter((_, i) => i % 2 === 1);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  g.save();
  g.setLineDash([]);
  g.beginPath();
  xs.forEach((x, i) => g.lineTo(x, /** @type {number} */ (ys[i])));
  g.clip();
  g.strokeStyle = colour("hatch");
  g.lineWidth = 1.2;
  g.beginPath();
  for (let at = left - (bottom - top); at < right; at += 8.5) { g.moveTo(at, bottom); g.lineTo(at + bottom - top, top); }
  g.stroke();
  g.restore();
}
