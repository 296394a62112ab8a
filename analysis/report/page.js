"use strict";
// What a reader may do with the page beyond reading it. Without this script all of it is there, unsorted and whole.

/** The number that a cell of a table begins with, its power of ten included; null where there is none. */
function numberIn(text) {
  const plain = text.trim().normalize("NFKC").replaceAll("−", "-");
  const found = /^[(<]?([-+]?\d+(?:\.\d+)?)(?:.*·10(-?\d+))?/.exec(plain);
  return found && Number(`${found[1]}e${found[2] ?? 0}`);
}

/** The order of two cells of a column; what is no number comes last, whichever way one sorts. */
function compare(a, b, sign) {
  const [x, y] = [numberIn(a), numberIn(b)];
  return (x === null) - (y === null) || sign * (x === null ? a.localeCompare(b) : x - y);
}

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

function sortable(table, heads) {
  for (const [i, head] of heads.entries()) {
    const button = element("button", { className: "sort", ariaLabel: "sort by this column" });
    button.onclick = () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = sign > 0 ? "ascending" : "descending";
      const known = row => row.querySelector(".known") ? 1 : 0;  // Values known beforehand stay below the cells.
      const by = (a, b) => known(a) - known(b) || compare(a.cells[i].textContent, b.cells[i].textContent, sign);
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(by));
    };
    head.append(button);
  }
}

for (const table of document.querySelectorAll("details table")) {
  if (!table.tHead || table.tBodies[0].rows.length < 6) continue;
  const heads = [...[...table.tHead.rows].at(-1).cells];
  const search = element("input", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows" });
  search.oninput = () => {
    const wanted = search.value.toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  };
  table.parentElement.before(element("div", { className: "tools" }, search));
  sortable(table, heads);
}
