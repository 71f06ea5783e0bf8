// The traces and bounds that the browser holds, by id. Two components share them: one receives, one
// counts. Streamlit evaluates each component's script by itself, so the page's global object is the
// only place that both see.

const MOST = 40; // all bit widths of a few networks and measures
const PLACE = Symbol.for("hybrid.held");

function store() {
  globalThis[PLACE] ??= new Map();
  return globalThis[PLACE];
}

export const held = (id) => store().get(id) ?? null;

// Hold one more; the oldest goes when there are too many.
export function hold(one) {
  store().set(one.id, one);
  if (store().size > MOST) store().delete(store().keys().next().value);
}
