"""The narrow ResNet18: its layers counted by hand, an eighth of ResNet18's channels everywhere."""

from __future__ import annotations

from cutlayer.models import resnet18, resnet18_narrow
from tests.models.networks import check_cuts, check_form, check_sizes
from tests.models.test_resnet18 import stage


def test_form():
    stages = stage(8, 8) + stage(8, 16) + stage(16, 32) + stage(32, 64)
    by_hand = 9 * 3 * 8 + 2 * 8 + stages + 64 * 10 + 10
    assert by_hand == 176_402
    check_form(resnet18_narrow, by_hand, ["stem", "stage1b", "stage2b", "stage3b"])


def test_cuts():
    check_cuts(resnet18_narrow)


def test_sizes():
    check_sizes(resnet18_narrow)


def test_blocks_are_those_of_resnet18():
    wide, narrow = resnet18.build(), resnet18_narrow.build()
    names = [[name for name, _ in network.named_parameters()] for network in (wide, narrow)]
    assert names[0] == names[1]
