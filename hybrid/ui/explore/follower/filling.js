// Templates and number formats from Python in, texts out. No sentence and no unit is written here.
//
// `fill` and `write` follow hybrid.text.numbers.fill and write; `words` names the numbers of a
// point as hybrid.text.point.values does. Compared with Python by
// tests/ui/explore/test_filling.py.

import { betterThan, sum, wilson } from "./counting.js";

const SLOT = /\{(\w+):(\w+)\}/;
const PARSED = new Map(); // a template to its literals, names and kinds in turn: parsed once

// A template with its numbers: {name:kind} becomes values[name], written as formats[kind] says.
export function fill(template, values, numbers) {
  let parts = PARSED.get(template);
  if (!parts) PARSED.set(template, (parts = template.split(SLOT)));
  let text = parts[0];
  for (let i = 1; i < parts.length; i += 3) {
    text += write(values[parts[i]], parts[i + 1], numbers) + parts[i + 2];
  }
  return text;
}

export function write(value, kind, { formats, signs }) {
  const format = formats[kind];
  const size = Math.abs(value);
  if (size === 0 && format.zero !== null) return format.zero;
  const unit = format.units.findLast((one) => one.at_least <= size) ?? format.units[0];
  const scaled = (value * unit.times) / unit.per;
  const digits = format.digits ?? digitsAfterPoint(scaled, format);
  let text = Number.isFinite(scaled) ? Math.abs(scaled).toFixed(digits) : signs.infinity;
  const rounded = Number.isFinite(scaled) ? Number(text) : size;
  if (format.grouped) text = text.replace(/\B(?=(\d{3})+$)/g, signs.group);
  const sign = value < 0 && rounded !== 0 ? signs.minus : format.signed ? signs.plus : "";
  return sign + text + unit.suffix;
}

function digitsAfterPoint(value, { significant, most_digits: most }) {
  const enough = 10 ** (significant - 1);
  let digits = 0;
  for (let size = Math.abs(value); digits < most && size > 0 && size < enough; size *= 10) digits++;
  return digits;
}

// Every text of a point: the headlines as [value, note], the verdict, which exits are reached, the
// flow's labels and the sentence for a screen reader. A caption's note is null. `better` is the
// place of the point that the verdict names, null if it names none.
export function words(data, point) {
  const { templates, headlines, numbers, alternatives } = data;
  const better = betterThan(point, alternatives);
  const values = named(data, point, better);
  const filled = (template) => fill(template, values, numbers);
  const kind = better === null ? "none" : alternatives.is_static[better] ? "static" : "hybrid";
  const texts = { verdict: [filled(templates.verdict[kind]), null] };
  for (const key in headlines) texts[key] = headlines[key].map(filled);
  const reached = point.reached.slice(0, -1).filter((n) => n > 0).length;
  texts.reach = [filled(templates.reach[reached]), null];
  texts.interval = [filled(templates.interval), null];
  return {
    words: texts,
    labels: templates.flow.map(filled),
    spoken: filled(templates.spoken),
    better,
  };
}

function named(data, point, better) {
  const { exitCounts, samples, accuracy, energy_pj } = point;
  const { alternatives } = data;
  const [low, high] = wilson(sum(point.rightCounts), samples);
  const values = {
    samples,
    accuracy,
    accuracy_low: low,
    accuracy_high: high,
    energy_pj,
    at_edge: point.edgeCount,
    edge_fraction: point.edgeFraction,
    error: 1 - accuracy,
    difference: accuracy - data.twin_accuracy,
    reduction: energy_pj ? data.twin_energy_pj / energy_pj : Infinity,
    latency_ms: point.latency_ms,
    uplink_bytes: point.uplink_bytes,
    better_bits: alternatives.bits[better],
    better_accuracy: alternatives.accuracy[better],
    better_energy_pj: alternatives.energy_pj[better],
  };
  for (let i = 0; i < exitCounts.length; i++) {
    values[`exit_fraction_${i}`] = exitCounts[i] / samples;
    values[`reached_${i}`] = point.reached[i];
  }
  return values;
}
