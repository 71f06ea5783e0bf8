// Bounds of every setting of the sliders, all settings together. Pure: no page, no words.
//
// Compared with Python by tests/ui/explore/test_certifying.py.

import { bytes } from "./counting.js";

// One bit width's band of hybrid.ui.explore.bands.payload, unpacked.
export function unpackBand({ early, low, high, tenths }) {
  return {
    early,
    low: new Uint16Array(bytes(low).buffer),
    high: new Uint16Array(bytes(high).buffer),
    tenths: new Int16Array(bytes(tenths).buffer),
  };
}

// The bound at whole-number thresholds, in tenths of a point: that of the first cell that they are
// in, because cells come by rising bound, and together they cover every setting.
export function boundAt({ early, low, high, tenths }, thresholds) {
  for (let cell = 0, at = 0; cell < tenths.length; cell++, at += early) {
    let i = 0;
    while (i < early && low[at + i] <= thresholds[i] && thresholds[i] <= high[at + i]) i++;
    if (i === early) return tenths[cell];
  }
  return null;
}

// The area of hybrid.ui.explore.figures.certified_area: accuracies in percent at rising common
// thresholds, whole numbers, then the least that is certified, backwards.
export function areaOf(band, thresholds, accuracy, finalAccuracy) {
  const least = thresholds.map((threshold) => {
    const tenths = boundAt(band, new Array(band.early).fill(threshold));
    return Math.max(100 * finalAccuracy - tenths / 10, 0);
  });
  return [...least.map((low, i) => Math.max(accuracy[i], low)), ...least.reverse()];
}

// The key of the payload's template for a bound, as hybrid.certificates.kind_of_claim has it.
export function kindOfClaim(method, tenths) {
  if (method === "disagreement") return "differ";
  return tenths > 0 ? "cost" : tenths < 0 ? "gain" : "none";
}
