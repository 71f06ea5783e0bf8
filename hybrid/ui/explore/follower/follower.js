// Figures that follow the pointer: reads the sliders each animation frame, counts the operating
// point from the trace, and moves marks, flow, bars and headline words. On release Python computes
// the same point and is the truth; both agree to the sample (tests/browser/test_explore.py).
//
// While a slider moves, only attributes of the shapes that plotly.js has drawn are written, which
// is a few times faster than any of its own ways; when the value rests, plotly.js is told.
//
// `words` below says what hybrid/ui/numbers.py and hybrid/ui/words.py say; `count` and `sweep`
// are hybrid.policy.outcome and hybrid.policy.sweep.

const STATES = new WeakMap();
const REST_MS = 150; // after so long without a move the value rests
const LEAVING_MS = 5000; // a change of page may take so long

// Whatever a page sends between a click on another page's link and the server's answer names the
// page as it was, and brings the reader back to it.
let leftAt = -Infinity;
const LINKS = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]";
document.addEventListener(
  "click",
  (event) => {
    if (event.target.closest?.(LINKS)) leftAt = performance.now();
  },
  true,
);

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".follower");
  let state = STATES.get(root);
  if (!state) {
    state = { root, figures: new Map(), applied: "", movedAt: 0, rested: true, frames: [] };
    state.graphs = new Map();
    state.seen = new WeakMap();
    state.observer = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) state.seen.set(target, isIntersecting);
    });
    STATES.set(root, state);
  }
  state.report = { setStateValue, setTriggerValue };
  if (state.data?.id !== data.id) {
    load(state, data);
  }
  if (!state.running) {
    state.running = true;
    const loop = () => {
      if (!state.running) return;
      tick(state);
      state.handle = requestAnimationFrame(loop);
    };
    state.handle = requestAnimationFrame(loop);
  }
  return () => {
    state.running = false;
    cancelAnimationFrame(state.handle);
    state.observer.disconnect();
    for (const [graph, listener] of state.figures) graph.removeListener?.("plotly_click", listener);
    STATES.delete(root);
  };
}

// ---- the trace ---------------------------------------------------------------------------------

