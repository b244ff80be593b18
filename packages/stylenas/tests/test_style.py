"""Candidates, shared weights and the judge, on a small encoder with random weights."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from claimkit.errors import InputError
from claimkit.style.encoders import SlimEncoder
from claimkit.style.images import write_image
from photonet.network.architecture import DEAD, NAMES, Architecture
from photonet.network.auto_encoder import Decoder, PhotoNet
from photonet.network.cost import macs
from photonet.network.objective import cost_of
from photonet.training.closed_form import start_decoder
from photonet.weights import save_networks
from stylenas.objective import Objective
from stylenas.search.definition import Search
from stylenas.search.workers import run_search
from stylenas.space import check_space
from stylenas.style.candidate import EXTENDED, PUBLISHED, Candidate, CandidateNet
from stylenas.style.judge import JUDGED_ON, TRAINED_ON, training_crops
from stylenas.style.spaces import StyleSpace, _studio, genome_of, photonet_bits, scratch
from stylenas.style.supernet import Supernet, narrow_encoder, random_candidate

CHANNELS = (4, 6, 8, 10, 10)
CONVOLUTIONS = (1, 1, 1, 1)
bits = partial(st.text, "01")
published, extended = bits(min_size=31, max_size=31), bits(min_size=34, max_size=34)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SlimEncoder(CHANNELS, CONVOLUTIONS).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(encoder, tmp_path_factory):
    """A file of a teacher that reconstructs a little."""
    decoder = Decoder(Architecture("1" * 32), CHANNELS)
    start_decoder(encoder, decoder, training_crops([], 4, 64))
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_networks(encoder, {"photonet": decoder}, path)
    return path


def small(weights, **options):
    return StyleSpace(**{"weights": weights, "size": 32, "pairs": 2, "steps": 3, "crops": 8, "batch": 2} | options)


def test_nothing_is_judged_on_what_it_was_trained_on():
    assert not set(TRAINED_ON) & set(JUDGED_ON)


@given(published)
def test_the_published_space_is_photonets(genome):
    architecture = Architecture(genome[:DEAD] + "0" + genome[DEAD:])
    canonical = Candidate.of(genome).genome(extended=False)
    assert photonet_bits(canonical) == photonet_bits(genome) == architecture.bits
    assert genome_of(architecture.bits) == canonical
    assert Candidate.of(genome).operators / 32 == cost_of(architecture)
    assert Candidate.of(genome).macs(64, 64, CHANNELS, CONVOLUTIONS) == macs(
        architecture, 64, 64, CHANNELS, convolutions=CONVOLUTIONS
    )


@given(extended)
def test_canonical_genomes_are_stable_and_mean_the_same(genome):
    candidate = Candidate.of(genome)
    canonical = candidate.genome(extended=True)
    assert Candidate.of(canonical) == candidate
    assert Candidate.of(canonical).genome(extended=True) == canonical


@settings(max_examples=25)
@given(published)
def test_of_the_published_space_the_network_is_photonets(genome):
    torch.manual_seed(1)
    encoder = SlimEncoder(CHANNELS, CONVOLUTIONS)
    candidate = Candidate.of(genome)
    ours, theirs = CandidateNet(encoder, candidate), PhotoNet(encoder, Decoder(candidate.architecture, CHANNELS))
    theirs.decoder.load_state_dict(ours.decoder.state_dict())
    content, style = torch.rand(2, 1, 3, 32, 48)
    torch.testing.assert_close(ours(content, style, "adain"), theirs(content, style, "adain"))


@settings(max_examples=25)
@given(extended, extended)
def test_genomes_of_one_canonical_form_are_one_network_and_others_cost_what_they_say(genome, other):
    encoder = SlimEncoder(CHANNELS, CONVOLUTIONS)
    candidate = Candidate.of(genome)
    network = CandidateNet(encoder, candidate)
    picture = network(torch.rand(2, 3, 48, 32), torch.rand(2, 3, 32, 32), "adain")
    assert picture.shape == (2, 3, 48, 32)
    held = {n.split(".")[0] for n, _ in network.decoder.named_parameters()}
    assert held == {x.name for x in candidate.layers(CHANNELS)}
    narrower = Candidate(candidate.architecture, candidate.depth).macs(64, 64, [c // 2 for c in CHANNELS], CONVOLUTIONS)
    assert narrower < candidate.macs(64, 64, CHANNELS, CONVOLUTIONS)


@given(published)
def test_a_shallow_encoder_costs_less(genome):
    depths = [Candidate.of(genome + end) for end in ("000", "100", "010")]
    live = [{t for t in ("T3", "T4") if t in c.architecture} for c in depths]
    assume(live[1] <= live[0] and live[2] <= live[0])  # a transfer on the deepest level is live, and needs the style
    cost = [c.macs(64, 64, CHANNELS, CONVOLUTIONS) for c in depths]
    assert cost[0] > cost[2] and cost[1] > cost[2]


@settings(max_examples=30)
@given(extended)
def test_every_candidate_is_a_part_of_the_supernet(genome):
    encoder = SlimEncoder(CHANNELS, CONVOLUTIONS)
    candidate = Candidate.of(genome)
    state = Supernet(encoder).select(candidate)
    own = CandidateNet(encoder, candidate).decoder.state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in own.items()}


def test_operators_share_weights_and_alternatives_do_not(encoder):
    net, on = Supernet(encoder), "1" * 31
    everything = net.select(Candidate.of(on))

    def without(operator):
        at = PUBLISHED.index(operator)
        return net.select(Candidate.of(on[:at] + "0" + on[at + 1 :]))

    assert "conv18.weight" not in without("conv18")
    assert all(torch.equal(t, everything[k]) for k, t in without("conv18").items())
    assert without("conv19")["conv19.weight"].shape[-1] == 1
    plain = without("in4")["conv17.weight"]
    c = CHANNELS[3]
    assert torch.equal(plain[:, :c], everything["conv17.weight"][:, :c])
    assert not torch.equal(plain[:, c:], everything["conv17.weight"][:, c:])
    fewer = without("bfa3")["pyramid.weight"]
    kept = torch.cat([everything["pyramid.weight"][:, :20], everything["pyramid.weight"][:, 28:]], 1)
    assert torch.equal(fewer, kept)


def test_the_supernet_starts_as_the_decoders_that_it_is_taken_from_and_training_helps(encoder):
    crops = training_crops([], 8, 32)
    net = Supernet(encoder)
    net.start(crops)
    decoder = Decoder(Architecture("1" * 32), CHANNELS)
    start_decoder(encoder, decoder, crops)
    for k, t in net.select(Candidate(Architecture("1" * 32))).items():
        torch.testing.assert_close(t, decoder.state_dict()[k])
    losses = net.train_on(crops, 60, 4, 2e-3, extended=True)
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])


def test_random_candidates_are_sparse_and_dense_shallow_and_deep():
    rng = torch.Generator().manual_seed(0)
    drawn = [random_candidate(rng, extended=True) for _ in range(200)]
    assert {c.depth for c in drawn} == {3, 4, 5}
    assert min(c.operators for c in drawn) < 5 and max(c.operators for c in drawn) > 22


def test_a_narrow_encoder_sees_what_the_whole_one_sees(encoder):
    crops = training_crops([], 8, 32)
    narrow = narrow_encoder(encoder, crops)
    assert narrow.channels == tuple(c // 2 for c in CHANNELS)
    assert all(torch.isfinite(x).all() and x.var() > 0 for x in narrow(crops))


@pytest.mark.parametrize("training", ["supernet", "scratch"])
@pytest.mark.parametrize("kind", ["published", "extended"])
def test_a_space_evaluates_every_corner(kind, training, weights):
    space = small(weights, kind=kind, training=training)
    check_space(space)
    n = len(space.operators)
    for genome in ("0" * n, "1" * n, "01" * (n // 2) + "1" * (n % 2)):
        terms = space.evaluate(space.canonical(genome))
        assert set(terms) == {"reconstruction", "perception", "quality", "operators", "macs"}
        assert terms["quality"] == pytest.approx(0.8 * terms["reconstruction"] + 0.1 * terms["perception"])
        assert 0 < terms["macs"] <= 1 and terms["reconstruction"] > 0
    assert space.evaluate("0" * n) == space.evaluate("0" * n)


def test_the_teacher_judges_itself_as_perfect(weights):
    space = small(weights)
    studio = space.studio
    network = CandidateNet(studio.judge.encoder, Candidate(Architecture("1" * 32)))
    from photonet.weights import load_network

    network.decoder.load_state_dict(load_network("photonet", weights).decoder.state_dict())
    terms = studio.judge.terms(network.eval(), latency=True)
    assert terms["reconstruction"] < 1e-8 and terms["macs"] == 1 and terms["operators"] == 31 / 32
    assert terms["latency"] > 0


def test_from_scratch_more_steps_reconstruct_better(weights):
    space = small(weights, training="scratch", crops=16, size=32)
    crops = space.studio.crops

    def loss(steps):
        network = scratch(space, steps).network("0" * 31)
        return (network.reconstruct(crops) - crops).square().mean().item()

    assert loss(60) < loss(1)


def test_the_supernet_is_kept_and_belongs_to_its_search(weights, tmp_path):
    place = tmp_path / "s.safetensors"
    space = small(weights, supernet=place, kind="extended")
    values = space.evaluate("0" * 34)
    assert place.exists() and (tmp_path / "s-narrow.safetensors").exists()
    _studio.cache_clear()
    before = place.stat().st_mtime_ns
    assert space.evaluate("0" * 34) == values and place.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="supernet of another search"):
        small(weights, supernet=place, kind="extended", steps=4).evaluate("0" * 34)
    place.write_bytes(b"nothing")
    _studio.cache_clear()
    with pytest.raises(InputError, match="holds no supernet"):
        space.evaluate("0" * 34)


def test_a_search_finds_networks_that_photonet_builds(weights):
    space = small(weights)
    state = run_search(Search(space=space, objectives=[Objective.parse("published")], budget=6))
    for t in state.of("evaluated"):
        assert len(Architecture.parse(photonet_bits(t.user_attrs["genome"])).bits) == len(NAMES)
    assert len(EXTENDED) == len(PUBLISHED) + 3


@pytest.mark.parametrize("bad", [{"size": 40}, {"size": 16}, {"pairs": 0}, {"steps": 0}, {"rate": 0.0}])
def test_numbers_that_make_no_space(bad, weights):
    with pytest.raises(InputError):
        small(weights, **bad)
    with pytest.raises(InputError, match="31 operators"):
        photonet_bits("01")


def test_networks_of_two_threads_begin_as_those_of_one(weights):
    """Torch has one generator for all threads, so that one network's first weights took numbers of another's."""
    space = small(weights, training="scratch", steps=1)
    genomes = [f"{n:031b}" for n in range(0, 2**31, 2**31 // 7)]
    space.prepare()  # which reads networks, and draws
    before = torch.random.get_rng_state()
    alone = [space.evaluate(g) for g in genomes]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(space.evaluate, genomes * 2)) == alone * 2
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's own numbers are left alone"


def test_a_space_is_known_by_its_photographs_not_by_their_folders_name(weights, tmp_path):
    """A search went on with other photographs in a folder of the same name, and with the weights trained on the first."""
    pictures = [torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    spaces = []
    for parent, shown in (("one", pictures[:2]), ("same", pictures[:2]), ("other", pictures[1:])):
        for k, picture in enumerate(shown):
            write_image(tmp_path / parent / "photos" / f"{k}.png", picture)
        spaces.append(small(weights, content=tmp_path / parent / "photos", supernet=tmp_path / "net.safetensors"))
    one, same, other = spaces
    assert one.name == same.name == other.name
    assert one.identity == same.identity != other.identity and small(weights).identity not in (one.identity, other.identity)
    one.prepare()
    same.prepare()
    with pytest.raises(InputError, match="is the supernet of another search"):
        other.prepare()
