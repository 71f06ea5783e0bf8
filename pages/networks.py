"""Networks: the pretrained networks, their structure, training and calibration."""

import streamlit as st

from hybrid import zoo
from hybrid.errors import DataMissingError, TraceError, UnknownNameError
from hybrid.quant.levels import FULL_PRECISION
from hybrid.text import glossary, numbers
from hybrid.text.plain import plain
from hybrid.ui import app_frame, cache, palette, recording, session
from hybrid.ui.cache import prices_at
from hybrid.ui.charts import STILL, Box, metric
from hybrid.ui.networks import cards, figures
from hybrid.ui.networks.structure import structure
from hybrid.ui.view import DEFAULT_SPLIT, View
from hybrid.zoo import Card, Variant


def main() -> None:
    """The page, from the network as a whole to one variant in detail."""
    view = session.current()
    card = zoo.card(view.network)
    show_card(card)
    show_baselines(card, view)
    variant = choose_variant(card, view)
    show_structure(card, variant)
    show_layers(card, variant, view)
    show_training(variant)
    show_calibration(card, variant)
    show_origin(card, variant)


def uncertainty(card: Card) -> str:
    """How far its accuracies may be off; nothing where no trace counts the images."""
    try:
        return cards.uncertainty(card, split=DEFAULT_SPLIT)
    except (DataMissingError, TraceError):
        return ""


def show_card(card: Card) -> None:
    """The network, and all its variants in one table."""
    st.header(plain(card.title))
    st.markdown(plain(card.description))
    colours = "grey" if card.channels == 1 else "colour"
    st.caption(
        f"Data set {plain(card.dataset)}, {len(card.classes)} classes, {colours} images of "
        f"{card.size}×{card.size} pixels; cut after stage {plain(cards.cut(card))}; "
        f"seed {card.seed}. Accuracies on the {DEFAULT_SPLIT} split. {uncertainty(card)}",
        help=glossary.define("stage", "split"),
    )
    table = cards.variants_table(card, split=DEFAULT_SPLIT)
    accuracy = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        table,
        hide_index=True,
        key="networks_variants",
        placeholder="–",
        alt=f"Accuracy, size and cost of the {len(table)} variants of {card.title}.",
        column_config={
            "Variant": st.column_config.TextColumn(pinned=True),
            **{name: accuracy for name in table.columns if name.endswith("(%)")},
            "Mega-MACs": st.column_config.NumberColumn(
                format="%.2f", help="Multiply-accumulates of all layers, exit heads included."
            ),
            "Weights (kB)": st.column_config.NumberColumn(
                format="%.1f", help="Weights of all layers, packed at their bit widths."
            ),
            "Uplink (B)": st.column_config.NumberColumn(
                help="Sent by an image that continues to the cloud: packed features and header."
            ),
            "Minutes": st.column_config.NumberColumn(
                format="%.1f", help="Training time of this variant, without those it started from."
            ),
        },
    )


def show_baselines(card: Card, view: View) -> None:
    """Whether a static network needs less energy than any hybrid, and the other costs."""
    st.subheader(
        "Static baselines", help=glossary.define("baseline", "static network", "hybrid", "twin")
    )
    try:
        with st.spinner("Comparing with the static networks"):
            table, comparisons = cards.baselines(view)
    except (DataMissingError, TraceError):
        st.caption("The comparison needs the tune and test traces of every variant.")
        return
    st.write(cards.baselines_words(card, comparisons, view.scope))
    st.dataframe(
        table,
        hide_index=True,
        key="networks_baselines",
        alt=f"{len(table)} static networks, each with the cheapest hybrid that is as accurate.",
        column_config={"Static network": st.column_config.TextColumn(pinned=True)},
    )
    st.caption(
        "Each static network with the cheapest hybrid point that is at most half a point less "
        "accurate: the static network's figure first, then the hybrid's. Means per image of the "
        f"test split; energy in the scope {view.scope}. Battery: edge compute, memory and radio "
        "with the sidebar's link."
    )


def choose_variant(card: Card, view: View) -> Variant:
    """The variant shown below: the link's, else the sidebar's bit width first."""
    names = list(card.variants)
    key = f"networks_variant_{view.network}_{view.bits}"
    if (link := session.asked()) is not None:
        asked = link.get("variant", view.trained_variant)
        if asked in names:
            st.session_state[key] = asked
        else:
            problem = plain(str(UnknownNameError("variant", asked, names)))
            st.warning(problem, icon=":material/link_off:")
    name = st.segmented_control(
        "Variant",
        names,
        default=view.trained_variant,
        required=True,
        format_func=lambda name: cards.variant_title(card.variants[name]),
        key=key,
        wrap=True,
        help=glossary.define("variant"),
    )
    session.write_address({"variant": name})
    variant = card.variants[name]
    st.markdown(cards.describe(variant), help=glossary.define("cloud segment", "hybrid"))
    return variant


def show_structure(card: Card, variant: Variant) -> None:
    """Stages, exits and cut as a figure."""
    st.subheader("Stages, exits and cut")
    st.plotly_chart(
        cache.derived(
            "structure",
            lambda: structure(
                variant.layers,
                stage_names=card.stage_names,
                exit_names=cards.exit_names(variant),
                uplink_bytes=variant.uplink_bytes,
            ),
            card,
            variant,
        ),
        key="networks_structure",
        config=STILL,
        alt=f"{card.title}, {cards.variant_title(variant)}: its stages from stem to classifier. "
        + cards.describe(variant),
    )
    st.caption(
        "Box height: resolution. Number: bits. Colour: the first exit that needs this stage."
    )


