"""Explore: thresholds in, the trade of accuracy, energy, latency and traffic out."""

import streamlit as st

from hybrid import policy
from hybrid.ui import cache, state

view = state.current()
scene = cache.scene(view)
st.write(policy.outcome(scene.trace, view.thresholds, view.measure))
