"""The attack that reads every row's bin from an unsanitised reply, run against the real reply path."""

import numpy as np
import pytest

from securegbm.claims.attack import Attacker
from securegbm.crypto.feature_cipher import FeatureCipher, uniform_below
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.parameters import BFVParameters

SETTINGS = {"toy": (1024, 1024), "standard": (2048, 2048)}


@pytest.fixture(scope="module", params=SETTINGS)
def attacked(request):
    """One upload, its attacker, and the bins behind the replies; four bins, so chance is 25 %."""
    n_rows, stride = SETTINGS[request.param]
    rng = np.random.default_rng(7)
    parameters = BFVParameters.choose(n_rows, 23, request.param)
    label = LabelCipher(parameters)
    feature = FeatureCipher(parameters, label.public_key)
    bins = rng.integers(0, parameters.degree // stride, n_rows)
    upload = label.encrypt([rng.integers(-(2**23), 2**23, n_rows)])
    return Attacker(label), feature, bins, upload, stride


def reply_to(attacked, sanitise):
    _, feature, bins, upload, stride = attacked
    entries = bins[:, None].astype(np.int32)
    return feature.histogram([upload], entries, 4, stride, range(1), None, sanitise)[0][0]


def recovered(attacked, reply):
    attacker, _, bins, upload, stride = attacked
    return float((attacker.bins(upload[0], reply, len(bins), stride) == bins).mean())


def test_the_attack_works_on_replies_that_are_not_sanitised(attacked):
    """Without this, the next test could pass for a broken attack."""
    assert recovered(attacked, reply_to(attacked, sanitise=False)) > 0.99


def test_sanitised_replies_leave_the_attack_at_chance(attacked):
    """Three replies, within six standard errors of 1/4, once in 10^8 runs (SEAL's generator has no seed)."""
    n_rows = 3 * len(attacked[2])
    share = np.mean([recovered(attacked, reply_to(attacked, sanitise=True)) for _ in range(3)])
    assert abs(share - 0.25) < 6 * np.sqrt(0.25 * 0.75 / n_rows)


def test_random_coefficients_alone_do_not_help(attacked, monkeypatch):
    """The label party decrypts the randomness away: the encryption of zero and the switch are what hides."""
    feature = attacked[1]

    def random_only(cipher, targets, _merged):
        noise = uniform_below(feature.ring.parameters.plain_modulus, feature.ring.parameters.degree)
        noise[targets] = 0
        feature.ring.evaluator.add_plain_inplace(cipher, feature.ring.plaintext(noise))
        return cipher

    monkeypatch.setattr(feature, "_sanitise", random_only)
    assert recovered(attacked, reply_to(attacked, sanitise=True)) > 0.9


def test_noise_of_replies_does_not_depend_on_the_bins(attacked):
    """Two bin assignments with equal sums: the noise left in their replies has one distribution (Kolmogorov-Smirnov).

    Five replies each, all coefficients; a false alarm once in 10^9 runs.
    """
    from scipy.stats import ks_2samp

    attacker, feature, bins, _, stride = attacked
    one = np.ones(len(bins), dtype=np.int64)
    upload = attacker.cipher.encrypt([one])
    shuffled = np.random.default_rng(1).permutation(bins)
    noise = []
    for assignment in (bins, shuffled):
        entries = assignment[:, None].astype(np.int32)
        replies = [feature.histogram([upload], entries, 4, stride, range(1))[0][0] for _ in range(5)]
        noise.append(np.concatenate([attacker.excess(reply) for reply in replies]))
    assert ks_2samp(*noise).pvalue > 1e-9


def test_only_targets_decode(attacked):
    """All other coefficients of a reply are uniform mod t (chi-square over 16 cells, once in 10^9 runs)."""
    attacker, stride = attacked[0], attacked[-1]
    t, degree = attacker.t, attacker.degree
    values = np.concatenate([attacker.cipher.polynomial(reply_to(attacked, sanitise=True)) for _ in range(5)])
    others = np.delete(values.reshape(5, degree), np.arange(4) * stride, axis=1).ravel() % t
    cells = np.bincount((others * 16 // t).astype(int), minlength=16)
    statistic = ((cells - len(others) / 16) ** 2 / (len(others) / 16)).sum()
    assert statistic < 75.0


def matching_masks(attacked, feature):
    """How many of the 512 possible bins of one row explain the second polynomial of the reply, after the switch.

    The product's second polynomial is a x P with a known to the label party and P one of 512 monomials; random numbers
    and the switch do not touch it. Only the encryption of zero does. One coefficient (of 54 bits) tells.
    """
    import tenseal.sealapi as sealapi

    from securegbm.crypto.packing import mask_positions

    attacker, _, _, _, _ = attacked
    ring, degree = feature.ring, feature.ring.parameters.degree
    stride = degree // 512
    upload = attacker.cipher.encrypt([np.array([12345])])
    entries = np.array([[137]], dtype=np.int32)
    reply = ring.load(sealapi.Ciphertext(), feature.histogram([upload], entries, 512, stride, range(1))[0][0])
    ((_, plus, minus),) = mask_positions(entries, stride, degree)
    assert (plus.tolist(), minus.tolist()) == ([137 * stride], [])
    seen = reply.data(1)
    found = []
    for candidate in range(512):
        cipher = feature.load(upload[0])
        mask = np.zeros(degree, dtype=np.uint64)
        mask[candidate * stride] = 1
        plain = ring.plaintext(mask)
        ring.evaluator.transform_to_ntt_inplace(plain, feature._first)
        ring.evaluator.multiply_plain_inplace(cipher, plain)
        ring.evaluator.transform_from_ntt_inplace(cipher)
        for _ in range(feature._levels):
            ring.evaluator.mod_switch_to_next_inplace(cipher)
        if cipher.data(1) == seen:
            found.append(candidate)
    return found


def test_the_encryption_of_zero_hides_which_mask_was_used(attacked, monkeypatch):
    """Without it, exactly the row's own bin explains the reply; with it, none does."""
    feature = attacked[1]
    if feature.ring.parameters.toy is False:
        pytest.skip("one set of parameters is enough")
    assert matching_masks(attacked, feature) == []
    evaluator, add = feature.ring.evaluator, feature.ring.evaluator.add_inplace

    class WithoutZero:
        def __getattr__(self, name):
            return getattr(evaluator, name)

        def add_inplace(self, cipher, other):
            if other is not zero:
                add(cipher, other)

    zero = feature._encrypt_zero()
    monkeypatch.setattr(feature, "_zero", lambda: zero)
    monkeypatch.setattr(feature.ring, "evaluator", WithoutZero())
    assert matching_masks(attacked, feature) == [137]
