"""What the paper claims and how each claim is put to the test; criteria are written before the runs.

The paper's tables were not available to us; the claims are those of its abstract (S1 to S4, S9), and six of our own.
"""

from dataclasses import replace

from securegbm.claims import cost, goals, parity, parties, peer, privacy, quality, stochastic

UNSEEDED = "SEAL draws keys and the noise of encryption from the system"
"""What no seed fixes in the claims that look at ciphertexts or their cost; trees and scores do not depend on it."""
EXPERIMENTS = [
    *quality.EXPERIMENTS,
    *parity.EXPERIMENTS,
    *parties.EXPERIMENTS,
    *(replace(e, unseeded=UNSEEDED) for group in (cost, privacy, goals, stochastic, peer) for e in group.EXPERIMENTS),
]
PAPER = "1911.11997"
