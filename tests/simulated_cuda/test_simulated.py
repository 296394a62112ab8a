"""The simulated device does what a card is documented to do, and says so where something could not run on one."""

from __future__ import annotations

import copy
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ablations.data.tensors import read_tensors, write_tensors
from tests.simulated_cuda import environment, simulated_cuda

SAME_DEVICE = "Expected all tensors to be on the same device"
CPU, FIRST, SECOND = torch.device("cpu"), torch.device("cuda:0"), torch.device("cuda:1")


@pytest.fixture(autouse=True)
def card():
    with simulated_cuda(devices=2) as devices:
        yield devices


def test_what_a_tensor_says_of_its_device():
    x = torch.ones(3, device="cuda")
    assert (x.device, x.is_cuda, x.is_cpu, x.get_device()) == (FIRST, True, False, 0)
    y = torch.ones(3)
    assert (y.device, y.is_cuda, y.is_cpu, y.get_device()) == (CPU, False, True, -1)


@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.zeros(2, device="cuda:1"),
        lambda: torch.tensor([1.0], device="cuda:1"),
        lambda: torch.as_tensor(torch.ones(2), device=SECOND),
        lambda: torch.ones(2).to("cuda:1"),
        lambda: torch.ones(2).to(device=SECOND, dtype=torch.float64, non_blocking=True),
        lambda: torch.ones(2).to(torch.ones((), device=SECOND)),
        lambda: torch.ones(2).cuda(1),
        lambda: torch.ones(2, device=FIRST).to(SECOND),
        lambda: torch.ones(2, device=SECOND).new_tensor([1.0]),
        lambda: torch.zeros_like(torch.ones(2), device=SECOND),
        lambda: torch.empty_like(torch.ones(2, device=SECOND)),
        lambda: torch.ones(4, device=SECOND)[1:].reshape(3, 1).T,
        lambda: torch.ones(4, device=SECOND).add_(1),
        lambda: torch.ones(4, device=SECOND).max(0)[1],
        lambda: torch.add(torch.ones(2, device=SECOND), 1, out=torch.empty(2, device=SECOND)),
        lambda: copy.deepcopy(torch.ones(2, device=SECOND)),
        lambda: nn.Parameter(torch.ones(2, device=SECOND)).data,
    ],
)
def test_where_tensors_lie(made):
    assert made().device == SECOND


def test_a_block_makes_its_tensors_on_its_device():
    with torch.device("cuda:1"):
        assert torch.ones(2).device == nn.Linear(2, 2).weight.device == SECOND
    with torch.cuda.device(1):
        assert torch.ones(2, device="cuda").device == SECOND
    torch.cuda.set_device(1)
    assert torch.ones(2).cuda().device == SECOND
    assert torch.cuda.current_device() == 1


def test_a_copy_is_one_and_what_is_there_is_not_copied():
    x = torch.ones(3)
    there = x.to(FIRST)
    x.zero_()
    assert there.tolist() == [1, 1, 1]
    assert there.to("cuda") is there.cuda() is there
    assert x.to("cpu") is x.cpu() is x
    assert there.to(FIRST, copy=True) is not there


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: here + there,
        lambda here, there: there.add_(here),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: torch.where(there > 0, there, here),
        lambda here, there: torch.add(there, there, out=here),
        lambda here, there: here + there.sum(),
        lambda here, there: here.sum().add_(there.sum()),
        lambda here, there: torch.searchsorted(here, there),
        lambda here, there: there.masked_fill(here > 0, 1.0),
        lambda here, there: nn.Linear(4, 1)(there),
        lambda here, there: there.index_put_((torch.tensor([0, 1]),), here[:2].clone()),
        lambda here, there: torch.equal(here, there),
    ],
)
def test_what_lies_apart_does_not_meet(mixed):
    here = torch.arange(4.0)
    with pytest.raises(RuntimeError, match=SAME_DEVICE):
        mixed(here, here.to(FIRST))
    mixed(here, here)


def test_two_cards_are_two_devices():
    x = torch.ones(2, device=FIRST)
    for one, other in ((x, x.to(SECOND)), (x.sum(), x.sum().to(SECOND))):
        with pytest.raises(RuntimeError, match=SAME_DEVICE):
            one + other


