"""Small datasets in the Hugging Face layout, the real ones where they are, and a cache of the tests' own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CUTLAYER_CACHE", str(folder))
    return folder


@pytest.fixture
def real() -> Path:
    folder = Path(os.environ.get("CUTLAYER_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set CUTLAYER_DATA")
    return folder


def png(values: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes ``FOLDER/SPLIT-00000-of-00001.parquet`` with one image per label, and returns tmp_path."""

    def made(
        folder: str,
        split: str,
        labels: Sequence[int],
        shape: tuple[int, ...] = (32, 32, 3),
        names: Sequence[str] | None = None,
        image: str = "image",
        label: str = "label",
        kind: str = "PNG",
        more: dict[str, list[int]] | None = None,
    ) -> Path:
        import datasets

        draw = np.random.default_rng(len(labels))
        images = [draw.integers(0, 256, shape, dtype=np.uint8) for _ in labels]
        columns: dict[str, Any] = {image: [{"bytes": png(x, kind), "path": None} for x in images]}
        columns |= {**(more or {}), label: list(labels)}
        features = datasets.Features(
            {image: datasets.Image(), **{name: datasets.Value("int64") for name in more or {}}}
            | {label: datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")}
        )
        path = tmp_path / folder / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
        np.save(path.with_suffix(".npy"), np.stack(images))
        return tmp_path

    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[dict[str, Any]]]:
    """Makes a local folder stand in for the hub; returns the calls that ask it for data."""

    def stand_in(folder: Path) -> list[dict[str, Any]]:
        import datasets

        monkeypatch.setattr("cutlayer.data.hub._revision", lambda hub_id: "c0ffee")
        real_load = datasets.load_dataset
        calls = []

        def load(path: str, **options: Any) -> Any:
            calls.append({"path": path, **options})
            return real_load(str(folder), data_files=options["data_files"], cache_dir=str(folder.parent / "hub cache"))

        monkeypatch.setattr("datasets.load_dataset", load)
        return calls

    return stand_in
