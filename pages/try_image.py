"""Try an image: where it leaves the network, what every exit said, what that cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from hybrid import data, zoo
from hybrid.data import archives, images
from hybrid.data.images import Picture, Rejected
from hybrid.data.photographs import photographs
from hybrid.data.preprocess import preprocess
from hybrid.errors import HybridError
from hybrid.inference.single import ExitSaid, ImageRun
from hybrid.text import numbers
from hybrid.ui import app_frame, cache, palette, recording, running, session
from hybrid.ui.session import View
from hybrid.ui.try_image import figures
from hybrid.zoo import Card

STILL = {"displayModeBar": False}
SOURCES = {
    "samples": "Test images",
    "photographs": "Photographs",
    "upload": "Upload",
    "camera": "Camera",
}
KEPT_IMAGES = 200  # of uploads that the uploader no longer lists: 60 MB at most
SHOWN_PIXELS = 256  # a side of the enlarged network input
OFFERED = 24  # test images to choose from at a time
ROWS_SHOWN = 7  # of the table; more scroll inside it


@dataclass(frozen=True, kw_only=True)
class Given:
    """One image to try: its name, what the network sees, and its class where that is known."""

    name: str
    pixels: NDArray[np.uint8]
    label: str | None = None


def main() -> None:
    """The page: choose images, run them, show the chosen one."""
    view = session.current()
    card = cache.card(view.network)
    st.header("Try an image")
    given = choose_images(card)
    if not given:
        return
    single = run_all(given, view)
    index = choose_one(given, single, view) if len(given) > 1 else 0
    show(given[index], single[index], card, view)


def choose_images(card: Card) -> list[Given]:
    """The images the user points at; empty where there are none yet, which the page then says."""
    state = st.session_state
    if not state.get("try_source_chosen"):  # what was chosen stays, whatever the network is
        here = recording.on_this_machine(card.dataset)
        state["try_source"] = "samples" if here else "photographs"
    source = st.segmented_control(
        "Where the image comes from",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        required=True,
        key="try_source",
        on_change=lambda: state.update(try_source_chosen=True),
        persist_state="session",
        wrap=True,
    )
    if source == "samples":
        return choose_samples(card)
    if source == "photographs":
        return as_given(choose_photograph(), card)
    results = take_uploads() if source == "upload" else take_camera()
    pictures = [result for result in results if isinstance(result, Picture)]
    rejected = [result for result in results if isinstance(result, Rejected)]
    show_rejected(rejected, others=bool(pictures))
    return as_given(pictures, card)


def choose_samples(card: Card) -> list[Given]:
    """Some images of the test split, or how to get it."""
    if not recording.on_this_machine(card.dataset):
        recording.missing_data(
            card.dataset, "Photographs, uploads and the camera work without; this source does not."
        )
        return []
    test = data.load(card.dataset, cache.SPLIT, size=card.size, channels=card.channels)
    page = st.number_input(
        f"{OFFERED} of {numbers.count(len(test.labels))} test images, from",
        min_value=0,
        max_value=len(test.labels) - 1,
        value=0,
        step=OFFERED,
        key=f"try_sample_{card.dataset}",
        persist_state="session",
        width=280,
    )
    # The split is ordered by class: steps of a prime mix the classes.
    positions = (np.arange(page, page + OFFERED) * 7919) % len(test.labels)
    return [
        Given(
            name=f"{card.dataset} test {position}",
            pixels=test.images[position],
            label=test.classes[test.labels[position]],
        )
        for position in positions
    ]


def choose_photograph() -> list[Picture]:
    """One of the shipped photographs, or all of them."""
    offered = photographs()
    title = st.segmented_control(
        "Photograph",
        ["All", *(photograph.title for photograph in offered)],
        default=offered[0].title,
        required=True,
        key="try_photograph",
        persist_state="session",
        wrap=True,
    )
    chosen = [photograph for photograph in offered if title in ("All", photograph.title)]
    with st.expander("Whose photographs these are", icon=":material/copyright:"):
        for photograph in chosen:
            st.caption(photograph.credit)
    return [Picture(name=p.title, image=p.read()) for p in chosen]


def take_uploads() -> list[Picture | Rejected]:
    """What was uploaded in this session, read once per file.

    An uploader that is not drawn forgets its files: those of before stay, up to a bound.
    """
    files = st.file_uploader(
        "Images, or a zip of images",
        type=[*images.SUFFIXES, "zip"],
        accept_multiple_files=True,
        key="try_files",
        on_change=forget_removed,
        help=f"PNG, JPEG, WebP, GIF (first frame), BMP or TIFF, up to "
        f"{images.MAX_FILE_BYTES // 1_000_000} MB a file; of a zip the first "
        f"{archives.MAX_FILES} images.",
    )
    kept = st.session_state.setdefault("try_kept", {})
    for file in files:
        if file.file_id not in kept:
            kept[file.file_id] = archives.read_upload(file.name, file.getvalue(), size=largest())
    listed = st.session_state["try_listed"] = {file.file_id for file in files}
    offer_earlier(kept, [file_id for file_id in kept if file_id not in listed])
    if not kept:
        st.info(
            "Drop a picture above. It stays on the machine this page runs on.",
            title="Nothing uploaded yet",
            icon=":material/add_photo_alternate:",
        )
    return [result for results in kept.values() for result in results]


def offer_earlier(kept: dict[str, list[Picture | Rejected]], earlier: list[str]) -> None:
    """Say which uploads are from before the page was left, and let them go."""
    while sum(len(kept[file_id]) for file_id in earlier) > KEPT_IMAGES:
        del kept[earlier.pop(0)]
    if earlier:
        words = "One file" if len(earlier) == 1 else f"{len(earlier)} files"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{words} of before {'is' if len(earlier) == 1 else 'are'} still here.")
            st.button(
                "Remove",
                icon=":material/delete:",
                key="try_remove",
                on_click=forget,
                args=(earlier,),
            )


def forget_removed() -> None:
    """Drop what the user took out of the uploader's list."""
    listed = st.session_state.get("try_listed", set())
    forget(listed - {file.file_id for file in st.session_state["try_files"]})


