"""The compiled ring: transforms and sums against definitions and against SEAL, and replies that say no more than sums."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seal_form import SealForm

from securegbm.compiled import kernel
from securegbm.crypto.feature_cipher import FeatureCipher
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.packing import mask_positions
from securegbm.crypto.parameters import MAX_BITS_128, BFVParameters
from securegbm.crypto.sums import EncryptedFeatureSums, EncryptedLabelSums
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.ring.feature import FeatureRing
from securegbm.ring.label import LabelRing
from securegbm.ring.products import multiply
from securegbm.ring.residues import Ring, pack, packed_size, unpack
from securegbm.ring.stream import SEED_BYTES, Stream, errors, ternary, uniform
from securegbm.ring.sums import ResidueFeatureSums, ResidueLabelSums, best_stride
from securegbm.ring.transform import _begun, _folded, _forward, forward, inverse, tables

PRIMES = (1152921504606748673, 1099511480321, 12289)
"""60, 40 and 14 bits, 1 modulo 2 x 4096."""


def inverse_at(x, stride, table):
    """Coefficients 0, stride, 2 stride, ... of `inverse(x)`."""
    out = np.empty(len(x) // stride, dtype=np.uint64)
    _folded(x, stride, table.inverse, np.uint64(table.prime), table.rows, table.scale, out)
    return out


def negacyclic(a, b, prime):
    """The definition: x^N = -1."""
    full = np.convolve(a.astype(object), b.astype(object))
    full = np.concatenate([full, np.zeros(2 * len(a) - len(full), dtype=object)])
    return ((full[: len(a)] - full[len(a) :]) % prime).astype(np.uint64)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_products_of_transforms_are_negacyclic_products(data):
    degree, prime = data.draw(st.sampled_from([64, 128])), data.draw(st.sampled_from(PRIMES))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    table, turned = tables(prime, degree), np.empty(degree, dtype=np.uint64)
    a, b = (rng.choice([0, 1, prime - 1, int(rng.integers(prime))], degree).astype(np.uint64) for _ in range(2))
    x, y = a.copy(), b.copy()
    forward(x, table, turned)
    forward(y, table, turned)
    assert int(x.max()) < prime
    product = (x.astype(object) * y % prime).astype(np.uint64)
    expected = negacyclic(a, b, prime)
    for stride in (1, 2, 16, degree):
        assert np.array_equal(inverse_at(product, stride, table), expected[::stride])
    inverse(product, table, turned)
    assert np.array_equal(product, expected)


def test_few_coefficients_of_the_largest_numbers_do_not_overflow():
    """All p - 1 at N = 8192: sums of thousands of numbers are reduced on the way."""
    table, whole = tables(PRIMES[0], 8192), np.full(8192, PRIMES[0] - 1, dtype=np.uint64)
    product = whole.copy()
    inverse(whole, table, np.empty_like(whole))
    for stride in (1, 64, 512, 8192):
        assert np.array_equal(inverse_at(product, stride, table), whole[::stride])


@settings(deadline=None)
@given(st.lists(st.integers(-63, 63), max_size=64, unique_by=lambda place: place % 64))
def test_masks_begin_after_three_layers(places):
    """Ones at few places: the first three layers as powers of the roots, the rest as always."""
    prime = PRIMES[0]
    table, turned = tables(prime, 64), np.empty(64, dtype=np.uint64)
    whole, begun = np.zeros(64, dtype=np.uint64), np.empty(64, dtype=np.uint64)
    for place in places:
        whole[place] = 1 if place >= 0 else prime - 1
    _begun(np.array(places, dtype=np.int32), table.powers, np.uint64(prime), begun)
    _forward(begun, table.forward, np.uint64(prime), table.rows, turned, 8)
    forward(whole, table, turned)
    assert np.array_equal(begun, whole)


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch):
    """numba refuses to cache when it finds no place to write; then nothing is kept."""
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function")
        return lambda function: function

    monkeypatch.setattr("securegbm.compiled.njit", njit)
    assert kernel(lambda x: x + 1)(1) == 2
    assert asked == [True, False]
    monkeypatch.setattr("securegbm.compiled.njit", None)
    assert kernel(abs) is abs


@pytest.fixture(scope="module", params=["toy", "standard", "strong"])
def ring(request):
    return Ring(BFVParameters.choose(1000, 23, request.param))


def test_sums_of_the_largest_residues_do_not_overflow(ring):
    """23 blocks of p - 1 everywhere: eight products fill the pieces to the last bit."""
    rng = np.random.default_rng(0)
    primes, blocks = np.array(ring.primes, dtype=np.uint64), 23
    masks, uploads, out = (np.zeros((count, len(primes), ring.degree), dtype=np.uint64) for count in (blocks, blocks, 1))
    masks += (primes - np.uint64(1))[:, None]
    uploads += (primes - np.uint64(1))[:, None]
    uploads[:, :, : ring.degree // 2] = rng.integers(0, 1 << 38, ring.degree // 2, dtype=np.uint64)
    lifts = FeatureRing(ring, LabelRing(ring).public_key())._lifts
    starts, number = np.arange(blocks + 1), np.arange(blocks)
    roots, powers = np.zeros((len(primes), 4, 8), dtype=np.uint64), np.zeros((len(primes), 8, 8), dtype=np.uint64)
    positions = np.zeros(blocks, dtype=np.int32)
    multiply(positions, starts, uploads, 0, 1, primes, roots, powers, 1, lifts, out, masks, number, 2)
    for index, prime in enumerate(ring.primes):
        expected = (masks[:, index].astype(object) * uploads[:, index]).sum(axis=0) % prime
        assert np.array_equal(out[0, index], expected.astype(np.uint64))


def test_numbers_are_encoded_and_switched_with_rounding(ring):
    """round(q m / t), and round(x 2^bits / q) of any residues up to one, both by integer arithmetic."""
    rng = np.random.default_rng(1)
    q, t = ring.modulus, ring.parameters.plain_modulus
    block = np.array([0, 1, -1, 1 << 23, -(1 << 23), 1 << 39, *rng.integers(-(1 << 23), 1 << 23, 50)])
    for row, prime in zip(ring.encode(block), ring.primes, strict=True):
        exact = [(2 * q * abs(int(m)) + t) // (2 * t) * (1 if m >= 0 else -1) for m in block]
        assert max(min((int(x) - e) % prime, (e - int(x)) % prime) for x, e in zip(row, exact, strict=True)) <= 1
    numbers = [0, 1, q - 1, q // 2, *(int.from_bytes(rng.bytes(40)) % q for _ in range(60))]
    residues = np.array([[x % prime for x in numbers] for prime in ring.primes], dtype=np.uint64)
    top = 1 << ring.kept_bits
    for x, found in zip(numbers, ring.switch(residues), strict=True):
        exact = (2 * x * top + q) // (2 * q) % top
        assert min((int(found) - exact) % top, (exact - int(found)) % top) <= 1


@settings(deadline=None)
@given(st.integers(1, 63), st.integers(0, 70), st.integers(0, 100))
def test_packed_numbers_come_back(bits, count, seed):
    x = np.random.default_rng(seed).integers(0, 1 << bits, count, dtype=np.uint64)
    data = pack(x, bits)
    assert len(data) == packed_size(count, bits) == -(-count * bits // 8)
    assert np.array_equal(unpack(data, bits, count), x)


def test_streams_give_what_their_names_say(monkeypatch, from_a_seed):
    """Four standard errors each; a public seed says everything, a secret stream starts anew in another process."""
    stream, n = Stream(), 100_000
    thirds = np.bincount(ternary(stream, n) + 1, minlength=3)
    assert len(thirds) == 3
    assert np.abs(thirds - n / 3).max() < 4 * np.sqrt(n * 2 / 9)
    error = errors(stream, n)
    assert np.abs(error).max() <= 21
    assert abs(error.mean()) < 4 * np.sqrt(10.5 / n)
    assert abs(error.var() - 10.5) < 4 * 10.5 * np.sqrt(2 / n)
    assert np.array_equal(np.unique(uniform(Stream(bytes(32)), 97, 5000)), np.arange(97))
    assert np.array_equal(uniform(Stream(bytes(32)), PRIMES[0], 9), uniform(Stream(bytes(32)), PRIMES[0], 9))
    assert not np.array_equal(Stream(bytes(32)).words(4), Stream(bytes(31) + b"\1").words(4))
    assert not np.array_equal(Stream().words(4), Stream().words(4))
    public, key = Stream(bytes(32)), b"k" * 32
    monkeypatch.setattr("securegbm.ring.stream.os.urandom", lambda count: key)
    child = Stream()
    child.words(7)
    monkeypatch.setattr("securegbm.ring.stream.os.getpid", lambda: -1)
    assert np.array_equal(child.words(4), Stream(key).words(4))
    assert np.array_equal(np.concatenate([public.words(2), public.words(2)]), Stream(bytes(32)).words(4))


def test_the_modulus_is_within_the_standard(ring):
    assert ring.modulus.bit_length() <= MAX_BITS_128[ring.degree]
    with pytest.raises(SecureGBMError, match="does not merge"):
        Ring(BFVParameters.choose(1000, 23, merge=True))


def request(n_rows, n_features, n_bins, seed=0):
    """Entries and vectors whose sums come as near to t as any can."""
    rng = np.random.default_rng(seed)
    entries = (rng.integers(0, n_bins, (n_rows, n_features)) + np.arange(n_features) * n_bins).astype(np.int32)
    entries[rng.random(entries.shape) < 0.1] = -1
    vectors = [rng.choice([-(2**23), 2**23], n_rows), rng.integers(1, 2**23, n_rows)]
    vectors[0][: n_rows // 2] = 2**23
    expected = [np.bincount(entries[entries >= 0], np.broadcast_to(v[:, None], entries.shape)[entries >= 0],
                            n_features * n_bins).astype(np.int64) for v in vectors]  # fmt: skip
    return entries, vectors, expected


@pytest.mark.parametrize("strength", ["toy", "standard", "strong"])
@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_bins", "stride"),
    [(1, 1, 1, None), (3, 2, 3, 1), (257, 3, 7, 64), (300, 1, 2, 4096), (1000, 4, 33, None), (165, 2, 9, 16)],
)
def test_sums_are_exact(strength, n_rows, n_features, n_bins, stride, monkeypatch):
    """The very integers, whatever the shape; masks that are kept, two threads and many blocks change nothing."""
    monkeypatch.setattr("securegbm.ring.sums.CHUNK", 3)
    entries, vectors, expected = request(n_rows, n_features, n_bins)
    size = n_features * n_bins
    parameters = BFVParameters.choose(n_rows, 23, strength)
    label = ResidueLabelSums(parameters, size, 23, workers=2, stride=stride)
    feature = ResidueFeatureSums(parameters, label.keys(), size, workers=2)
    for key in (None, b"root", b"root"):
        header, parts = label.hide(vectors)
        assert np.array_equal(label.reveal(header, feature.add(header, parts, entries, key), 2), expected)
    label.close()
    feature.close()


@pytest.mark.parametrize(("mode", "bits"), [("joint", 7), ("joint", 4), ("counts", 23), ("counts", 7), ("pair", 23)])
def test_gradients_and_hessians_share_what_fits(mode, bits):
    """Both in one plaintext where t allows it; no ciphertext for hessians of 1; sums are the same integers, and largest."""
    rng = np.random.default_rng(2)
    entries = (rng.integers(0, 9, (1000, 3)) + np.arange(3) * 9).astype(np.int32)
    entries[rng.random(entries.shape) < 0.1] = -1
    entries[:, 0] = rng.integers(0, 2, 1000)
    vectors = [rng.choice([-(2**bits), 2**bits], 1000), np.full(1000, 2**bits)]
    vectors[0][:900] = -(2**bits)
    parameters = BFVParameters.choose(1000, bits)
    label = ResidueLabelSums(parameters, 27, bits, constant=mode == "counts")
    assert label.mode == mode
    feature = ResidueFeatureSums(parameters, label.keys(), 27)
    header, parts = label.hide(vectors)
    vector = label.ring.packed_size(1000 * label.ring.degree // header["stride"])
    assert sum(map(len, parts)) == pytest.approx((2 if mode == "pair" else 1) * vector, rel=0.01)
    found = label.reveal(header, feature.add(header, parts, entries, None), 2)
    for vector, total in zip(vectors, found, strict=True):
        values = np.broadcast_to(vector[:, None], entries.shape)[entries >= 0]
        assert np.array_equal(total, np.bincount(entries[entries >= 0], values, 27).astype(np.int64))


def test_hessians_that_are_not_one_are_never_counted():
    parameters = BFVParameters.choose(100, 23)
    label = ResidueLabelSums(parameters, 4, 23, constant=True)
    with pytest.raises(SecureGBMError, match="said to be 1"):
        label.hide([np.ones(100, dtype=np.int64), np.full(100, 2**22)])
    with pytest.raises(SecureGBMError, match="would get no noise"):
        ResidueFeatureSums(parameters, label.keys(), 4, noise=2.0)
    with pytest.raises(SecureGBMError, match="keys do not fit"):
        ResidueFeatureSums(parameters, [label.keys()[0], b"joint"], 4)
    header, parts = label.hide([np.ones(100, dtype=np.int64), np.full(100, 2**23)])
    replies = ResidueFeatureSums(parameters, label.keys(), 4).add(header, parts, np.zeros((100, 1), dtype=np.int32), None)
    with pytest.raises(ProtocolError, match="counts that were asked for"):
        label.reveal(header, [*replies[:-1], replies[-1][:8]], 2)


@pytest.mark.parametrize("bits", [7, 23])
def test_noise_reaches_every_sum(bits, from_a_seed):
    """Standard deviation 50, 200 sums of each vector: within five standard errors, and both vectors apart."""
    parameters = BFVParameters.choose(200, bits)
    label = ResidueLabelSums(parameters, 200, bits)
    feature = ResidueFeatureSums(parameters, label.keys(), 200, noise=50.0)
    entries, vectors = np.arange(200, dtype=np.int32)[:, None], [np.full(200, 3), np.full(200, 5)]
    header, parts = label.hide(vectors)
    found = label.reveal(header, feature.add(header, parts, entries, None), 2)
    noise = np.stack([total - vector for total, vector in zip(found, vectors, strict=True)]).astype(float)
    assert np.abs(noise.std(axis=1) - 50).max() < 5 * 50 / np.sqrt(400)
    assert abs(np.corrcoef(noise)[0, 1]) < 5 / np.sqrt(200)


def test_sums_equal_seals():
    """Same parameters, same rows: the two rings give the same integers."""
    entries, vectors, expected = request(700, 3, 20, seed=3)
    parameters = BFVParameters.choose(700, 23)
    for label_kind, feature_kind in ((EncryptedLabelSums, EncryptedFeatureSums), (ResidueLabelSums, ResidueFeatureSums)):
        label = label_kind(parameters, 60, 23)
        feature = feature_kind(parameters, label.keys(), 60)
        header, parts = label.hide(vectors)
        assert np.array_equal(label.reveal(header, feature.add(header, parts, entries, None), 2), expected)


@pytest.fixture(scope="module")
def both():
    """One secret key in both rings, and one request of a block."""
    seal = SealForm(LabelCipher(BFVParameters.choose(500, 23)))
    ring = Ring(seal.seal.parameters)
    assert ring.primes == seal.primes
    return seal, ring, LabelRing(ring, 1, [seal.secret()])


def opened(ring, data, rows, stride):
    """Both polynomials of our upload, `(2, primes, N)` coefficients; what is not sent stays 0."""
    feature = FeatureRing(ring, LabelRing(ring, 1).public_key(), vectors=1)
    second, firsts = feature.load(data, rows, stride)
    out = np.zeros((2, len(ring.primes), ring.degree), dtype=np.uint64)
    for number, table in enumerate(ring.tables):
        out[0, number].reshape(-1, stride)[:, :rows] = firsts[:, :, number].T
        out[1, number] = second[number]
        inverse(out[1, number], table, np.empty(ring.degree, dtype=np.uint64))
    return out


def test_seal_decrypts_what_the_ring_encrypts(both):
    seal, ring, label = both
    block = np.random.default_rng(5).integers(-(2**23), 2**23, ring.degree)
    upload = opened(ring, label.encrypt([block], ring.degree), ring.degree, ring.degree)
    assert np.array_equal(seal.cipher.polynomial(seal.saved(upload)), block)


def test_seal_sums_up_what_the_ring_encrypts_and_the_ring_decrypts_seals_reply(both):
    seal, ring, label = both
    entries, (vector, _), (expected, _) = request(512, 1, 16)
    upload = seal.saved(opened(ring, label.encrypt([vector], 512), 512, 512))
    feature = FeatureCipher(seal.seal.parameters, seal.cipher.public_key)
    first, second = seal.residues(feature.histogram([[upload]], entries, 16, 512, range(1))[0][0], 1)
    kept = switched(ring, np.concatenate([second[0], first[0, ::512]]))
    assert np.array_equal(label.decrypt(pack(kept, ring.kept_bits), 512, 16)[0], expected)


def switched(ring, numbers):
    """A polynomial modulo the kept prime alone, rounded to kept_bits."""
    top, prime = 1 << ring.kept_bits, ring.primes[0]
    return np.array([(2 * int(x) * top + prime) // (2 * prime) % top for x in numbers], dtype=np.uint64)


def test_the_ring_sums_up_what_seal_encrypts(both):
    seal, ring, label = both
    entries, (vector, _), (expected, _) = request(512, 1, 16)
    first, second = seal.residues(seal.cipher.encrypt([vector])[0], len(ring.primes))
    feature = FeatureRing(ring, label.public_key(), vectors=1)
    for x, table in zip(second, ring.tables, strict=True):
        forward(x, table, np.empty_like(x))
    sums, seconds = np.zeros((1, 16, 2), dtype=np.uint64), np.zeros((1, 2, ring.degree), dtype=np.uint64)
    feature.gather(entries, first.reshape(2, 16, 512).transpose(2, 1, 0).copy(), sums)
    feature.multiply(feature.masks(entries, 1, 512), second[None], range(1), seconds, keep=False)
    assert np.array_equal(label.decrypt(feature.reply(seconds[0], sums[0], 512, 16), 512, 16)[0], expected)


def marks_below_the_unit(both, power, through, blocks=12):
    """Share of rows whose mark of 0 or 2^power / 2^12 of a unit a label party with a modulus of its own reads."""
    seal, ring, label = both
    wide = Ring(dataclasses.replace(ring.parameters, plain_bits=ring.plain_bits + ring.margin_bits))
    cheating, bits = LabelRing(wide, 1, [seal.secret()]), np.random.default_rng(power).integers(0, 2, (blocks, 64))
    feature, entries = FeatureRing(ring, label.public_key(), vectors=1), np.arange(64, dtype=np.int32)[:, None]
    cipher, right = FeatureCipher(seal.seal.parameters, seal.cipher.public_key), []
    for marks in bits:
        upload = cheating.encrypt([marks << power], 64)
        if through == "SEAL":
            upload = seal.saved(opened(ring, upload, 64, 64))
            first, second = seal.residues(cipher.histogram([[upload]], entries, 128, 64, range(1))[0][0], 1)
            reply = pack(switched(ring, np.concatenate([second[0], first[0, ::64]])), ring.kept_bits)
        else:
            second, first = feature.load(upload, 64, 64)
            sums, seconds = np.zeros((1, 128, 2), dtype=np.uint64), np.zeros((1, 2, ring.degree), dtype=np.uint64)
            feature.gather(entries, first, sums)
            feature.multiply(feature.masks(entries, 1, 64), second[None], range(1), seconds, keep=False)
            reply = feature.reply(seconds[0], sums[0], 64, 128)
        right.append((label.noisy(reply, 64, 128)[0, :64] > 1 << power >> 1) == marks)
    return float(np.mean(right))


@pytest.mark.parametrize("through", ["the ring", "SEAL"])
def test_numbers_below_the_unit_of_a_sum_drown(both, through, monkeypatch):
    """A half is read, of smaller parts what a uniform error of 3/8 leaves: 768 marks each, six standard errors."""
    expected = {11: 1.0, 10: 5 / 6, 9: 4 / 6, 8: 7 / 12}
    for power, share in expected.items():
        assert abs(marks_below_the_unit(both, power, through) - share) <= 6 * np.sqrt(share * (1 - share) / 768)
    monkeypatch.setattr(Ring, "flood", 0)
    monkeypatch.setattr(FeatureCipher, "_flood", lambda self, targets: np.zeros((2, 8192), dtype=np.uint64))
    assert min(marks_below_the_unit(both, power, through, 4) for power in expected) > 0.99


@pytest.fixture(scope="module")
def attacked():
    """One upload of 64 rows, two assignments of bins with equal sums, and a feature party."""
    ring = Ring(BFVParameters.choose(64, 23))
    label = LabelRing(ring)
    bins = np.random.default_rng(7).integers(0, 128, 64)
    assignments = [bins, np.random.default_rng(8).permutation(bins)]
    one = np.ones(64, dtype=np.int64)
    return label, FeatureRing(ring, label.public_key()), label.encrypt([one, one], 64), assignments


def reply_to(attacked, bins):
    _, feature, upload, _ = attacked
    entries = bins[:, None].astype(np.int32)
    second, first = feature.load(upload, 64, 64)
    sums, seconds = np.zeros((1, 128, 4), dtype=np.uint64), np.zeros((1, 2, feature.ring.degree), dtype=np.uint64)
    feature.gather(entries, first, sums)
    feature.multiply(feature.masks(entries, 1, 64), second[None], range(1), seconds, keep=False)
    return feature.reply(seconds[0], sums[0], 64, 128)


def test_noise_of_replies_does_not_depend_on_the_bins_and_leaves_room(attacked, monkeypatch):
    """Kolmogorov-Smirnov over 5,632 numbers each (once in 10^9 runs); as large as computed, with and without flood."""
    from scipy.stats import ks_2samp

    label, _, _, assignments = attacked
    rounding, flood, unit = np.sqrt(8192 * 2 / 3 / 12), label.ring.flood, 1 << label.ring.margin_bits
    for width in (flood, 0):
        monkeypatch.setattr(Ring, "flood", width)
        noise = []
        for bins in assignments:
            found = np.stack([label.noisy(reply_to(attacked, bins), 64, 128) for _ in range(22)])
            noise.append((found - np.bincount(bins, minlength=128) * unit).ravel())
        assert ks_2samp(*noise).pvalue > 1e-9
        assert np.concatenate(noise).std() == pytest.approx(np.hypot(rounding, width / np.sqrt(3)), rel=0.1)
    assert 12 * rounding + flood <= unit / 4


def matching_masks(attacked, bins):
    """Which of the 128 bins of one row explain the reply's second polynomial: a x^(b M), rounded."""
    label, feature, _, _ = attacked
    ring = label.ring
    upload = label.encrypt([np.array([12345]), np.array([1])], 64)
    second, first = feature.load(upload, 1, 64)
    entries = np.array([[bins]], dtype=np.int32)
    sums, seconds = np.zeros((1, 128, 4), dtype=np.uint64), np.zeros((1, 2, ring.degree), dtype=np.uint64)
    feature.gather(entries, first, sums)
    feature.multiply(feature.masks(entries, 1, 64), second[None], range(1), seconds, keep=False)
    seen = unpack(feature.reply(seconds[0], sums[0], 64, 128), ring.kept_bits, ring.degree)
    ((_, plus, minus),) = mask_positions(entries, 64, ring.degree)
    assert (plus.tolist(), minus.tolist()) == ([bins * 64], [])
    for x, table in zip(second, ring.tables, strict=True):
        inverse(x, table, np.empty_like(x))
    found = []
    for candidate in range(128):
        shift = candidate * 64
        rolled = np.roll(second, shift, axis=1)
        rolled[:, :shift] = np.array(ring.primes, dtype=np.uint64)[:, None] - rolled[:, :shift]
        difference = (ring.switch(rolled) - seen) & np.uint64((1 << ring.kept_bits) - 1)
        if np.minimum(difference, np.uint64(1 << ring.kept_bits) - difference).max() <= 1:
            found.append(candidate)
    return found


