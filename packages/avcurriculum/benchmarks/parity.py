"""Our measures against the published evaluation scripts, run as they are, on random maps, plateaus and boxes of all sizes.

    python parity.py FOLDER

FOLDER holds the scripts, which are not part of this package: ``lvs/{test,utils}.py``
(hche11/Localizing-Visual-Sounds-the-Hard-Way), ``ezvsl/{utils,datasets}.py`` (stoneMo/EZ-VSL), ``slavc/utils.py``
(stoneMo/SLAVC), ``dsol/{eval_duet,tools}.py`` (DTaoo/Discriminative-Sounding-Objects-Localization, music-exp),
``interactive/utils.py`` (kaistmm/SSLalignment), ``negatives/eval_utils.py`` (xavijuanola/vssl_eval),
``multisource/cal_metric.py`` (shvdiwnkozbw/Multi-Source-Sound-Localization). Only the functions that measure are taken
out of them: no network, no data. A folder that is not there is skipped with a word.
"""

import ast
import contextlib
import io
import json
import os
import pickle
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import sklearn.metrics

from avcurriculum import metrics
from avcurriculum.evaluation import annotations

SIDE, MAPS = 224, 300  # maps are drawn until so many can be measured
RNG = np.random.default_rng(0)


def taken(path, *names, **given):
    """Functions and classes of a script, by name, compiled as they stand."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name in names]
    space = {"np": np, "metrics": sklearn.metrics, "sklearn": sklearn, "json": json, **given}
    exec(compile(ast.Module(kept, []), str(path), "exec"), space)
    return space


def maps():
    """Smooth maps, noise, and plateaus as soft assignments have them: few values, most of the picture equal."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for i in range(2 * MAPS):
        if i % 3 == 0:
            cx, cy, w = RNG.uniform(0, 1, 3)
            yield np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.02 + w**2))
        elif i % 3 == 1:
            yield RNG.uniform(size=(SIDE, SIDE))
        else:
            levels = np.sort(RNG.choice([0.0, 0.25, 0.5, 1.0], 4))
            yield np.kron(RNG.choice(levels, (8, 8), p=RNG.dirichlet(np.ones(4))), np.ones((28, 28)))


def boxes():
    """One to three boxes in shares of the picture, from a pixel to the whole, corners anywhere."""
    out = []
    for _ in range(RNG.integers(1, 4)):
        low = RNG.uniform(0, 1, 2)
        size = (1 - low) * RNG.uniform(0.005, 1, 2) ** RNG.integers(1, 3)
        out.append([*low, *(low + size)])
    return np.array(out)


def say(name, ours, theirs):
    """Print the largest difference."""
    difference = np.abs(np.asarray(ours, float) - np.asarray(theirs, float))
    print(f"{name:<66} {len(np.ravel(ours)):>5} values, largest difference {np.nanmax(difference):.2e}", flush=True)


def lvs(folder, pairs):
    """Cut, boxes, cIoU and AUC of LVS: the lines of its test loop."""
    util = taken(folder / "utils.py", "Evaluator", "normalize_img", "testset_gt")
    loops = (n for n in ast.walk(ast.parse((folder / "test.py").read_text())) if isinstance(n, ast.For))
    loop = next(n for n in loops if any("cal_CIOU" in ast.unparse(s) and "for " not in ast.unparse(s) for s in n.body))
    kept = [s for s in loop.body if "cv2" not in ast.unparse(s) and not ast.unparse(s).startswith("iou")]
    lines = compile(ast.Module(kept, []), "test.py", "exec")
    theirs = []
    for m, b in pairs:
        args = types.SimpleNamespace(testset="vggss", gt_all={"x": b.tolist()})
        space = {**util, "heatmap_now": m.copy(), "args": args, "name": ["x.mp4"], "i": 0}
        exec(lines, space)
        theirs.append(space["ciou"])
    ours = [score(m, b, "strict median") for m, b in pairs]
    say("LVS: cIoU, strict median, boxes", ours, theirs)