def forget(file_ids: Iterable[str]) -> None:
    """Drop these uploads."""
    for file_id in file_ids:
        st.session_state["try_kept"].pop(file_id, None)


def take_camera() -> list[Picture | Rejected]:
    """The camera's picture."""
    shot = st.camera_input("Camera", key="try_camera", width=480)
    return archives.read_upload("Camera", shot.getvalue(), size=largest()) if shot else []


def largest() -> int:
    """Pixels a side of what the largest network here sees, to which one may yet switch."""
    return max(cache.card(network).size for network in cache.offers().early_exits)


def show_rejected(rejected: Sequence[Rejected], *, others: bool) -> None:
    """Why files were left out, in cells that show a stranger's words as they are."""
    if not rejected:
        return
    count = "One file" if len(rejected) == 1 else f"{len(rejected)} files"
    below = "; the others are below" if others else ""
    st.warning(f"{count} could not be read{below}.", icon=":material/broken_image:")
    for one in rejected[:5]:
        st.text(one.sentence)
    if len(rejected) > 5:
        table = pd.DataFrame({"File": r.name, "Why": r.sentence} for r in rejected)
        with st.expander(f"All {len(rejected)}"):
            st.dataframe(table, hide_index=True, key="try_rejected")


def as_given(pictures: Sequence[Picture], card: Card) -> list[Given]:
    """Pictures as the network sees them; a grey network may see them inverted."""
    inverted = (
        card.channels == 1
        and bool(pictures)
        and st.toggle(
            "Dark ink on light paper",
            value=True,
            key="try_invert",
            persist_state="session",
            help="The digits this network learned are light on dark: invert what is not.",
        )
    )
    seen = [preprocess(picture.image, card.size, card.channels) for picture in pictures]
    return [
        Given(name=picture.name, pixels=255 - pixels if inverted else pixels)
        for picture, pixels in zip(pictures, seen, strict=True)
    ]


