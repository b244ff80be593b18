"""The constants are recomputed from what they must guarantee."""

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from securegbm.crypto.parameters import MAX_BITS_128, BFVParameters
from securegbm.crypto.seal import Ring
from securegbm.errors import SecureGBMError


@pytest.mark.parametrize("strength", ["standard", "strong", "toy"])
def test_every_choice_is_accepted_by_seal_at_128_bits(strength):
    parameters = BFVParameters.choose(5000, 23, strength)
    assert sum(parameters.coeff_bits) <= sealapi.CoeffModulus.MaxBitCount(parameters.degree, sealapi.SEC_LEVEL_TYPE.TC128)
    assert Ring(parameters).context.parameters_set()


def test_bounds_for_128_bits_are_seals():
    for degree, bits in MAX_BITS_128.items():
        assert sealapi.CoeffModulus.MaxBitCount(degree, sealapi.SEC_LEVEL_TYPE.TC128) == bits


def test_largest_run_still_fits():
    parameters = BFVParameters.choose(2**22 - 1, 23, "standard")
    assert parameters.plain_bits == 46
    parameters.check(2**22 - 1, 2, 23)


@pytest.mark.parametrize(("strength", "most"), [("standard", -30.0), ("strong", -50.0), ("toy", -5.0)])
def test_sanitising_distance_follows_from_the_dropped_primes(strength, most):
    parameters = BFVParameters.choose(32_768, 23, strength)
    noise = 6 * 3.2 * np.sqrt(32_768 * 16)
    expected = np.log2(2 * parameters.degree * noise) - sum(parameters.coeff_bits[1:-1])
    assert parameters.log2_distance(32_768, 16) == pytest.approx(expected)
    assert expected < most


def test_dangerous_parameters_are_refused():
    with pytest.raises(SecureGBMError, match="below 128-bit"):
        BFVParameters(4096, (60, 60, 17), 40)
    with pytest.raises(SecureGBMError, match="three primes"):
        BFVParameters(8192, (60, 17), 40)
    with pytest.raises(SecureGBMError, match="lower privacy_bits"):
        BFVParameters(8192, (40, 40, 40, 17), 40)
    with pytest.raises(SecureGBMError, match="special prime"):
        BFVParameters(8192, (60, 60, 17), 40, merge=True)
    with pytest.raises(SecureGBMError, match="distinguishable"):
        BFVParameters(4096, (54, 38, 17), 40).check(1000, 3, 23)
    with pytest.raises(SecureGBMError, match="malformed"):
        BFVParameters.from_dict({"degree": 8192})
    with pytest.raises(SecureGBMError, match="unknown"):
        BFVParameters.choose(10, 23, "weak")


def test_parameters_survive_the_greeting():
    parameters = BFVParameters.choose(1000, 12, "strong", merge=True)
    assert BFVParameters.from_dict(parameters.to_dict()) == parameters
