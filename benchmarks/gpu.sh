#!/usr/bin/env bash
# What the first hour on a card should measure, in one call of under ten minutes, as a page that can be committed:
#
#   bash benchmarks/gpu.sh [OUT]        OUT is benchmarks/gpu.md unless it is given
#
# Whether the card computes what the CPU does (pytest -m gpu), images a second of training, sampling and scoring at two
# sizes, how many small cells one card is worth at a time, and what bf16 changes beside float32 over paired seeds. Each
# part has its time; one that runs over it is said to. DEVICE=cpu and QUICK=1 try the script itself, and measure nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda} quick=${QUICK:-0}
out=$(realpath "${1:-benchmarks/gpu.md}")
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export MLFLOW_DISABLE_TELEMETRY=true
rounds=7 steps=300 precision_steps=500 seeds=5
[ "$quick" = 1 ] && rounds=1 steps=10 precision_steps=10 seeds=2

part() { # SECONDS TITLE COMMAND…
    printf '\n## %s\n\n`%s`\n\n' "$2" "${*:3}"
    timeout "$1" "${@:3}" 2> "$results/errors" || printf '\n**Ended with %s** (124: it ran over its %s s). %s\n' \
        "$?" "$1" "$(tail -n 1 "$results/errors")"
}
packed() { # CELLS AT A TIME
    local began=$SECONDS
    python -m ablations.run parameterization=epsilon,v seeds=4 horizon=100 training.steps=$steps evaluation.quality=[] \
        "device=$device" "launcher.per_gpu=$1" "results=$results/$1" name=packed > /dev/null
    echo "| $1 | $((SECONDS - began)) |"
}
export -f packed
export steps device results

{
    python - "$device" << 'PY'
import platform, sys, torch
card = torch.cuda.get_device_name() if sys.argv[1].startswith("cuda") else f"cpu ({platform.machine()})"
print(f"# {card}\n\ntorch {torch.__version__}, written by `bash benchmarks/gpu.sh`.")
PY
    [ "$device" = cpu ] || part 120 'The same as on the CPU' pytest -q -m gpu -n 0 --no-header
    part 60 'Speed, small' python -m benchmarks "device=$device" "rounds=$rounds" size=tiny
    part 60 'Speed, large' python -m benchmarks "device=$device" "rounds=$rounds" size=medium
    printf '\n## Eight trainings of %s steps, by cells at a time on the card\n\n| cells at a time | seconds |\n|---|---|\n' "$steps"
    for n in 1 2 4; do timeout 50 bash -c "packed $n" || echo "| $n | more than 50, or failed |"; done
    part 110 'bf16 beside float32' python -m ablations.run training.precision=float32,bf16 "seeds=$seeds" horizon=100 \
        "training.steps=$precision_steps" "device=$device" "results=$results" name=precision
} | tee "$out"
