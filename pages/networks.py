"""Networks: what is in pretrained/, how it is built, how it was trained, how far to believe it."""

import streamlit as st

from hybrid import energy
from hybrid.errors import DataMissingError, TraceError, UnknownNameError
from hybrid.quant.levels import FULL_PRECISION
from hybrid.text import numbers
from hybrid.ui import app_frame, cache, palette, recording, session
from hybrid.ui.networks import cards, figures
from hybrid.ui.networks.structure import structure
from hybrid.ui.session import View
from hybrid.zoo import Card, Variant

STILL = {"displayModeBar": False}


def main() -> None:
    """The page, from the network as a whole to one variant in detail."""
    view = session.current()
    card = cache.card(view.network)
    show_card(card)
    show_opponents(card, view)
    variant = choose_variant(card, view)
    show_structure(card, variant)
    show_layers(card, variant, view)
    show_training(variant)
    show_belief(card, variant)
    show_origin(card, variant)


def show_card(card: Card) -> None:
    """What the network is, and all its variants in one table."""
    st.header(card.title)
    st.write(card.description)
    colours = "grey" if card.channels == 1 else "colour"
    st.caption(
        f"Data set {card.dataset}, {len(card.classes)} classes, {colours} images of "
        f"{card.size}×{card.size} pixels; cut after stage {cards.cut(card)}; "
        f"seed {card.seed}. Accuracies on the {cache.SPLIT} split."
    )
    table = cards.variants_table(card, split=cache.SPLIT)
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
                help="What one image that goes on sends: packed features and header."
            ),
            "Minutes": st.column_config.NumberColumn(
                format="%.1f", help="Of training this variant, without those it started from."
            ),
        },
    )


def show_opponents(card: Card, view: View) -> None:
    """Where a static network needs less than any hybrid, and what else may decide."""
    st.subheader("Beside the static networks")
    try:
        with st.spinner("Comparing with the static networks"):
            table, fought = cache.baselines(view)
    except (DataMissingError, TraceError):
        st.caption("Every variant's traces of tune and test are needed to compare them.")
        return
    st.write(cards.opponents_words(card, fought, view.scope))
    st.dataframe(
        table,
        hide_index=True,
        key="networks_opponents",
        alt=f"{len(table)} static networks, each beside the cheapest hybrid that is as accurate.",
        column_config={"Static network": st.column_config.TextColumn(pinned=True)},
    )
    st.caption(
        "Each static network beside the cheapest hybrid point that is as accurate within half a "
        "point: the static network's figure first, the hybrid's after it. Means of an image of "
        f"the test split; energy in the scope {view.scope}, the battery's share with the link "
        "of the sidebar."
    )


def choose_variant(card: Card, view: View) -> Variant:
    """The variant shown below: the link's, else the sidebar's bit width first."""
    names = list(card.variants)
    key = f"networks_variant_{view.network}_{view.bits}"
    if not st.session_state.setdefault("networks_opened", False):
        st.session_state["networks_opened"] = True
        asked = st.query_params.get("variant", view.variant)
        if asked in names:
            st.session_state[key] = asked
        else:
            st.warning(str(UnknownNameError("variant", asked, names)), icon=":material/link_off:")
    name = st.segmented_control(
        "Variant",
        names,
        default=view.variant,
        required=True,
        format_func=lambda name: cards.variant_title(card.variants[name]),
        key=key,
        wrap=True,
    )
    if st.query_params.get("variant") != name:
        st.query_params["variant"] = name
    variant = card.variants[name]
    st.write(cards.describe(variant))
    return variant


def show_structure(card: Card, variant: Variant) -> None:
    """Stages, exits and cut as a picture."""
    st.subheader("Stages, exits and cut")
    st.plotly_chart(
        structure(
            variant.layers,
            stage_names=card.stage_names,
            exit_names=cards.exit_names(variant),
            uplink_bytes=variant.uplink_bytes,
        ),
        key="networks_structure",
        config=STILL,
        alt=f"{card.title}, {cards.variant_title(variant)}: its stages from stem to classifier. "
        + cards.describe(variant),
    )
    st.caption(
        "A box is a stage, as high as its feature maps; the number is its bit width. Its colour is "
        "that of the first exit whose images have run it."
    )


