// Receives traces from Python and holds them for the follower (store.js).

import { traces } from "./counting.js";
import { hasTrace, hold } from "./store.js";

export default function ({ data }) {
  for (const trace of traces(data, hasTrace)) hold(trace);
}
