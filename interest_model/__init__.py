"""Daily recommendations from what users are interested in and where that is going."""

import os

__version__ = "0.1.0"

# torch's matrix library sums in another order where an array lies otherwise in memory: the same night would differ in
# its last digits from run to run. It reads this at its first call; AUTO fixes the order and costs nothing measurable
os.environ.setdefault("MKL_CBWR", "AUTO")
