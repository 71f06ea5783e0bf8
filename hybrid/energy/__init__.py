"""Layers and hardware profiles to energy, latency and traffic."""

from hybrid.energy.model import (
    DEFAULT_LINK,
    DEFAULT_PROFILE,
    SCOPES,
    ExitCosts,
    Layer,
    Link,
    Profile,
    by_part,
    check_scope,
    costs,
    layer_energy_pj,
    link_names,
    load_link,
    load_profile,
    profile_names,
    twin_energy_pj,
)

__all__ = [
    "DEFAULT_LINK",
    "DEFAULT_PROFILE",
    "SCOPES",
    "ExitCosts",
    "Layer",
    "Link",
    "Profile",
    "by_part",
    "check_scope",
    "costs",
    "layer_energy_pj",
    "link_names",
    "load_link",
    "load_profile",
    "profile_names",
    "twin_energy_pj",
]
