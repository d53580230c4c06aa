"""The report: what it must show, and what must never get into the page."""

import base64
import errno
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutlayer.report import wording, write_report
from cutlayer.report.evidence import read_run
from cutlayer.report.finding import findings
from tests.report.made_run import made_pictures, made_record, made_run, save, score


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text without the style sheet."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._styled = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._styled = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._styled = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._styled else data

    def images(self) -> list[str]:
        return [attrs["src"] or "" for tag, attrs in self.elements if tag == "img"]


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with cells of every status."""
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def whole(whole_run: Path) -> Page:
    """The page of ``whole_run``."""
    return page_of(whole_run)


def test_the_top_says_what_leaks_where_to_whom_and_what_does_not(whole: Page) -> None:
    text = whole.text
    assert "Private inputs and the other party's model leak at cut 1; private labels at cuts 1:10 and 3:10." in text
    assert "In part: private inputs and the other party's model leak at cut 3." in text
    assert "In vanilla, no attack beats a blind guess for private inputs or the other party's model at cut 5." in text
    assert "unsplit_mnist was trained on digits by split learning (vanilla and u_shaped)" in text
    assert "a curious server" in text
    assert "the other party's layers (not their weights)" in text
    assert "0.47 % of the parameters, 22 % of the FLOPs and 9.2 kB a sample on the wire" in text
    assert "An advantage of 0.25 or more is a leak, from 0.1 a partial leak, below that no leak." in text
    assert "The verdict leaves out 2 cells: 1 that failed and 1 to which the attack does not apply." in text


def test_seeds_of_different_cells_are_not_called_a_mean(tmp_path: Path) -> None:
    for cut, seed, said in ((1, 1, ""), (3, 2, ""), (3, 1, "means over up to 2 seeds"), (1, 2, "means over 2 seeds")):
        save(tmp_path, made_record("unsplit", cut, seed, 0.8))
        text = page_of(tmp_path).text
        assert said in text if said else "means over" not in text


def test_a_variant_that_fails_is_not_said_to_fail_where_another_succeeds(tmp_path: Path) -> None:
    for strength, knows in ((0.8, ["peer_architecture", "peer_weights"]), (0.8, ["peer_architecture"]), (-0.1, [])):
        record = made_record("unsplit", 1, 1, strength)
        record["attack"]["options"] = {"knows": len(knows)}
        record["threat"]["declared"] = knows
        save(tmp_path, record)
    page = page_of(tmp_path)
    assert "no attack beats" not in page.text
    assert "Most at cut 1, vanilla, by unsplit (knows=1): SSIM 0.844" in page.text


def test_every_number_of_every_cell_appears(whole_run: Path, whole: Page) -> None:
    text = whole.text
    for item in findings(read_run(whole_run)):
        assert f"Cut {item.cut}" in text
        assert wording.seconds(item.first.attack_seconds) in text
        for one in item.first.scores:
            assert wording.number(one.value, one.metric) in text
            assert wording.number(one.blind, one.metric) in text
            assert wording.advantage(one.advantage) in text


def test_cells_without_a_result_are_shown_with_their_reasons(whole: Page) -> None:
    assert "label_inference at cut 5:10" in whole.text
    assert "the gradient was not finite at step 118" in whole.text
    assert "in vanilla the server has the labels" in whole.text


def test_seeds_are_averaged_and_the_range_is_shown_never_the_best(tmp_path: Path) -> None:
    for seed, strength in ((1, 0.05), (2, 0.05), (3, 0.8)):
        save(tmp_path, made_record("unsplit", 3, seed, strength))
    (finding,) = findings(read_run(tmp_path))
    row = finding.deciding[0]
    assert row.advantage is not None
    assert row.advantage.mean == pytest.approx(0.3)
    assert (row.advantage.low, row.advantage.high) == pytest.approx((0.05, 0.8))
    text = page_of(tmp_path).text
    assert "SSIM 0.454 where a blind guess scores 0.220 (advantage 0.30, mean of 3 seeds)" in text
    assert "by seed: no leak, no leak, leak" in text
    assert "0.259 to 0.844" in text


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_training_that_is_not_that_of_the_unsplit_model_is_said_to_be_none(tmp_path: Path, pipelined: bool) -> None:
    record = made_record("unsplit", 3, 1, 0.5)
    record["experiment"]["pipelined"] = pipelined
    save(tmp_path, record)
    assert ("one update old" in page_of(tmp_path).text) == pipelined


def test_only_deciding_metrics_make_a_verdict(tmp_path: Path) -> None:
    record = made_record("unsplit", 1, 1, 0.0)
    record["scores"][1] = score("inputs", "mse", 0.001, 0.078, 0.0, False)
    save(tmp_path, record)
    text = page_of(tmp_path).text
    assert "No attack did better than a blind guess." in text
    assert "0.99" in text


HOSTILE = """</title></style><script>alert(1)</script><img src=x onerror=alert(1)>"'{{ 7 * 7 }}"""


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    record = made_record("unsplit", 1, 1, 0.6)
    record["cell"] |= {"dataset": HOSTILE, "model": HOSTILE, "attack": HOSTILE, "cut": HOSTILE, "protocol": HOSTILE,
                       "pixels": HOSTILE, "when": HOSTILE, "steps": HOSTILE, "defenses": [HOSTILE]}  # fmt: skip
    record["threat"] |= {"plain": HOSTILE, "paper": HOSTILE, "seat": HOSTILE, "goals": [HOSTILE], "declared": [HOSTILE]}
    record["scores"][0] |= {"guess": HOSTILE, "goal": HOSTILE, "metric": HOSTILE, "verdict": HOSTILE}
    record["attack"] |= {"notes": {HOSTILE: HOSTILE}, "options": {HOSTILE: HOSTILE}, "curves": {HOSTILE: [1.0, 2.0]}}
    record["confusion"] = {"labels": [HOSTILE, "b"], "counts": [[1, 2], [3, 4]]}
    record["features"] = [{"name": HOSTILE, "mse": 0.1, "blind": 0.2, "advantage": 0.5}]
    record |= {"code": {HOSTILE: HOSTILE}, "environment": {HOSTILE: HOSTILE}, "command": HOSTILE, "started": HOSTILE,
               "experiment": {HOSTILE: HOSTILE, "options": {HOSTILE: {HOSTILE: HOSTILE}}}}  # fmt: skip
    run = tmp_path / "<script>alert(2)<"
    save(run, record, made_pictures(2))
    path = run / "cells" / "001-failed"
    path.mkdir()
    (path / "record.json").write_text(json.dumps(record | {"status": "failed", "reason": HOSTILE}))
    page = page_of(run)
    tags = {tag for tag, _ in page.elements}
    assert "script" not in tags
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert all(source.startswith("data:image/png;base64,") for source in page.images())
    assert page.text.count(HOSTILE) > 20
    assert "\"'49" not in page.text


