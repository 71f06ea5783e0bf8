// Receives traces, as bytes, and bounds from Python and holds them for the follower (store.js).

import { unpackBand } from "./certifying.js";
import { traces } from "./counting.js";
import { held, hold } from "./store.js";

export function receive(data) {
  if (data instanceof Uint8Array) {
    for (const trace of traces(data, held)) hold(trace);
  } else {
    const bands = Object.entries(data.widths ?? {});
    hold({ ...data, bands: new Map(bands.map(([bits, band]) => [bits, unpackBand(band)])) });
  }
}
