// Figures and texts that follow a slider: reads the sliders each animation frame, counts the
// operating point (counting.js), fills in its texts (filling.js) and moves what is on the page
// (internals.js). On release Python computes the same point and is the authority; both agree to the
// sample (tests/browser/test_explore.py).
//
// While a slider moves, only attributes of shapes that are already drawn are written, which is a
// few times faster than any way plotly.js offers. When the value rests, plotly.js is told.

import { mean, operatingPoint, sweep, unpack, wilson } from "./counting.js";
import { words } from "./filling.js";
import {
  canDraw,
  catchUp,
  drawn,
  fadeUnless,
  figureFinder,
  given,
  hear,
  msSinceLinkClicked,
  onClick,
  redrawFlow,
  showText,
  slide,
  slideFlow,
  sliderValue,
} from "./internals.js";

const STATES = new WeakMap();
const REST_MS = 150; // after this long without a move the value rests
const LEAVING_MS = 5000; // a change of page may take this long
const KEPT_FRAMES = 2000;

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".follower");
  const state = STATES.get(root) ?? begin(root);
  state.report = { setStateValue, setTriggerValue };
  if (state.data?.id !== data.id) load(state, data);
  if (!state.running) run(state);
  return () => end(state);
}

function begin(root) {
  const state = { root, clicks: new Map(), applied: "", movedAt: 0, rested: true, frames: [] };
  state.figures = figureFinder();
  STATES.set(root, state);
  return state;
}

function run(state) {
  state.running = true;
  const loop = () => {
    if (!state.running) return;
    tick(state);
    state.handle = requestAnimationFrame(loop);
  };
  state.handle = requestAnimationFrame(loop);
}

function end(state) {
  state.running = false;
  cancelAnimationFrame(state.handle);
  state.figures.stop();
  for (const stop of state.clicks.values()) stop();
  STATES.delete(state.root);
}

function load(state, data) {
  state.data = data;
  state.trace = unpack(data);
  state.applied = "";
  // for the tests and the benchmark
  state.root.follower = {
    at: (thresholds) => pointAt(state, thresholds),
    sweep: (exit, thresholds) => sweep(state.trace, exit, thresholds, data.sweep_points),
    slide: () => slideAll(state),
    frames: state.frames,
  };
}

function pointAt({ data, trace }, thresholds) {
  const point = operatingPoint(trace, data, thresholds);
  return { ...point, ...words(data, point) };
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
    state.now = pointAt(state, thresholds);
    state.curves = null;
    speak(state, "off");
    showTexts(state);
    fadeButton(state);
  }
  fadeCertificate(state, thresholds);
  if (rests) state.rested = true;
  if (moved || state.rested) draw(state);
  if (rests) rest(state);
  if (state.frames.length >= KEPT_FRAMES) state.frames.splice(0, KEPT_FRAMES / 2);
  state.frames.push([started, performance.now() - started]);
}

function readSliders({ sliders, steps, grid, exits }) {
  const values = [];
  for (const slider of sliders) {
    const value = sliderValue(slider);
    if (value === null) return null;
    values.push(Math.floor(value * steps + 0.5) * (grid / steps));
  }
  return sliders.length === 1 ? new Array(exits - 1).fill(values[0]) : values;
}

function showTexts({ now }) {
  for (const [name, texts] of Object.entries(now.words)) showText(`explore_${name}`, texts);
}

// The button below the verdict goes where Python's last verdict led: it fades where another one leads.
function fadeButton({ now }) {
  fadeUnless("explore_verdict", "explore_better_", `explore_better_${now.better}`);
}

// Python alone computes certificates: while the sliders are not where one holds, it fades.
function fadeCertificate({ data: { grid, steps } }, thresholds) {
  const at = thresholds.map((threshold) => Math.round((threshold * steps) / grid)).join("_");
  const prefix = "explore_certificate_at_";
  fadeUnless("explore_certificate", prefix, prefix + at);
}

function rest(state) {
  speak(state, "polite");
  for (const output of outputs(state)) output.textContent = state.now.spoken;
  if (!state.alive && msSinceLinkClicked() > LEAVING_MS) {
    state.alive = true;
    state.report.setStateValue("alive", true);
  }
}

function speak(state, how) {
  for (const output of outputs(state)) output.setAttribute("aria-live", how);
}

