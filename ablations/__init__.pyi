"""The public names of the experiment; `__init__.py` imports them when they are asked for."""

from .scripting import main as main
from .scripting import register as register
from .scripting import run as run
from .scripting import run_search as run_search
