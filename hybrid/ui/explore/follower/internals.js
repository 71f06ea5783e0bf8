// Everything the follower relies on that Streamlit and plotly.js do not promise. Read this first
// when a release of either breaks dragging; nothing private is used outside this file.
//
// Streamlit 1.67
//   .st-key-<key>                      class around an element or container that has a key
//   input[type=range]                  inside a slider; its value follows the pointer. A select
//                                      slider's is the place of the option
//   input[role=combobox]               of a select box; its value is the text of the choice
//   [role=radio][aria-checked=true]    the pressed part of a segmented control
//   [data-testid=stMetricValue] p      a metric's value, its note ([data-testid=stMetricDelta] p),
//   [data-testid=stCaptionContainer] p and a caption: the text is the paragraph's last text
//                                      node, which React overwrites only when Python's changes
//   [data-testid=stTopNavLink], [data-testid=stSidebarNavLink]   links to other pages
//   [data-testid=stApp]                its data-test-script-state is notRunning between runs
//   .js-plotly-plot, window.Plotly     a chart's element, and plotly.js once a chart was drawn
//   Streamlit puts its own copy of a figure back after mounting and after a change of theme.
// plotly.js 4.2, as Streamlit bundles it
//   graph._fullData, graph._fullLayout, graph.calcdata   traces, axes and points as drawn; an axis
//                                      turns data and category places into pixels: d2p, c2p
//   g.trace with __data__[0].trace.index; in it path.point, path.js-line, path.js-fill and
//                                      g.point > path
//   .sankey, .sankey-link, .sankey-node with __data__ (link, node, height, visibleHeight, x0, x1,
//                                      pointNumber); in a node .node-rect and .node-label
//   After animate() no click is reported until one restyle().
//
// Fails first, in tests/browser:
//   a slider or a text moved       test_figures_follow_the_pointer_and_python_says_the_same_on_release
//   window.Plotly, _fullData       the same
//   shapes or their data           test_the_shapes_written_while_dragging_are_those_plotly_draws:
//                                  without it dragging still works, only slower, through animate()
//   clicks                         test_a_click_on_the_frontier_moves_bit_width_and_sliders_there
//   the certificate's key          test_a_certificate_fades_while_dragging_and_the_nearest_is_one_…
//   links to other pages           test_the_shared_controls_keep_their_values_on_another_page
//   the state of the script        test_a_reload_shows_the_same_and_back_still_undoes; without it
//                                  the follower never starts, and all others of Explore fail

import { sum } from "./counting.js";

// ---- Streamlit ---------------------------------------------------------------------------------

// A message carries the values of all controls as the browser has them, and the page's name. Sent
// between Back and the server's answer, it would put back the controls as they were; between a click
// on a link to another page and the answer, it would bring the reader back to this one.
const LEAVING_MS = 5000; // a change of page may take this long
const LINKS = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]";
let left = { page: null, at: -Infinity };
document.addEventListener(
  "click",
  (event) => {
    const link = event.target.closest?.(LINKS);
    if (link) left = { page: window.hybridAddress?.page, at: performance.now() };
  },
  true,
);

// Whether a message is safe: no run goes on, and the page is the one that the address names.
export function standsStill() {
  const app = document.querySelector("[data-testid=stApp]");
  const { page, query } = window.hybridAddress ?? {};
  const leaving = left.page === page && performance.now() - left.at < LEAVING_MS;
  return (
    app?.dataset.testScriptState === "notRunning" &&
    listed(query) === listed(window.location.search) &&
    !leaving
  );
}

const listed = (query) => Array.from(new URLSearchParams(query)).sort().join("&");

// Where a slider stands; null while it is not on the page.
export function sliderValue(key) {
  const input = document.querySelector(`.st-key-${key} input[type=range]`);
  return input ? Number(input.value) : null;
}

