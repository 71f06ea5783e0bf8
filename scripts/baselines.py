"""Pictures of hybrids next to static networks, for docs/results.md: docs/baselines-NETWORK.png.

    python -m scripts.baselines cifar10-resnet32

Every scope under three profiles; thresholds chosen on tune, figures of test.
"""

import json
import sys
import tempfile
import tomllib
from pathlib import Path

from playwright.sync_api import sync_playwright

from hybrid.choosing.baselines import priced_curves
from hybrid.ui.networks.baselines import sheet
from hybrid.ui.palette import SLOTS
from tests import chromium

ROOT = Path(__file__).resolve().parent.parent
THEME = ROOT / ".streamlit" / "config.toml"


def main(network: str) -> None:
    """Draw the sheet of a network in a browser and save a screenshot."""
    figure = sheet(priced_curves(network))
    figure.update_layout(width=1400, paper_bgcolor="white")
    page_text = _coloured(figure.to_html(include_plotlyjs=True))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        drawn = Path(folder) / "sheet.html"
        drawn.write_text(page_text)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1420, "height": 1000})
        page.goto(drawn.as_uri())
        page.locator(".js-plotly-plot").wait_for()
        page.screenshot(path=ROOT / "docs" / f"baselines-{network}.png", full_page=True)
        browser.close()


def _coloured(text: str) -> str:
    """Colour slots to the light theme's colours, as the dashboard does it."""
    colours = tomllib.loads(THEME.read_text())["theme"]["light"]["chartCategoricalColors"]
    for index, colour in enumerate(colours[: len(SLOTS)], start=1):
        text = text.replace(json.dumps(f"#{index:06d}"), json.dumps(colour))
    return text


if __name__ == "__main__":
    main(*sys.argv[1:])
