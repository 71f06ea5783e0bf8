// Integer codes and thresholds in, counts and means out. Pure functions: no page, no words.
//
// They count as hybrid.policy does, to the last sample: `count` is hybrid.policy.outcome and
// per_class, `sweep` is hybrid.policy.sweep, `mean` is hybrid.policy.mean_cost. Thresholds are
// whole numbers on the grid of the codes. Compared with Python by tests/ui/explore/test_counting.py
// and tests/browser/test_explore.py.

// The traces in one message, as hybrid.ui.explore.follower.payload.chunk writes them one after the
// other; those with a known id are skipped.
export function* traces(bytes, known = () => false) {
  for (let at = 0; at < bytes.length; ) {
    const size = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
    if (!known(header.id)) yield unpack(header, bytes.slice(at, at + header.bytes));
    at += header.bytes;
  }
}

// codes (early × samples), correct (exits × samples), labels, and the samples of each class.
function unpack(header, bytes) {
  const { samples, exits, classes } = header;
  const codes = new Uint16Array(bytes.buffer, 0, (exits - 1) * samples);
  const labels = new Uint16Array(bytes.buffer, codes.byteLength, samples);
  const packed = bytes.subarray(codes.byteLength + labels.byteLength);
  const stride = packed.length / exits;
  const correct = new Uint8Array(exits * samples);
  for (let i = 0; i < exits; i++) {
    for (let s = 0; s < samples; s++) {
      correct[i * samples + s] = (packed[i * stride + (s >> 3)] >> (s & 7)) & 1;
    }
  }
  const classSamples = new Array(classes).fill(0);
  for (const label of labels) classSamples[label]++;
  return { ...header, codes, correct, labels, classSamples };
}

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// How many samples take each exit and how many of them are right, over all and by class.
export function count({ samples, exits, classes, codes, correct, labels }, thresholds) {
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

// Accuracy and edge fraction in percent at `points` thresholds of one exit, the others fixed.
export function sweep({ samples, exits, grid, codes, correct }, exit, thresholds, points) {
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

// The same with one threshold for all exits, which moves.
export function sweepTogether({ samples, exits, grid, codes, correct }, points) {
  const step = grid / (points - 1);
  const right = new Int32Array(points + 1); // change from one threshold to the next
  const edge = new Int32Array(points + 1);
  for (let s = 0; s < samples; s++) {
    let from = 0; // the first threshold that no exit before this one lets go
    for (let i = 0; i < exits; i++) {
      const final = i === exits - 1;
      const to = final ? points : Math.floor(codes[i * samples + s] / step) + 1;
      if (to <= from) continue;
      right[from] += correct[i * samples + s];
      right[to] -= correct[i * samples + s];
      edge[from] += final ? 0 : 1;
      edge[to] -= final ? 0 : 1;
      from = to;
    }
  }
  const percent = (changes) => {
    let total = 0;
    return Float64Array.from(changes.subarray(0, points), (n) => 100 * ((total += n) / samples));
  };
  return { accuracy: percent(right), edgeFraction: percent(edge) };
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// Mean per sample: the sum over exits, first exit first, divided by the samples.
export function mean(counts, costs, samples) {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] * costs[i];
  return total / samples;
}

// Wilson's interval of a fraction, [low, high], as hybrid.policy.wilson.
export function wilson(successes, samples) {
  const z = 1.959963984540054;
  const seen = successes / samples;
  const spread = z ** 2 / samples;
  const middle = (seen + spread / 2) / (1 + spread);
  const half = Math.sqrt(spread * (seen * (1 - seen) + spread / 4)) / (1 + spread);
  const low = successes === 0 ? 0 : Math.max(middle - half, 0);
  return [low, successes === samples ? 1 : Math.min(middle + half, 1)];
}

// An operating point: its counts, and its costs as means per sample.
export function operatingPoint(trace, prices, thresholds) {
  const { samples } = trace;
  const counted = count(trace, thresholds);
  const { exitCounts, rightCounts } = counted;
  return {
    ...counted,
    samples,
    reached: exitCounts.map((_, i) => sum(exitCounts.slice(i))), // samples that come to each exit
    thresholds,
    edgeCount: sum(exitCounts.slice(0, -1)),
    edgeFraction: sum(exitCounts.slice(0, -1)) / samples,
    accuracy: sum(rightCounts) / samples,
    energy_pj: mean(exitCounts, prices.energy_pj, samples),
    latency_ms: mean(exitCounts, prices.latency_ms, samples),
    uplink_bytes: mean(exitCounts, prices.uplink_bytes, samples),
  };
}

// The place of the point to prefer to this one, as hybrid.ui.explore.alternatives.better finds it;
// null if none is. The alternatives are sorted by rising energy and rising accuracy.
export function betterThan({ accuracy, energy_pj }, alternatives) {
  const at = alternatives.accuracy.findIndex((reached) => reached >= accuracy);
  return at >= 0 && alternatives.energy_pj[at] < energy_pj ? at : null;
}
