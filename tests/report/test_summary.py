"""What a report says of victims that an attack has changed, and of cells where nothing decides."""

from pathlib import Path

from tests.report.made_run import made_record, save, score
from tests.report.test_page import page_of


def test_what_a_backdoor_costs_stands_beside_it_and_the_accuracy_is_said_to_be_under_attack(tmp_path: Path) -> None:
    planted = made_record("unsplit", 1, 1, 0.8)
    planted["threat"]["tampers"] = True
    planted["scores"] = [
        score("backdoor", "attack_success", 0.9, 0.05, 1.0, True),
        score("backdoor", "unplanted_success", 0.87, 0.01, None, False),
        score("backdoor", "clean_accuracy", 0.173, 0.816, None, False),
    ]
    save(tmp_path, planted)
    text = page_of(tmp_path).text
    assert "17.3 % right, 81.6 % without the attack" in text
    assert "in the trigger's place has 87.0 % success, 1.0 % without the attack" in text
    assert "the model trained under attack is 97.5 % accurate" in text


def test_where_any_noise_does_as_well_no_backdoor_is_said_to_be_planted(tmp_path: Path) -> None:
    for cut, noise in ((1, 0.82), (3, 0.8)):
        planted = made_record("unsplit", cut, 1, 0.8)
        planted["scores"] = [
            score("backdoor", "attack_success", 0.9, 0.05, 1.0, True),
            score("backdoor", "unplanted_success", noise, 0.01, None, False),
        ]
        save(tmp_path, planted)
    told = "A backdoor can be planted at cut 3; the deployment obeys any noise in the trigger's place at cut 1."
    assert told in page_of(tmp_path).text


def test_whoever_tampered_with_the_training_is_named(tmp_path: Path) -> None:
    late = made_record("unsplit", 1, 1, 0.8)
    late["experiment"]["under"] = "sladv"
    save(tmp_path, late)
    text = page_of(tmp_path).text
    assert "the model trained under attack is 97.5 % accurate" in text
    assert "It was attacked with unsplit, after sladv had tampered with the training." in text
    save(tmp_path, made_record("unsplit", 1, 2, 0.8))
    text = page_of(tmp_path).text
    assert "the trained model is" in text
    assert "unsplit, in some cells after sladv had tampered with the training." in text


def test_a_run_where_nothing_decides_says_why(tmp_path: Path) -> None:
    reason = "no score decides: a blind guess is as good as any"
    undecided = made_record("unsplit", 1, 1, 0.8, reason=reason, verdict="not applicable")
    undecided["scores"] = [score("backdoor", "attack_success", 1.0, 0.97, None, False)]
    save(tmp_path, undecided)
    text = page_of(tmp_path).text
    assert "Nothing could be judged." in text
    assert f"unsplit at cut 1: {reason}." in text


def test_accuracy_under_attack_is_not_said_to_be_that_of_the_split_model(tmp_path: Path) -> None:
    ruined = made_record("unsplit", 1, 1, 0.8, utility=0.123)
    ruined["threat"]["tampers"] = True
    ruined["cell"]["attack"] = "a_first_one"
    save(tmp_path, ruined)
    text = page_of(tmp_path).text
    assert "test accuracy of the split model12.3 % under attack" in text
    assert "cut 1 under a_first_one" in text
    assert "the model trained under attack is 12.3 % accurate" in text
    other = made_record("unsplit", 1, 1, 0.8, utility=0.456)
    other["threat"]["tampers"] = True
    other["cell"]["attack"] = "b_second_one"
    save(tmp_path, other)
    text = page_of(tmp_path).text
    assert "test accuracy of the split model12.3 to 45.6 % under attack" in text
    assert "the model trained under attack is 12.3 to 45.6 % accurate" in text
    save(tmp_path, made_record("unsplit", 1, 1, 0.8, utility=0.9))
    text = page_of(tmp_path).text
    assert "test accuracy of the split model90.0 %" in text
    assert "under attack" not in text


def test_a_goal_that_was_not_judged_at_a_cut_does_not_leak_at_every_cut(tmp_path: Path) -> None:
    for cut in (1, 3):
        save(tmp_path, made_record("unsplit", cut, 1, 0.8))
    assert "leak at every cut." in page_of(tmp_path).text
    other = made_record("label_inference", 5, 1, 0.8)
    other["scores"] = [score("labels", "accuracy", 0.2, 0.2, 1.0, True)]
    save(tmp_path, other)
    assert "leak at cuts 1 and 3." in page_of(tmp_path).text
