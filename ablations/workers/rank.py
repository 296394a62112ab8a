"""One of the processes of a training that several devices share; torchrun starts it (`together.py`)."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import torch
from torch import distributed

from ablations.settings import plugins
from ablations.stages.journal import Failure
from ablations.stages.lease import LeaseLost
from ablations.stages.opening import journal_at
from ablations.workers.perform import perform_share, pinned
from ablations.workers.together import Task
from diffusion_core.ranks import Ranks

PATIENCE = timedelta(days=7)
"""How long ranks wait for one another: while the first one judges samples on the way, the others do."""


def main(path: str) -> int:
    """Perform this rank's share of a task; 1 where that fails, which the journal then tells."""
    # In a folder that is this user's alone, and was made for it (`perform_together`).
    task: Task = pickle.loads(Path(path).read_bytes())
    threading.Thread(target=_end_with, args=(task.worker,), daemon=True).start()
    plugins.import_modules(task.modules)
    torch.set_num_threads(task.stage.cell.threads)
    device = pinned(task.devices[int(os.environ["LOCAL_RANK"])])
    nccl = device.type == "cuda" and distributed.is_nccl_available()
    distributed.init_process_group("nccl" if nccl else "gloo", timeout=PATIENCE)
    journal = journal_at(task.journal)
    try:
        perform_share(task.stage, journal, device, task.lease, Ranks.here())
    except LeaseLost:
        # Whose stage it is now writes what becomes of it.
        return 1
    except Exception as error:
        journal.write_failure(task.stage.id, Failure.of(error, traceback.format_exc()))
        return 1
    distributed.destroy_process_group()
    return 0


def _end_with(worker: int) -> None:
    """End this process when the worker that waits for it does."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(worker).wait()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
