"""What the paper claims and how each claim is put to the test; criteria are written before the runs.

The paper's tables were not available to us; the claims are those of its abstract, and four of our own (S5 to S8).
"""

from securegbm.claims import cost, goals, parity, privacy, quality

EXPERIMENTS = [*quality.EXPERIMENTS, *cost.EXPERIMENTS, *parity.EXPERIMENTS, *privacy.EXPERIMENTS, *goals.EXPERIMENTS]
PAPER = "1911.11997"