def ezvsl(folder, pairs):
    """Cut, boxes, cIoU, AUC of EZ-VSL."""
    util = taken(folder / "utils.py", "Evaluator", "normalize_img")
    data = taken(folder / "datasets.py", "bbox2gtmap")
    judge = util["Evaluator"]()
    for m, b in pairs:
        pred = util["normalize_img"](m)
        truth = data["bbox2gtmap"]([(np.clip(box, 0, 1) * SIDE).astype(int) for box in b], "vggss")
        judge.cal_CIOU(pred, truth, np.sort(pred.flatten())[int(pred.shape[0] * pred.shape[1] * 0.5)])
    ours = [score(m, b, "median") for m, b in pairs]
    say("EZ-VSL: cIoU, median, boxes", ours, judge.ciou)
    say(
        "EZ-VSL: cIoU@0.5, AUC",
        [metrics.success_rate(ours), metrics.auc(ours)],
        [judge.finalize_AP50(), judge.finalize_AUC()],
    )
    three = [[int(SIDE * int(v) / 256) for v in RNG.integers(0, 257, 4)] for _ in range(3)]
    shares = tuple(np.array([b], float) / SIDE + 1e-12 for b in three)
    entry = annotations.Annotated("x", shares, agree=2)
    say("EZ-VSL: consensus of three annotators", entry.truth(SIDE, SIDE), data["bbox2gtmap"](three, "flickr"))


