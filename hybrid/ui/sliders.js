// The sliders' box gets the theme's background, since the page scrolls under it (sliders.css).

export default function ({ parentElement }) {
  const box = document.querySelector(".st-key-thresholds");
  const theme = getComputedStyle(parentElement.firstElementChild ?? parentElement);
  if (box) box.style.backgroundColor = theme.getPropertyValue("--st-background-color");
}