def test_a_picture_file_cannot_lie_outside_its_cell(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5), made_pictures(2))
    folder = next(tmp_path.glob("cells/*"))
    (folder / "pictures.safetensors").rename(tmp_path / "pictures.safetensors")
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text.replace('"pictures.safetensors"', '"../../pictures.safetensors"'))
    page = page_of(tmp_path)
    assert page.images() == []
    assert "not in its folder any more" in page.text


def test_the_page_loads_nothing_and_runs_nothing(whole_run: Path, whole: Page) -> None:
    for tag, attrs in whole.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form", "audio", "video")
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    text = (whole_run / "report.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert any("default-src 'none'" in (attrs.get("content") or "") for tag, attrs in whole.elements if tag == "meta")


def test_links_within_the_page_have_a_target(whole: Page) -> None:
    targets = {attrs["id"] for _, attrs in whole.elements if "id" in attrs}
    links = {(attrs["href"] or "")[1:] for tag, attrs in whole.elements if tag == "a"}
    assert {"leaks", "chart", "scores", "pictures", "labels", "threats", "training", "missing", "repeat"} == links
    assert links <= targets


def test_pictures_stand_in_threes_and_come_back_as_they_were(tmp_path: Path) -> None:
    truth = made_pictures(4)
    save(tmp_path, made_record("unsplit", 1, 1, 0.5), truth)
    images = page_of(tmp_path).images()
    assert len(images) == 2 * 3 * 4
    tensors = read_run(tmp_path)[0].images()
    for name, source in zip(("truth", "guess", "blind"), images[-3:], strict=True):
        raw = io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))
        with Image.open(raw) as image:
            assert np.array_equal(np.asarray(image), np.rint(tensors[name][3, 0] * 255))


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    assert "This run holds no cells yet." in page_of(tmp_path).text