def test_an_index_on_the_card_does_not_choose_on_the_host():
    with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same device"):
        torch.arange(4)[torch.tensor([1, 2], device=FIRST)]


def test_numbers_and_indices_may_come_from_the_host(card):
    there, half = torch.arange(4.0).to(FIRST), torch.tensor(0.5)
    for met in (there + half, half * there, torch.where(there > 0, there, half), there.clone().mul_(half)):
        assert met.device == FIRST
    before = card.synchronisations
    assert there[torch.tensor([3, 1])].device == FIRST
    there[torch.tensor([0])] = half
    # The indices are sent each time, which the host waits for.
    assert card.synchronisations == before + 2
    assert there.tolist() == [0.5, 1, 2, 3]
    there.copy_(torch.zeros(4))
    assert there.device == FIRST
    assert torch.ones(4).copy_(there).device == CPU


def test_numpy_reads_the_host_alone():
    x = torch.ones(2, device=FIRST)
    for read in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
            read()
    assert x.cpu().numpy().tolist() == x.numpy(force=True).tolist() == np.asarray(torch.ones(2)).tolist() == [1, 1]


X = torch.arange(6.0)


@pytest.mark.parametrize(
    ("action", "waits"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: float(x[0]) + int(x[1]), 2),
        (lambda x: x.tolist(), 1),
        (lambda x: x.cpu(), 1),
        (lambda x: x.to("cpu", non_blocking=True), 0),
        (lambda x: X.to("cuda"), 1),
        (lambda x: X.pin_memory().to("cuda", non_blocking=True), 0),
        (lambda x: x.copy_(X), 1),
        (lambda x: x.copy_(X, non_blocking=True), 0),
        (lambda x: torch.tensor([1.0], device="cuda"), 1),
        (lambda x: torch.full((2,), 3.0, device="cuda"), 0),
        (lambda x: x[x > 2], 1),
        (lambda x: x[torch.tensor([0, 1])], 1),
        (lambda x: x[X > 2], 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x.unique(), 1),
        (lambda x: torch.equal(x, x), 1),
        (lambda x: x.repeat_interleave(2), 0),
        (lambda x: (x * 2 + 1).sum().to(SECOND), 0),
    ],
)
def test_what_the_host_waits_for_is_counted(action, waits, card):
    x = X.to(FIRST)
    before = card.synchronisations
    action(x)
    assert card.synchronisations - before == waits


def test_the_debug_mode_warns_and_refuses():
    x = torch.ones(2, device=FIRST)
    torch.cuda.set_sync_debug_mode("warn")
    with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
        x.sum().item()
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
        x.sum().item()
    assert torch.cuda.get_sync_debug_mode() == 2
    torch.cuda.set_sync_debug_mode("default")
    assert x.sum().item() == 2


def test_launches_are_operations_that_are_no_views(card):
    x = torch.ones(4, 4, device=FIRST)
    before = card.launches
    x[1:].T.reshape(-1).unbind()
    assert card.launches == before + 1  # The transposed copy.
    (x + 1).mul_(2).sum()
    assert card.launches == before + 4
    torch.ones(4) + 1
    assert card.launches == before + 4


