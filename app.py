"""The dashboard: navigation and page set-up, nothing else."""

from pathlib import Path

import streamlit as st

from hybrid.ui import app_frame

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
        "networks",
        "Networks",
        ":material/deployed_code:",
        "Variants, layers, training curves and calibration of every network.",
    ),
)


def to_first() -> None:
    """Show the first page, whose address is the server's; links with its name lead there too."""
    st.switch_page(pages[0], query_params=st.query_params)


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
named = st.Page(to_first, url_path=OFFERED[0][0], title=OFFERED[0][1], visibility="hidden")
page = st.navigation([*pages, named], position="top")
if page == named:
    page.run()
app_frame.mark_framed()
with app_frame.guard():
    if app_frame.frame(folded=page.title in {"Choose", "Networks", "Your data"}) is not None:
        page.run()
app_frame.finish_run()
