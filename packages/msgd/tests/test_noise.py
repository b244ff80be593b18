"""The laws of the weights: moments, supports, levels. Statistical tests state n, seed and tolerance."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from claimkit.errors import InputError
from msgd import noise
from msgd.claims.algebra import classes
from msgd.noise import Bernoulli, GaussianCov, GaussianFisher, MiniBatch, MiniBatchCov, MiniBatchFisher, Multinomial, match
from msgd.theory.sparse_regression import matched_classes

ALL = classes(8)
NONNEGATIVE = {"gd", "sgd", "sgd-replacement", "bernoulli", "bernoulli, size 2.5"}


@pytest.mark.parametrize("name", ALL)
def test_mean_and_covariance_of_the_draws_are_the_stated_ones(name):
    """n = 8, 40,000 draws, seed 0; 8 + 36 entries, each within 5 standard errors."""
    law = ALL[name]
    w = law.dense(40_000, torch.Generator().manual_seed(0)).double()
    v = w - law.mean
    products = v[:, :, None] * v[:, None, :]
    for samples, truth in ((w, law.mean), (products.flatten(1), law.covariance.flatten())):
        se = samples.std(0) / 200
        assert ((samples.mean(0) - truth).abs() <= 5 * se.clamp_min(1e-7)).all()


@pytest.mark.parametrize("name", ALL)
def test_two_numbers_give_the_covariance_of_the_gradient(name):
    law = ALL[name]
    g = torch.randn(5, 8, dtype=torch.float64)
    mean = g.mean(1, keepdim=True)
    fisher = g @ g.T / 8
    expected = law.fisher * fisher + law.centred * (fisher - mean @ mean.T)
    torch.testing.assert_close(g @ law.covariance @ g.T, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_sample_and_draw_have_one_law(name):
    """5,000 single draws against the stated mean and variance, seed 1, 5 standard errors."""
    law = ALL[name]
    generator = torch.Generator().manual_seed(1)
    w = torch.stack([law.sample(generator).dense(8) for _ in range(5_000)]).double()
    assert ((w.mean(0) - 1 / 8).abs() <= 5 * (w.std(0) / 5_000**0.5).clamp_min(1e-7)).all()
    variance = law.covariance.diagonal()
    squares = (w - 1 / 8).square()
    assert ((squares.mean(0) - variance).abs() <= 5 * (squares.std(0) / 5_000**0.5).clamp_min(1e-7)).all()


@pytest.mark.parametrize("name", ["gauss-cov", "sparse-cov", "batch-cov", "batch-cov, ghost 2", "sgd", "sgd-replacement"])
def test_cov_classes_sum_to_one_in_every_draw(name):
    torch.testing.assert_close(ALL[name].dense(100, None).sum(1), torch.ones(100))


@pytest.mark.parametrize("name", ALL)
def test_only_the_stated_classes_are_never_negative(name):
    law = dataclasses.replace(ALL[name], std=5.0) if hasattr(ALL[name], "std") else ALL[name]
    assert law.nonnegative == (name in NONNEGATIVE)
    assert bool((law.dense(1000, None) >= 0).all()) == law.nonnegative


@given(n=st.integers(3, 500), data=st.data())
def test_matched_classes_have_the_level_of_sgd(n, data):
    batch = data.draw(st.integers(1, n - 1))
    size = data.draw(st.integers(max(2, batch), n))
    for replacement in (False, True):
        if replacement and size > batch:
            level = 1 / batch
        else:
            level, replacement = noise.sgd_level(n, batch), False
        for kind in (GaussianFisher, GaussianCov):
            assert math.isclose(sum(pq(match(kind(n), batch, replacement))), level, rel_tol=1e-9)
        for kind in (noise.SparseGaussianFisher, noise.SparseGaussianCov, MiniBatchFisher, MiniBatchCov):
            assert math.isclose(sum(pq(match(kind(n, size), batch, replacement))), level, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(sum(pq(match(Bernoulli(n, 1), batch, replacement))), level, rel_tol=1e-9)


def pq(law):
    return law.fisher, law.centred


def test_levels_are_the_published_formulas():
    """Tiny inputs, literal numbers: n = 1000, b = 10, B = 80."""
    assert match(GaussianFisher(1000), 10, replacement=True).std == pytest.approx(10)
    assert match(noise.SparseGaussianFisher(1000, 80), 10, replacement=True).std == pytest.approx(1000 / 800**0.5)
    assert match(noise.SparseGaussianCov(1000, 80), 10, replacement=True).std ** 2 == pytest.approx(1000 * 999 / (10 * 79))
    exact = 80 * (990 / (10 * 999) - 920 / (80 * 999))
    assert match(MiniBatchFisher(1000, 80), 10).std ** 2 == pytest.approx(exact)
    assert match(MiniBatchFisher(10**9, 80), 10).std == pytest.approx(7**0.5, rel=1e-6)  # sqrt(B/b - 1) for large n
    assert MiniBatch(1000, 50).centred == pytest.approx(950 / (50 * 999))
    assert Multinomial(1000, 50).centred == 1 / 50
    assert Bernoulli(1000, 20).fisher == pytest.approx(0.98 / 20)


def test_a_subset_is_without_replacement_and_uniform():
    """n = 6, size 3: 20 subsets over 20,000 draws, seed 2; chi-square with 19 degrees of freedom below 43.8 (p = 0.001)."""
    index = MiniBatch(6, 3).draw(20_000, torch.Generator().manual_seed(2))[1].sort(1).values
    key = index @ torch.tensor([36, 6, 1])
    counts = key.unique(return_counts=True)[1].double()
    assert len(counts) == 20
    assert ((counts - 1000).square() / 1000).sum() < 43.8


@pytest.mark.parametrize("n", [40, 5])
def test_many_small_subsets_have_distinct_rows(n):
    index = MiniBatch(n, 4).draw(500, None)[1].sort(1).values
    assert (index.diff(dim=1) > 0).all()


def test_one_seed_gives_one_draw_on_every_call():
    for law in ALL.values():
        a, b = (law.sample(torch.Generator().manual_seed(5)) for _ in range(2))
        torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_the_default_type_of_tensors_changes_no_draw(name):
    """In bfloat16 a uniform number has eight bits, and 1/n two digits."""

    def draws():
        g = torch.Generator().manual_seed(0)
        return ALL[name].dense(50, g), ALL[name].sample(g).dense(8)

    expected = draws()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = draws()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(a.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_on_batch_follows_the_law_given_the_rows():
    """Covariance of 4,000 draws on a batch of 4, seed 3, 5 standard errors; the batch is the loader's."""
    generator = torch.Generator().manual_seed(3)
    for law, expected in (
        (MiniBatchFisher(8, 4, 2.0), 0.25 * torch.eye(4)),
        (MiniBatchCov(8, 4, 2.0), 0.25 * (torch.eye(4) - 0.25)),
        (MiniBatch(8, 4), torch.zeros(4, 4)),
        (Multinomial(8, 4), torch.zeros(4, 4)),
    ):
        w = torch.stack([law.on_batch(4, generator) for _ in range(4_000)]).double() - 0.25
        products = w[:, :, None] * w[:, None, :]
        se = (products.std(0) / 4_000**0.5).clamp_min(1e-7)
        assert ((products.mean(0) - expected).abs() <= 5 * se).all()


