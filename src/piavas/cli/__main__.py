"""`python -m piavas.cli`."""

import sys

from piavas.cli import main

sys.exit(main())
