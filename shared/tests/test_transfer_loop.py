"""The loop and its hook: what is trained, what is added, and that a run can go on anywhere."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer.arena.rivals import CoTuning
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import DivergedError, FineTuner, FineTuning, finetune
from claimkit.transfer.maps import FeatureMaps
from claimkit.transfer.maps.teachers import Teacher
from claimkit.transfer.networks import SmallCNN, reinitialise, replace_head
from claimkit.transfer.regularizers import L2, L2SP, Regularizer, Step
from claimkit.transfer.tasks import Task

VIEW = View(8, pad=1, flip=False, mean=(0,), std=(1,))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


# as in dtnh's test of its regularisers, but seen with a shift: a test shows what it measures on
@pytest.fixture
def task():
    """Two classes that differ in brightness, and an untrained source."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.randn(60, 1, 8, 8, generator=generator) + 2 * y[:, None, None, None]
    images = Images(x, y, ("dark", "light"))
    torch.manual_seed(0)
    return Task("brightness", SmallCNN(1, (4, 8), 5), images, images, VIEW, per_class=20)


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_fine_tuning_learns_and_leaves_the_source_alone(task):
    before = state(task.source)
    result = finetune(task.network(0), task.split(0), VIEW, FineTuning(60, 16, 0.05))
    assert result.test.accuracy > 0.9 and len(result.losses) == 60
    assert same(before, state(task.source))


def test_frozen_means_frozen(task):
    model = task.network(0)
    before = state(model)
    finetune(model, task.split(0), VIEW, FineTuning(5, 16, frozen=True))
    after = state(model)
    assert [k for k in before if not torch.equal(before[k], after[k])] == ["fc.weight", "fc.bias"]


def test_a_seed_pairs_methods_in_split_head_batches_and_augmentation(task):
    class Recorder(Regularizer):
        def __init__(self):
            self.inputs = []

        def backward(self, step):
            self.inputs.append(step.inputs)
            super().backward(step)

    def record(regularizer, seed):
        recorder = Recorder()
        model = task.network(seed)
        head = model.get_submodule("fc").weight.detach().clone()
        finetune(model, task.split(seed), VIEW, FineTuning(4, 16, seed=seed), recorder)
        return [head, *recorder.inputs]

    one, two, other = record(None, 0), record(L2(), 0), record(None, 1)
    assert all(map(torch.equal, one, two)) and not torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])


