"""A session's deployment: the point, the images, its switches, and the job that runs it.

run = stream.start(view, pixels, deadline_ms=200)
run.switches.down = True                 # at the next image
run.lines                                # grows while the job goes on
"""

import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid import energy, zoo
from hybrid.data.images import Picture
from hybrid.data.preprocess import CROP, preprocess
from hybrid.data.sources import read_upload
from hybrid.errors import DataMissingError, HybridError
from hybrid.monitor import AnswerLine
from hybrid.ui import jobs
from hybrid.ui.explore import load
from hybrid.ui.explore.data import ExplorePrices
from hybrid.ui.jobs import Job, Report
from hybrid.ui.uploads import StoredUpload
from hybrid.ui.view import DEPLOYED, View

if TYPE_CHECKING:
    from hybrid.deploy.measuring.streaming import Stand

__all__ = [
    "MOST_IMAGES",
    "Images",
    "Run",
    "Switches",
    "deployed",
    "images_of",
    "prices",
    "start",
    "uploaded",
]

KIND = "deployment"
MOST_IMAGES = 10_000  # of one run; a line of each is kept
_LOOK_S = 0.1

Images = NDArray[np.uint8]
Upload = tuple[str, Images]


@dataclass
class Switches:
    """What is changed while a run goes on.

    link: name of the link profile that the line is as slow as; empty: as it is. down: no cloud.
    per_s: images per second, as a camera gives them; 0: one follows the other at once.
    """

    link: str = ""
    down: bool = False
    per_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run.

    Args:
        view: the point, as deployed.
        total: how many images pass.
        names: of uploads; empty for the images of the view's split.
        lines: in the order of the images.
    """

    view: View
    total: int
    deadline_ms: float
    switches: Switches = field(default_factory=Switches)
    names: tuple[str, ...] = ()
    lines: list[AnswerLine] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """What runs it."""
        return self.jobs[0]


def deployed(view: View) -> View:
    """The same point of the deployment form."""
    return replace(view, form=DEPLOYED)


def images_of(view: View) -> Sequence[Images]:
    """The first images of the view's split, (h, w, channels) each; none if they are not here."""
    try:
        return list(zoo.images(view.network, view.split).images[:MOST_IMAGES])
    except DataMissingError:
        return []


def uploaded(name: str, content: bytes | StoredUpload, card: zoo.Card) -> list[Upload]:
    """The images of an uploaded file or zip with their names, as the network gets them."""
    found = read_upload(name, content, size=card.size)
    pictures = [one for one in found if isinstance(one, Picture)]
    return [
        (one.name, preprocess(one.image, card.size, card.channels, fit=card.fit or CROP))
        for one in pictures
    ]


def start(
    view: View,
    pixels: Sequence[Images],
    *,
    deadline_ms: float,
    names: tuple[str, ...] = (),
) -> Run:
    """Submit a run to the pool; it stops when the session's tab closes."""
    run = Run(view=deployed(view), total=len(pixels), deadline_ms=deadline_ms, names=names)
    job = jobs.pool().start(
        lambda report: _work(run, pixels, report),
        key=(KIND, uuid.uuid4().hex),
        wanted=jobs.tab_is_open(),
    )
    run.jobs.append(job)
    return run


def _work(run: Run, pixels: Sequence[Images], report: Report) -> None:
    """Write the bundle, start both processes, and let one image after another pass."""
    from hybrid.deploy.bundles.writing import Point, write_bundle
    from hybrid.deploy.measuring.streaming import Stand

    with tempfile.TemporaryDirectory(prefix="hybrid-deploy-") as folder:
        bundle, images = Path(folder) / "bundle", Path(folder) / "images"
        images.mkdir()
        point = Point(thresholds=run.view.thresholds, measure=run.view.measure)
        write_bundle(run.view.network, run.view.bits, bundle, point)
        report("Starting edge and cloud. The first start of a bit width compiles its C code.")
        with Stand(bundle, images, deadline_ms=run.deadline_ms) as stand:
            for one in pixels:
                began = time.monotonic()
                _switch(stand, run.switches)
                run.lines.append(stand.answer(one))
                report("")
                _wait(run.switches, began, report)


def _switch(stand: "Stand", switches: Switches) -> None:
    try:
        link = energy.load_link(switches.link) if switches.link else None
    except HybridError:  # a profile that was removed meanwhile
        link = None
    stand.switch(link=link, down=switches.down)


def _wait(switches: Switches, began: float, report: Report) -> None:
    """Until the next image is due; a run that is stopped meanwhile ends at once."""
    while switches.per_s and (left := began + 1 / switches.per_s - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_S))
        report("")


def prices(run: Run, view: View) -> ExplorePrices:
    """What the profiles of a view promise for a run."""
    asked = ("profile", "cloud", "link", "scope")
    return load.prices(replace(run.view, **{name: getattr(view, name) for name in asked}))
