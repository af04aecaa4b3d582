"""The tools are no installed package: they are imported from the checkout, as their entry scripts do."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
