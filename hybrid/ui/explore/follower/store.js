// The traces that the browser holds, by id. Two components share them: one receives, one counts.
// Streamlit evaluates each component's script by itself, so the page's global object is the only
// place that both see.

const MOST = 40; // traces: all bit widths of a few networks and measures
const PLACE = Symbol.for("hybrid.traces");

function held() {
  globalThis[PLACE] ??= new Map();
  return globalThis[PLACE];
}

export const traceOf = (id) => held().get(id) ?? null;
export const hasTrace = (id) => held().has(id);

// Hold one more; the oldest goes when there are too many.
export function hold(trace) {
  held().set(trace.id, trace);
  if (held().size > MOST) held().delete(held().keys().next().value);
}
