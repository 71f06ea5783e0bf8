"""The dashboard: navigation and page set-up, nothing else.

`streamlit run app.py` imports this file once for the server, and runs it for each visitor.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.starlette import App

from hybrid.ui.server import lifespan, limits

PAGES = Path(__file__).parent / "pages"
OFFERED = (
    (
        "explore",
        "Explore",
        ":material/tune:",
        "Move thresholds and see accuracy, energy, latency and uplink change.",
    ),
    (
        "choose",
        "Choose",
        ":material/target:",
        "Set limits and get the operating point that meets them, with reasons.",
    ),
    (
        "try_image",
        "Try an image",
        ":material/image_search:",
        "Send an image through the network and see at which exit it stops.",
    ),
    (
        "your_data",
        "Your data",
        ":material/folder_open:",
        "Record your own images as a split and compare them with the test images.",
    ),
    (
        "live",
        "Live run",
        ":material/play_circle:",
        "Run the network over the test split at the current thresholds.",
    ),
    (
        "deploy",
        "Deploy",
        ":material/hub:",
        "Run the point as a real edge and a real cloud, and simulate a fleet.",
    ),
    (
        "monitor",
        "Monitor",
        ":material/monitor_heart:",
        "Test on a device's lines whether the promise of a certificate still holds.",
    ),
    (
        "networks",
        "Networks",
        ":material/deployed_code:",
        "Variants, layers, training curves and calibration of every network.",
    ),
)


FOLDED = {"Choose", "Networks", "Your data"}  # pages that need no thresholds
# Pages with a part of their own in the address.
OWN_ADDRESS = {"Choose", "Networks", "Try an image", "Your data"}


def main() -> None:
    """Draw the page that the address names."""
    from hybrid.ui import app_frame  # a server that starts does not wait for it
    from hybrid.ui.guard import guard

    app_frame.set_up()
    pages = [
        st.Page(
            PAGES / f"{name}.py",
            title=title,
            icon=icon,
            help=words,
            url_path=name if number else "first",  # a default page's is in no address
            default=not number,
        )
        for number, (name, title, icon, words) in enumerate(OFFERED)
    ]
    # The first page's address is the server's; a link with its name leads to it too. It is shown in
    # place: after a redirection, Back would lead to the redirection.
    first = OFFERED[0][0]
    named = st.Page(PAGES / f"{first}.py", title=OFFERED[0][1], url_path=first, visibility="hidden")
    page = st.navigation([*pages, named], position="top")
    app_frame.mark_framed()
    with guard():
        view = app_frame.frame(
            page.url_path, folded=page.title in FOLDED, own_part=page.title in OWN_ADDRESS
        )
        if view is not None:
            page.run()
    app_frame.finish_run()


if __name__ == "__main__":
    lifespan.wait_for_libraries()
    main()
else:
    app = App(__file__, lifespan=lifespan.run, middleware=[Middleware(limits.Doors)])
