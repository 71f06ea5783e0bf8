"""A figure of a network: stages, exits, the cut, and the work of each stage.

Takes a census; reads no card and uses no widgets.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hybrid.energy import Layer
from hybrid.text import numbers
from hybrid.ui import palette, plots

__all__ = ["ExitBox", "StageBox", "exit_boxes", "stage_boxes", "structure"]

_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
_FEW = 8  # this many stage names fit side by side on a phone
_APART = 3  # exits as many stages apart have room for their names side by side there
_LINE = 0.22  # height of a line of names


@dataclass(frozen=True, kw_only=True)
class ExitBox:
    """One early exit as it is drawn, with all layers that run for it alone.

    bits: of its branch; None for the paper's head without one. convolutions: in the branch.
    """

    stage: int
    bits: int | None
    convolutions: int
    macs: int

    @property
    def words(self) -> str:
        """Its work, in words."""
        macs = f"{numbers.count(self.macs)} MACs"
        if self.bits is None:
            return f"{macs} in its classifier"
        branch = f"{self.convolutions} convolutions at {self.bits} bit"
        return f"{macs} in its branch ({branch}) and classifier"


@dataclass(frozen=True, kw_only=True)
class StageBox:
    """One stage as it is drawn; a classifier that belongs to no stage comes last.

    leaves: the first early exit whose samples have run this stage; None if there is none.
    """

    name: str
    on_device: bool
    leaves: int | None
    bits: int
    shape: tuple[int, ...]
    macs: int
    packed_bytes: int


def stage_boxes(layers: Sequence[Layer], stage_names: Sequence[str]) -> list[StageBox]:
    """The layers by stage, in the order in which a sample passes them; exit heads are left out.

    Args:
        layers: the census.
        stage_names: of every stage, stem first.
    """
    heads = [(layer.exit, layer.stage) for layer in layers if layer.exit is not None]
    body = [layer for layer in layers if layer.exit is None]
    stages = sorted({layer.stage for layer in body}, key=lambda stage: (stage < 0, stage))
    boxes = []
    for stage in stages:
        own = [layer for layer in body if layer.stage == stage]
        on_device = own[0].segment == "edge"
        reached = [number for number, at in heads if on_device and 0 <= stage <= at]
        boxes.append(
            StageBox(
                name="classifier" if stage < 0 else stage_names[stage],
                on_device=on_device,
                leaves=min(reached, default=None),
                # shortcuts stay at 32 bits; the stage is known by its narrow convolutions
                bits=min(layer.bits for layer in own),
                shape=own[-1].output_shape,
                macs=sum(layer.macs for layer in own),
                packed_bytes=sum(layer.packed_bytes for layer in own),
            )
        )
    return boxes


def exit_boxes(layers: Sequence[Layer]) -> list[ExitBox]:
    """The early exits in order, from the census."""
    heads: dict[int, list[Layer]] = {}
    for layer in layers:
        if layer.exit is not None:
            heads.setdefault(layer.exit, []).append(layer)
    boxes = []
    for _, own in sorted(heads.items()):
        branch = [layer.bits for layer in own if layer.kind == "conv"]
        boxes.append(
            ExitBox(
                stage=own[0].stage,
                bits=min(branch, default=None),  # shortcuts stay at 32 bits
                convolutions=len(branch),
                macs=sum(layer.macs for layer in own),
            )
        )
    return boxes


def structure(
    layers: Sequence[Layer],
    *,
    stage_names: Sequence[str],
    exit_names: Sequence[str],
    uplink_bytes: int,
) -> go.Figure:
    """Stages as boxes as high as their feature maps, exits below them, the cut between them.

    The number in a box is its bit width. An exit's branch is a small box on the exit's line. Under
    the picture stand the multiply-accumulates of each stage. A stage has the colour of the first
    exit whose samples have run it.

    Args:
        layers: the census.
        stage_names: of every stage, stem first.
        exit_names: of every exit, final last.
        uplink_bytes: bytes sent at the cut for one sample; 0 for a network without a cut.
    """
    boxes = stage_boxes(layers, stage_names)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.04
    )
    _draw_boxes(figure, boxes)
    lines = _draw_exits(figure, layers, boxes, exit_names)
    _draw_cut(figure, boxes, uplink_bytes)
    _draw_macs(figure, boxes)
    _set_axes(figure, boxes, lines)
    return figure


def _draw_macs(figure: go.Figure, boxes: Sequence[StageBox]) -> None:
    """The multiply-accumulates of each stage, below the boxes."""
    figure.add_bar(
        x=np.arange(len(boxes)),
        y=np.array([box.macs / 1e6 for box in boxes]),
        marker_color=[_box_colour(box) for box in boxes],
        hovertext=[_box_words(box) for box in boxes],
        hovertemplate="%{hovertext}<extra></extra>",
        row=2,
        col=1,
    )


def _set_axes(figure: go.Figure, boxes: Sequence[StageBox], lines: int) -> None:
    """Names of the stages below both parts, leaving room for the lines of exit names."""
    figure.update_layout(
        template="none", height=420, margin=_MARGIN, dragmode=False, showlegend=False, bargap=0.2
    )
    figure.update_xaxes(range=[-0.6, len(boxes) - 0.4], showgrid=False, zeroline=False)
    figure.update_xaxes(
        tickvals=np.arange(len(boxes)),
        ticktext=plots.words(box.name for box in boxes),
        tickangle=-90 if len(boxes) > _FEW else 0,
        automargin=True,
        row=2,
        col=1,
    )
    figure.update_xaxes(showticklabels=False, row=1, col=1)
    figure.update_yaxes(visible=False, range=[-0.88 - _LINE * lines, 1.35], row=1, col=1)
    figure.update_yaxes(
        title_text="Million MACs",
        rangemode="tozero",
        automargin=True,
        zeroline=False,
        gridcolor=palette.faint(palette.LINE),
        row=2,
        col=1,
    )


def _box_colour(box: StageBox) -> str:
    if not box.on_device:
        return palette.CLOUD
    return palette.TWIN_COLOUR if box.leaves is None else palette.exit_colour(box.leaves)


def _box_words(box: StageBox) -> str:
    side = "device" if box.on_device else "cloud"
    shape = "×".join(str(size) for size in box.shape)
    return (
        f"{html.escape(box.name)} ({side})<br>output {shape}, {box.bits} bit<br>"
        f"{numbers.count(box.macs)} MACs, {numbers.kilobytes(box.packed_bytes)} packed"
    )


def _box_heights(boxes: Sequence[StageBox]) -> list[float]:
    """Half the height of each box: in proportion to its feature map, but never a mere line."""
    pixels = [box.shape[1] if len(box.shape) > 1 else 1 for box in boxes]
    return [max(0.3, size / max(pixels)) for size in pixels]


def _draw_boxes(figure: go.Figure, boxes: Sequence[StageBox]) -> None:
    heights = _box_heights(boxes)
    for at, (box, half) in enumerate(zip(boxes, heights, strict=True)):
        colour = _box_colour(box)
        figure.add_shape(
            type="rect",
            x0=at - 0.4,
            x1=at + 0.4,
            y0=-half * 0.5,
            y1=half * 0.5,
            fillcolor=palette.faint(colour, 0.28),
            line={"color": colour, "width": 1.5},
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=np.arange(len(boxes)),
        y=np.zeros(len(boxes)),
        mode="text",
        text=[str(box.bits) for box in boxes],
        hovertext=[_box_words(box) for box in boxes],
        hovertemplate="%{hovertext}<extra></extra>",
        row=1,
        col=1,
    )


def _draw_exits(
    figure: go.Figure,
    layers: Sequence[Layer],
    boxes: Sequence[StageBox],
    names: Sequence[str],
) -> int:
    """Draw the exits; how many lines their names take."""
    heights = _box_heights(boxes)
    exits = exit_boxes(layers)
    final = len(boxes) - 1
    own = ExitBox(stage=final, bits=None, convolutions=0, macs=boxes[final].macs)
    colours = [*map(palette.exit_colour, range(len(exits))), _box_colour(boxes[final])]
    stages = [one.stage for one in (*exits, own)]
    lines = _name_lines(stages, apart=_APART if len(boxes) > _FEW else 1)
    for number, (line, one, colour) in enumerate(zip(lines, [*exits, own], colours, strict=True)):
        at = one.stage
        figure.add_scatter(
            x=[at, at],
            y=[-heights[at] * 0.5, -0.72],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": [0, 13], "color": colour},
            hovertext=f"{names[number]}: {one.words}",
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=1,
        )
        figure.add_annotation(
            x=at,
            y=-0.8 - _LINE * line,
            text=names[number],
            showarrow=False,
            yanchor="top",
            xanchor="right" if at == final else "center",
            xshift=8 if at == final else 0,
            row=1,
            col=1,
        )
        if one.bits is not None:
            _draw_branch(figure, at, one.bits, colour)
    return 1 + max(lines)


def _draw_branch(figure: go.Figure, at: int, bits: int, colour: str) -> None:
    """A small box with its bit width on the line of the exit after a stage."""
    figure.add_annotation(
        x=at,
        y=-0.58,
        text=str(bits),
        showarrow=False,
        font={"size": 11, "color": palette.INK},
        bgcolor=palette.faint(colour, 0.28),
        bordercolor=colour,
        borderwidth=1.5,
        borderpad=2,
        row=1,
        col=1,
    )


def _name_lines(places: Sequence[int], *, apart: int) -> list[int]:
    """The line of each exit's name, so that no two overlap on a phone.

    Args:
        places: the stage of each exit, ascending.
        apart: stages between two names that share a line.

    >>> _name_lines([8, 9, 10, 15], apart=3)
    [0, 1, 2, 0]
    """
    lines: list[int] = []
    for number, place in enumerate(places):
        near = {
            line
            for line, other in zip(lines, places[:number], strict=True)
            if place - other < apart
        }
        lines.append(next(line for line in range(len(places)) if line not in near))
    return lines


def _draw_cut(figure: go.Figure, boxes: Sequence[StageBox], uplink_bytes: int) -> None:
    on_device = sum(box.on_device for box in boxes)
    figure.add_annotation(
        x=-0.4, y=1.3, text="On the device", showarrow=False, xanchor="left", row=1, col=1
    )
    if on_device == len(boxes):
        return
    cut = on_device - 0.5
    figure.add_shape(
        type="line",
        x0=cut,
        x1=cut,
        y0=-0.62,
        y1=1.05,
        line={"color": palette.INK, "width": 1.5, "dash": "dash"},
        row=1,
        col=1,
    )
    figure.add_annotation(
        x=len(boxes) - 0.6,
        y=1.3,
        text="In the cloud",
        showarrow=False,
        xanchor="right",
        row=1,
        col=1,
    )
    figure.add_annotation(
        x=cut,
        y=1.05,
        text=f"cut · {numbers.kilobytes(uplink_bytes)} per image",
        showarrow=False,
        yanchor="bottom",
        xanchor="right" if cut > len(boxes) / 2 else "left",
        xshift=4 if cut > len(boxes) / 2 else -4,
        row=1,
        col=1,
    )
