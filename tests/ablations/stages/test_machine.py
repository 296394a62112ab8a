"""The kind of machine: said by what numbers depend on, and in each result."""

from __future__ import annotations

import torch

from ablations.stages import machine
from ablations.stages.machine import kind_of_machine, libraries, processor
from tests.simulated_cuda import simulated_cuda


def test_a_processor_is_named_with_its_instructions_and_torch(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(machine, "processor", lambda: "Xeon, Gold")
    monkeypatch.setattr(
        torch.__config__, "show", lambda: "- Math Kernel Library Version 2024.2-Product Build 1\n- MKL-DNN v3.12.0 (x)"
    )
    assert (
        kind_of_machine(torch.device("cpu"))
        == f"Xeon Gold · AVX512 bf16 · torch {torch.__version__} · MKL 2024.2 · oneDNN 3.12.0"
    )


def test_a_processor_with_amx_names_the_kernels_whose_digits_are_todays(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(machine, "processor", lambda: "Xeon")
    monkeypatch.setattr(torch.__config__, "show", lambda: "- MKL-DNN v3.12.0 (x)")
    kind = kind_of_machine(torch.device("cpu"))
    assert kind == f"Xeon · AVX512 bf16 AMX · kernels 2 · torch {torch.__version__} · oneDNN 3.12.0"


def test_a_card_is_named_by_itself(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    with simulated_cuda():
        kind = kind_of_machine(torch.device("cuda"))
        assert kind == f"{torch.cuda.get_device_name()} · torch {torch.__version__} · CUDA 12.8 · cuDNN 91002"


def test_the_name_is_the_systems_and_else_the_kind(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name : EPYC 7B13: Rome\nmodel name : other\n")
    assert processor(file) == "EPYC 7B13: Rome"
    assert processor(tmp_path / "none")


def test_a_library_that_torch_does_not_tell_of_is_not_named():
    assert libraries("PyTorch built with: BLAS_INFO=open") == []
    assert libraries("OpenBLAS 0.3.29 NO_AFFINITY") == ["OpenBLAS 0.3.29"]
