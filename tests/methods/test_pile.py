"""A pile of own samples: the passes it is made of, where one ends within a batch, and where it is taken up again."""

from __future__ import annotations

import pytest
import torch

from cutlayer.methods.pile import Pile


@pytest.mark.parametrize(
    ("counts", "passes"), [((2,), 1), ((5, 5), 2), ((4, 2), 2), ((4, 2, 9), 3), ((12, 3, 1), 4), ((0,), 0)], ids=str
)
def test_batches_are_cut_from_whole_passes_of_which_none_is_drawn_before_its_time(
    counts: tuple[int, ...], passes: int
) -> None:
    torch.manual_seed(3)
    pile = Pile(5)
    drawn = [pile.draw(count) for count in counts]
    after = torch.get_rng_state()
    torch.manual_seed(3)
    expected = torch.cat([torch.zeros(0, dtype=torch.int64), *(torch.randperm(5) for _ in range(passes))])
    assert torch.equal(torch.get_rng_state(), after)
    assert [len(rows) for rows in drawn] == [*counts]
    assert torch.equal(torch.cat(drawn), expected[: sum(counts)])


def test_a_pile_is_taken_up_where_it_was_left() -> None:
    torch.manual_seed(3)
    pile, again = Pile(5), Pile(5)
    pile.draw(3)
    again.restore({"other": torch.zeros(1), **pile.checkpoint()})
    drawn = []
    for one in (pile, again):
        torch.manual_seed(4)
        drawn.append(one.draw(6))
    assert torch.equal(*drawn)


def test_what_is_left_of_a_pass_keeps_its_name_in_a_checkpoint() -> None:
    """Trainings that were interrupted are taken up from it."""
    pile = Pile(5)
    rows = pile.draw(3)
    assert {*pile.checkpoint()} == {"order"}
    assert sorted([*rows.tolist(), *pile.checkpoint()["order"].tolist()]) == [*range(5)]
