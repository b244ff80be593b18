"""Which arithmetic does the encryption: compiled residues (`numba`), or SEAL's (`seal`), which merges replies too.

The label party offers one in its greeting and the feature party answers with the same or with `seal`: both always have
SEAL. Parameters and sums are equal; ciphertexts of one are no ciphertexts of the other.
"""

import warnings
from importlib.util import find_spec
from typing import Any, Literal

from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import EncryptedFeatureSums, EncryptedLabelSums, FeatureSums, LabelSums
from securegbm.errors import SecureGBMError

RingName = Literal["auto", "numba", "seal"]
Agreed = Literal["numba", "seal"]
Ciphers = dict[str, Any]
"""The label party's keys on the compiled ring (`ring.label.LabelRing`), by how vectors are hidden (`ring.sums.Mode`)."""


def offer(wanted: RingName, merge: bool) -> Agreed:
    """What this party can do of what it wants; `auto` takes numba where it is installed.

    Args:
        wanted: The party's own choice.
        merge: Replies are merged (SEAL only).

    Raises:
        SecureGBMError: If it wants what it cannot do.
    """
    if wanted not in ("auto", "numba", "seal"):
        raise SecureGBMError(f"ring {wanted!r} is unknown; use auto, numba or seal")
    if wanted == "numba" and merge:
        raise SecureGBMError("the ring numba does not merge replies; use the ring seal, or do not merge them")
    if wanted == "seal" or merge:
        return "seal"
    if find_spec("numba") is not None:
        return "numba"
    if wanted == "numba":
        raise SecureGBMError("numba is not installed; install it, or use the ring seal")
    warnings.warn("numba is not installed: SEAL does the arithmetic, several times slower", stacklevel=2)
    return "seal"


def answer(offered: str, wanted: RingName, merge: bool) -> Agreed:
    """The feature party's word on the label party's offer.

    Raises:
        SecureGBMError: If this party insists on another ring.
    """
    own = offer(wanted, merge)
    if wanted == "numba" and offered != own:
        raise SecureGBMError("the label party does not offer the ring numba, which this party insists on")
    return own if offered == "numba" else "seal"


def settle(offered: Agreed, answered: str, wanted: RingName) -> Agreed:
    """What the label party makes of the answer.

    Raises:
        SecureGBMError: If it insists on numba and the feature party does not have it.
    """
    if answered == offered:
        return offered
    if wanted == "numba":
        raise SecureGBMError("the feature party does not use the ring numba; use auto or seal")
    warnings.warn("the feature party uses SEAL: so do we, several times slower", stacklevel=2)
    return "seal"


def label_sums(ring: Agreed, *arguments: Any, constant: bool, ciphers: Ciphers) -> LabelSums:
    """The label party's sums under encryption, on the agreed ring; SEAL encrypts constant hessians, too.

    Args:
        ring: What was agreed.
        arguments: Those of the ring's own class.
        constant: All hessians are 1, and the feature party may know it.
        ciphers: The compiled ring's, shared by all feature parties of a run.
    """
    if ring == "seal":
        return EncryptedLabelSums(*arguments)
    from securegbm.ring.sums import ResidueLabelSums

    return ResidueLabelSums(*arguments, constant=constant, ciphers=ciphers)


def feature_sums(ring: Agreed, parameters: BFVParameters, keys: list[bytes], *arguments: Any) -> FeatureSums:
    """The feature party's sums under encryption, on the agreed ring."""
    if ring == "seal":
        return EncryptedFeatureSums(parameters, keys, *arguments)
    from securegbm.ring.sums import ResidueFeatureSums

    return ResidueFeatureSums(parameters, keys, *arguments)
