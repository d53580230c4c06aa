"""The package's own defenses, each against three attacks: what it takes from them, what it costs. No paper's grid."""

from __future__ import annotations

from cutlayer.papers.defenses.conclusions import CONCLUSIONS
from cutlayer.papers.defenses.setup import ATTACKS, CUTS, DEFENSES, LEFT_OUT, NO_DEFENSE, TRAIN_ROWS
from cutlayer.papers.defenses.tables import MEASURED, TRADEOFF
from cutlayer.reproduction.paper import Headline, Paper

_SHOWN = (NO_DEFENSE, "int8_quantization", "gaussian_noise, sigma 1")
_ASIDE = "".join(f" {name} is left out: {why}." for name, why in LEFT_OUT.items())

PAPER = Paper(
    citation="The package's own defenses",
    text=f"""No paper stands behind this page, and no printed values: the grid is ours. It asks what each defense of the
package takes from three attacks, what it costs the deployment in accuracy and what it makes of the bytes on the wire.
All of it was fixed before anything of it was measured, and nothing was tuned afterwards: the victims, MNIST on
UnSplit's network as its tables train it, but on the first {TRAIN_ROWS:,} images alone; the cuts 1 and 3; the attacks'
lengths; the defenses with their options, the four sigmas among them.{_ASIDE} The scale *paper* has the same cells with
five seeds.

Each defense is on in the training and in the predictions that are attacked. *Accuracy* is that of the deployment on
test images that pass the defense, too, and *lost* what the same seed has more without one: where it is negative, less.
*Bytes a sample* are those of a training step, both ways. Noise is added to what the client sends, activations;
half_precision (float16) and int8_quantization round the gradients it is sent back as well. Sigma is in the units of
what is sent, whose standard deviation no record holds: what part of it the noise is, is unknown, and may differ between
cuts and sigmas, since a client that trains with noise can learn to send larger values.

Noise of any sigma here comes with no guarantee of differential privacy: what is sent has no bound, the noise is a
function of the data and the client's seed, and nothing is accounted for over the epochs. Nor does a lower number prove
a defense: none of these attacks adapts to it beyond what it knows, which stands above each table. Who knows the defense
can do better: train clones with noise and rounding like it, rely the more on what images look like the more noise there
is, take a mean over repetitions under changed weights. No number here bounds what an attack can get.

*Blind* is the same metric for a guess that never looks at the wire, and *advantage* how far from there to the best
possible value an attack gets. Of inputs SSIM, stretched SSIM and MSE (clipped to the range) decide.
Targets are the same for every seed: intervals hold what victims, noise and attacks vary, not images.""",
    exhibits=(CONCLUSIONS, TRADEOFF, *MEASURED),
    headlines=tuple(
        Headline(
            f"inputs, {attacked.name}, mnist, cut {CUTS['mnist'][0]}, defense: {defense}",
            exhibit,
            {"dataset": "mnist", "cut": CUTS["mnist"][0], **DEFENSES[defense]},
            attacked.numbers[0],
            None,
            setting="as fixed",
            but=("",),
        )
        for attacked, exhibit in zip(ATTACKS, MEASURED, strict=True)
        for defense in _SHOWN
    ),
)
