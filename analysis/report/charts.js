// Figures of lines, drawn anew from their data: names that hide their line on the whole page, a drag that zooms, values
// of each seed under the pointer. Without this script their pictures stay.

const [WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM] = [380, 230, 52, 8, 8, 22];
const hidden = new Set(), charts = [];

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** An axis from values to pixels and back. */
function scaled(log, [low, high], from, to) {
  const [into, out] = log ? [Math.log, Math.exp] : [x => x, x => x];
  const rate = (to - from) / (into(high) - into(low));
  return { log, low, high, place: x => from + (into(x) - into(low)) * rate, value: p => out(into(low) + (p - from) / rate) };
}

/** The range of values with a margin. */
function range(values, log) {
  const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  if (low > high) return [0, 1];
  if (log) return high > low ? [low / (high / low) ** 0.05, high * (high / low) ** 0.05] : [low / 2, 2 * low];
  const margin = 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - margin, high + margin];
}

/** Round values within an axis, about so many. */
function ticks({ log, low, high }, most) {
  const power = Math.floor(Math.log10(log ? low : (high - low) / most)), found = [];
  if (log && high > 3 * low) {
    const digits = high > 1e3 * low ? [1] : high > 30 * low ? [1, 3] : [1, 2, 5];
    for (let k = power; 10 ** k <= high; k++) found.push(...digits.map(digit => digit * 10 ** k));
    return found.filter(x => low <= x && x <= high).filter((_, i, all) => i % Math.ceil(all.length / most) === 0);
  }
  const step = [1, 2, 5, 10].map(digit => digit * 10 ** power).find(one => (high - low) / one <= most);
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  return found;
}

const short = x => x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5) ? x.toExponential(2).replace(/\.?0+e/, "e") : String(+x.toPrecision(5));
const known = values => values.filter(value => value !== null);
const mean = values => values.reduce((a, b) => a + b, 0) / values.length;
const across = (line, i) => known(line.y.map(seed => seed[i]));
const seen = line => line.names.some(name => !hidden.has(name));
const off = (line, i) => line.points?.[i]?.names.some(name => hidden.has(name));
const left = line => ({ ...line, y: line.y.map(seed => seed.map((value, i) => off(line, i) ? null : value)) });

function pathOf(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** A line: its mean, and its seeds as the band of their range or as dots. */
function drawn(line, x, y) {
  const places = line.x.map((_, i) => i).filter(i => across(line, i).length);
  const at = value => places.map(i => [x.place(line.x[i]), y.place(value(across(line, i)))]);
  const look = { stroke: line.color, fill: "none", "stroke-width": 1.6, "stroke-dasharray": line.dashes.join(" ") };
  const parts = line.kind === "points" ? [] : [svg("path", { ...look, d: pathOf(at(mean)) })];
  if (line.kind === "band" && places.length > 1) {
    const edge = [...at(all => Math.max(...all)), ...at(all => Math.min(...all)).reverse()];
    parts.unshift(svg("path", { d: pathOf(edge) + "Z", fill: line.color, opacity: 0.15 }));
  } else {
    const dots = places.flatMap(i => across(line, i).map(value => [x.place(line.x[i]), y.place(value)]));
    parts.push(...dots.map(([cx, cy]) => svg("circle", { cx, cy, r: 3, fill: line.color, opacity: 0.7 })));
  }
  return parts;
}

/** A panel as a block with its title, its drawing, and the value under the pointer; `draw` draws it for what is seen. */
function chart(panel) {
  const told = element("output", { className: "told" }), frame = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" });
  const mark = svg("circle", { r: 5, fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
  const box = svg("rect", { fill: "currentColor", opacity: 0.1 });
  let view = null, axes = [], points = [], start = null;

  function draw() {
    const lines = panel.lines.filter(seen).map(left);
    const all = [lines.flatMap(line => line.x.filter((_, i) => across(line, i).length)), known(lines.flatMap(line => line.y.flat()))];
    axes = all.map((values, i) => scaled(panel.log[i], view?.[i] ?? range(values, panel.log[i]),
      ...(i ? [HIGH - BOTTOM, TOP] : [LEFT, WIDE - RIGHT])));
    const [x, y] = axes;
    points = lines.flatMap(line => line.y.flatMap((seed, s) => seed.map((value, i) => value !== null
      && { at: [x.place(line.x[i]), y.place(value)], text: said(line, s, i) }))).filter(Boolean);
    const grid = [
      ...ticks(x, 5).flatMap(v => [
        svg("line", { x1: x.place(v), x2: x.place(v), y1: TOP, y2: HIGH - BOTTOM, class: "grid" }),
        svg("text", { x: x.place(v), y: HIGH - 6, "text-anchor": "middle" }, short(v))]),
      ...ticks(y, 6).flatMap(v => [
        svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y.place(v), y2: y.place(v), class: "grid" }),
        svg("text", { x: LEFT - 5, y: y.place(v) + 4, "text-anchor": "end" }, short(v))])];
    const within = svg("svg", { x: LEFT, y: TOP, width: WIDE - RIGHT - LEFT, height: HIGH - BOTTOM - TOP,
      viewBox: `${LEFT} ${TOP} ${WIDE - RIGHT - LEFT} ${HIGH - BOTTOM - TOP}` }, ...lines.flatMap(line => drawn(line, x, y)));
    frame.replaceChildren(...grid, within);
    told.textContent = view ? "double click: all of it" : "";
  }

  const said = (line, s, i) => line.points?.[i]?.text ?? `${line.names.join(" = ")}${line.seeds.length > 1 ? `, seed ${line.seeds[s]}` : ""}: `
    + `${short(line.y[s][i])} at ${short(line.x[i])}`;
  const at = event => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [(event.clientX - left) * WIDE / width, (event.clientY - top) * HIGH / height];
  };
  frame.onpointermove = event => {
    const [px, py] = at(event);
    if (start) {
      const [x, y] = [Math.min(px, start[0]), Math.min(py, start[1])];
      for (const [key, value] of Object.entries({ x, y, width: Math.abs(px - start[0]), height: Math.abs(py - start[1]) })) {
        box.setAttribute(key, value);
      }
      frame.append(box);
      return;
    }
    const far = point => Math.hypot(point.at[0] - px, point.at[1] - py);
    const near = points.reduce((best, point) => !best || far(point) < far(best) ? point : best, null);
    if (!near || far(near) > 40) return;
    [mark.cx.baseVal.value, mark.cy.baseVal.value] = near.at;
    frame.append(mark);
    told.textContent = near.text;
  };
  frame.onpointerdown = event => { if (event.pointerType === "mouse") start = at(event); event.preventDefault(); };
  frame.onpointerup = event => {
    const [from, end] = [start, at(event)];
    start = null;
    if (from && Math.abs(from[0] - end[0]) > 8 && Math.abs(from[1] - end[1]) > 8) {
      view = axes.map((axis, i) => [axis.value(from[i]), axis.value(end[i])].sort((a, b) => a - b));
    }
    if (from) draw();
  };
  frame.onpointerleave = () => { start = null; mark.remove(); box.remove(); };
  frame.ondblclick = () => { view = null; draw(); };
  charts.push(draw);
  const title = [panel.title, panel.y.replace("\n", " ")].filter(Boolean).join(": ");
  return element("div", { className: "panel" }, element("b", {}, title), frame, element("small", {}, panel.x), told);
}