def test_every_epoch_shows_every_image_once():
    rows = torch.cat([FineTuning(1, batch=4, seed=3).rows(step, 10) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert FineTuning(1, batch=64).rows(0, 10).shape == (10,)


@pytest.mark.parametrize("augment", [True, False])
def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(task, tmp_path, augment):
    settings = FineTuning(12, 16, 0.05, augment=augment)
    whole = finetune(model := task.network(0), task.split(0), VIEW, settings, L2SP(task.source, 0.1))
    tuner = FineTuner(task.network(0), task.split(0), VIEW, settings, L2SP(task.source, 0.1))
    for _ in range(5):
        tuner.advance()
    tuner.save(tmp_path / "c.pt")
    resumed = finetune(
        late := task.network(7), task.split(0), VIEW, settings, L2SP(task.source, 0.1), checkpoint=tmp_path / "c.pt"
    )
    assert resumed == whole and same(state(late), state(model))
    for other, regularizer in ((FineTuning(99, 16), None), (settings, L2(0.1)), (settings, L2SP(task.source, 0.2))):
        with pytest.raises(InputError, match="other settings"):
            finetune(late, task.split(0), VIEW, other, regularizer, checkpoint=tmp_path / "c.pt")
    (tmp_path / "c.pt").write_text("")
    with pytest.raises(InputError, match="is not a checkpoint"):
        finetune(late, task.split(0), VIEW, settings, checkpoint=tmp_path / "c.pt")


def test_a_run_does_not_go_on_with_another_source_or_network(task, tmp_path):
    """Both pulled to the other source's weights from then on, without a word."""
    path, settings = tmp_path / "c.pt", FineTuning(2, 16, augment=False)
    other = reinitialise(copy.deepcopy(task.source), 5)
    split = task.split(0)
    ways = {
        "l2sp": lambda source: L2SP(source, 0.1),
        "maps": lambda source: FeatureMaps(source, ["conv2"]),
        "co-tuning": lambda source: CoTuning(source, split.train, VIEW, 0.1),
    }
    for way in ways.values():
        finetune(task.network(0), split, VIEW, settings, way(task.source), checkpoint=path)
        finetune(task.network(0), split, VIEW, settings, way(copy.deepcopy(task.source)), checkpoint=path)
        with pytest.raises(InputError, match="was made with another source network"):
            finetune(task.network(0), split, VIEW, settings, way(other), checkpoint=path)
        state = torch.load(path, weights_only=True)
        del state["source"]  # of before there was one
        torch.save(state, path)
        with pytest.warns(UserWarning, match="does not say with which source network it was made"):
            finetune(task.network(0), split, VIEW, settings, way(task.source), checkpoint=path)
        path.unlink()
    finetune(task.network(0), split, VIEW, settings, L2(), checkpoint=path)
    wider = replace_head(reinitialise(SmallCNN(1, (4, 6), 5), 0), len(split.train.classes))
    with pytest.raises(InputError, match="is of another network"):
        finetune(wider, split, VIEW, settings, L2(), checkpoint=path)


def test_a_teacher_that_is_not_copied_may_move_while_the_run_rests(task, tmp_path):
    """It has no digest that could be another's: the run is taken up where it rested, without a refusal or a warning."""
    settings, moving = FineTuning(2, 16, augment=False), copy.deepcopy(task.source)
    first, again = task.network(0), task.network(1)
    assert not same(state(first), state(again))
    before, path = state(moving), tmp_path / "c.pt"
    finetune(first, task.split(0), VIEW, settings, FeatureMaps(Teacher(moving), ["conv2"]), checkpoint=path)
    assert torch.load(path, weights_only=True)["source"] == ""
    reinitialise(moving, 5)
    assert not same(before, state(moving))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finetune(again, task.split(0), VIEW, settings, FeatureMaps(Teacher(moving), ["conv2"]), checkpoint=path)
    assert same(state(first), state(again))


def test_an_interrupted_run_keeps_its_last_step(task, tmp_path):
    class Impatient(Regularizer):
        def backward(self, step):
            if self.calls == 3:
                raise KeyboardInterrupt
            self.calls += 1
            super().backward(step)

        calls = 0

    with pytest.raises(KeyboardInterrupt):
        finetune(task.network(0), task.split(0), VIEW, FineTuning(9, 16), Impatient(), checkpoint=tmp_path / "c.pt")
    assert torch.load(tmp_path / "c.pt", weights_only=True)["step"] == 3


def a_step(task, model):
    split = task.split(0)
    loss = cross_entropy(model(split.train.x), split.train.y)
    return Step(model, dict(model.named_parameters()), "fc", loss, split.train.x, split.train.y)


@pytest.mark.parametrize("include", ["all", "weights"])
def test_the_closed_form_of_l2sp_is_the_gradient_of_its_penalty(task, include):
    model = task.network(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    step = a_step(task, model)
    source = dict(task.source.named_parameters())
    names = [n for n, p in model.named_parameters() if not n.startswith("fc.") and (include == "all" or p.ndim > 1)]
    penalty = sum(0.3 / 2 * (step.parameters[n] - source[n].detach()).square().sum() for n in names)
    expected = torch.autograd.grad(step.loss + penalty, list(model.parameters()))
    L2SP(task.source, 0.3, include).backward(a_step(task, model))
    for p, e in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, e, rtol=1e-5, atol=1e-7)


def test_l2_is_weight_decay(task):
    model = task.network(0)
    step = a_step(task, model)
    pulled = L2(0.5).gradient(step)
    assert set(pulled) == {n for n in step.parameters if not n.startswith("fc.")}
    assert all(torch.equal(g, 0.5 * step.parameters[n]) for n, g in pulled.items())


def test_the_source_is_kept_in_float32_so_that_small_moves_are_seen_in_bfloat16():
    source = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(1, 2))
    model = copy.deepcopy(source).bfloat16()
    nn.init.constant_(source[0].weight, 1.001)
    nn.init.constant_(model[0].weight, 1.0)
    loss = model(torch.ones(1, 1, 1, 1, dtype=torch.bfloat16)).sum()
    L2SP(source, 1000.0).backward(Step(model, dict(model.named_parameters()), "2", 0 * loss, torch.ones(1), torch.ones(1)))
    assert abs(model[0].weight.grad.item() + 1.0) < 0.01


def test_another_method_can_take_over_the_backward_pass(task):
    class Negated(Regularizer):
        """Sees the task loss, the closed form and the parameters, and decides what becomes the gradient."""

        def __init__(self, base):
            self.base = base

        def backward(self, step):
            r = self.base.gradient(step)
            step.loss.backward()
            for name, p in step.parameters.items():
                p.grad = -p.grad - r.get(name, 0)

    plain, negated = task.network(0), task.network(0)
    with torch.no_grad():
        for m in (plain, negated):
            m.get_submodule("conv1").weight.add_(1)
    L2SP(task.source, 0.1).backward(a_step(task, plain))
    Negated(L2SP(task.source, 0.1)).backward(a_step(task, negated))
    assert all(torch.equal(a.grad, -b.grad) for a, b in zip(plain.parameters(), negated.parameters(), strict=True))


def test_a_penalty_in_the_graph_is_added_to_the_loss(task):
    class Sum(Regularizer):
        def penalty(self, step):
            return 3 * step.parameters["conv1.weight"].sum()

    a, b = task.network(0), task.network(0)
    Regularizer().backward(a_step(task, a))
    Sum().backward(a_step(task, b))
    assert torch.allclose(b.get_parameter("conv1.weight").grad, a.get_parameter("conv1.weight").grad + 3)


def test_every_method_has_the_same_decay_of_the_head(task):
    tuner = FineTuner(task.network(0), task.split(0), VIEW, FineTuning(1, head_decay=0.25), L2SP(task.source, 0.1))
    head, shared = tuner.optimizer.param_groups
    assert (head["weight_decay"], shared["weight_decay"]) == (0.25, 0)
    assert [p.shape for p in head["params"]] == [(2, 8), (2,)]


def test_clipping_shortens_the_whole_gradient_and_no_other(task):
    class Sized(Regularizer):
        def backward(self, step):
            super().backward(step)
            sizes.append(torch.stack([p.grad.norm() for p in step.parameters.values()]).norm())

    moves, sizes = [], []
    for clip in (None, 1e9, 1e-3):
        tuner = FineTuner(task.network(0), task.split(0), VIEW, FineTuning(1, 16, 0.5, head_decay=0, clip=clip), Sized())
        before = [p.detach().clone() for p in tuner.parameters.values()]
        tuner.advance()
        moves.append(torch.cat([(p - b).flatten() for p, b in zip(tuner.parameters.values(), before, strict=True)]))
    assert torch.equal(moves[0], moves[1]) and sizes[0] > 1e-2
    torch.testing.assert_close(moves[2], moves[0] * (1e-3 / sizes[0]).item(), rtol=1e-3, atol=1e-7)


def test_schedules():
    step, smooth = FineTuning(9, learning_rate=1.0), FineTuning(100, learning_rate=1.0, schedule="exponential")
    assert [step.rate(i) for i in (0, 5, 6)] == [1.0, 1.0, 0.1]
    assert smooth.rate(67) == pytest.approx(0.1)


def test_a_diverging_run_says_what_to_do(task):
    with pytest.raises(DivergedError, match="lower the learning rate"):
        finetune(task.network(0), task.split(0), VIEW, FineTuning(50, 16), L2SP(task.source, 1e6))


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"steps": 1, "batch": 0}, {"steps": 1, "momentum": 1.0}, {"steps": 1, "clip": 0.0}]
)
def test_settings_that_cannot_train_are_refused(wrong):
    with pytest.raises(InputError):
        FineTuning(**wrong)
    with pytest.raises(InputError):
        L2SP(None, -1.0)


