"""The files that start Ray clusters on machines and on Kubernetes: whole, with a token, and with our commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
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


def test_machines_start_ray_with_a_token_and_the_first_of_them_starts_the_others():
    file = read(MACHINES)
    starts = [file[f"{who}_start_ray_commands"][-1] for who in ("head", "worker")]
    assert all(start.startswith("RAY_AUTH_MODE=token ~/ablations/bin/ray start ") for start in starts)
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in starts[0]
    assert starts[1].endswith("--address=$RAY_HEAD_IP:6379")
    assert "--port=6379" in starts[0]
    assert file["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token", "~/dist": "dist"}
    assert '~/ablations/bin/pip install "$(ls ~/dist/*.whl)[ray]"' in file["setup_commands"]


def test_ray_takes_the_file_of_machines_for_one_of_its_own(real_ray):
    schema = Path(real_ray.__file__).parent / "autoscaler" / "ray-schema.json"
    pytest.importorskip("jsonschema").validate(read(MACHINES), json.loads(schema.read_text(encoding="utf-8")))


def test_pods_have_one_image_a_token_and_the_folder_of_the_results():
    file = read(KUBERNETES)
    assert (file["apiVersion"], file["kind"]) == ("ray.io/v1", "RayJob")
    cluster = file["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], workers)]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    for pod, container in zip(pods, containers, strict=True):
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
    assert containers[1]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"]
