// Figures and texts that follow the sliders: reads them each animation frame, counts the operating
// point (counting.js), fills in its texts (filling.js) and moves what is on the page (internals.js).
// On release Python computes the same point and is the authority; both agree to the sample
// (tests/browser/test_explore.py).
//
// While a slider moves, only attributes of shapes that are already drawn are written, which is a
// few times faster than any way plotly.js offers. When the value rests, plotly.js is told.
//
// The traces of all bit widths come apart from the prices and templates (receiver.js), so that a
// price costs no second transfer. What cannot be counted here fades until Python has drawn it.

import { areaOf, boundAt, kindOfClaim } from "./certifying.js";
import { mean, operatingPoint, sum, sweep, sweepTogether, wilson } from "./counting.js";
import { fill, words } from "./filling.js";
import {
  canDraw,
  catchUp,
  drawn,
  fade,
  fadeUnless,
  figureFinder,
  given,
  hear,
  isAt,
  onClick,
  redrawFlow,
  showRange,
  shows,
  showText,
  slide,
  slideFlow,
  sliderValue,
  standsStill,
} from "./internals.js";
import { receive } from "./receiver.js";
import { held } from "./store.js";

const STATES = new WeakMap();
const REST_MS = 150; // after this long without a move the value rests
const KEPT_FRAMES = 2000;

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".follower");
  if (!root) return receive(data); // one script for both: a browser takes 30 ms to start another
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
  for (const slider of state.data.sliders) fade(slider, false); // other pages show them too
  STATES.delete(state.root);
}

function load(state, data) {
  state.data = data;
  state.applied = "";
  state.widths = data.widths.map((width) => ({ ...data, ...width }));
  // for the tests and the benchmark
  const widthOf = (bits) => state.widths.find((width) => width.bits === bits);
  state.root.follower = {
    at: (bits, thresholds) => pointAt(widthOf(bits), thresholds),
    held: () => state.widths.filter(({ trace }) => held(trace)).map(({ bits }) => bits),
    sweep: (bits, exit, thresholds) =>
      sweep(held(widthOf(bits).trace), exit, thresholds, data.sweep_points),
    sweepTogether: (bits) => sweepTogether(held(widthOf(bits).trace), data.sweep_points),
    slide: () => slideAll(state),
    frames: state.frames,
  };
}

function pointAt(width, thresholds) {
  const trace = held(width.trace);
  const point = operatingPoint(trace, width, thresholds);
  return { ...point, ...words(width, point), width, trace };
}

// ---- each frame --------------------------------------------------------------------------------

function tick(state) {
  const started = performance.now();
  const controls = readControls(state);
  if (!controls) return;
  const { width, thresholds } = controls;
  const countable = held(width.trace)?.exits === thresholds.length + 1;
  fadeOld(state, controls, countable);
  if (!countable) return;
  const key = [width.bits, ...thresholds].join();
  const moved = key !== state.applied;
  const rests = !moved && !state.rested && started - state.movedAt > REST_MS;
  if (moved) {
    state.applied = key;
    state.movedAt = started;
    state.rested = false;
    state.now = pointAt(width, thresholds);
    state.curves = null;
    speak(state, "off");
    showTexts(state);
    fadeButton(state);
  }
  const bounds = held(state.data.bounds);
  if (moved || bounds !== state.bounds) showBound(state, bounds);
  if (rests) state.rested = true;
  if (moved || state.rested) draw(state);
  if (rests) rest(state);
  if (state.rested) report(state);
  if (state.frames.length >= KEPT_FRAMES) state.frames.splice(0, KEPT_FRAMES / 2);
  state.frames.push([started, performance.now() - started]);
}

// Where the controls stand; null while one of them is not on the page.
function readControls({ widths, data: { sliders, steps, grid, exits } }) {
  const place = widths.length > 1 ? sliderValue("bits") : 0;
  const values = sliders.map(sliderValue);
  if (place === null || values.includes(null) || !widths[place]) return null;
  const codes = values.map((value) => Math.floor(value * steps + 0.5) * (grid / steps));
  const thresholds = sliders.length === 1 ? new Array(exits - 1).fill(codes[0]) : codes;
  return { width: widths[place], thresholds };
}

function showTexts({ now }) {
  for (const [name, texts] of Object.entries(now.words)) showText(`explore_${name}`, texts);
  now.width.sliders.forEach((slider, i) => fade(slider, now.reached[i] === 0));
}

// The bound at the present point, where the browser has it.
function showBound(state, bounds) {
  const { width, thresholds } = state.now;
  state.bounds = bounds;
  const band = bounds?.bands.get(String(width.bits));
  if (band?.early !== thresholds.length) return;
  const tenths = boundAt(band, thresholds);
  const template = bounds.templates[kindOfClaim(bounds.method, tenths)];
  const text = fill(template, { tenths: Math.abs(tenths) }, state.data.numbers);
  showText("explore_bound", [text, null]);
}

// The button below the verdict goes where Python's last verdict led: it fades where another leads.
function fadeButton({ now }) {
  fadeUnless("explore_verdict", "explore_better_", String(now.better)); // "null": no point is better
}

