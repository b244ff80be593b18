"""The encryption's arithmetic on arrays of residues, compiled by numba; SEAL is the reference and the fallback."""