def test_the_encryption_of_zero_hides_which_mask_was_used(attacked, monkeypatch):
    """Without it, exactly the row's own bin explains the reply; with it, none does."""
    assert matching_masks(attacked, 37) == []
    nothing = np.zeros(attacked[0].ring.degree, dtype=np.int64)
    monkeypatch.setattr(attacked[1], "_randomness", lambda: (nothing, nothing))
    assert matching_masks(attacked, 37) == [37]


def test_equal_requests_and_numbers_never_look_alike(attacked):
    label, _, _, (bins, _) = attacked
    one = np.ones(64, dtype=np.int64)
    uploads = [label.encrypt([one, one], 64) for _ in range(6)]
    assert len({data[:SEED_BYTES] for data in uploads}) == len({data[-64:] for data in uploads}) == 6
    assert len({reply_to(attacked, bins)[-64:] for _ in range(6)}) == 6


def test_what_does_not_fit_is_refused():
    entries, vectors, _ = request(100, 1, 16)  # what only looks like a reply passes with probability 1/2 a sum: 2^-32
    parameters = BFVParameters.choose(100, 23, "toy")
    label, stranger = ResidueLabelSums(parameters, 16, 23), ResidueLabelSums(parameters, 16, 23)
    feature = ResidueFeatureSums(parameters, label.keys(), 16)
    header, parts = label.hide(vectors)
    bits = feature.ring.primes[0].bit_length()
    for wrong in (parts[0][:-1], parts[0] + b"\0", b"", label.keys()[0]):
        with pytest.raises(SecureGBMError, match="does not fit the agreed parameters"):
            feature.add(header, [wrong], entries, None)
    prime = pack(np.array([feature.ring.primes[0]], dtype=np.uint64), bits)
    at = SEED_BYTES + len(prime)
    with pytest.raises(SecureGBMError, match="not below its prime"):
        feature.add(header, [parts[0][:SEED_BYTES] + prime + parts[0][at:]], entries, None)
    with pytest.raises(SecureGBMError, match="arrived for"):
        feature.add(header, parts * 2, entries, None)
    with pytest.raises(SecureGBMError, match="power of two"):
        feature.add({"stride": 8192}, parts, entries, None)
    with pytest.raises(SecureGBMError, match="keys do not fit"):
        ResidueFeatureSums(parameters, [label.keys()[0], b""], 16)
    replies = feature.add(header, parts, entries, None)
    with pytest.raises(ProtocolError, match="were expected"):
        label.reveal(header, replies * 2, 2)
    with pytest.raises(ProtocolError, match="does not fit"):
        label.reveal(header, [replies[0][:-1]], 2)
    with pytest.raises(ProtocolError, match="noise budget"):
        label.reveal(header, [np.random.default_rng(0).bytes(len(replies[0]))], 2)
    foreign = ResidueFeatureSums(parameters, stranger.keys(), 16).add(header, parts, entries, None)
    with pytest.raises(ProtocolError, match="noise budget"):
        label.reveal(header, foreign, 2)
    with pytest.raises(SecureGBMError, match="overflow"):
        label.hide([np.full(1000, 2**23), np.full(1000, 1)])


def test_strides_send_fewest_bytes():
    """Half and twice the stride send more, at sizes of every kind."""
    ring = Ring(BFVParameters.choose(32_768, 23))

    def size(n_rows, n_entries, stride):
        slots = ring.degree // stride
        return 2 * ring.packed_size(n_rows * slots) + -(-n_entries // slots) * packed_size(ring.degree, ring.kept_bits)

    for n_rows, n_entries in ((32_768, 512), (1000, 512), (200, 5000), (1_000_000, 640)):
        stride = best_stride(n_rows, n_entries, ring)
        around = [size(n_rows, n_entries, other) for other in (stride // 2, 2 * stride) if other <= ring.degree]
        assert size(n_rows, n_entries, stride) <= 1.03 * min(around)
    assert best_stride(3, 500, ring) == ring.degree // 512  # more slots than entries send nothing more
