"""Packing and encryption: exact sums for every shape, and nothing but the sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securegbm.crypto.feature_cipher import PREPARED, FeatureCipher, uniform_below
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.packing import adaptive_stride, check_stride, mask_positions, merge_factor, target_positions
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import EncryptedFeatureSums, EncryptedLabelSums
from securegbm.crypto.workers import shares
from securegbm.errors import ProtocolError, SecureGBMError


def loop_sums(values, entries, n_entries):
    total = np.zeros(n_entries, dtype=np.int64)
    for value, row in zip(values, entries, strict=True):
        for entry in row[row >= 0]:
            total[entry] += value
    return total


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_masks_turn_products_into_sums(data):
    """The negacyclic product of G and P holds every sum at its target, by the schoolbook definition."""
    degree = 64
    stride = 2 ** data.draw(st.integers(0, 6))
    n_rows, n_features = data.draw(st.integers(1, stride)), data.draw(st.integers(1, 3))
    n_bins = data.draw(st.integers(1, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    entries = rng.integers(0, n_bins, (n_rows, n_features)) + np.arange(n_features) * n_bins
    entries[rng.random(entries.shape) < 0.2] = -1
    values = rng.integers(-100, 101, n_rows)
    n_entries = n_features * n_bins
    outputs = np.zeros((-(-n_entries * stride // degree), degree), dtype=np.int64)
    for output, plus, minus in mask_positions(entries, stride, degree):
        mask = np.zeros(degree, dtype=np.int64)
        mask[plus], mask[minus] = 1, -1
        full = np.convolve(values, mask)
        folded = np.zeros(2 * degree, dtype=np.int64)
        folded[: len(full)] = full
        outputs[output] += folded[:degree] - folded[degree:]
    which, where = target_positions(n_entries, stride, degree, 1)
    assert np.array_equal(outputs[which, where], loop_sums(values, entries, n_entries))


@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_bins", "stride"),
    [(1, 1, 1, None), (3, 2, 3, 1), (257, 3, 7, 64), (300, 1, 2, 4096), (1000, 4, 33, None)],
)
def test_encrypted_sums_are_exact(n_rows, n_features, n_bins, stride):
    rng = np.random.default_rng(n_rows)
    entries = (rng.integers(0, n_bins, (n_rows, n_features)) + np.arange(n_features) * n_bins).astype(np.int32)
    entries[rng.random(entries.shape) < 0.1] = -1
    vectors = [rng.choice([-(2**23), 2**23], n_rows), rng.integers(1, 2**23, n_rows)]
    vectors[0][0] = 2**23
    size = n_features * n_bins
    parameters = BFVParameters.choose(n_rows, 23, "toy")
    label = EncryptedLabelSums(parameters, size, 23, stride=stride)
    feature = EncryptedFeatureSums(parameters, label.keys(), size)
    for key in (None, b"root", b"root"):
        header, parts = label.hide(vectors)
        found = label.reveal(header, feature.add(header, parts, entries, key), 2)
        for vector, total in zip(vectors, found, strict=True):
            assert np.array_equal(total, loop_sums(vector, entries, size))


def test_merged_replies_are_exact_and_fewer():
    rng = np.random.default_rng(0)
    entries = (rng.integers(0, 20, (700, 3)) + np.arange(3) * 20).astype(np.int32)
    vectors = [rng.integers(-(2**23), 2**23, 700), rng.integers(1, 2**23, 700)]
    parameters = BFVParameters.choose(700, 23, "standard", merge=True)
    label = EncryptedLabelSums(parameters, 60, 23)
    feature = EncryptedFeatureSums(parameters, label.keys(), 60)
    header, parts = label.hide(vectors)
    replies = feature.add(header, parts, entries, None)
    assert len(replies) == 2
    for vector, total in zip(vectors, label.reveal(header, replies, 2), strict=True):
        assert np.array_equal(total, loop_sums(vector, entries, 60))


@pytest.mark.parametrize(("strength", "strides"), [("standard", (64, 4096)), ("strong", (1024,))])
def test_worker_processes_give_the_same_sums(strength, strides):
    """Two processes share few reply polynomials by vector, many by output."""
    rng = np.random.default_rng(1)
    entries = rng.integers(0, 30, (200, 1)).astype(np.int32)
    vectors = [rng.integers(-(2**23), 2**23, 200), rng.integers(1, 2**23, 200)]
    parameters = BFVParameters.choose(200, 23, strength)
    label = EncryptedLabelSums(parameters, 30, 23, workers=1)
    feature = EncryptedFeatureSums(parameters, label.keys(), 30, workers=2)
    for stride in strides:
        label._stride = stride
        header, parts = label.hide(vectors)
        found = label.reveal(header, feature.add(header, parts, entries, None), 2)
        for vector, total in zip(vectors, found, strict=True):
            assert np.array_equal(total, loop_sums(vector, entries, 30))
    label.close()
    feature.close()


def test_zeros_encrypted_ahead_are_used_once():
    parameters = BFVParameters.choose(10, 23, "toy")
    label = LabelCipher(parameters)
    feature = FeatureCipher(parameters, label.public_key)
    for _ in range(PREPARED + 3):
        feature.prepare()
    assert len({id(zero) for zero in feature._zeros}) == PREPARED
    del feature._zeros[3:]
    upload, entries = [label.encrypt([np.arange(10)])], np.zeros((10, 1), dtype=np.int32)
    replies = [feature.histogram(upload, entries, 1, 16, range(1))[0][0] for _ in range(5)]
    assert feature._zeros == []
    assert len(set(replies)) == 5


def test_equal_plaintexts_never_make_equal_ciphertexts():
    cipher = LabelCipher(BFVParameters.choose(10, 23, "toy"))
    made = cipher.encrypt([np.arange(5)] * 6)
    assert len({data[-64:] for data in made}) == len(set(made)) == 6


def test_replies_to_equal_requests_differ():
    parameters = BFVParameters.choose(10, 23, "toy")
    label = LabelCipher(parameters)
    feature = FeatureCipher(parameters, label.public_key)
    upload = [label.encrypt([np.arange(10)])]
    entries = np.zeros((10, 1), dtype=np.int32)
    replies = [feature.histogram(upload, entries, 1, 16, range(1))[0][0] for _ in range(3)]
    assert len(set(replies)) == 3


def test_overflow_is_refused_before_encryption():
    parameters = BFVParameters.choose(8, 23, "toy")
    label = EncryptedLabelSums(parameters, 4, 23)
    label.hide([np.full(8, 2**23)])
    with pytest.raises(SecureGBMError, match="overflow"):
        label.hide([np.full(16, 2**23)])
    with pytest.raises(SecureGBMError, match="can exceed t"):
        parameters.check(16, 1, 23)


def test_ciphertexts_of_other_keys_sizes_and_parameters_are_refused():
    parameters = BFVParameters.choose(100, 23, "toy")
    label = EncryptedLabelSums(parameters, 4, 23)
    feature = EncryptedFeatureSums(parameters, label.keys(), 4)
    entries = np.zeros((100, 1), dtype=np.int32)
    header, parts = label.hide([np.arange(100), np.arange(100)])
    foreign = LabelCipher(BFVParameters.choose(100, 23, "standard")).encrypt([np.arange(100)])
    with pytest.raises(SecureGBMError, match="does not fit the agreed parameters"):
        feature.add(header, [foreign[0], parts[1]], entries, None)
    with pytest.raises(SecureGBMError, match="does not fit the agreed parameters"):
        feature.add(header, [parts[0][:-40], parts[1]], entries, None)
    with pytest.raises(SecureGBMError, match="arrived for"):
        feature.add(header, parts[:1], entries, None)
    with pytest.raises(SecureGBMError, match="power of two"):
        feature.add({"stride": 8192}, parts, entries, None)
    switched = feature.add(header, parts, entries, None)
    with pytest.raises(SecureGBMError, match="not a fresh encryption"):
        feature.add(header, switched[:2], entries, None)
    with pytest.raises(ProtocolError, match="were expected"):
        label.reveal(header, switched[:1], 2)
    with pytest.raises(SecureGBMError, match="keys do not fit"):
        EncryptedFeatureSums(parameters, [], 4)


def test_transparent_ciphertexts_are_refused(monkeypatch):
    """SEAL already refuses to load one; the check of our own stands behind it."""
    parameters = BFVParameters.choose(10, 23, "toy")
    label = LabelCipher(parameters)
    feature = FeatureCipher(parameters, label.public_key)
    data = label.encrypt([np.arange(10)])[0]
    import tenseal.sealapi as sealapi

    monkeypatch.setattr(sealapi.Ciphertext, "is_transparent", lambda self: True)
    with pytest.raises(SecureGBMError, match="not a fresh encryption"):
        feature.load(data)


def test_a_reply_without_noise_budget_is_refused(monkeypatch):
    from securegbm.crypto import label_cipher

    parameters = BFVParameters.choose(10, 23, "toy")
    label = EncryptedLabelSums(parameters, 1, 23)
    feature = EncryptedFeatureSums(parameters, label.keys(), 1)
    header, parts = label.hide([np.arange(10), np.arange(10)])
    reply = feature.add(header, parts, np.zeros((10, 1), dtype=np.int32), None)
    monkeypatch.setattr(label_cipher, "LEAST_BUDGET", 60)
    with pytest.raises(ProtocolError, match="noise budget"):
        label.reveal(header, reply, 2)


def test_stride_balances_uploads_and_replies():
    assert adaptive_stride(32_768, 512, 8192, merge=False) == 512
    assert adaptive_stride(1000, 512, 8192, merge=False) == 128
    assert adaptive_stride(3, 512, 8192, merge=False) <= 8
    assert merge_factor(512, 512, 8192) == 32
    for bad in (0, 3, 16384):
        with pytest.raises(SecureGBMError):
            check_stride(bad, 8192)


@given(st.integers(1, 400), st.integers(1, 5), st.sampled_from([1, 2, 8]))
def test_shares_cover_everything_once(total, count, unit):
    found = shares(total, count, unit)
    assert [i for run in found for i in run] == list(range(total))
    assert all(run.start % unit == 0 for run in found)


@pytest.mark.parametrize("modulus", [1 << 20, (1 << 20) + 1, 97])
def test_random_coefficients_are_uniform(modulus, from_a_seed):
    """Chi-square over 16 cells, n = 160,000: the level is 10^-6."""
    drawn = uniform_below(modulus, 160_000)
    assert int(drawn.max()) < modulus
    cells = np.bincount((drawn.astype(np.float64) * 16 / modulus).astype(int), minlength=16)
    expected = np.array([np.ceil((k + 1) * modulus / 16) - np.ceil(k * modulus / 16) for k in range(16)]) / modulus
    statistic = ((cells - expected * 160_000) ** 2 / (expected * 160_000)).sum()
    assert statistic < 57.0