def test_scratch_shares_the_head_and_nothing_else(task):
    scratch, tuned = task.network(1, pretrained=False), task.network(1)
    assert torch.equal(scratch.get_parameter("fc.weight"), tuned.get_parameter("fc.weight"))
    assert not torch.equal(scratch.get_parameter("conv1.weight"), tuned.get_parameter("conv1.weight"))


@pytest.mark.parametrize("wrong", [{"schedule": "cosine"}, {"optimizer": "adam"}])
def test_a_word_that_is_none_of_the_known_is_refused(wrong):
    with pytest.raises(InputError, match="is none of"):
        FineTuning(10, **wrong)


def test_weights_lost_in_the_very_last_step_count_as_diverged(task):
    with pytest.raises(DivergedError):
        finetune(task.network(0), task.split(0), VIEW, FineTuning(1, 20, 1e38, clip=1e30))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), -1.0])
def test_a_strength_that_is_no_number_of_zero_or_more_is_refused(task, alpha):
    with pytest.raises(InputError, match="alpha"):
        L2SP(task.source, alpha)


def test_what_l2sp_holds_is_all_or_weights(task):
    with pytest.raises(InputError, match="include = 'weight' is none of all, weights"):
        L2SP(task.source, 0.1, "weight")


def test_a_checkpoint_of_other_pictures_is_refused(task, tmp_path):
    tuner = FineTuner(task.network(0), task.split(0), VIEW, FineTuning(2))
    tuner.save(tmp_path / "run.pt")
    split = task.split(0)
    FineTuner(task.network(0), split, VIEW, FineTuning(2)).load(tmp_path / "run.pt")
    split.train.x[0, 0, 0, 0] += 1
    with pytest.raises(InputError, match="other settings or images"):
        FineTuner(task.network(0), split, VIEW, FineTuning(2)).load(tmp_path / "run.pt")
