"""claimkit: claims, evidence and verdicts, and the little that nine reproductions have in common.

The modules are imported one by one (``from claimkit import claims``); none of them imports torch.
"""

__version__ = "0.1.0"