def test_a_run_where_all_failed_has_no_verdict(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5) | {"status": "failed", "reason": "out of memory", "scores": []})
    text = page_of(tmp_path).text
    assert "No cell ran to its end, so nothing was measured." in text
    assert "out of memory" in text
    assert "no leak" not in text


def test_a_record_that_cannot_be_read_is_a_failed_cell(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5))
    broken = {"cut-off": '{"status": ', "list": "[1]", "number": '{"scores": 3}', "zero": "\x00"}
    for name, content in broken.items():
        folder = tmp_path / "cells" / name
        folder.mkdir()
        (folder / "record.json").write_text(content)
    text = page_of(tmp_path).text
    assert [name for name in broken if f"{name}/record.json could not be read" not in text] == []
    assert "Private inputs and the other party's model leak at cut 1." in text


def test_many_classes_are_a_picture_and_few_are_a_table(tmp_path: Path) -> None:
    for cut, classes in ((1, 100), (3, 3)):
        record = made_record("label_inference", f"{cut}:10", 1, 0.5)
        counts = (5 * np.eye(classes, dtype=int) + 1).tolist()
        save(tmp_path, record | {"confusion": {"labels": [f"class {i}" for i in range(classes)], "counts": counts}})
    page = page_of(tmp_path)
    assert len(page.images()) == 1
    assert "class 2" in page.text
    assert "class 99" not in page.text


def test_columns_of_a_table_are_listed_the_best_recovered_first(tmp_path: Path) -> None:
    columns = [
        {"name": n, "mse": m, "blind": 0.05, "advantage": 1 - m / 0.05} for n, m in (("area", 0.04), ("radius", 0.01))
    ]
    save(tmp_path, made_record("unsplit", 1, 1, 0.5) | {"features": columns})
    text = page_of(tmp_path).text
    assert 0 < text.index("radius") < text.index("area")
    assert "0.80" in text


def test_a_write_that_fails_leaves_the_last_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5))
    path = write_report(tmp_path)
    before = path.read_bytes()

    def full(self: Path, target: object) -> None:
        raise OSError(errno.ENOSPC, "no space left", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match=f"no space left: '{path}'$"):
        write_report(tmp_path)
    assert path.read_bytes() == before


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        write_report(tmp_path / "nowhere")


def test_code_and_environment_are_told_apart_where_cells_differ(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5))
    save(tmp_path, made_record("unsplit", 3, 1, 0.5, code={"version": "0.1.1", "commit": "beef", "dirty": True}))
    text = page_of(tmp_path).text
    assert "4f2c9e1d7a" in text
    assert "beef" in text
    assert "The code had changes that no commit holds" in text
    assert "do not share one code" in text


def test_triggers_are_shown_on_inputs_and_alone(tmp_path: Path) -> None:
    planted = made_record("unsplit", 1, 1, 0.8)
    planted["scores"] = [score("backdoor", "attack_success", 0.9, 0.05, 1.0, True)]
    save(tmp_path, planted, made_pictures())
    (path,) = tmp_path.glob("cells/*/record.json")
    record = json.loads(path.read_text())
    record["pictures"]["kind"] = "trigger"
    path.write_text(json.dumps(record))
    page = page_of(tmp_path)
    assert "Top to bottom: clean, triggered, the trigger alone." in page.text
    assert "rebuilt" not in page.text
    assert len(page.images()) == 30
    assert "attack success 90.0 % where without the attack or the trigger it is 5.0 %" in page.text
