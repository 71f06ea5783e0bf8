// The toolbar of plotly.js, with a button that saves SVG, and with tools that a second click puts
// away: then a drag or a finger scrolls the page again. And the background of the sliders' box,
// since the page scrolls under it (page_script.css).
//
// Relies on plotly.js 4.2, as Streamlit 1.67 bundles it: window.Plotly; .js-plotly-plot around a
// figure with ._fullLayout and ._context; in it button.modebar-btn with data-title, data-attr and
// data-val, and .active on the tool in use. Fails first: tests/browser/test_toolbar.py.

const CAMERA = "button.modebar-btn[data-title^='Download plot']";
const TOOL = "button.modebar-btn[data-attr=dragmode]";
const SAVE = "Download plot as an SVG";
const OURS = "hybrid-svg";
const TOUCHED = "hybrid-touched";
// Without a pointer that hovers, plotly.js shows every toolbar, over the legend of its figure.
const QUIET = `@media (hover: none) {
  .js-plotly-plot:not(.${TOUCHED}) .modebar { opacity: 0; pointer-events: none; }
}`;

export default function ({ parentElement }) {
  const box = document.querySelector(".st-key-thresholds");
  const theme = getComputedStyle(parentElement.firstElementChild ?? parentElement);
  if (box) box.style.backgroundColor = theme.getPropertyValue("--st-background-color");
  completeToolbars();
}

function completeToolbars() {
  if (document.hybridToolbar) return;
  document.hybridToolbar = true;
  const quiet = new CSSStyleSheet();
  quiet.replaceSync(QUIET);
  document.adoptedStyleSheets.push(quiet);
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, complete);
  document.addEventListener("pointerdown", touch);
  document.addEventListener("click", putAway, true);
}

const graphOf = (element) => element.closest?.(".js-plotly-plot");

// Give the figure under the pointer its button; plotly.js drops it when it draws its own again.
function complete({ target }) {
  const camera = graphOf(target)?.querySelector(CAMERA);
  if (!camera || camera.parentNode.querySelector(`.${OURS}`)) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = `modebar-btn ${OURS}`;
  button.setAttribute("rel", "tooltip");
  button.setAttribute("data-title", SAVE);
  button.setAttribute("aria-label", SAVE);
  button.append(icon());
  button.addEventListener("click", () => save(graphOf(button)));
  const paint = (colour) => (button.querySelector("path").style.fill = colour);
  const { color, activecolor } = graphOf(camera)._fullLayout.modebar;
  button.addEventListener("pointerenter", () => paint(activecolor));
  button.addEventListener("pointerleave", () => paint(color));
  paint(color);
  camera.after(button);
}

const CHOSEN = new WeakSet(); // figures whose tool a reader has chosen

// Show the toolbar of the figure that was touched last. Streamlit gives figures that report clicks
// the tool that moves their axes; a finger on them scrolls the page unless a reader has chosen it.
function touch({ target, pointerType }) {
  const graph = graphOf(target);
  if (!graph) return;
  const scrolls = pointerType === "touch" && !target.closest(TOOL) && !CHOSEN.has(graph);
  if (scrolls && graph._fullLayout?.dragmode) window.Plotly.relayout(graph, { dragmode: false });
  for (const other of document.querySelectorAll(`.${TOUCHED}`)) other.classList.remove(TOUCHED);
  graph.classList.add(TOUCHED);
}

function icon() {
  const made = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = made("svg", { viewBox: "0 0 24 24", class: "icon", height: "1em", width: "1em" });
  svg.append(made("path", { d: "M11 3h2v9l3-3 1.4 1.4L12 15.8l-5.4-5.4L8 9l3 3zM4 18h16v2.4H4z" }));
  return svg;
}

function save(graph) {
  const { filename } = graph._context.toImageButtonOptions ?? {};
  window.Plotly.downloadImage(graph, { format: "svg", filename });
}

// A click on the tool in use puts it away.
function putAway(event) {
  const button = event.target.closest?.(TOOL);
  const graph = button && graphOf(button);
  if (!graph) return;
  CHOSEN.add(graph);
  if (graph._fullLayout.dragmode !== button.dataset.val) return;
  event.stopPropagation();
  window.Plotly.relayout(graph, { dragmode: false });
}