def show_layers(card: Card, variant: Variant, view: View) -> None:
    """Every layer with its cost on the sidebar's profile, in the sidebar's scope."""
    st.subheader("Layers")
    profile = energy.load_profile(view.profile)
    table = cards.layer_table(variant, card, profile=profile, scope=view.scope)
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
    st.caption(f"Energy of one run of the layer: {profile.title}, scope {view.scope}.")


def show_training(variant: Variant) -> None:
    """Accuracy and loss by epoch, or why there are none."""
    st.subheader("Training")
    if not variant.history:
        start = variant.recipe.get("start") or "the variant before it"
        given = variant.bits == FULL_PRECISION
        st.info(
            f"Its weights are those of {start}, "
            + ("as they were given." if given else "quantized and not trained further."),
            title="No epochs of its own",
            icon=":material/fast_forward:",
        )
        return
    st.plotly_chart(
        figures.training(variant.history, exit_names=cards.exit_names(variant)),
        key="networks_training",
        config=STILL,
        alt=f"Accuracy on tune and training loss over {len(variant.history)} epochs.",
    )


def show_belief(card: Card, variant: Variant) -> None:
    """Reliability before and after the temperature, and how confidence tells right from wrong."""
    st.subheader("How far its exits can be believed")
    try:
        trace = cache.trace(card.network, variant.name)
    except (DataMissingError, TraceError) as error:
        recording.missing_trace(card.network, variant.name, error)
        return
    belief = cards.calibration(trace)
    names = cards.exit_names(variant)
    for number, (name, column) in enumerate(zip(names, st.columns(len(names)), strict=True)):
        with column:
            show_reliability(belief, number, name, trace.temperatures[number])
    st.caption(
        "Confidence against accuracy in 15 bins: hollow before the temperature, filled after. On "
        "the dotted line an exit that says 0.8 is right eight times in ten; the larger the point, "
        f"the more images. {numbers.count(trace.samples)} images of the {trace.split} split."
    )
    show_auroc(belief, names)


def show_reliability(belief: cards.Calibration, number: int, name: str, temperature: float) -> None:
    """One exit's diagram under its calibration errors."""
    before, after = belief.before[number], belief.after[number]
    early = number < len(belief.before) - 1
    st.metric(
        f"{name}: calibration error",
        numbers.percent(after.expected_calibration_error),
        f"{numbers.percent(before.expected_calibration_error)} before temperature "
        f"{numbers.fixed(temperature, 2)}",
        delta_color="off",
        delta_arrow="off",
        help="Mean distance of confidence and accuracy, weighted by the images in each bin.",
    )
    st.plotly_chart(
        figures.reliability(
            before, after, colour=palette.exit_colour(number) if early else palette.CLOUD
        ),
        key=f"networks_reliability_{number}",
        config=STILL,
        alt=f"{name}: how often it is right against how sure it is, before and after temperature.",
    )


def show_auroc(belief: cards.Calibration, names: list[str]) -> None:
    """How well each measure of each exit ranks right answers above wrong ones."""
    st.plotly_chart(
        figures.auroc(belief.auroc, exit_names=names),
        key="networks_auroc",
        config=STILL,
        alt="AUROC of each exit's confidence for telling right answers from wrong ones.",
    )
    st.caption(
        "AUROC: how often a right answer is surer than a wrong one, over all pairs. 0.5 is "
        "guessing, 1 never errs; an exit without a wrong answer has none."
    )


def show_origin(card: Card, variant: Variant) -> None:
    """Where the weights come from: recipe, time, versions, files."""
    with st.expander("Recipe, versions and files", icon=":material/receipt_long:"):
        st.caption(
            f"{variant.epochs} epochs in {numbers.fixed(60 * variant.hours, 1)} minutes on "
            f"{variant.device}."
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
