"""Images and labels from data sets, folders and archives; independent of networks."""

from hybrid.data.datasets import (
    DATASETS,
    SPLITS,
    DataInfo,
    Dataset,
    available,
    cache_folder,
    canonical_order,
    data_folder,
    download,
    draw_splits,
    load,
)

__all__ = [
    "DATASETS",
    "SPLITS",
    "DataInfo",
    "Dataset",
    "available",
    "cache_folder",
    "canonical_order",
    "data_folder",
    "download",
    "draw_splits",
    "load",
]
