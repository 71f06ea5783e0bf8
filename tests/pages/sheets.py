"""The images with captions that a page shows, as the browser gets them."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest

__all__ = ["sheets"]


def sheets(app: AppTest) -> list[dict[str, Any]]:
    """The data of every contact sheet of the page, in their order."""
    components = [element.proto for element in app.get("bidi_component")]
    return [
        json.loads(one.json) for one in components if one.component_name == "hybrid_contact_sheet"
    ]
