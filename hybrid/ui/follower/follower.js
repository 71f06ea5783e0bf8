// Figures that follow the pointer: reads the sliders each animation frame, counts the operating
// point from the trace, and moves marks, flow, bars and headline words. On release Python computes
// the same point and is the truth; both agree to the sample (tests/browser/test_explore.py).
//
// `words` below says what hybrid/ui/numbers.py and hybrid/ui/words.py say; `count` and `sweep`
// are hybrid.policy.outcome and hybrid.policy.sweep.

const STATES = new WeakMap();
const REST_MS = 150; // after so long without a move the value rests

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".follower");
  let state = STATES.get(root);
  if (!state) {
    state = { root, figures: new Map(), applied: "", movedAt: 0, rested: true, frames: [] };
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
    accuracy: [
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
  if (!data.statics.length) {
    return "No static network is recorded here to compare this point with.";
  }
  const better = data.statics.filter(
    (other) => other.accuracy > result.accuracy && other.energy_pj < result.energy_pj,
  );
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
    `Right ${percent(result.accuracy)}`,
    `Wrong ${percent(1 - result.accuracy)}`,
  ];
}

// ---- each frame --------------------------------------------------------------------------------

function tick(state) {
  const started = performance.now();
  const thresholds = readSliders(state.data);
  if (!thresholds) return;
  const key = thresholds.join();
  if (key !== state.applied) {
    state.applied = key;
    state.movedAt = started;
    state.rested = false;
    state.now = point(state, thresholds);
    state.curves = null;
    speak(state, "off");
    say(state);
  }
  fadeCertificate(state, thresholds);
  draw(state);
  if (!state.rested && started - state.movedAt > REST_MS) rest(state);
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
  state.rested = true;
  // plotly.js sends no clicks after `animate` until one `restyle`.
  const graph = figure("explore_tradeoff");
  if (graph) window.Plotly.restyle(graph, { opacity: 1 }, [indexOf(graph, "present")]);
  for (const output of state.root.querySelectorAll("output")) {
    const { edge, accuracy, energy: spent } = state.now.words;
    speak(state, "polite");
    output.textContent = `${edge[0]} leave at the edge, accuracy ${accuracy[0]}, ${spent[0]} per image`;
  }
  if (!state.alive) {
    state.alive = true;
    state.report.setStateValue("alive", true);
  }
}

// A certificate is Python's alone: while the sliders stand elsewhere than its words say, it fades.
function fadeCertificate(state, thresholds) {
  const words = document.querySelector('[class*="st-key-explore_certificate_at_"]');
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

function figure(key) {
  const graph = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  return graph?._fullData ? graph : null;
}

function indexOf(graph, meta) {
  return graph.data.findIndex((trace) => trace.meta === meta);
}

function isSeen(graph) {
  const box = graph.getBoundingClientRect();
  return box.bottom > 0 && box.top < window.innerHeight && box.width > 0;
}

function draw(state) {
  if (!window.Plotly) return;
  for (const [key, wanted] of Object.entries(FIGURES)) {
    const graph = figure(key);
    if (!graph || !isSeen(graph)) continue;
    if (key === "explore_tradeoff") listen(state, graph);
    const moves = wanted(state, graph).filter(([meta, axis, values]) => drifted(graph, meta, axis, values));
    if (moves.length) animate(graph, moves);
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
    return [["parts", "x", parts.map((part) => spent(data.parts[part]) / data.scale_pj)]];
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
  window.Plotly.animate(
    graph,
    { data, traces },
    { mode: "immediate", transition: { duration: 0 }, frame: options },
  );
}

function drawFlow(state) {
  const graph = figure("explore_flow");
  if (!graph || !isSeen(graph)) return;
  const { exitCounts, rightCounts } = state.now;
  const split = exitCounts.flatMap((n, i) => [rightCounts[i], n - rightCounts[i]]);
  const value = [...exitCounts, ...split];
  const held = graph.data[0].link.value;
  if (value.every((n, i) => n === held[i])) return;
  const trace = graph.data[0];
  const { samples } = state.data;
  const shares = exitCounts.map((n) => n / samples);
  const { accuracy } = state.now;
  const y = [0.5, ...stacked(shares), ...stacked([accuracy, 1 - accuracy])];
  const node = { ...trace.node, label: state.now.labels, y };
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