function load(state, data) {
  const codes = new Uint16Array(bytes(data.codes).buffer);
  const packed = bytes(data.correct);
  const stride = packed.length / data.exits;
  const correct = new Uint8Array(data.exits * data.samples);
  for (let i = 0; i < data.exits; i++) {
    for (let s = 0; s < data.samples; s++) {
      correct[i * data.samples + s] = (packed[i * stride + (s >> 3)] >> (s & 7)) & 1;
    }
  }
  state.data = data;
  state.trace = { codes, correct, labels: new Uint16Array(bytes(data.labels).buffer) };
  state.applied = "";
  // what a test asks for
  state.root.follower = {
    at: (thresholds) => point(state, thresholds),
    sweep: (exit, thresholds) => sweep(state, exit, thresholds),
    frames: state.frames,
  };
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// Who leaves where and who is right there; thresholds are whole numbers on the grid of the codes.
function count(state, thresholds) {
  const { samples, exits, classes } = state.data;
  const { codes, correct, labels } = state.trace;
  const early = exits - 1;
  const exitCounts = new Array(exits).fill(0);
  const rightCounts = new Array(exits).fill(0);
  const byClass = new Int32Array(classes * exits);
  const rightByClass = new Int32Array(classes);
  for (let s = 0; s < samples; s++) {
    let i = 0;
    while (i < early && codes[i * samples + s] < thresholds[i]) i++;
    const right = correct[i * samples + s];
    exitCounts[i]++;
    rightCounts[i] += right;
    byClass[labels[s] * exits + i]++;
    rightByClass[labels[s]] += right;
  }
  return { exitCounts, rightCounts, byClass, rightByClass };
}

// Accuracy and edge fraction in percent while one exit's threshold moves and the others are held.
function sweep(state, exit, thresholds) {
  const { samples, exits, sweep_points: points, grid } = state.data;
  const { codes, correct } = state.trace;
  const step = grid / (points - 1);
  const early = exits - 1;
  const leaving = new Int32Array(points + 1);
  const leavingRight = new Int32Array(points + 1);
  const stayingEdge = new Int32Array(points + 1);
  const stayingRight = new Int32Array(points + 1);
  let edgeBefore = 0;
  let rightBefore = 0;
  for (let s = 0; s < samples; s++) {
    let i = 0;
    while (i < exit && codes[i * samples + s] < thresholds[i]) i++;
    if (i < exit) {
      edgeBefore++;
      rightBefore += correct[i * samples + s];
      continue;
    }
    const rank = Math.floor(codes[exit * samples + s] / step) + 1; // thresholds it reaches
    let next = exit + 1;
    while (next < early && codes[next * samples + s] < thresholds[next]) next++;
    leaving[rank]++;
    leavingRight[rank] += correct[exit * samples + s];
    stayingEdge[rank] += next < early ? 1 : 0;
    stayingRight[rank] += correct[next * samples + s];
  }
  let edge = edgeBefore + sum(leaving);
  let right = rightBefore + sum(leavingRight);
  const accuracy = new Float64Array(points);
  const edgeFraction = new Float64Array(points);
  for (let g = 0; g < points; g++) {
    edge += stayingEdge[g] - leaving[g];
    right += stayingRight[g] - leavingRight[g];
    accuracy[g] = 100 * (right / samples);
    edgeFraction[g] = 100 * (edge / samples);
  }
  return { accuracy, edgeFraction };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// Mean per sample: sum over exits, first exit first, divided by the samples, as mean_cost does.
function mean(counts, costs, samples) {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] * costs[i];
  return total / samples;
}

function point(state, thresholds) {
  const { data } = state;
  const counted = count(state, thresholds);
  const result = {
    ...counted,
    thresholds,
    edgeFraction: sum(counted.exitCounts.slice(0, -1)) / data.samples,
    accuracy: sum(counted.rightCounts) / data.samples,
    energy_pj: mean(counted.exitCounts, data.energy_pj, data.samples),
    latency_ms: mean(counted.exitCounts, data.latency_ms, data.samples),
    uplink_bytes: mean(counted.exitCounts, data.uplink_bytes, data.samples),
  };
  return { ...result, words: words(data, result), labels: labels(data, result) };
}

// ---- words: hybrid/ui/numbers.py and hybrid/ui/words.py ----------------------------------------

const UNITS = [[1e12, "J"], [1e9, "mJ"], [1e6, "µJ"], [1e3, "nJ"], [1, "pJ"]];

function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

function significant(value) {
  let digits = 0;
  for (let size = Math.abs(value); digits < 8 && size > 0 && size < 100; size *= 10) digits++;
  return fixed(value, digits);
}

const percent = (fraction, digits = 1) => `${fixed(100 * fraction, digits)} %`;

function energy(picojoule) {
  if (picojoule === 0) return "0 pJ";
  const size = Math.max(Math.abs(picojoule), 1);
  const [scale, unit] = UNITS.find(([smallest]) => smallest <= size);
  return `${significant(picojoule / scale)} ${unit}`;
}

function latency(ms) {
  return ms > 0 && ms < 1 ? `${significant(ms * 1000)} µs` : `${significant(ms)} ms`;
}

function kilobytes(size) {
  return size < 1000 ? `${significant(size)} B` : `${significant(size / 1000)} kB`;
}

function pointsText(difference) {
  const text = fixed(100 * difference, 2);
  return `${text.startsWith("−") ? text : `+${text}`} pp`;
}

const whole = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

function words(data, result) {
  const { samples, twin_accuracy: twin } = data;
  const atEdge = sum(result.exitCounts.slice(0, -1));
  const reduction = result.energy_pj ? data.twin_energy_pj / result.energy_pj : Infinity;
  return {
    edge: [percent(result.edgeFraction), `${whole(atEdge)} of ${whole(samples)}`],
    accuracy: !data.labelled ? ["unknown", `${percent(1 - result.accuracy, 2)} differ`] : [
      percent(result.accuracy, 2),
      twin === null ? null : `${pointsText(result.accuracy - twin)} to twin`,
    ],
    energy: [energy(result.energy_pj), null],
    reduction: [Number.isFinite(reduction) ? `${significant(reduction)}×` : "∞×", null],
    latency: [latency(result.latency_ms), null],
    uplink: [kilobytes(result.uplink_bytes), null],
    verdict: [verdict(data, result), null],
  };
}

function verdict(data, result) {
  if (!data.labelled) {
    return (
      "These images have no labels, so no accuracy is known. Shown instead is how many are answered " +
      "as the cloud would; leaving early costs no more accuracy than the share of the others."
    );
  }
  if (!data.statics.length) {
    return "No static network is recorded here to compare this point with.";
  }
  const better = data.statics.filter(
    (other) => other.accuracy > result.accuracy && other.energy_pj < result.energy_pj,
  );
  if (!better.length && data.statics.every((other) => other.bits === 32)) {
    return (
      `The full-precision twin does not beat this point on both accuracy and energy (${data.scope}); ` +
      "no static network of fewer bits is recorded here, and one might."
    );
  }
  if (!better.length) {
    return `No static network beats this point on both accuracy and energy (${data.scope}).`;
  }
  const best = better.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  return (
    `The static ${best.bits}-bit network beats this point on both axes: ` +
    `${percent(best.accuracy, 2)} at ${energy(best.energy_pj)} per image (${data.scope}), ` +
    `against ${percent(result.accuracy, 2)} at ${energy(result.energy_pj)}.`
  );
}

function labels(data, result) {
  const shares = result.exitCounts.map((n, i) => `${data.names[i]} ${percent(n / data.samples)}`);
  return [
    `${whole(data.samples)} images`,
    ...shares,
    `${data.labelled ? "Right" : "As the cloud"} ${percent(result.accuracy)}`,
    `${data.labelled ? "Wrong" : "Otherwise"} ${percent(1 - result.accuracy)}`,
  ];
}

// ---- each frame --------------------------------------------------------------------------------

function tick(state) {
  const started = performance.now();
  const thresholds = readSliders(state.data);
  if (!thresholds) return;
  const key = thresholds.join();
  const moved = key !== state.applied;
  const rests = !moved && !state.rested && started - state.movedAt > REST_MS;
  if (moved) {
    state.applied = key;
    state.movedAt = started;
    state.rested = false;
    state.now = point(state, thresholds);
    state.curves = null;
    speak(state, "off");
    say(state);
  }
  fadeCertificate(state, thresholds);
  if (rests) state.rested = true;
  if (moved || state.rested) draw(state);
  if (rests) rest(state);
  if (state.frames.length >= 2000) state.frames.splice(0, 1000);
  state.frames.push([started, performance.now() - started]);
}

function readSliders(data) {
  const values = [];
  for (const slider of data.sliders) {
    const input = document.querySelector(`.st-key-${slider} input[type=range]`);
    if (!input) return null;
    const onGrid = Math.floor(Number(input.value) * data.steps + 0.5);
    values.push(onGrid * (data.grid / data.steps));
  }
  return data.sliders.length === 1 ? new Array(data.exits - 1).fill(values[0]) : values;
}

function rest(state) {
  for (const output of state.root.querySelectorAll("output")) {
    const { edge, accuracy, energy: spent } = state.now.words;
    speak(state, "polite");
    output.textContent = `${edge[0]} leave at the edge, accuracy ${accuracy[0]}, ${spent[0]} per image`;
  }
  if (!state.alive && performance.now() - leftAt > LEAVING_MS) {
    state.alive = true;
    state.report.setStateValue("alive", true);
  }
}

// A certificate is Python's alone: while the sliders stand elsewhere than its words say, it fades.
function fadeCertificate(state, thresholds) {
  const holder = document.querySelector(".st-key-explore_certificate");
  const words = holder?.querySelector('[class*="st-key-explore_certificate_at_"]');
  if (!words) return;
  const { grid, steps } = state.data;
  const at = thresholds.map((threshold) => Math.round((threshold * steps) / grid)).join("_");
  const opacity = words.classList.contains(`st-key-explore_certificate_at_${at}`) ? "" : "0.3";
  if (words.style.opacity !== opacity) words.style.opacity = opacity;
}

function speak(state, how) {
  for (const output of state.root.querySelectorAll("output")) output.setAttribute("aria-live", how);
}

// React owns these text nodes and writes its own value when Python's differs from its last one.
function say(state) {
  for (const [name, [value, note]] of Object.entries(state.now.words)) {
    const holder = document.querySelector(`.st-key-explore_${name}`);
    if (!holder) continue;
    write(holder.querySelector("[data-testid=stMetricValue] p, [data-testid=stCaptionContainer] p"), value);
    if (note !== null) write(holder.querySelector("[data-testid=stMetricDelta] p"), note);
  }
}

function write(paragraph, text) {
  const node = paragraph?.lastChild;
  if (node?.nodeType === Node.TEXT_NODE && node.nodeValue !== text) node.nodeValue = text;
}

// The figure, if it is drawn and on the screen. Asking for its box instead would lay the page out
// anew at each figure and frame.
function shown(state, key) {
  let graph = state.graphs.get(key);
  if (!graph?.isConnected) {
    graph = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    if (!graph) return null;
    state.graphs.set(key, graph);
    state.observer.observe(graph);
  }
  return graph._fullData && state.seen.get(graph) ? graph : null;
}

function indexOf(graph, meta) {
  return graph.data.findIndex((trace) => trace.meta === meta);
}

function draw(state) {
  if (!window.Plotly) return;
  for (const [key, wanted] of Object.entries(FIGURES)) {
    const graph = shown(state, key);
    if (!graph) continue;
    if (key === "explore_tradeoff") listen(state, graph);
    const moves = wanted(state, graph);
    if (!state.rested && slide(graph, moves)) continue;
    const drifts = moves.filter(([meta, axis, values]) => drifted(graph, meta, axis, values));
    // Plotly redraws all bars of a figure from those that it is given: the others would vanish.
    const given = graph.data.some((trace) => trace.type === "bar") ? moves : drifts;
    if (drifts.length) animate(graph, given).then(key === "explore_tradeoff" ? () => hear(graph) : null);
  }
  drawFlow(state);
}

// Each figure: what its traces should hold, as [meta, {x, y}, the axis to compare].
const FIGURES = {
  explore_tradeoff: ({ data, now }) => [
    ["present", "x", [now.energy_pj / data.scale_pj], "y", [100 * now.accuracy]],
  ],
  explore_threshold: (state) => {
    const { data, now } = state;
    const at = data.sliders.map((_, i) => now.thresholds[i] / data.grid);
    const level = (value) => at.map(() => 100 * value);
    const marks = [
      ["accuracy marks", "x", at, "y", level(now.accuracy)],
      ["edge_fraction marks", "x", at, "y", level(now.edgeFraction)],
    ];
    if (data.together) return marks;
    state.curves ??= at.map((_, i) => sweep(state, i, now.thresholds));
    return state.curves.flatMap((curve, i) => [
      [`accuracy ${i}`, "y", curve.accuracy],
      [`edge_fraction ${i}`, "y", curve.edgeFraction],
    ]).concat(marks);
  },
  explore_parts: ({ data, now }, graph) => {
    const parts = graph.data[indexOf(graph, "parts")]?.y ?? [];
    const spent = (costs) => (costs ? mean(now.exitCounts, costs, data.samples) : 0);
    const twin = graph._fullData[indexOf(graph, "twin parts")]?.x ?? [];
    return [
      ["parts", "x", parts.map((part) => spent(data.parts[part]) / data.scale_pj)],
      ["twin parts", "x", Array.from(twin)],
    ];
  },
  explore_classes: ({ data, now }) => {
    const of = (numbers) => numbers.map((n, c) => (100 * n) / data.class_samples[c]);
    const each = [...Array(data.classes).keys()];
    const bars = now.exitCounts.map((_, i) => [
      `class ${i}`, "x", of(each.map((c) => now.byClass[c * data.exits + i])),
    ]);
    return [...bars, ["class accuracy", "x", of(Array.from(now.rightByClass))]];
  },
};

// React puts its own copy of a figure back after mounting and after a change of theme.
function drifted(graph, meta, axis, values) {
  const held = graph._fullData[indexOf(graph, meta)]?.[axis];
  if (!held || held.length !== values.length) return false;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(held[i] - values[i]) > 1e-9) return true;
  }
  return false;
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