def test_gradients_lie_where_their_parameters_do_and_second_ones_go_back_too():
    network = nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.SiLU(), nn.Linear(4, 1)).to("cuda")
    here = torch.randn(5, 3, requires_grad=True)
    network(here.to(FIRST)).sum().backward()
    assert {parameter.grad.device for parameter in network.parameters()} == {FIRST}
    assert here.grad.device == CPU
    assert {parameter.device for parameter in copy.deepcopy(network).parameters()} == {FIRST}
    two = torch.tensor([2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(two.to(FIRST) ** 3, two, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, two)
    assert (slope.item(), curvature.item(), curvature.device) == (12, 12, CPU)


def test_a_generator_is_of_a_device():
    there = torch.Generator(device="cuda").manual_seed(0)
    assert there.device.type == "cuda"
    assert torch.randn(2, generator=there, device="cuda").is_cuda
    for generator, device in ((there, "cpu"), (torch.Generator(), "cuda")):
        with pytest.raises(RuntimeError, match=f"Expected a '{device}' device type for generator"):
            torch.randn(2, generator=generator, device=device)
        with pytest.raises(RuntimeError, match="for generator but found"):
            torch.ones(2, device=device).normal_(generator=generator)


def test_autocast_is_that_of_the_tensors_device():
    here, there = nn.Linear(2, 2), nn.Linear(2, 2).to("cuda")
    x = torch.ones(1, 2)
    with torch.autocast("cuda", torch.bfloat16):
        assert there(x.cuda()).dtype == torch.bfloat16
        assert here(x).dtype == torch.float32
        with torch.autocast("cuda", enabled=False):
            assert there(x.cuda()).dtype == torch.float32
        with torch.autocast("cpu", enabled=False):
            assert there(x.cuda()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert there(x.cuda()).dtype == torch.float32
        assert here(x).dtype == torch.bfloat16


def test_checkpoints_of_pickles_come_back_where_they_were():
    file = io.BytesIO()
    torch.save({"there": torch.ones(2, device=SECOND), "here": torch.ones(2)}, file)
    for where, there, here in ((None, SECOND, CPU), ("cpu", CPU, CPU), ("cuda:0", FIRST, FIRST)):
        file.seek(0)
        loaded = torch.load(file, map_location=where)
        assert (loaded["there"].device, loaded["here"].device) == (there, here)


def test_safetensors_are_written_from_the_device_and_read_to_it(tmp_path):
    x = torch.arange(6.0).reshape(2, 3)
    save_file({"x": x.to(SECOND)}, tmp_path / "plain")
    write_tensors(tmp_path / "ours", {"x": x.to(SECOND), "view": x.to(SECOND)[1]})
    assert load_file(tmp_path / "plain")["x"].device == CPU
    there = load_file(tmp_path / "plain", device="cuda:1")["x"]
    assert there.device == SECOND
    ours, _ = read_tensors(tmp_path / "ours")
    assert there.tolist() == ours["x"].tolist() == x.tolist()
    assert ours["x"].device == CPU


def test_what_torch_says_of_the_devices():
    assert torch.cuda.is_available()
    assert torch.cuda.device_count() == 2
    assert torch.cuda.is_bf16_supported(including_emulation=False)
    assert torch.cuda.get_device_capability(FIRST) >= (8, 0)
    assert "Simulated" in torch.cuda.get_device_name("cuda:1")
    torch.cuda.synchronize(FIRST)
    torch.cuda.reset_peak_memory_stats(FIRST)
    assert torch.cuda.max_memory_allocated(FIRST) == 0
    for use in (lambda: torch.ones(2).to("cuda:2"), lambda: torch.cuda.set_device(2)):
        with pytest.raises(RuntimeError, match="invalid device ordinal"):
            use()


def test_what_is_made_on_the_devices_takes_memory_and_a_view_takes_none():
    free, total = torch.cuda.mem_get_info(FIRST)
    x = torch.ones(256)
    taken = [lambda: x.to(FIRST), lambda: torch.zeros(256, device=FIRST), lambda: there + there]
    there = x.cuda()
    assert torch.cuda.mem_get_info(FIRST) == (free - 1024, total)
    for i, make in enumerate(taken, start=2):
        make()
        assert torch.cuda.mem_get_info(FIRST) == (free - 1024 * i, total)
    there[3:].add_(1)
    there.to(FIRST), there.view(2, 128), torch.ones(2)
    assert torch.cuda.mem_get_info(FIRST) == (free - 1024 * 4, total)


@pytest.mark.thorough
def test_a_process_has_the_devices_from_its_start():
    words = "import torch; print(torch.cuda.device_count(), torch.ones(2, device='cuda:2').device)"
    done = subprocess.run([sys.executable, "-c", words], env=environment(3), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "cuda:2"]


def test_nothing_is_left_of_it():
    # Entered and left once more within the test's own.
    available = torch.cuda.is_available
    with simulated_cuda(devices=5):
        assert torch.cuda.device_count() == 5
    assert torch.cuda.device_count() == 2
    assert torch.cuda.is_available is available
