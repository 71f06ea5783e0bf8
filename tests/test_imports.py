"""Who may know whom, as far as import-linter cannot see it: what is really loaded at run time."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hybrid.ui

TORCH_FREE = [
    "hybrid",
    "hybrid.api",
    "hybrid.evaluation",
    "hybrid.quant.levels",
    "hybrid.quant.packing",
    "hybrid.quant.payload",
    "hybrid.sweep.results",
    "hybrid.zoo",
    *(
        module.name
        for package in (
            "certificates", "choosing", "cli", "data", "deploy.cloud", "energy", "policy", "text",
            "traces", "ui",
        )
        for module in pkgutil.walk_packages(
            importlib.import_module(f"hybrid.{package}").__path__, f"hybrid.{package}."
        )
    ),
]  # fmt: skip


def loaded_after_importing(modules: list[str]) -> set[str]:
    """Top-level packages in a fresh interpreter that imported only these modules."""
    script = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(finished.stdout.split())


def imported_names(file: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def packages_imported_by(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported_names(file)}


def test_everything_right_of_the_trace_loads_without_torch():
    loaded = loaded_after_importing(TORCH_FREE)

    assert loaded.isdisjoint({"torch", "torchvision", "lightning"})


def test_the_library_loads_without_streamlit_and_plotly():
    library = [name for name in TORCH_FREE if not name.startswith("hybrid.ui")]

    assert loaded_after_importing(library).isdisjoint({"streamlit", "plotly"})


def test_figures_draw_no_widgets(root: Path):
    figures = sorted(root.glob("hybrid/ui/*/figures.py"))
    assert figures

    for figure in figures:
        assert packages_imported_by(figure).isdisjoint({"streamlit", "torch"}), figure


def test_pages_are_thin_and_leave_drawing_and_computing_to_the_library(root: Path):
    pages = sorted(root.glob("pages/*.py"))
    assert pages

    for page in pages:
        assert packages_imported_by(page).isdisjoint({"torch", "plotly", "typer", "rich"}), page


def test_every_page_goes_through_app_before_it_draws(root: Path):
    pages = sorted(root.glob("pages/*.py"))
    assert pages

    for page in pages:
        assert "\napp_frame.through_app(__file__)\nmain()\n" in page.read_text("utf-8"), page


def test_the_library_knows_neither_the_pages_nor_the_tests(root: Path):
    modules = sorted(root.glob("hybrid/**/*.py"))
    assert modules

    for module in modules:
        assert packages_imported_by(module).isdisjoint({"app", "pages", "tests"}), module


def test_the_package_offers_what_its_all_says():
    assert "load" in hybrid.__all__
    assert all(hasattr(hybrid, name) for name in hybrid.__all__)


def test_an_edge_loads_with_numpy_and_the_standard_library_alone():
    edge = [
        f"hybrid.deploy.edge.{module.name}"
        for module in pkgutil.iter_modules(importlib.import_module("hybrid.deploy.edge").__path__)
    ]
    assert "hybrid.deploy.edge.runtime" in edge

    loaded = loaded_after_importing(edge)

    others = {name for name in loaded - sys.stdlib_module_names if not name.startswith("_")}
    assert others == {"hybrid", "numpy", "cython_runtime"}  # the last is numpy.random's