// plotly.js sends no clicks after `animate` until one `restyle`.
function hear(graph) {
  window.Plotly.restyle(graph, { opacity: 1 }, [indexOf(graph, "present")]);
}

// ---- the shapes that plotly.js has drawn -------------------------------------------------------

// Move them as `animate` would; false where they are not as expected, and nothing was moved.
function slide(graph, moves) {
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
  const line = group.querySelector("path.js-line");
  line?.setAttribute("d", `M${x.map((at, i) => `${at},${y[i]}`).join("L")}`);
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
function slideFlow(graph, { value, y, label }) {
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

function drawFlow(state) {
  const graph = shown(state, "explore_flow");
  if (!graph) return;
  const { exitCounts, rightCounts } = state.now;
  const split = exitCounts.flatMap((n, i) => [rightCounts[i], n - rightCounts[i]]);
  const value = [...exitCounts, ...split];
  const { samples } = state.data;
  const shares = exitCounts.map((n) => n / samples);
  const { accuracy } = state.now;
  const y = [0.5, ...stacked(shares), ...stacked([accuracy, 1 - accuracy])];
  const label = state.now.labels;
  if (!state.rested && slideFlow(graph, { value, y, label })) return;
  const trace = graph.data[0];
  if (value.every((n, i) => n === trace.link.value[i])) return;
  const node = { ...trace.node, label, y };
  window.Plotly.react(graph, [{ ...trace, node, link: { ...trace.link, value } }], graph.layout);
}

function stacked(fractions) {
  const gap = 0.08;
  const room = 1 - gap * (fractions.length - 1);
  let top = 0;
  return fractions.map((fraction) => {
    const middle = Math.min(Math.max(top + (room * fraction) / 2, 0.001), 0.999);
    top += room * fraction + gap;
    return middle;
  });
}

// A click on a frontier's point moves bit width and sliders there: Python does, in a callback.
function listen(state, graph) {
  if (state.figures.has(graph)) return;
  const listener = (event) => {
    const clicked = event.points.find((candidate) => candidate.data.meta === "frontier");
    if (clicked) state.report.setTriggerValue("clicked", Array.from(clicked.customdata));
  };
  graph.on("plotly_click", listener);
  state.figures.set(graph, listener);
}