/** A button for each name, which hides and shows its lines. */
function names(panels) {
  const looks = new Map(panels.flatMap(panel => panel.lines).flatMap(line => line.names.map(name => [name, line.color])));
  return [...looks].filter(([name]) => name && looks.size > 1).map(([name, color]) => {
    const button = element("button", { className: "name", ariaPressed: "true" }, name);
    button.style.borderColor = color;
    button.onclick = () => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      for (const other of document.querySelectorAll("button.name")) other.ariaPressed = String(!hidden.has(other.textContent));
      for (const draw of charts) draw();
    };
    return button;
  });
}

for (const figure of document.querySelectorAll(".chart:has(script)")) {
  const panels = JSON.parse(figure.querySelector("script").textContent);
  const blocks = element("div", { className: "panels" }, ...panels.map(chart));
  figure.querySelector("img").replaceWith(element("div", { className: "names" }, ...names(panels)), blocks);
}
for (const draw of charts) draw();

/** A slider through sheets of samples over training steps: of each cell the last up to its step. Paper has the still. */
for (const figure of document.querySelectorAll(".photo:has(script)")) {
  const cells = JSON.parse(figure.querySelector("script").textContent);
  const midway = cells.filter(cell => cell.sheets.length > 1);
  const steps = [...new Set(midway.flatMap(cell => cell.sheets.map(([step]) => step)))].sort((a, b) => a - b);
  const slider = element("input", { type: "range", max: steps.length - 1, value: steps.length - 1 });
  const told = element("output"), blocks = cells.map(({ name, sheets }) => {
    const image = element("img", { alt: name }), at = element("small");
    image.onload = () => { image.width = image.naturalWidth * Math.max(1, Math.round(300 / image.naturalWidth)); };
    const show = step => {
      const [own, data] = sheets.findLast(([own]) => own <= step) ?? sheets[0];
      [image.src, at.textContent] = [`data:image/png;base64,${data}`, sheets.length > 1 ? `step ${own}` : ""];
    };
    return { show, block: element("div", {}, element("b", {}, name), image, at) };
  });
  slider.oninput = () => {
    told.textContent = slider.ariaValueText = `step ${steps[slider.value]}`;
    for (const { show } of blocks) show(steps[slider.value]);
  };
  slider.oninput();
  figure.querySelector("img").className = "still";
  const sheets = element("div", { className: "sheets" }, ...blocks.map(({ block }) => block));
  figure.querySelector(".card").prepend(element("label", { className: "over" }, "training ", slider, told), sheets);
}
