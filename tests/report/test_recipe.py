"""The recipe: an experiment file that asks for the same cells."""

from pathlib import Path

from cutlayer.grid import grid
from cutlayer.record import Record
from cutlayer.report import recipe


def test_the_recipe_asks_for_the_same_cells(tmp_path: Path) -> None:
    asked = grid(
        None, ["attack=unsplit", "cut=1,3,5", "seed=1,2", "skew=0.5", "milestones=10,20", "unsplit.weight=0.1,1"]
    )
    asked += grid(None, ["attack=label_inference", "cut=1:10", "data_dir=a\\b\"c'd", "offers=class_prior"])[:1]
    text = recipe.experiment(Record(experiment=e.model_dump(mode="json")) for e in asked)
    path = tmp_path / "again.toml"
    path.write_text(text, encoding="utf-8")
    again = grid(path, [])
    drop = ("name",)
    assert sorted(e.fingerprint(drop=drop) for e in again) == sorted(e.fingerprint(drop=drop) for e in asked)
    assert text.count("[[grid]]") == 2
    assert 'offers = ["class_prior"]' in text