def test_a_shorter_ghost_batch_is_centred_by_itself():
    w = MiniBatchCov(100, 8, 3.0, ghost=4).on_batch(6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(w[:4].sum(), torch.tensor(4 / 6, dtype=torch.float64))
    torch.testing.assert_close(w[4:].sum(), torch.tensor(2 / 6, dtype=torch.float64))


@pytest.mark.parametrize("kind", [MiniBatchFisher, MiniBatchCov, lambda n, size: MiniBatchCov(n, size, ghost=3)])
@given(data=st.data())
def test_the_level_follows_the_rows_whatever_their_number(kind, data):
    """A law made for ``size`` rows, on others: the law of that many rows with the std that is used has the same level."""
    n = data.draw(st.integers(1_000, 60_000))
    batch = data.draw(st.integers(1, 8))
    law = match(kind(n=n, size=data.draw(st.integers(20, 800))), batch)
    rows = data.draw(st.integers(16, 800))
    there = dataclasses.replace(law, size=rows, std=law.std_on(rows))
    assert math.isclose(there.level, noise.sgd_level(n, batch), rel_tol=1e-9)


@pytest.mark.parametrize("kind", [MiniBatchFisher, MiniBatchCov])
def test_a_batch_that_cannot_have_the_level_is_refused(kind):
    law = match(kind(n=50_000, size=1_000), 50)
    for rows, parts in ((49, 1), (12, 4), (0, 1), (30_000, 2)):
        with pytest.raises(InputError, match=r"cannot have the level 0\.02"):
            law.on_batch(rows, None, parts)
    assert law.std_on(1_000) == law.std
    assert law.std_on(50) == pytest.approx(0, abs=0.2)  # centring one of 50 rows away costs a fiftieth
    for plain in (MiniBatch(1000, 50), Multinomial(1000, 50)):
        assert (plain.on_batch(25, None, 2) == 1 / 25).all()
        with pytest.raises(InputError, match="of size 50 adds no noise, and this batch has 30 rows"):
            plain.on_batch(30)


def test_learning_rate_and_momentum_count_as_the_level_does():
    """Literal numbers: what acts is learning rate / (1 - momentum) times level."""
    law = MiniBatchFisher(10**9, 1000)
    half = match(law, 100, learning_rate=0.2, small_learning_rate=0.1)
    assert half.level == pytest.approx(0.005, rel=1e-6)
    assert match(law, 100, momentum=0.9, small_momentum=0.8).level == pytest.approx(0.005, rel=1e-6)
    assert match(law, 100, learning_rate=1.0, small_learning_rate=0.1).std == pytest.approx(0, abs=1e-3)
    assert match(Multinomial(1000, 50), 40, True, learning_rate=2.0, small_learning_rate=1.0).size == 80
    assert match(MiniBatch(1000, 50), 40).size == 40
    assert match(Multinomial(1000, 50), 40, replacement=True).size == 40
    assert match(Multinomial(100, 50), 50).size == 99  # the level of 50 of 100 rows without replacement is 1/99, not 1/50
    assert match(Bernoulli(10**9, 50), 40, learning_rate=2.0, small_learning_rate=1.0).size == pytest.approx(80, rel=1e-6)


def test_few_rows_out_of_very_many_cost_no_more_than_the_rows():
    """A trillion samples: anything that is of order n would not fit into memory."""
    w = MiniBatch(10**12, 256).sample(torch.Generator().manual_seed(0))
    assert len(w.index.unique()) == 256 and w.index.max() > 10**11
    assert 150 < len(Bernoulli(10**12, 256).sample(torch.Generator().manual_seed(0)).weight) < 400


def test_few_rows_are_a_uniform_subset_too():
    """n = 30, 3 rows, 4,000 single draws, seed 4: each row's and each place's count within 5 standard errors."""
    g = torch.Generator().manual_seed(4)
    index = torch.stack([MiniBatch(30, 3).sample(g).index for _ in range(4_000)])
    assert (index.sort(1).values.diff(dim=1) > 0).all()
    for column in (*index.T, index.flatten()):
        p = 1 / 30
        se = (len(column) * p * (1 - p)) ** 0.5
        assert ((column.bincount(minlength=30) - len(column) * p).abs() <= 5 * se).all()
    sizes = torch.tensor([len(Bernoulli(30, 2.5).sample(g).weight) for _ in range(2_000)]).double()
    assert abs(sizes.mean() - 2.5) < 5 * (2.5 * (1 - 2.5 / 30) / 2_000) ** 0.5
    assert abs(sizes.var() - 2.5 * (1 - 2.5 / 30)) < 5 * 2.3 * (2 / 2_000) ** 0.5 * 1.2


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MiniBatch(10, 11), "size = 11 is not between 1 and the n = 10"),
        (lambda: MiniBatch(10, 0), "size = 0"),
        (lambda: Bernoulli(10, 10.5), "size = 10.5"),
        (lambda: Bernoulli(0, 1), "n = 0"),
        (lambda: GaussianFisher(10, -1.0), "std = -1.0"),
        (lambda: GaussianCov(10, float("nan")), "std = nan"),
        (lambda: MiniBatchCov(10, 6, 1.0, ghost=0), "ghost = 0: give at least one row"),
        (lambda: MiniBatch(100, 10.5), "size = 10.5: give a whole number"),
        (lambda: GaussianFisher(100.0), "n = 100.0 samples: give a whole number"),
        (lambda: GaussianFisher("100"), "n = '100' samples"),
        (lambda: Bernoulli(100.0, 5), "n = 100.0 samples"),
        (lambda: GaussianFisher(100, "big"), "std = 'big' is no noise level"),
        (lambda: MiniBatchFisher(True, 1), "n = True samples"),
        (lambda: match(MiniBatchFisher(10, 2), 5), "bring more already"),
        (lambda: match(noise.SparseGaussianCov(10, 1), 5), "one row was centred"),
        (lambda: match(noise.GradientDescent(10), 5), "no noise level"),
        (lambda: match(GaussianFisher(10), 11), "size = 11"),
        (lambda: match(MiniBatch(100, 10), 50, replacement=True), "that of a batch of 33.56"),
        (lambda: match(GaussianFisher(10), 5, learning_rate=0.1), "give those of both runs"),
        (lambda: match(GaussianFisher(10), 5, momentum=1.0), "momentum in"),
        (lambda: match(MiniBatchFisher(1000, 50), 40, learning_rate=2.0, small_learning_rate=1.0), "at 2 times its rate"),
        (lambda: match(Multinomial(1000, 50), 40, learning_rate=1.7, small_learning_rate=1.0), "whole batches only"),
        (lambda: noise.make("pink", 10), "noise 'pink' is none of"),
        (lambda: noise.make("sgd", 10), "needs a batch size"),
    ],
)
def test_bad_sizes_and_levels_are_refused_in_one_sentence(make, sentence, unchecked):
    with pytest.raises(InputError, match=sentence):
        make()


def test_weights_of_ones_own_are_checked_against_the_class():
    good = torch.tensor([0.2, 0.0])
    MiniBatch(2, 1).check(good)
    GaussianFisher(2).check(-good)
    with pytest.raises(InputError, match=r"weight 0 is -0\.2.*finite and not negative"):
        MiniBatch(2, 1).check(-good)
    with pytest.raises(InputError, match="weight 1 is nan"):
        GaussianFisher(2).check(torch.tensor([0.2, float("nan")]))


def test_every_class_has_a_name_and_can_be_made_by_it():
    for name, kind in noise.CLASSES.items():
        law = noise.make(name, 100, 20, None if name == "sgd-replacement" else 5)
        assert isinstance(law, kind)
    assert set(matched_classes(10, 2, 4)) | {"sgd-replacement"} == set(noise.CLASSES)
    assert noise.make("batch-cov", 100, 20, 5, ghost=10).ghost == 10
