"""A CUDA device that is none: tensors lie "on the card" by a mark on their storage, and the CPU computes.

    with simulated_cuda(devices=2) as card:
        x = torch.ones(3).to("cuda:1")          # x.device is cuda:1, x.is_cuda is true
        x + torch.ones(3)                       # RuntimeError: Expected all tensors to be on the same device
        x.sum().item(), card.synchronisations   # one

What it knows.
- Placement: every storage is on the CPU or on one of N devices; views, results, gradients, copies, parameters, the
  averages of an optimiser and what `torch.load` or safetensors read are where a card would have them. Operations that
  mix devices are refused as CUDA refuses them; numbers without dimensions and indices may come from the CPU, as there.
  So are generators of another device, `numpy()`, and devices beyond the last.
- Synchronisation: what `torch.cuda.set_sync_debug_mode` knows of (values read by the host, copies that it waits for,
  operations whose result's shape depends on values) is counted, and warned of or refused in its modes. A copy from
  memory that is not pinned counts as there: unless it is told not to block.
- Launches: operations on the device that are no views are counted: about as many kernels, for some are several.
- Graphs: `torch.cuda.graph` records operations and `replay` works them out again in the same memory, with what lies
  on the card then and with the numbers that Python had before (`graphs`).
- Memory that is free (`torch.cuda.mem_get_info`): what was ever made there is taken from it, and never given back.
- Autocast: "cuda" and "cpu" are two states, of which tensors on the device see the first.

What it does not know: speed, memory that is in use at a time (always 0), rounding (numbers are the CPU's, and so are
the lists of operations that autocast rounds), streams and events, the order of what runs at a time, the random
numbers that a card draws itself (one CPU generator stands for all devices), and whether a kernel is there for a type.
Operations within a C++ function that copy between devices by themselves are not seen; Python that runs within a call of
autograd (a block that is worked out again for its gradient) takes tensors for the CPU's. Only the thread that entered
it is under it.

`placement` says where tensors lie, `card` stands for `torch.cuda`, `modes` watch over calls and operations. Processes
that a test starts have `SIMULATED_CUDA=N` in their environment, and `site/` first on their PYTHONPATH.
"""

from tests.simulated_cuda.modes import environment, simulated_cuda

__all__ = ["environment", "simulated_cuda"]