// Python alone finds images and certifies single points: while the controls are not where it did so,
// they fade. So does the bound while the browser has none, and everything at a bit width that the
// browser cannot count, or while Python has not answered another choice of prices.
function fadeOld({ data: { steps, grid, bounds, shown } }, { width, thresholds }, countable) {
  const at = thresholds.map((threshold) => Math.round((threshold * steps) / grid));
  const place = [width.bits, ...at].join("_");
  fadeUnless("explore_pictures", "explore_pictures_at_", place);
  fadeUnless("explore_certificate", "explore_own_at_", place);
  const bounded = countable && held(bounds)?.bands.has(String(width.bits));
  fadeUnless("explore_certificate", "explore_certificate_at_", bounded ? null : place);
  const chosen = Object.entries(shown).every(([key, text]) => shows(key, text));
  const old = !chosen || (!countable && !isAt("explore_reach", "explore_reach_at_", place));
  for (const key of ["explore_now", ...Object.keys(FIGURES), "explore_flow"]) fade(key, old);
}

function rest(state) {
  speak(state, "polite");
  for (const output of outputs(state)) output.textContent = state.now.spoken;
}

// Tell Python once that this script runs.
function report(state) {
  if (!state.alive && standsStill()) {
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
    const range = RANGES[key]?.(state.now.width);
    if (state.rested && range) showRange(graph, ...range);
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

// By figure: what its traces should hold, as [meta, axis, values, more axes and values].
const FIGURES = {
  explore_tradeoff: ({ now: { width, energy_pj, accuracy } }, graph) => {
    const line = (axis) => drawn(graph, `frontier_${width.bits}`, axis);
    return [
      ["highlight", "x", padded(line("x"), graph), "y", padded(line("y"), graph)],
      ["present", "x", [energy_pj / width.scale_pj], "y", [100 * accuracy]],
    ];
  },
  explore_threshold: (state, graph) => {
    const { now } = state;
    const { sliders, grid, together, sweep_points: points } = now.width;
    const at = sliders.map((_, i) => now.thresholds[i] / grid);
    const level = (value) => at.map(() => 100 * value);
    now.trace.curve ??= sweepTogether(now.trace, points); // once for each bit width
    const alone = together ? [] : at.map((_, i) => i);
    state.curves ??= alone.map((i) => sweep(now.trace, i, now.thresholds, points));
    const curves = [["all", now.trace.curve], ...state.curves.map((curve, i) => [i, curve])];
    return [
      ...certified(state, graph),
      ...curves.map(([name, curve]) => [`accuracy_${name}`, "y", curve.accuracy]),
      ...curves.map(([name, curve]) => [`edge_fraction_${name}`, "y", curve.edgeFraction]),
      ["accuracy_marks", "x", at, "y", level(now.accuracy)],
      ["edge_fraction_marks", "x", at, "y", level(now.edgeFraction)],
    ];
  },
  explore_parts: ({ now: { width, exitCounts, samples } }, graph) => {
    const spent = (costs) => (costs ? mean(exitCounts, costs, samples) : 0);
    const bars = given(graph, "parts", "y").map((part) => spent(width.parts[part]) / width.scale_pj);
    return [
      ["parts", "x", bars],
      ["twin_parts", "x", drawn(graph, "twin_parts", "x")],
    ];
  },
  explore_classes: ({ now: { trace, exitCounts, byClass, rightByClass } }) => {
    const shares = (numbers) => numbers.map((n, c) => (100 * n) / trace.classSamples[c]);
    const classes = [...Array(trace.classes).keys()];
    const taking = (i) => classes.map((c) => byClass[c * trace.exits + i]);
    const bars = exitCounts.map((_, i) => [`class_${i}`, "x", shares(taking(i))]);
    const right = Array.from(rightByClass);
    const ends = right.map((n, c) => wilson(n, trace.classSamples[c]));
    const interval = [0, 1].flatMap((end) => ends.map((one) => 100 * one[end]));
    return [...bars, ["class_accuracy", "x", shares(right)], ["class_interval", "x", interval]];
  },
};

// The area below the curve of a common threshold; nothing where the browser has no bounds.
function certified({ bounds, now: { trace, width } }, graph) {
  const band = bounds?.bands.get(String(width.bits));
  if (band?.early !== trace.exits - 1 || !drawn(graph, "bound", "y").length) return [];
  if (trace.area?.bounds !== bounds) {
    const { samples, exits, grid, correct, curve } = trace;
    const step = grid / (curve.accuracy.length - 1);
    const thresholds = Array.from(curve.accuracy, (_, i) => i * step);
    const last = sum(correct.subarray((exits - 1) * samples)) / samples;
    trace.area = { bounds, y: areaOf(band, thresholds, curve.accuracy, last) };
  }
  return [["bound", "y", trace.area.y]];
}

// Axes that fit one bit width at a time. A new range draws the whole figure, so it waits for rest.
const RANGES = {
  explore_threshold: ({ ranges }) => ["yaxis", ranges.accuracy],
  explore_parts: ({ ranges }) => ["xaxis", ranges.parts],
};

// The highlighted line has as many points as the longest: its last one is repeated.
function padded(values, graph) {
  const missing = drawn(graph, "highlight", "x").length - values.length;
  return [...values, ...new Array(missing).fill(values[values.length - 1])];
}

// The flow's link values, node heights and labels, as hybrid.ui.explore.shares.flow has them.
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