def run_all(given: Sequence[Given], view: View) -> list[ImageRun]:
    """Every image through the network, one after the other."""
    with st.spinner(f"Running {len(given)} images …" if len(given) > 1 else "Running …"):
        return [
            running.image_run(one.pixels, view.network, view.variant, view.thresholds, view.measure)
            for one in given
        ]


def choose_one(given: Sequence[Given], single: Sequence[ImageRun], view: View) -> int:
    """A row per image; the row that is clicked is shown below."""
    costs = cache.prices(view).costs
    energy_unit = f"Energy, {view.scope} (µJ)"
    rows = [
        {
            "Sees": sprite(one.pixels),
            "Image": one.name,
            "Answer": image_run.answer,
            "Probability": image_run.probability,
            "Leaves at": image_run.said[image_run.exit_taken].name,
            energy_unit: costs.energy_pj[image_run.exit_taken] / 1e6,
            "Uplink (B)": costs.uplink_bytes[image_run.exit_taken],
            "Measured (ms)": image_run.measured_ms,
        }
        | ({"Truth": one.label} if one.label else {})
        for one, image_run in zip(given, single, strict=True)
    ]
    stayed = sum(image_run.exit_taken < len(image_run.said) - 1 for image_run in single)
    st.caption(
        f"{stayed} of {len(single)} images leave at the edge, {len(single) - stayed} go on to the "
        "cloud. Choose a row to see one in detail."
    )
    chosen = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content" if len(given) <= ROWS_SHOWN else 280,
        key="try_table",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"What the network answers for {len(given)} images and where each leaves.",
        column_config={
            "Sees": st.column_config.ImageColumn(width="small"),
            "Probability": st.column_config.NumberColumn(format="%.3f"),
            energy_unit: st.column_config.NumberColumn(format="%.3f"),
            "Measured (ms)": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    picked = chosen.selection.rows
    return picked[0] if picked and picked[0] < len(given) else 0


def show(one: Given, image_run: ImageRun, card: Card, view: View) -> None:
    """One image in detail: what is seen, where it leaves, what each exit said, what ran."""
    seen, facts = st.columns([1, 3], gap="medium")
    with seen:
        st.image(
            enlarged(one.pixels),
            caption=f"What the network sees: {card.size}×{card.size} pixels",
            width=SHOWN_PIXELS,
        )
        st.text(one.name)
    with facts:
        show_facts(one, image_run, card, view)
        show_confidences(image_run)
    show_exits(image_run)
    show_ran(image_run)


def show_facts(one: Given, image_run: ImageRun, card: Card, view: View) -> None:
    """Answer, exit taken, energy, uplink and time, beside what the twin says."""
    prices = cache.prices(view)
    energy_pj = prices.costs.energy_pj[image_run.exit_taken]
    uplink_bytes = prices.costs.uplink_bytes[image_run.exit_taken]
    twin = ask_twin(one, card, view)
    against = "to send the image" if view.scope == "device" else "the twin"
    with st.container(horizontal=True, key="try_facts"):
        sure = f"{numbers.percent(image_run.probability)} sure"
        fact("Answer", image_run.answer, f"truth: {one.label}" if one.label else sure)
        fact(
            "Leaves at",
            image_run.said[image_run.exit_taken].name,
            f"{image_run.macs_run / 1e6:.2f} of {image_run.macs / 1e6:.2f} M MACs",
        )
        fact(
            f"Energy ({view.scope})",
            numbers.energy(energy_pj),
            f"{numbers.energy(prices.twin_energy_pj)} {against}",
        )
        fact(
            "Uplink",
            numbers.kilobytes(uplink_bytes),
            f"{numbers.kilobytes(card.image_bytes)} the raw image",
        )
        fact(
            "Measured here",
            numbers.latency(image_run.measured_ms),
            f"{numbers.latency(twin.measured_ms)} the twin" if twin else "on this machine",
            "Median of three runs on the machine of this page, with no radio between.",
        )
        if twin:
            fact(
                "The twin says",
                twin.answer,
                f"{numbers.percent(twin.probability)} sure",
                "The same architecture, every layer at 32 bits, no early exit.",
            )


def fact(label: str, value: str, beside: str, words: str | None = None) -> None:
    """One figure of the run with what stands below it."""
    st.metric(label, value, beside, delta_color="off", delta_arrow="off", border=True, help=words)


def ask_twin(one: Given, card: Card, view: View) -> ImageRun | None:
    """What the full-precision twin answers; None where it is not here or cannot be read."""
    if zoo.TWIN not in card.variants:
        return None
    try:
        return running.image_run(one.pixels, view.network, zoo.TWIN, (), view.measure)
    except HybridError as error:
        st.warning(str(error), icon=":material/error:")
        return None


def show_confidences(image_run: ImageRun) -> None:
    """Each exit's confidence against its threshold."""
    colours = [exit_colour(image_run, number) for number in range(len(image_run.said))]
    st.plotly_chart(
        figures.confidences(image_run.said, colours=colours),
        key="try_confidences",
        config=STILL,
        alt="Confidence of each exit against its threshold: "
        + "; ".join(f"{said.name} {verdict(said)}" for said in image_run.said),
    )
    st.caption("Bar: confidence. Mark: threshold. The image leaves at the first bar that reaches.")


def show_exits(image_run: ImageRun) -> None:
    """Every exit's likeliest classes, or that it was never asked."""
    st.subheader("What every exit says")
    for number, (said, column) in enumerate(
        zip(image_run.said, st.columns(len(image_run.said), border=True), strict=True)
    ):
        with column:
            early = number < len(image_run.said) - 1
            dot = f":{palette.exit_markdown(number)}[●] " if early else ""
            st.markdown(f"{dot}**{said.name}**")
            st.caption(verdict(said))
            if said.top:
                st.plotly_chart(
                    figures.probabilities(said, colour=exit_colour(image_run, number)),
                    key=f"try_exit_{number}",
                    config=STILL,
                    alt=f"{said.name}: "
                    + ", ".join(f"{name} {numbers.percent(p)}" for name, p in said.top),
                )


def show_ran(image_run: ImageRun) -> None:
    """Which layers were called, as they themselves reported."""
    st.subheader("What was run")
    layers, called = sum(p.layers for p in image_run.ran), sum(p.called for p in image_run.ran)
    share = numbers.percent(image_run.macs_run / image_run.macs)
    rest = image_run.not_called
    st.write(
        f"{called} of {layers} layers were called, {share} of the multiply-accumulates. "
        + (f"Never called: {', '.join(rest)}." if rest else "Nothing was left out.")
    )
    st.plotly_chart(
        figures.parts_run(image_run.ran),
        key="try_ran",
        config=STILL,
        alt="Parts that were run: "
        + ", ".join(part.name for part in image_run.ran if part.called)
        + (f". Not run: {', '.join(rest)}." if rest else "."),
    )
    st.caption("Filled: run. Hollow: never called. Counted by the layers themselves in this run.")


def verdict(said: ExitSaid) -> str:
    """One exit's part in a few words."""
    if said.confidence is None:
        return "Not asked: the image had left."
    sure = f"confidence {numbers.fixed(said.confidence, 4)}"
    if said.threshold is None:
        return f"Answers what is left: {sure}."
    limit = numbers.fixed(said.threshold, 4)
    return f"Leaves: {sure} ≥ {limit}." if said.left else f"Goes on: {sure} < {limit}."


def exit_colour(image_run: ImageRun, number: int) -> str:
    """The exit's colour in every picture."""
    return palette.CLOUD if number == len(image_run.said) - 1 else palette.exit_colour(number)


def enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """The network's input with every pixel as a crisp square."""
    return Image.fromarray(pixels.squeeze()).resize(
        (SHOWN_PIXELS, SHOWN_PIXELS), Image.Resampling.NEAREST
    )


def sprite(pixels: NDArray[np.uint8]) -> str:
    """The network's input as a small picture in a table cell."""
    return images.data_url(Image.fromarray(pixels.squeeze()))


app_frame.through_app(__file__)
main()
