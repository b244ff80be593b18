"""What the paper claims and how each claim is put to the test; criteria are written before the runs.

The paper's tables were not available to us; the claims are those of its abstract, and two of our own (S5, S6).
"""

from securegbm.claims import cost, parity, privacy, quality

EXPERIMENTS = [*quality.EXPERIMENTS, *cost.EXPERIMENTS, *parity.EXPERIMENTS, *privacy.EXPERIMENTS]
PAPER = "1911.11997"
