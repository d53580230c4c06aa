"""The defenses that an experiment names, made and put in order."""

from __future__ import annotations

from cutlayer import registry
from cutlayer.compression import Compression, compression_of
from cutlayer.defense import Defense
from cutlayer.experiment import Experiment
from cutlayer.stream import derive


def make_defenses(experiment: Experiment, client: int = 0) -> list[Defense]:
    """The defenses of client number ``client`` in the order they act; a wire codec comes last.

    Each is on a stream of its own: clients that drew the same noise would show it, where they send much the same.
    """
    found: list[Defense] = []
    for number, name in enumerate(experiment.defenses):
        kind = registry.cls("defenses", name, Defense, experiment.plugins)
        defense: Defense = registry.make(kind, experiment.options.get(name, {}), name)
        defense.seed = derive(experiment.seed, "defense", client, number)
        found.append(defense)
    compression_of(found)
    return sorted(found, key=lambda defense: isinstance(defense, Compression))


def codec_name(experiment: Experiment) -> str:
    """The defense that is a wire codec, empty where there is none."""
    kinds = {name: registry.cls("defenses", name, Defense, experiment.plugins) for name in experiment.defenses}
    return next((name for name, kind in kinds.items() if issubclass(kind, Compression)), "")
