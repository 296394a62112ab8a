"""`python -m analysis.tables`."""

import sys

from analysis.tables import main

sys.exit(main())
