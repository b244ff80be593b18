"""On which networks the products of GradientMatrix are those of explicit loops: the tables in docs/msgd/networks.md.

``python packages/msgd/benchmarks/networks.py LIBRARY [NAME ...]`` puts in the rows of torch, torchvision, timm or
transformers. Networks are in eval mode, weights random, inputs small; the loops are one backward pass a row.
"""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_map
from torch.utils.checkpoint import checkpoint

import msgd
from claimkit.errors import InputError
from claimkit.report.tables import update_block
from msgd.matrix.rows import call

PAGE = Path(__file__).parents[3] / "docs" / "msgd" / "networks.md"
ROWS, WORDS, LENGTH = 3, 40, 6
TORCHVISION = [
    "squeezenet1_1",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "efficientnet_b0",
    "regnet_y_400mf",
    "lraspp_mobilenet_v3_large",
    "r2plus1d_18",
]
TIMM = [
    "resnet10t",
    "seresnet18",
    "resnetv2_18",
    "mobilenetv4_conv_small",
    "ghostnet_100",
    "regnety_002",
    "repvgg_a0",
    "convnext_atto",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "efficientvit_b0",
    "poolformer_s12",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "mixer_s32_224",
    "swin_tiny_patch4_window7_224",
    "xcit_nano_12_p16_224",
    "levit_128s",
    "pit_ti_224",
    "gmlp_ti16_224",
    "resmlp_12_224",
    "hgnetv2_b0",
]
SMALL_TIMM = {
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "depths": (1, 2), "num_heads": (2, 2)},
    "vit_tiny_patch16_224": {"depth": 4},
}
TINY = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": WORDS,
    "max_position_embeddings": 32, "pad_token_id": 0,
}  # fmt: skip
PICTURES = {"image_size": 16, "patch_size": 4, "num_channels": 3}
GROUPED = {"num_key_value_heads": 1, "head_dim": 8}
AS_TINY = "bert roberta electra deberta-v2 rembert mpnet fnet nystromformer phi gpt_neox olmo bloom"
HUGGING = {
    **{kind: {} for kind in AS_TINY.split()},
    **dict.fromkeys(("llama", "mistral", "gemma", "qwen2", "qwen3"), GROUPED),
    "mixtral": {**GROUPED, "experts_implementation": "eager"},
    "albert": {"embedding_size": 8},
    "distilbert": {"dim": 16, "n_heads": 2, "n_layers": 2, "hidden_dim": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "bart": {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
    "mamba": {"state_size": 4},
    **dict.fromkeys(("vit", "deit", "dinov2", "clip_vision_model"), PICTURES),
    "convnextv2": {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_hidden_layers": None},
    "swin": {**PICTURES, "image_size": 32, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 2], "window_size": 4,
             "num_attention_heads": None, "num_hidden_layers": None},
}  # fmt: skip
"""What is added to TINY, or left out of it (None), by the name of a configuration."""
ATTENTION = {
    "bert": ("eager",),
    "llama": ("eager", "flex_attention"),
    "gpt2": ("eager", "flex_attention"),
    "vit": ("eager",),
}
SEQUENCES = ("t5", "bart")


def tensor_of(outputs):
    """The outputs, or the first tensor where there are several."""
    if isinstance(outputs, torch.Tensor):
        return outputs
    return next(t for t in (outputs.values() if hasattr(outputs, "values") else outputs) if isinstance(t, torch.Tensor))


def criterion(outputs, targets):
    """Cross-entropy of all numbers of a row's first output."""
    return cross_entropy(tensor_of(outputs).flatten(1), targets, reduction="none")


class Lambda(nn.Module):
    """A module from its parts and what is done with them."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run, self.parts = run, nn.ModuleDict(parts)

    def forward(self, x):
        """Run it."""
        return self.run(x, **self.parts)


def attention(x, a):
    return a(x, x, x, need_weights=False)[0]


def torchs():
    """Torch's own layers, and what wraps them."""
    body = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 5))
    blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False)
    return {
        "MultiheadAttention": Lambda(attention, a=nn.MultiheadAttention(8, 2, batch_first=True)),
        "MultiheadAttention, keys of other widths": Lambda(
            lambda x, a: a(x, x[..., :6], x[..., :4], need_weights=False)[0],
            a=nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True),
        ),
        "TransformerEncoder": blocks,
        "Transformer": Lambda(lambda x, a: a(x, x), a=nn.Transformer(8, 2, 1, 1, 16, batch_first=True)),
        **{k.__name__: Lambda(lambda x, r: r(x)[0], r=k(8, 5, batch_first=True)) for k in (nn.RNN, nn.GRU, nn.LSTM)},
        "LSTM, two ways, two layers": Lambda(lambda x, r: r(x)[0], r=nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True)),
        "LSTM with projections": Lambda(lambda x, r: r(x)[0], r=nn.LSTM(8, 6, proj_size=3, batch_first=True)),
        "GRUCell": Lambda(lambda x, r: r(x[:, 1], r(x[:, 0])), r=nn.GRUCell(8, 5)),
        "checkpointed": Lambda(lambda x, b: checkpoint(b, x, use_reentrant=False), b=body),
        "checkpointed, reentrant": Lambda(lambda x, b: checkpoint(b, x.requires_grad_(), use_reentrant=True), b=body),
        "compiled": torch.compile(nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 5))),
        "compiled inside": nn.Sequential(nn.Linear(8, 8), torch.compile(nn.Sequential(nn.Linear(8, 16), nn.Tanh()))),
        "weight and spectral norm": nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(8, 6)), nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5))
        ),
        "scripted": torch.jit.script(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 5))),
        "transposed and grouped convolutions": nn.Sequential(
            nn.Conv1d(LENGTH, 6, 3, groups=3), nn.ConvTranspose1d(6, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.PReLU()
        ),
        "Bilinear": Lambda(lambda x, b: b(x, x.tanh()), b=nn.Bilinear(8, 8, 4)),
    }


