"""Development data: what is trained on and what is held out, and that a claim's list is noted among its data."""

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.photographs import held_out, part_of


def test_the_two_parts_of_the_development_data(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/photos.csv").write_text(
        "file,split\nphotos/b.jpg,eval\nphotos/c.jpg,train\nphotos/a.jpg,eval\n", encoding="utf-8"
    )
    job = Job(0, assets=Assets(tmp_path))
    assert held_out("photos", job) == ["photos/a.jpg", "photos/b.jpg"]
    assert part_of(tmp_path, "photos") == [tmp_path / "images/photos/c.jpg"]
    assert list(job.assets.used) == ["images/photos.csv"]
