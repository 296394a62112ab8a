"""`python -m ablations.run`: a cell, a grid, or any comma-separated choices (`driver/run.py`)."""

from ablations.driver.run import main
from analysis.shell import exit_code

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