def slavc(folder):
    """AP, max-F1, precision of SLAVC's extended sets, confidences with and without ties."""
    judge = taken(folder / "utils.py", "EvaluatorFull", os=os)["EvaluatorFull"]
    with tempfile.TemporaryDirectory() as out:
        judge = judge(results_dir=out)
    ours, theirs = [], []
    for n in (5, 40, 301, 900):
        for grid in (None, 5):
            c, ciou = RNG.uniform(size=n), RNG.uniform(size=n)
            c = c if grid is None else np.round(c * grid) / grid
            box = RNG.integers(0, 3, n)
            box[0] = 1
            rows = metrics.detections(ciou, c, box > 0)
            judge.bb_list, judge.ciou_list, judge.confidence_list = box.tolist(), ciou.tolist(), c.tolist()
            theirs.append(judge.calc_ap(judge.bb_list, judge.ciou_list, judge.confidence_list, 0.5))
            cuts = sorted(c)[:: max(1, n // 10)]
            pairs = [
                judge.calc_precision_recall(judge.bb_list, judge.ciou_list, judge.confidence_list, t, 0.5) for t in cuts
            ]
            theirs.append(max(2 * r * p / (r + p) if r + p > 0 else 0.0 for p, r in pairs))
            theirs.append(judge.precision_at_50())
            ours += [metrics.average_precision(rows), metrics.max_f1(rows), metrics.localization_accuracy(rows)]
    say("SLAVC: AP, max-F1, LocAcc", ours, theirs)


def dsol(folder, pairs):
    """The whole script of the duets, on three classes that are instruments there, and the solo script's measure."""
    keys = sorted(["flute", "acoustic_guitar", "accordion", "xylophone", "erhu", "tuba"])
    keys = sorted([*keys, "saxophone", "cello", "violin", "clarinet", "trumpet"])
    numbers = {13: "accordion", 3: "acoustic_guitar", 1: "cello"}
    truth, guess, ours, silent = {}, {}, [], []
    for n in range(0, len(pairs) - 3, 3):
        chosen = pairs[n : n + 3]
        found = np.stack([np.kron(m[::28, ::28], np.ones((28, 28))) for m, _ in chosen])
        name = f"{n:04d}"
        maps = RNG.uniform(size=(11, SIDE, SIDE)) * 0.4
        wanted = {}
        entries = []
        for number, (m, (_, b)) in zip((13, 3), zip(found, chosen, strict=False), strict=False):
            index = keys.index(numbers[number])
            maps[index] = m
            for x0, y0, x1, y1 in b:
                entries.append({"category_id": number, "normbox": [x0, y0, x1 - x0, y1 - y0]})
            wanted[index] = number
        truth[name], guess[name] = {"bbox": entries}, maps
        with tempfile.TemporaryDirectory() as out:
            (file := Path(out) / "d.json").write_text(json.dumps({name: {"bbox": entries}}))
            (entry,), _ = annotations.dsol_json(file)
        masks = entry.class_masks(SIDE, SIDE)
        masks = {i: masks[str(number)] for i, number in wanted.items()}
        ours.append(metrics.class_aware_ciou(dict(enumerate(maps)), masks, 0.2))
        silent.append(metrics.no_sounding_area([m for i, m in enumerate(maps) if i not in wanted], 0.2))
    fake = types.ModuleType("cv2")
    fake.resize = lambda x, size: x
    old, sys.modules["cv2"] = sys.modules.get("cv2"), fake
    np_load, json_load, pickle_load, opened = np.load, json.load, pickle.load, open
    space = {"__name__": "script", "open": lambda *_: io.BytesIO()}
    try:
        np.load, json.load, pickle.load = lambda *_: np.eye(11), lambda *_: truth, lambda *_: guess
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile((folder / "eval_duet.py").read_text(), "eval_duet.py", "exec"), space)
    finally:
        np.load, json.load, pickle.load = np_load, json_load, pickle_load
        sys.modules.pop("cv2") if old is None else sys.modules.update(cv2=old)
    assert opened is open
    say("DSOL, duet: class-aware CIoU of every scene", ours, space["cious"])
    say("DSOL, duet: no-sounding area", silent, space["nosounds"])
    say(
        "DSOL, duet: AUC, CIoU@0.3",
        [metrics.auc(ours), metrics.success_rate(ours, 0.05 * 6)],
        [space["auc"], space["results"][6]],
    )


def interactive(folder, pairs):
    """IIoU and IAUC."""
    judge = taken(folder / "utils.py", "Evaluator_iiou")["Evaluator_iiou"]()
    scores = {f"{i}": [score(m, b, "median") ** 0.5 for m, b in pairs[i : i + 2]] for i in range(0, len(pairs), 2)}
    judge.ciou = judge.ciou_adap = [x for s in scores.values() for x in s]
    judge.iou = judge.iou_adap = {k: list(v) for k, v in scores.items()}
    theirs = [judge.finalize_cIoU()[2], judge.finalize_IAUC()]
    say("interactive: IIoU, IAUC", [metrics.interactive_iou(scores), metrics.interactive_auc(scores)], theirs)


def negatives(folder, pairs):
    """Lit area of negatives, its score, and the harmonic mean."""
    util = taken(folder / "eval_utils.py", "compute_AUC_pIA", "compute_pIA", "compute_f")
    areas = [metrics.lit_area(m, 0.4) for m, _ in pairs]
    say("negatives: pIA", areas, [util["compute_pIA"]((m > 0.4).astype(int)) for m, _ in pairs])
    ours = [metrics.area_score(areas), metrics.harmonic(0.3, 0.6)]
    say("negatives: AOC, F", ours, [util["compute_AUC_pIA"](areas), util["compute_f"](0.3, 0.6)])


def multisource(folder, pairs):
    """With a fixed threshold."""
    util = taken(folder / "cal_metric.py", "cal_ciou")
    truths = [annotations.Annotated("x", (b,)).truth(SIDE, SIDE) for _, b in pairs]
    scaled = [(m - m.min()) / (m.max() - m.min()) for m, _ in pairs]
    ours = [metrics.consensus_iou(metrics.binarize(m, "fixed", 0.5), g) for m, g in zip(scaled, truths, strict=True)]
    say("multi-source: cIoU, fixed 0.5", ours, [util["cal_ciou"](m, g, 0.5) for m, g in zip(scaled, truths, strict=True)])


def score(map_, box, cut):
    """Our cIoU."""
    return metrics.consensus_iou(metrics.binarize(map_, cut), annotations.Annotated("x", (box,)).truth(SIDE, SIDE))


def main(folder):
    """Compare with every script that is there; maps that are constant and boxes without a pixel are left to the tests."""
    pairs = [(m, b) for m in maps() if m.max() > m.min() for b in [boxes()]]
    pairs = [(m, b) for m, b in pairs if annotations.Annotated("x", (b,)).truth(SIDE, SIDE).any()][:MAPS]
    for name, compare in (
        ("lvs", lvs),
        ("ezvsl", ezvsl),
        ("dsol", dsol),
        ("interactive", interactive),
        ("negatives", negatives),
        ("multisource", multisource),
    ):
        if (folder / name).is_dir():
            compare(folder / name, pairs)
        else:
            print(f"{name}: skipped, {folder} has no folder of that name")
    if (folder / "slavc").is_dir():
        slavc(folder / "slavc")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        print("skipped: give the folder of the published scripts, see the first lines of this file")
