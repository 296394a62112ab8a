"""Axis: data sets, a file each."""

from ablations.data.base import SPLITS, Data, DataSet, Split, histogram_codes
from ablations.data.cifar10 import Cifar10
from ablations.data.digits import Digits
from ablations.data.fashion_mnist import FashionMnist
from ablations.data.folder import Folder
from ablations.data.mixture2d import Mixture2d
from ablations.data.patches import Patches

__all__ = [
    "SPLITS",
    "Cifar10",
    "Data",
    "DataSet",
    "Digits",
    "FashionMnist",
    "Folder",
    "Mixture2d",
    "Patches",
    "Split",
    "histogram_codes",
]