def show_layers(card: Card, variant: Variant, view: View) -> None:
    """Every layer with its cost on the sidebar's profile, in the sidebar's scope."""
    st.subheader("Layers", help=glossary.define("MAC", "census"))
    prices = prices_at(view.profile, view.link, view.scope, view.cloud)
    table = cache.derived(
        "layers", lambda: cards.layer_table(variant, card, prices), card, variant, prices
    )
    st.dataframe(
        table,
        hide_index=True,
        key="networks_layers",
        height=320,
        alt=f"The {len(table)} layers of {cards.variant_title(variant)} with shape and cost.",
        column_config={
            "Layer": st.column_config.TextColumn(pinned=True),
            "MACs": st.column_config.NumberColumn(format="localized"),
            "Energy (nJ)": st.column_config.NumberColumn(format="%.1f"),
            "Packed (B)": st.column_config.NumberColumn(format="localized"),
        },
    )
    apart = f"; in the cloud, {prices.cloud.title}" if prices.cloud else ""
    st.caption(f"Energy ({view.scope}) of one run of the layer: {prices.profile.title}{apart}.")


def show_training(variant: Variant) -> None:
    """Accuracy and loss by epoch, or the reason why there is no history."""
    st.subheader("Training")
    if not variant.history:
        start = variant.recipe.get("start") or "the variant before it"
        given = variant.bits == FULL_PRECISION
        st.info(
            f"Its weights are those of {plain(str(start))}, "
            + ("unchanged." if given else "quantized and not trained further."),
            title="Not trained itself",
            icon=":material/fast_forward:",
        )
        return
    st.plotly_chart(
        cache.derived(
            "training",
            lambda: figures.training(variant.history, exit_names=cards.exit_names(variant)),
            variant,
        ),
        key="networks_training",
        config=STILL,
        alt=f"Accuracy on tune and training loss over {len(variant.history)} epochs.",
    )


def show_calibration(card: Card, variant: Variant) -> None:
    """Reliability before and after temperature scaling, and how confidence ranks answers."""
    st.subheader("Calibration")
    st.write("Are answers with 80 % confidence correct 80 % of the time?")
    try:
        trace = cache.trace(card.network, variant.name, DEFAULT_SPLIT)
    except (DataMissingError, TraceError) as error:
        recording.missing_trace(card.network, variant.name, error)
        return
    belief = cache.derived("calibration", lambda: cards.calibration(trace), trace)
    names = cards.exit_names(variant)
    for number, (name, column) in enumerate(zip(names, st.columns(len(names)), strict=True)):
        with column:
            show_reliability(belief, number, name, trace.temperatures[number])
    st.caption(
        "Accuracy over confidence in 15 bins: hollow before temperature scaling, filled after. On "
        "the dotted line, answers with confidence 0.8 are correct eight times in ten. Larger "
        f"points: more images. {numbers.count(trace.samples)} images of the {trace.split} split."
    )
    show_auroc(belief, names)


def show_reliability(belief: cards.Calibration, number: int, name: str, temperature: float) -> None:
    """One exit's diagram under its calibration errors."""
    before, after = belief.before[number], belief.after[number]
    early = number < len(belief.before) - 1
    box = Box(
        f"{name}: calibration error",
        numbers.percent(after.expected_calibration_error),
        f"{numbers.percent(before.expected_calibration_error)} before temperature "
        f"{numbers.fixed(temperature, 2)}",
        glossary.define(
            "temperature",
            note="Mean difference between confidence and accuracy, weighted by the images in each "
            "bin.",
        ),
    )
    metric(box, border=False)
    colour = palette.exit_colour(number) if early else palette.CLOUD
    st.plotly_chart(
        cache.derived(
            "reliability",
            lambda: figures.reliability(before, after, colour=colour),
            before,
            after,
            colour,
        ),
        key=f"networks_reliability_{number}",
        config=STILL,
        alt=f"{name}: accuracy over confidence, before and after temperature scaling.",
    )


def show_auroc(belief: cards.Calibration, names: list[str]) -> None:
    """How well each measure of each exit ranks correct answers above incorrect ones."""
    st.plotly_chart(
        cache.derived("auroc", lambda: figures.auroc(belief.auroc, exit_names=names), belief),
        key="networks_auroc",
        config=STILL,
        alt="AUROC of each exit's confidence for telling correct from incorrect answers.",
    )
    st.caption(
        "AUROC: how often a correct answer has a higher confidence than an incorrect one, over all "
        "pairs. 0.5 is guessing, 1 is perfect; not defined for an exit that is always right."
    )


def show_origin(card: Card, variant: Variant) -> None:
    """The origin of the weights: recipe, time, versions, files."""
    with st.expander("Recipe, versions and files", icon=":material/receipt_long:"):
        st.caption(
            f"{variant.epochs} epochs in {numbers.fixed(60 * variant.hours, 1)} minutes on "
            f"{plain(variant.device)}."
        )
        st.json(
            {
                "network": card.network,
                "variant": variant.name,
                "recipe": dict(variant.recipe),
                "versions": dict(variant.versions),
                "sha256": dict(variant.files),
            }
        )


app_frame.through_app(__file__)
main()
