"""The defenses that an experiment names, made and put in order."""

from __future__ import annotations

from cutlayer import registry
from cutlayer.compression import Compression, compression_of
from cutlayer.defense import Defense
from cutlayer.experiment import Experiment
from cutlayer.stream import derive


def make_defenses(experiment: Experiment) -> list[Defense]:
    """The experiment's defenses in the order they act, each on a stream of its own; a wire codec comes last."""
    found: list[Defense] = []
    for number, name in enumerate(experiment.defenses):
        kind = registry.cls("defenses", name, Defense, experiment.plugins)
        defense: Defense = registry.make(kind, experiment.options.get(name, {}), name)
        defense.seed = derive(experiment.seed, "defense", number)
        found.append(defense)
    compression_of(found)
    return sorted(found, key=lambda defense: isinstance(defense, Compression))


def codec_name(experiment: Experiment) -> str:
    """The defense that is a wire codec, empty where there is none."""
    kinds = {name: registry.cls("defenses", name, Defense, experiment.plugins) for name in experiment.defenses}
    return next((name for name, kind in kinds.items() if issubclass(kind, Compression)), "")