// Whether a control shows this text; true while it is not on the page, or its list is open.
export function shows(key, text) {
  const holder = document.querySelector(`.st-key-${key}`);
  const box = holder?.querySelector("input[role=combobox]");
  if (box) return box.ariaExpanded === "true" || box.value === text;
  const pressed = holder?.querySelector("[role=radio][aria-checked=true]");
  return !pressed || pressed.textContent === text;
}

const TEXT = "[data-testid=stMetricValue] p, [data-testid=stCaptionContainer] p";
const NOTE = "[data-testid=stMetricDelta] p";

// Show a metric's value and note, or a caption. A note of null is left as it is.
export function showText(key, [value, note]) {
  const holder = document.querySelector(`.st-key-${key}`);
  if (!holder) return;
  setText(holder.querySelector(TEXT), value);
  if (note !== null) setText(holder.querySelector(NOTE), note);
}

function setText(paragraph, text) {
  const isText = (node) => node.nodeType === Node.TEXT_NODE;
  const node = Array.from(paragraph?.childNodes ?? []).findLast(isText);
  if (!node) return;
  const [, before, after] = node.nodeValue.match(/^(\s*).*?(\s*)$/s); // spaces beside an icon stay
  const written = before + text + after;
  if (node.nodeValue !== written) node.nodeValue = written;
}

// Whether the element inside a container whose key begins like this names this place.
export function isAt(container, prefix, place) {
  return placed(container, prefix)?.classList.contains(`st-key-${prefix}${place}`) ?? false;
}

// Fade that element unless it names this place; for a place of null show it.
export function fadeUnless(container, prefix, place) {
  const element = placed(container, prefix);
  if (element) dim(element, place !== null && !isAt(container, prefix, place));
}

function placed(container, prefix) {
  const holder = document.querySelector(`.st-key-${container}`);
  return holder?.querySelector(`[class*="st-key-${prefix}"]`);
}

// Fade the element with this key, or show it again.
export function fade(key, faded) {
  const element = document.querySelector(`.st-key-${key}`);
  if (element) dim(element, faded);
}

function dim(element, faded) {
  const opacity = faded ? "0.3" : "";
  if (element.style.opacity !== opacity) element.style.opacity = opacity;
}

// A finder of figures: the graph of a key if it is drawn and on the screen, else null. Asking for
// its box instead would lay out the page once per figure and frame.
export function figureFinder() {
  const graphs = new Map();
  const seen = new WeakMap();
  const observer = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) seen.set(target, isIntersecting);
  });
  const find = (key) => {
    let graph = graphs.get(key);
    if (!graph?.isConnected) {
      graph = document.querySelector(`.st-key-${key} .js-plotly-plot`);
      if (!graph) return null;
      graphs.set(key, graph);
      observer.observe(graph);
    }
    return graph._fullData && seen.get(graph) ? graph : null;
  };
  return { find, stop: () => observer.disconnect() };
}

// ---- plotly.js ---------------------------------------------------------------------------------

export const canDraw = () => Boolean(window.Plotly);

function indexOf(graph, meta) {
  return graph.data.findIndex((trace) => trace.meta === meta);
}

// What a trace was given for an axis, and what plotly.js made of it; empty without such a trace.
export const given = (graph, meta, axis) => graph.data[indexOf(graph, meta)]?.[axis] ?? [];
export const drawn = (graph, meta, axis) =>
  Array.from(graph._fullData[indexOf(graph, meta)]?.[axis] ?? []);

// Let plotly.js draw the moves that it has not drawn yet; a promise, or null if there were none.
export function catchUp(graph, moves) {
  if (!moves.some((move) => drifted(graph, ...move))) return null;
  // All of them: plotly.js draws the bars of a figure, and each of its plots, from the traces that
  // it is given, and the others would vanish.
  return animate(graph, moves);
}

function drifted(graph, meta, axis, values, ...others) {
  const held = graph._fullData[indexOf(graph, meta)]?.[axis];
  if (!held || held.length !== values.length) return false;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(held[i] - values[i]) > 1e-9) return true;
  }
  return others.length > 0 && drifted(graph, meta, ...others);
}

