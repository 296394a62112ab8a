"use strict";
// What a reader may do with the page beyond reading it. Without this script all of it is there, unsorted and whole.

/** The number that a cell of a table begins with, its prefix or power of ten included; null where there is none. */
function numberIn(text) {
  const plain = text.trim().replace(/−/g, "-");
  const found = /^[(<]?\s*\+?(-?\d+(?:\.\d+)?)/.exec(plain);
  if (!found) return plain.startsWith("∞") ? Infinity : plain.startsWith("-∞") ? -Infinity : null;
  const prefix = /^-?[\d.]+\s([kMGTPE])(?![a-z])/.exec(plain);
  const power = /·10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)/.exec(plain);
  const raised = power ? [...power[1]].map(digit => digit === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(digit)).join("") : 0;
  return found[1] * 10 ** (prefix ? 3 * (1 + "kMGTPE".indexOf(prefix[1])) : raised);
}

/** The order of two cells of a column; what is no number comes last, whichever way one sorts. */
function compare(a, b, sign) {
  const [x, y] = [numberIn(a), numberIn(b)];
  if (x !== null && y !== null) return sign * (x < y ? -1 : x > y ? 1 : 0);
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return sign * a.localeCompare(b, undefined, { numeric: true });
}

/** Tells each cell of these rows its first column. */
function place(rows) {
  const taken = [];
  rows.forEach((row, y) => {
    let x = 0;
    for (const cell of row.cells) {
      while (taken[y]?.[x]) x++;
      [cell.first, cell.columns] = [x, cell.colSpan];
      for (let down = 0; down < cell.rowSpan; down++)
        for (let right = 0; right < cell.colSpan; right++) (taken[y + down] ??= [])[x + right] = true;
      x += cell.colSpan;
    }
  });
}

function at(row, column) {
  return [...row.cells].find(cell => cell.first <= column && column < cell.first + cell.columns);
}

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

/** The text of a head without its footnotes. */
function label(head) {
  return [...head.childNodes].filter(node => !["SUP", "BUTTON"].includes(node.nodeName)).map(node => node.textContent).join("");
}

function sortable(table, heads) {
  const order = new Map([...table.rows].map((row, i) => [row, i]));
  for (const head of heads) {
    const button = element("button", { type: "button", className: "sort", ariaLabel: `sort by ${label(head)}` });
    button.onclick = () => {
      const now = { ascending: "descending", descending: "none" }[head.ariaSort] ?? "ascending";
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = now;
      const sign = now === "descending" ? -1 : 1;
      const by = now === "none"
        ? (a, b) => order.get(a) - order.get(b)
        : (a, b) => compare(at(a, head.first)?.textContent ?? "", at(b, head.first)?.textContent ?? "", sign);
      for (const body of table.tBodies) {
        const rows = [...body.rows];
        body.append(...rows.filter(row => row.className === "group"), ...rows.filter(row => row.className !== "group").sort(by));
      }
    };
    head.append(button);
  }
}

function filter(table, text) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter(row => row.className !== "group");
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text.toLowerCase());
    for (const row of body.rows) if (row.className === "group") row.hidden = rows.every(other => other.hidden);
  }
}

/** Shows the columns that are not in `out`; a head over several is as wide as what is left below it. */
function showColumns(table, out) {
  for (const row of table.rows)
    for (const cell of row.cells) {
      const left = Array.from({ length: cell.columns }, (_, i) => cell.first + i).filter(column => !out.has(column));
      cell.hidden = left.length === 0;
      cell.colSpan = left.length || 1;
    }
}

function columns(table, heads) {
  const out = new Set();
  const boxes = heads.slice(1).map(head => {
    const box = element("input", { type: "checkbox", checked: true });
    box.onchange = () => {
      out[box.checked ? "delete" : "add"](head.first);
      showColumns(table, out);
    };
    return element("label", {}, box, ` ${label(head)}`);
  });
  return element("details", { className: "columns" }, element("summary", {}, "columns"), ...boxes);
}

/** What a cell's title says, for whoever cannot hover. */
function spoken(table) {
  const said = element("p", { className: "said", ariaLive: "polite" });
  table.addEventListener("click", event => {
    const cell = event.target.closest("td[title]");
    if (cell) said.textContent = `${cell.parentElement.cells[0].textContent}: ${cell.title}`;
  });
  return said;
}

for (const table of document.querySelectorAll("table")) {
  // A verdict is read, and not searched.
  if (!table.tHead || table.querySelectorAll("tbody tr").length < 4 || table.closest("#verdict")) continue;
  place([...table.tHead.rows]);
  for (const body of table.tBodies) place([...body.rows]);
  const heads = [...table.tHead.rows].flatMap(row => [...row.cells]).filter(cell => cell.scope === "col" && label(cell).trim());
  heads.sort((a, b) => a.first - b.first);
  const search = element("input", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
  search.oninput = () => filter(table, search.value);
  table.parentElement.before(element("div", { className: "tools" }, search, heads.length > 2 ? columns(table, heads) : ""));
  sortable(table, heads);
  if (table.querySelector("td[title]")) table.parentElement.after(spoken(table));
}

const enlarged = () => document.querySelector(".zoom input:checked");
for (const image of document.querySelectorAll(".card img"))
  image.onclick = () => image.closest("figure").querySelector(".zoom input").click();
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && enlarged()) enlarged().checked = false;
});
