#!/usr/bin/env bash
# Take README's picture of a report, docs/report.png: the first screen of a committed grid's, as Chromium shows it.
#
#     bash docs/pictures.sh [grid] [height]
set -euo pipefail
cd "$(dirname "$0")/.."
report=$(python -m analysis.report "runs=results/committed/${1:-variance-fashion}")
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="1400,${2:-1300}" \
    --screenshot=docs/report.png "file://$PWD/$report"
python -c "from PIL import Image; Image.open('docs/report.png').quantize(256).save('docs/report.png', optimize=True)"
