"""Published annotation files: entries as they are in them, odd ones included, with the pixels that the references get."""

import json

import numpy as np
import pytest

from avcurriculum.evaluation import annotations
from claimkit.errors import InputError


def written(tmp_path, data):
    (path := tmp_path / "boxes.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def pixels(entry):
    """Rows and columns of the truth at 224, first and one past the last."""
    y, x = np.nonzero(entry.truth(224, 224))
    return [int(v) for v in (x.min(), y.min(), x.max() + 1, y.max() + 1)]


def test_flickr_xml_is_read_and_what_is_broken_is_skipped(tmp_path):
    box = "<bbox><annotator>{}</annotator><xmin>64</xmin><ymin>0</ymin><xmax>192</xmax><ymax>128</ymax></bbox>"
    bad = "<bbox><annotator>4</annotator><xmin>64</xmin><ymin>none</ymin></bbox>"
    (tmp_path / "a.xml").write_text(f"<annotation><x>{''.join(box.format(i) for i in range(3))}</x></annotation>")
    (tmp_path / "b.xml").write_text("<annotation>")
    (tmp_path / "c.xml").write_text("<annotation></annotation>")
    (tmp_path / "d.xml").write_text(f"<annotation>{box.format(1)}{bad}</annotation>")
    entries, notes = annotations.flickr_xml(tmp_path)
    assert [e.name for e in entries] == ["a", "d"] and [s.split()[0].strip(":") for s in notes] == [
        "b.xml",
        "c.xml",
        "d.xml",
    ]
    assert "1 of 2 boxes are no boxes" in notes[2]
    truth = entries[0].truth(224, 224)
    assert truth.max() == 1 and truth.sum() == 112 * 112 and truth[0, 56] == 1 and truth[0, 55] == 0
    single = annotations.Annotated("x", entries[0].boxes[:1], agree=2)
    assert single.truth(8, 8).max() == 0.5
    with pytest.raises(InputError, match=r"lacks 1 file\(s\) of the list, first z\.xml"):
        annotations.flickr_xml(tmp_path, ["a", "z"])
    with pytest.raises(InputError, match="is not a folder"):
        annotations.flickr_xml(tmp_path / "a.xml")


def test_flickr_boxes_are_cut_off_to_pixels_as_the_reference_does(tmp_path):
    box = "<bbox><n>1</n><a>33</a><b>35</b><c>254</c><d>255</d></bbox>"
    (tmp_path / "a.xml").write_text(f"<annotation>{box}{box}</annotation>")
    ((entry,), _) = annotations.flickr_xml(tmp_path)
    assert pixels(entry) == [28, 30, 222, 223]  # int(224 * 33 / 256) = int(28.875), ...


def test_vggss_has_boxes_that_overflowed_and_boxes_without_a_pixel(tmp_path):
    """Two plain entries, the first of the file's twelve with a coordinate gone wild, one that is only wild, a broken one."""
    entries = [
        {"file": "zpWuikVorYg_000032", "class": "elk bugling", "bbox": [[0.403125, 0.253125, 0.6, 0.75]]},
        {"file": "two", "class": "dog barking", "bbox": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1.005, 1]]},
        {
            "file": "Db6Hjt0x28k_000056",
            "class": "playing timbales",
            "bbox": [[0.384375, 0.859375, 0.696875, -2.8823037615171176e16], [0.05, 0.35625, 0.753125, 0.98125]],
        },
        {"file": "M1P1xla8rg0_000000", "class": "x", "bbox": [[0.4, 0.8, 0.7, -2.9e16]]},
        {"file": "broken", "class": "x"},
    ]
    read, notes = annotations.vggss_json(written(tmp_path, entries))
    assert [e.name for e in read] == ["zpWuikVorYg_000032", "two", "Db6Hjt0x28k_000056", "M1P1xla8rg0_000000"]
    assert [len(e.boxes[0]) for e in read] == [1, 2, 1, 0] and read[1].classes == ("dog barking",) * 2
    assert pixels(read[0]) == [90, 56, 134, 168] and pixels(read[2]) == [11, 79, 168, 219]
    assert pixels(read[1]) == [0, 0, 224, 224] and read[1].truth(224, 224).sum() == 2 * 112**2
    assert not read[3].truth(224, 224).any() and not read[3].negative
    assert [n.split(",")[0] for n in notes] == ["1 entries", "2 entries", "1 entries"]
    assert "Db6Hjt0x28k_000056" in notes[1] and "count as 0" in notes[2]


def test_boxes_in_pixels_are_refused_and_not_clamped_to_nothing(tmp_path):
    entries = [{"file": str(i), "class": "x", "bbox": [[20, 30, 100, 120]]} for i in range(3)]
    with pytest.raises(InputError, match=r"most boxes, first of 0, have no area inside the picture; expected .* in shares"):
        annotations.vggss_json(written(tmp_path, entries))


