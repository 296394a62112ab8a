"""The files that start Ray clusters on machines and on Kubernetes: whole, with a token, and with our commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from ablations.settings.arguments import parse_run

EXAMPLES = Path(__file__).parents[3] / "examples"
MACHINES, KUBERNETES = EXAMPLES / "ray_on_vms.yaml", EXAMPLES / "ray_on_kubernetes.yaml"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_their_commands_are_ours():
    (shown,) = re.findall(r"bin/(python -m ablations\.run .*)'", MACHINES.read_text(encoding="utf-8"))
    assert shown == read(KUBERNETES)["spec"]["entrypoint"]
    request = parse_run(shlex.split(shown)[3:])
    assert (request.launcher, request.results) == ("ray", "/shared/results")


def test_machines_and_pods_have_a_token_and_a_folder_of_results():
    machines, cluster = read(MACHINES), read(KUBERNETES)["spec"]["rayClusterSpec"]
    starts = [machines[f"{who}_start_ray_commands"][-1] for who in ("head", "worker")]
    assert all(start.startswith("RAY_AUTH_MODE=token ~/ablations/bin/ray start ") for start in starts)
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    for pod in (group["template"]["spec"] for group in (cluster["headGroupSpec"], workers)):
        assert pod["containers"][0]["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
