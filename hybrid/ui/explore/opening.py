"""What Explore shows a visitor without a link, computed before the first one comes."""

from dataclasses import replace

from hybrid.ui import cache
from hybrid.ui.explore import drawing, load
from hybrid.ui.view import DEPLOYED, View

__all__ = ["compute"]


def compute() -> None:
    """Compute and cache it for all sessions; without a network there is nothing to do.

    The bounds are left out: no figure waits for them, and their 0.7 s would be taken from the
    visitor's browser, which loads at the same time.

    Raises:
        HybridError: a card or trace is missing or damaged.
    """
    offers = cache.offers()
    if not offers.early_exits:
        return
    view = View.read({}, offers).view
    load.explore_data(view)
    load.frontiers(view)
    load.follower_settings(view)
    load.follower_traces(view)
    for key in drawing.FOLLOWS:
        drawing.figure(key, view)
    if view.bits in offers.deployed.get(view.network, {}):
        deployed = replace(view, form=DEPLOYED)
        cache.counted(view.network, deployed.variant, view.split)  # the headlines name its figures
