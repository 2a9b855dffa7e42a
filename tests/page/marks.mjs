// A ladder's data on standard input -> the layout as JSON: what a test in Python asserts about.

import { layout } from "../../capture/web/page/ladder-layout.js";

let text = "";
for await (const piece of process.stdin) text += piece;
const { data, closed } = JSON.parse(text);
const made = layout(data, { mode: "time", width: 1080, height: 640, zoom: 1, selected: 0, closed });
process.stdout.write(JSON.stringify({ rows: made.rows, marks: made.marks, seen: made.seen, columns: made.columns }));
