"""What the paper claims and how each claim is put to the test; criteria are written before the runs.

The paper's tables were not available to us; the claims are those of its abstract, and four of our own (S5 to S8).
"""

from dataclasses import replace

from securegbm.claims import cost, goals, parity, privacy, quality

UNSEEDED = "SEAL draws keys and the noise of encryption from the system"
"""What no seed fixes in the claims that look at ciphertexts or their cost; trees and scores do not depend on it."""
EXPERIMENTS = [
    *quality.EXPERIMENTS,
    *parity.EXPERIMENTS,
    *(replace(e, unseeded=UNSEEDED) for e in (*cost.EXPERIMENTS, *privacy.EXPERIMENTS, *goals.EXPERIMENTS)),
]
PAPER = "1911.11997"