function animate(graph, moves) {
  const traces = moves.map(([meta]) => indexOf(graph, meta));
  const data = moves.map(([, ...pairs]) => {
    const changes = {};
    for (let i = 0; i < pairs.length; i += 2) changes[pairs[i]] = pairs[i + 1];
    return changes;
  });
  const options = { duration: 0, redraw: false };
  return window.Plotly.animate(
    graph,
    { data, traces },
    { mode: "immediate", transition: { duration: 0 }, frame: options },
  ).catch(() => {}); // the next one came before this one was done
}

const WANTED = new WeakMap(); // by graph and axis: the range wanted last

// Let an axis show this range; nothing happens where it already does. A reader's zoom stays until
// another range is wanted.
export function showRange(graph, axis, [low, high]) {
  const wanted = WANTED.get(graph) ?? {};
  if (wanted[axis] === `${low} ${high}`) return;
  WANTED.set(graph, { ...wanted, [axis]: `${low} ${high}` });
  const now = graph._fullLayout[axis]?.range;
  if (!now || (Math.abs(now[0] - low) < 1e-9 && Math.abs(now[1] - high) < 1e-9)) return;
  window.Plotly.relayout(graph, { [`${axis}.range`]: [low, high] });
}

// Make a figure report clicks again after `animate`.
export function hear(graph, meta) {
  window.Plotly.restyle(graph, { opacity: 1 }, [indexOf(graph, meta)]);
}

// Call back with the customdata of each clicked point of traces whose meta begins like this; returns
// how to stop.
export function onClick(graph, meta, callback) {
  const listener = (event) => {
    const clicked = event.points.find(({ data }) => data.meta?.startsWith(meta));
    if (clicked) callback(Array.from(clicked.customdata));
  };
  graph.on("plotly_click", listener);
  return () => graph.removeListener?.("plotly_click", listener);
}

// ---- the shapes that plotly.js has drawn -------------------------------------------------------

// Move them as `animate` would; false where they are not as expected, and nothing was moved.
export function slide(graph, moves) {
  const groups = new Map();
  for (const group of graph.querySelectorAll("g.trace")) {
    groups.set(group.__data__?.[0]?.trace?.index, group);
  }
  const base = []; // where the next of the stacked bars begin
  const shapes = moves.map(([meta, ...pairs]) => {
    const index = indexOf(graph, meta);
    const to = { points: graph.calcdata?.[index], trace: graph._fullData[index] };
    for (let i = 0; i < pairs.length; i += 2) to[pairs[i]] = pairs[i + 1];
    return { group: groups.get(index), to };
  });
  if (!shapes.every(({ group, to }) => group && to.points?.length === (to.x ?? to.y).length)) {
    return false;
  }
  for (const { group, to } of shapes) {
    const [x, y] = ["x", "y"].map((axis) => pixels(graph, axis, to));
    if (to.trace.type === "bar") slideBars(graph, group, to, base);
    else if (to.trace.mode === "lines") slideLine(group, x, y);
    else slideMarks(group, x, y);
  }
  return true;
}

const axisOf = (graph, trace, axis) => graph._fullLayout[trace[`${axis}axis`].replace(axis, `${axis}axis`)];

// Where each point of a trace stands on an axis: where it is to go, else where it is.
function pixels(graph, axis, to) {
  const scale = axisOf(graph, to.trace, axis);
  if (to[axis]) return Array.from(to[axis], (value) => scale.d2p(value).toFixed(2));
  return to.points.map((point) => scale.c2p(point[axis]).toFixed(2));
}

function slideMarks(group, x, y) {
  group.querySelectorAll("path.point").forEach((mark, i) => {
    mark.setAttribute("transform", `translate(${x[i]},${y[i]})`);
  });
}

