"""Read by Python as it starts, where this folder is on its path: the process has simulated CUDA devices to its end.

Workers that it forks have them too; they are none of other threads'.
"""

import atexit
import os

if "SIMULATED_CUDA" in os.environ:
    from tests.simulated_cuda.modes import simulated_cuda

    simulation = simulated_cuda(int(os.environ["SIMULATED_CUDA"]))
    simulation.__enter__()
    # Kept to the end: a context that is collected is left.
    atexit.register(lambda: simulation)
