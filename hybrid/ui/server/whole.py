"""Imports the libraries that look for each other, before any page is drawn.

Importing this module is enough. Plotly asks `sys.modules` for pandas, without waiting for an import
of it that another session has only begun; that session would see half a module. A page gets past
`hybrid.ui.app_frame`, which imports this module first, only when all of them are complete.

Everything imported so far is then excluded from garbage collection: a collection that scans all
modules was measured at 120 ms. Nothing of a session is excluded with it, because no page has run.
"""

import gc

import narwhals
import pandas as pd
import plotly.graph_objects
import plotly.io
import pyarrow.parquet
from streamlit.elements import arrow, plotly_chart

__all__ = ["LIBRARIES"]

LIBRARIES = (pd, narwhals, plotly.graph_objects, plotly.io, pyarrow.parquet)
ELEMENTS = (arrow, plotly_chart)

gc.collect()
gc.freeze()
