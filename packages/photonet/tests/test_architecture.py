"""The string of bits: what it accepts, what is equal, what is live, what it costs."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimkit.errors import InputError
from photonet import PRESETS, Architecture
from photonet.network.architecture import NAMES, OPERATORS
from photonet.network.cost import decoder_macs, encoder_macs, layers, macs, parameters

bits = st.text("01", min_size=32, max_size=32)


def flipped(text, *places):
    return "".join(str(1 - int(b)) if i in places else b for i, b in enumerate(text))


@pytest.mark.parametrize(
    ("text", "said"), [("01", "2 characters"), ("1" * 33, "33"), ("x" * 32, "'x'"), ("", "0 characters"), ("foo", "neither")]
)
def test_what_is_no_architecture_is_one_sentence(text, said):
    with pytest.raises(InputError, match=said) as e:
        Architecture.parse(text)
    assert "32 characters 0 and 1" in str(e.value) and "\n" not in str(e.value)
    with pytest.raises(InputError, match="no operator"):
        Architecture.of(["conv99"])


def test_presets_have_the_published_strings():
    assert PRESETS["photonas"].bits == "01010000000100000000000000001111"
    assert PRESETS["best-of-log"].bits == "01000000001100000000000001010000"
    assert PRESETS["photonet"].bits == "1" * 8 + "0" + "1" * 23
    assert Architecture.parse(" PhotoNAS ") is PRESETS["photonas"]
    a = PRESETS["photonas"]
    assert a.operators == ("bfa4", "bfa2", "skip4", "stage5.T", "in1", "skip1", "T1")
    assert a.transfers == ("T1", "stage5.T")
    artnet = PRESETS["artnet"]
    assert (
        artnet.skips == ()
        and artnet.aggregated == (4, 3, 2, 1)
        and artnet.transfers == ("T5", *(f"stage{j}.T" for j in range(1, 6)))
    )


@given(bits)
def test_the_dead_bit_and_lone_norms_change_nothing(text):
    a = Architecture(text)
    assert Architecture(flipped(text, 8)) == a
    assert Architecture(a.bits) == a and hash(Architecture(a.bits)) == hash(a)
    for k in (1, 2, 3, 4):
        if f"skip{k}" not in a:
            assert Architecture(flipped(text, NAMES.index(f"in{k}"))) == a
            if f"bfa{k}" not in a:
                assert Architecture(flipped(text, NAMES.index(f"T{k}"))) == a
    assert len(a) == a.bits.count("1") <= text.count("1")


@given(bits)
def test_every_live_bit_makes_another_network(text):
    a = Architecture(text)
    for i in range(32):
        if a.bits[i] == "1":
            assert Architecture(flipped(a.bits, i)) != a


@given(bits)
def test_liveness_follows_the_transfers(text):
    a = Architecture(text)
    assert bool(a.transfers) == (a.style_depth > 0)
    assert a.style_decoded == any(n.startswith("stage") for n in a.transfers)
    for k in a.style_levels:
        assert f"T{k}" in a or a.style_decoded
    if a.style_decoded:
        assert f"stage{a.style_stages + 1}.T" in a and not any(f"stage{j}.T" in a for j in range(a.style_stages + 2, 6))


def test_the_table_of_the_code_is_the_table_of_the_bits():
    assert len(OPERATORS) == 32 and len(set(NAMES)) == 32
    assert [o.stage for o in OPERATORS] == [0] * 5 + [1] * 4 + [2] * 7 + [3] * 7 + [4] * 5 + [5] * 4


# GMACs of the reference: both encodings, decoder once, totals with the style decoded as far as it must
@pytest.mark.parametrize(
    ("name", "total", "decoder"), [("photonet", 107.1, 30.0), ("photonas", 65.3, 9.1), ("best-of-log", 57.5, 10.2)]
)
def test_macs_at_256_and_512(name, total, decoder):
    a = PRESETS[name]
    assert macs(a, 256, 256, lazy=False) / 1e9 == pytest.approx(total, abs=0.05)
    assert decoder_macs(a, 256, 256) / 1e9 == pytest.approx(decoder, abs=0.05)
    assert macs(a, 512, 512, lazy=False) == 4 * macs(a, 256, 256, lazy=False)


def test_macs_of_what_is_left_out():
    assert encoder_macs(256, 256) / 1e9 == pytest.approx(23.7, abs=0.05)
    assert encoder_macs(256, 256, depth=4) / 1e9 == pytest.approx(15.8, abs=0.05)
    assert macs(PRESETS["best-of-log"], 256, 256) / 1e9 == pytest.approx(37.6, abs=0.05)  # the style to relu2_1 only
    assert macs(PRESETS["photonas"], 256, 256, cached_style=True) / 1e9 == pytest.approx(32.8, abs=0.05)
    assert macs(PRESETS["photonet"], 256, 256, cached_style=True) / 1e9 == pytest.approx(53.7, abs=0.05)


def test_parameters():
    assert parameters(PRESETS["photonet"]) / 1e6 == pytest.approx(16.72, abs=0.005)
    assert parameters(PRESETS["photonas"]) / 1e6 == pytest.approx(6.14, abs=0.005)


@given(bits)
def test_layers_fit_each_other(text):
    a = Architecture(text)
    rows = list(layers(a, (3, 5, 7, 11, 13)))
    assert rows[0].inputs == 13 + sum((0, 3, 5, 7, 11)[k] for k in a.aggregated)
    assert rows[-1].outputs == 3
    skips = {
        "conv17": 11 * (4 in a.skips),
        "conv21": 7 * (3 in a.skips),
        "conv25": 5 * (2 in a.skips),
        "conv27": 3 * (1 in a.skips),
    }
    for before, after in itertools.pairwise(rows):
        assert after.inputs == before.outputs + skips.get(after.name, 0)


def test_words_for_what_is_there():
    words = PRESETS["photonas"].describe()
    assert ("stage 5", "T1", "transfer on f1, for skip and bottleneck") in words
    assert ("stage 2", "no conv19", "1x1 convolution to fewer channels") in words
