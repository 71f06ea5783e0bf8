// A strip of images and their captions to a grid. Captions are text, never HTML.

const DRAWN = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const sheet = parentElement.querySelector(".sheet");
  const drawn = JSON.stringify(data);
  if (DRAWN.get(sheet) === drawn) return;
  DRAWN.set(sheet, drawn);
  const open = (i) => setTriggerValue("opened", data.positions[i]);
  sheet.replaceChildren(...data.captions.map((_, i) => item(data, i, open)));
}

function item(data, i, open) {
  const opens = data.positions.length > 0;
  const cell = make(opens ? "button" : "div", "cell");
  if (opens) {
    cell.type = "button";
    cell.title = "Open in Try an image";
    cell.addEventListener("click", () => open(i));
  }
  const last = data.captions.length - 1;
  const picture = make("span", "picture");
  picture.style.backgroundImage = `url(${data.strip})`;
  picture.style.backgroundSize = `${100 * (last + 1)}% 100%`;
  picture.style.backgroundPosition = `${last ? (100 * i) / last : 0}% 0`;
  const caption = make("span", "caption");
  caption.textContent = data.captions[i];
  cell.append(picture, caption);
  const entry = document.createElement("li");
  entry.append(cell);
  return entry;
}

function make(name, className) {
  const element = document.createElement(name);
  element.className = className;
  return element;
}
