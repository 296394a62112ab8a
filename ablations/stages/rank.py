"""One of the processes of a training that several devices share; torchrun starts it (`several_devices.py`)."""

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

from ablations.engine.files import Damaged
from ablations.engine.journal import Failure, Journal
from ablations.engine.lease import LeaseLost
from ablations.engine.stage import Bench
from ablations.settings.plugins import classes as plugins
from ablations.stages.devices import pinned
from ablations.stages.several_devices import Task
from diffusion_core.ranks import Ranks

PATIENCE = timedelta(days=7)
"""The longest time that ranks wait for one another: the others wait while the first one judges samples during
training."""


def main(path: str) -> int:
    """Perform this rank's share of a task; 1 where that fails, and then the journal says why."""
    # In a folder that is this user's alone, and was made for it (`perform_on_several`).
    task: Task = pickle.loads(Path(path).read_bytes())
    threading.Thread(target=_end_with, args=(task.worker,), daemon=True).start()
    plugins.import_modules(task.modules)
    stage, own = task.stage, task.devices[int(os.environ["LOCAL_RANK"])]
    torch.set_num_threads(stage.threads)
    device = pinned(own)
    nccl = device.type == "cuda" and distributed.is_nccl_available()
    distributed.init_process_group("nccl" if nccl else "gloo", timeout=PATIENCE)
    journal = Journal(Path(task.journal))
    try:
        ranks = Ranks.here()
        stage.perform(Bench(stage.id, journal, own, task.lease, stage.id, ranks.rank, ranks.world))
    except LeaseLost:
        # Whose stage it is now writes what becomes of it.
        return 1
    except Damaged as error:
        journal.forget_result(error.folder.name)
        journal.write_failure(stage.id, Failure.of(error, ""))
        return 1
    except Exception as error:
        journal.write_failure(stage.id, Failure.of(error, traceback.format_exc()))
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
