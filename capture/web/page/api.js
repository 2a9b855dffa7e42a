// Addresses of the server's data -> values. The token goes in a header, never in an address.

const KEY = "bicap-token";

/** Take the token out of the address, so that it is in no history and no copied address. @returns {void} */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1));
  const token = found.get("token");
  if (token === null) return;
  localStorage.setItem(KEY, token);
  found.delete("token");
  const rest = found.toString();
  history.replaceState(null, "", rest ? `#${rest}` : location.pathname);
}

export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Data of a page that was exported with an incident: answers by address. @type {Record<string, any> | null} */
let kept = null;

/** @param {Record<string, any>} answers @returns {void} */
export function useKept(answers) {
  kept = answers;
}

/** @returns {boolean} */
export function isKept() {
  return kept !== null;
}

/** @param {string} path @param {Record<string, string | number | undefined>} query @returns {string} */
function address(path, query) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") words.set(name, String(value));
  const text = words.toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
}

/** @param {string} path @param {Record<string, string | number | undefined>} [query] @param {AbortSignal} [signal] @returns {Promise<Response>} */
async function request(path, query = {}, signal) {
  let answer;
  try {
    answer = await fetch(address(path, query), { headers: { "X-Bicap-Token": localStorage.getItem(KEY) ?? "" }, signal: signal ?? null });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new ApiError(0, "the server has ended: what is loaded stays");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let message = text.trim();
  try {
    message = JSON.parse(text).error;
  } catch {}
  throw new ApiError(answer.status, message);
}

/** @param {string} path @param {Record<string, string | number | undefined>} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, query = {}, signal) {
  if (kept !== null) {
    const known = kept[address(path, query)] ?? kept[`/api/${path}`];
    if (known === undefined) throw new ApiError(404, "this is not in the exported page: open the capture with bicap web");
    const answer = structuredClone(known);
    if (path === "packets") answer.rows = answer.rows.slice(Number(query["from"] ?? 0), Number(query["from"] ?? 0) + Number(query["count"] ?? 100));
    return answer;
  }
  return (await request(path, query, signal)).json();
}

/**
 * Arrays as capture/web/arrays_body.py writes them.
 * @param {string} path @param {Record<string, string | number | undefined>} query @param {AbortSignal} [signal]
 * @returns {Promise<{meta: any, arrays: Record<string, Float64Array | Uint8Array>}>}
 */
export async function getArrays(path, query, signal) {
  if (kept !== null) {
    const text = kept[`/api/${path}#${query["below"]}`];
    if (text === undefined) throw new ApiError(404, "this is not in the exported page");
    return unpack(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }
  return unpack(await (await request(path, query, signal)).arrayBuffer());
}

/** @param {ArrayBuffer} bytes @returns {{meta: any, arrays: Record<string, Float64Array | Uint8Array>}} */
export function unpack(bytes) {
  const length = new DataView(bytes).getUint32(0, true);
  const meta = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  /** @type {Record<string, Float64Array | Uint8Array>} */
  const arrays = {};
  for (const [name, type, at, count] of meta.arrays) {
    arrays[name] = type === "u1" ? new Uint8Array(bytes, 4 + length + at, count) : new Float64Array(bytes, 4 + length + at, count);
  }
  return { meta, arrays };
}

/** Save an answer as a file. @param {string} path @param {Record<string, string | number | undefined>} query @param {string} name @returns {Promise<void>} */
export async function save(path, query, name) {
  const known = kept?.[`/api/${path}`];
  if (kept !== null && known === undefined) return;
  const blob = known !== undefined ? new Blob([Uint8Array.from(atob(known), (letter) => letter.charCodeAt(0))]) : await (await request(path, query)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Call back with each status of the capture, until the server ends. @param {(status: any) => void} changed @param {(error: ApiError) => void} ended @returns {Promise<void>} */
export async function follow(changed, ended) {
  try {
    const answer = await request("events");
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (line.startsWith("data: ")) changed(JSON.parse(line.slice(6)));
      }
    }
    ended(new ApiError(0, "the server has ended: what is loaded stays"));
  } catch (error) {
    ended(error instanceof ApiError ? error : new ApiError(0, "the server has ended: what is loaded stays"));
  }
}
