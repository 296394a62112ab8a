"""The kind of machine: said by what numbers depend on."""

from __future__ import annotations

import pytest
import torch

from ablations.stages import devices
from ablations.stages.devices import hardware_id

LIBRARIES = "- Math Kernel Library Version 2024.2-Product Build 1\n- MKL-DNN v3.12.0 (x)"


@pytest.mark.parametrize(("amx", "said"), [(False, "AVX512 bf16"), (True, "AVX512 bf16 AMX · kernels 2")])
def test_a_processor_is_named_with_its_instructions_the_kernels_of_amx_and_torch(amx, said, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(devices, "processor", lambda: "Xeon, Gold")
    monkeypatch.setattr(torch.__config__, "show", lambda: LIBRARIES)
    kind = hardware_id(torch.device("cpu"))
    assert kind == f"Xeon Gold · {said} · torch {torch.__version__} · MKL 2024.2 · oneDNN 3.12.0"


def test_a_card_is_named_by_itself(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    assert hardware_id(torch.device("cuda")) == f"A card · torch {torch.__version__} · CUDA 12.8 · cuDNN 91002"