def build(library, name):
    """The network and three rows."""
    pictures = torch.randn(ROWS, 3, 64, 64)
    if library == "torch":
        return torchs()[name], torch.randn(ROWS, LENGTH, 8)
    if library == "torchvision":
        from torchvision.models import get_model

        options = {"weights_backbone": None} if name.startswith("lraspp") else {}
        options |= {"init_weights": False} if name == "googlenet" else {}
        return get_model(name, weights=None, **options), torch.randn(ROWS, 3, 4, 32, 32) if "1d_" in name else pictures
    if library == "timm":
        import timm

        model = timm.create_model(name, **SMALL_TIMM.get(name, {}), num_classes=10)
        size = model.default_cfg["input_size"] if model.default_cfg.get("fixed_input_size") else (3, 64, 64)
        return model, torch.randn(ROWS, *size)
    from transformers import CONFIG_MAPPING, AutoModel

    kind, _, kernel = name.partition(", ")
    config = CONFIG_MAPPING[kind](**{k: v for k, v in {**TINY, **HUGGING[kind]}.items() if v is not None})
    model = AutoModel.from_config(config, **({"attn_implementation": kernel} if kernel else {}))
    if "num_channels" in HUGGING[kind] or kind == "convnextv2":
        size = HUGGING[kind].get("image_size", 32)
        return model, {"pixel_values": torch.randn(ROWS, 3, size, size)}
    ids = torch.randint(1, WORDS, (ROWS, LENGTH))
    ids[0, -2:] = 0
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids.flip(1)} if kind in SEQUENCES else {})
    return model, inputs if kind in ("fnet", "mamba") else inputs | {"attention_mask": (ids != 0).long()}


def names(library):
    """All networks of a library that are tried."""
    if library == "transformers":
        return [n for kind in HUGGING for n in (kind, *(f"{kind}, {a}" for a in ATTENTION.get(kind, ())))]
    return {"torch": list(torchs()), "torchvision": TORCHVISION, "timm": TIMM}[library]


def loops(model, inputs, targets):
    """G from one backward pass a row through the model as it is, shape ``(d, rows)``."""
    parameters, columns = [p for p in model.parameters() if p.requires_grad], []
    for loss in criterion(call(model, inputs), targets):
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        pairs = zip(found, parameters, strict=True)
        columns.append(torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs]))
    return torch.stack(columns, 1)


def products(g, v):
    """C v, F v, G' v and the gradient from G itself."""
    centred = g - g.mean(1, keepdim=True)
    return centred @ (centred.T @ v) / ROWS, g @ (g.T @ v) / ROWS, g.T @ v, g.mean(1)


def apart(found, truth):
    """Largest relative distance."""
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True))


def row(library, name):
    """One line of the table, or the sentence with which the network is refused."""
    torch.manual_seed(0)
    model, x = build(library, name)
    model.eval()
    with torch.no_grad():
        first = tensor_of(call(model, x))
    y, v, truth, cells = torch.arange(ROWS) % first[0].numel(), None, (), []
    for dtype in (torch.float64, torch.float32):
        model.to(dtype)
        cast = tree_map(lambda t: t.to(dtype) if t.is_floating_point() else t, x)  # noqa: B023
        matrix = msgd.GradientMatrix(model, criterion, cast, y)
        try:
            matrix.gradient()
        except InputError as e:
            return f"| {name} | refused: {e} | | | | |"
        g = loops(model, cast, y)
        if v is None:
            v = g @ torch.tensor([1.0, -0.5, 0.7]).to(g) / g.norm() + torch.randn(len(g)).to(g) / len(g) ** 0.5
            truth = products(g, v)
        u = v.to(dtype)
        ours = matrix.product(u), matrix.product(u, "F"), matrix.transpose(u), matrix.gradient()
        cells.append((apart(ours, truth), apart(products(g, u), truth)))
    way = matrix._found[1].__name__.replace("_", " ")
    (exact, _), (single, by_loops) = cells
    return f"| {name} | {len(v):,} | {way} | {exact:.0e} | {single:.0e} | {by_loops:.0e} |"


def main(library, *chosen):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    page = PAGE.read_text(encoding="utf-8").split(f"<!-- {library}:begin -->")[1].split(f"<!-- {library}:end -->")[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    for name in chosen or names(library):
        try:
            rows[name] = row(library, name)
        except Exception as e:
            print("FAILED", name, type(e).__name__, str(e)[:300], flush=True)
            continue
        print(rows[name], flush=True)
        listed = [rows[n] for n in names(library) if n in rows]
        versions = f"{len(listed)} networks of {library} {version(library)}, torch {version('torch')}."
        head = ["| network | weights | way | float64 | float32 | loops in float32 |", "|---|---|---|---|---|---|"]
        update_block(PAGE, library, "\n".join([versions, "", *head, *listed]))


if __name__ == "__main__":
    main(*sys.argv[1:])