def test_dsol_frames_without_boxes_are_left_out_and_both_keys_are_read(tmp_path):
    """A frame of each file: solo, duet, AudioSet; the far edge is cut off as the reference does, which adds pixels."""
    frames = {
        "4Oy5VmaacaI_0_1000/frame_013/00411.jpg": {
            "bbox": [{"box": [224, 0, 239, 358], "normbox": [0.35, 0.0, 0.3734375, 0.9944444444444445], "category_id": 1}],
            "wdith": 640,
            "height": 360,
        },
        "5_NsbkyLO2Q_0_1000/frame_000/00014.jpg": {"bbox": [], "wdith": 640, "height": 360},
        "HnUOaSfTA6c_0_1000/frame_175/05257.jpg": {
            "bbox": [
                {"normbox": [0.047697368421052634, 0.3611111111111111, 0.296052631578, 0.513888888888], "category_id": 1},
                {"normbox": [0.5197368421052632, 0.5388888888888889, 0.307565789473, 0.163888888888], "category_id": 3},
            ]
        },
        "8LYWfpPUokc/3": {"bbox": [{"category": 2, "normbox": [0.7875, 0.5388888888888889, 0.0859375, 0.09305555555]}]},
        "edge": {"bbox": [{"category": i, "normbox": [0.1 * i, 0.1 * i, 0.4, 0.4]} for i in (1, 2, 3)]},
    }
    read, notes = annotations.dsol_json(written(tmp_path, frames))
    assert [e.name for e in read] == [n for n in frames if not n.startswith("5_")]
    assert len(notes) == 1 and "5_NsbkyLO2Q_0_1000/frame_000/00014.jpg, have no box left and are left out" in notes[0]
    assert [e.frame for e in read] == [411, 5257, None, None]
    assert pixels(read[0]) == [78, 0, 162, 222] and pixels(read[2]) == [176, 120, 195, 141]
    assert read[1].classes == ("1", "3") and set(read[1].class_masks(224, 224)) == {"1", "3"}
    for entry, name in zip(read, (n for n in frames if not n.startswith("5_")), strict=True):
        want = np.zeros((224, 224), bool)
        for b in frames[name]["bbox"]:
            x, y, w, h = (v * 224 for v in b["normbox"])
            want[int(y) : int(y + h), int(x) : int(x + w)] = True
        assert (entry.truth(224, 224) > 0).tolist() == want.tolist(), name


def test_an_interactive_set_asks_a_picture_with_several_sounds(tmp_path):
    names = ("cat_alarmclock_1828_cat", "cat_alarmclock_1828_alarmclock", "none_none_1_none")
    boxes = ([85.0, 63.0, 200.0, 186.0], [61.0, 115.0, 122.0, 224.0], [0.0, 0.0, 0.0, 0.0])
    rows = [{"image": f"/a/{n}.jpg", "audio": f"/b/{n}.wav", "gt_box": b} for n, b in zip(names, boxes, strict=True)]
    read, notes = annotations.interactive_json(written(tmp_path, rows))
    assert [(e.name, e.group, e.classes, e.sound) for e in read] == [
        (n, "cat_alarmclock_1828", (n.rsplit("_")[-1],), n) for n in names[:2]
    ]
    assert [pixels(e) for e in read] == [[85, 63, 200, 186], [61, 115, 122, 224]] and len(notes) == 2


def test_the_negatives_of_an_extended_set(tmp_path):
    (path := tmp_path / "n.csv").write_text("video,audio,label\na,b,non-sounding\na,a,sounding\n")
    (entry,) = annotations.negatives_csv(path)
    assert (entry.name, entry.sound, entry.negative) == ("a", "b", True) and not entry.truth(4, 4).any()
    path.write_text("a;b;non-sounding\n")
    with pytest.raises(InputError, match="no list of video,audio,label"):
        annotations.negatives_csv(path)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="entry 0: expected file, class and bbox"):
        annotations.vggss_json(written(tmp_path, [{"file": "x"}]))
    with pytest.raises(InputError, match="holds a dict, expected a list"):
        annotations.vggss_json(written(tmp_path, {}))
    with pytest.raises(InputError, match="v/1: expected bbox with normbox"):
        annotations.dsol_json(written(tmp_path, {"v/1": {"bbox": [{"normbox": [0, 0, 1]}]}}))
    with pytest.raises(InputError, match="holds a list, expected a dict"):
        annotations.dsol_json(written(tmp_path, []))
    with pytest.raises(InputError, match="is not JSON"):
        annotations.vggss_json(written(tmp_path, "no json"))
    with pytest.raises(InputError, match="cannot be read"):
        annotations.read(tmp_path / "no.json", "dsol")