function slideLine(group, x, y) {
  const path = `M${x.map((at, i) => `${at},${y[i]}`).join("L")}`;
  group.querySelector("path.js-line")?.setAttribute("d", path);
  group.querySelector("path.js-fill")?.setAttribute("d", `${path}Z`);
}

function slideBars(graph, group, to, base) {
  const [along, across] = ["x", "y"].map((axis) => axisOf(graph, to.trace, axis));
  const stacked = graph._fullLayout.barmode === "stack";
  group.querySelectorAll("g.point > path").forEach((bar, i) => {
    const from = (stacked && base[i]) || 0;
    base[i] = from + to.x[i];
    const [x0, x1] = [along.c2p(from), along.c2p(base[i])];
    const [y0, y1] = [across.c2p(to.points[i].p0, true), across.c2p(to.points[i].p1, true)];
    bar.setAttribute("d", `M${x0},${y0}V${y1}H${x1}V${y0}Z`);
  });
}

// The same of the flow: nodes stand at fixed places across and are as high as they have images.
export function slideFlow(graph, { value, y, label }) {
  const links = byNumber(graph, ".sankey-link", ({ link }) => link);
  const nodes = byNumber(graph, ".sankey-node", ({ node }) => node);
  const { height } = graph.querySelector(".sankey")?.__data__ ?? {};
  // plotly.js leaves out what has no image: then a shape has to come that is not there.
  if (!height || !nodes.has(0) || value.some((n, i) => n > 0 && !links.has(i))) return false;
  const exits = value.length / 3;
  const total = sum(value.slice(0, exits));
  const perImage = nodes.get(0).__data__.visibleHeight / total;
  const right = sum(value.slice(exits).filter((_, i) => i % 2 === 0));
  const counts = [total, ...value.slice(0, exits), right, total - right];
  const tops = counts.map((count, i) => y[i] * height - (count * perImage) / 2);
  for (const [i, node] of nodes) slideNode(node, tops[i], counts[i] * perImage, label[i]);
  const [starts, ends] = [[...tops], [...tops]]; // where the next link of a node leaves and arrives
  for (const [i, link] of [...links].sort(([one], [other]) => one - other)) {
    const { source, target } = link.__data__.link;
    const [from, to, wide] = [source.pointNumber, target.pointNumber, value[i] * perImage];
    link.setAttribute("d", ribbon(source.x1, starts[from], target.x0, ends[to], wide));
    starts[from] += wide;
    ends[to] += wide;
  }
  return true;
}

// Shapes of the flow by their place in its specification.
function byNumber(graph, selector, part) {
  const found = [...graph.querySelectorAll(selector)].filter((shape) => shape.__data__);
  return new Map(found.map((shape) => [part(shape.__data__).pointNumber, shape]));
}

function slideNode(node, top, high, label) {
  node.setAttribute("transform", node.getAttribute("transform").replace(/,[^)]*/, `,${top}`));
  const [bar, text] = [node.querySelector(".node-rect"), node.querySelector(".node-label")];
  const below = 0.35 * parseFloat(text.style.fontSize); // from the bar's middle to the words' line
  bar.setAttribute("height", high);
  text.setAttribute("transform", text.getAttribute("transform").replace(/,[^)]*/, `,${high / 2 + below}`));
  if (text.textContent !== label) text.textContent = label;
}

function ribbon(x0, y0, x1, y1, wide) {
  const x = (x0 + x1) / 2;
  return (
    `M${x0},${y0}C${x},${y0} ${x},${y1} ${x1},${y1}L${x1},${y1 + wide}` +
    `C${x},${y1 + wide} ${x},${y0 + wide} ${x0},${y0 + wide}Z`
  );
}

// Draw the flow from its values unless it is drawn so already.
export function redrawFlow(graph, { value, y, label }) {
  const trace = graph.data[0];
  if (value.every((n, i) => n === trace.link.value[i])) return;
  const node = { ...trace.node, label, y };
  window.Plotly.react(graph, [{ ...trace, node, link: { ...trace.link, value } }], graph.layout);
}
