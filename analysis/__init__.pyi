"""The public name of the analysis; `__init__.py` imports it when it is asked for."""

from .answers import read as read
