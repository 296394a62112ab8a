"""The public names of the experiment; `__init__.py` imports them when they are asked for."""

from .scripting import check as check
from .scripting import main as main
from .scripting import run as run
from .scripting import run_search as run_search
from .settings.plugins import register as register