const outputs = ({ root }) => root.querySelectorAll("output");

// ---- figures -----------------------------------------------------------------------------------

function draw(state) {
  if (!canDraw()) return;
  for (const [key, wanted] of Object.entries(FIGURES)) {
    const graph = state.figures.find(key);
    if (!graph) continue;
    const clickable = key === "explore_tradeoff";
    if (clickable) listen(state, graph);
    const moves = wanted(state, graph);
    if (!state.rested && slide(graph, moves)) continue;
    catchUp(graph, moves)?.then(clickable ? () => hear(graph, "present") : null);
  }
  drawFlow(state);
}

function drawFlow(state) {
  const graph = state.figures.find("explore_flow");
  if (!graph) return;
  const wanted = flow(state);
  if (!state.rested && slideFlow(graph, wanted)) return;
  redrawFlow(graph, wanted);
}

// Write every figure's shapes at the present point; by figure whether that could be done.
function slideAll(state) {
  const slid = Object.entries({ ...FIGURES, explore_flow: flow }).map(([key, wanted]) => {
    const graph = state.figures.find(key);
    const move = wanted === flow ? slideFlow : slide;
    return [key, graph && move(graph, wanted(state, graph))];
  });
  return Object.fromEntries(slid);
}

// A click on a frontier's point moves bit width and sliders there, in a callback of Python's.
function listen(state, graph) {
  if (state.clicks.has(graph)) return;
  const report = (custom) => state.report.setTriggerValue("clicked", custom);
  state.clicks.set(graph, onClick(graph, "frontier", report));
}

// By figure: what its traces should hold, as [meta, axis to compare, values, more axes and values].
const FIGURES = {
  explore_tradeoff: ({ data, now }) => [
    ["present", "x", [now.energy_pj / data.scale_pj], "y", [100 * now.accuracy]],
  ],
  explore_threshold: (state) => {
    const { data, trace, now } = state;
    const at = data.sliders.map((_, i) => now.thresholds[i] / data.grid);
    const level = (value) => at.map(() => 100 * value);
    const marks = [
      ["accuracy_marks", "x", at, "y", level(now.accuracy)],
      ["edge_fraction_marks", "x", at, "y", level(now.edgeFraction)],
    ];
    if (data.together) return marks;
    state.curves ??= at.map((_, i) => sweep(trace, i, now.thresholds, data.sweep_points));
    const curves = state.curves.flatMap((curve, i) => [
      [`accuracy_${i}`, "y", curve.accuracy],
      [`edge_fraction_${i}`, "y", curve.edgeFraction],
    ]);
    return curves.concat(marks);
  },
  explore_parts: ({ data, now }, graph) => {
    const spent = (costs) => (costs ? mean(now.exitCounts, costs, data.samples) : 0);
    const bars = given(graph, "parts", "y").map((part) => spent(data.parts[part]) / data.scale_pj);
    return [
      ["parts", "x", bars],
      ["twin_parts", "x", drawn(graph, "twin_parts", "x")],
    ];
  },
  explore_classes: ({ data, now }) => {
    const shares = (numbers) => numbers.map((n, c) => (100 * n) / data.class_samples[c]);
    const classes = [...Array(data.classes).keys()];
    const taking = (i) => classes.map((c) => now.byClass[c * data.exits + i]);
    const bars = now.exitCounts.map((_, i) => [`class_${i}`, "x", shares(taking(i))]);
    const right = Array.from(now.rightByClass);
    const ends = right.map((n, c) => wilson(n, data.class_samples[c]));
    const interval = [0, 1].flatMap((end) => ends.map((one) => 100 * one[end]));
    return [...bars, ["class_accuracy", "x", shares(right)], ["class_interval", "x", interval]];
  },
};

// The flow's link values, node heights and labels, as hybrid.ui.explore.figures.flow has them.
function flow({ now }) {
  const { exitCounts, rightCounts, samples, accuracy, labels } = now;
  const split = exitCounts.flatMap((n, i) => [rightCounts[i], n - rightCounts[i]]);
  const shares = exitCounts.map((n) => n / samples);
  const y = [0.5, ...stacked(shares), ...stacked([accuracy, 1 - accuracy])];
  return { value: [...exitCounts, ...split], y, label: labels };
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
