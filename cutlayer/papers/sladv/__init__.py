"""SLADV, measured anew: Fan, Chen, Wang, Zhou, Huang (ECAI 2023)."""

from __future__ import annotations

from cutlayer.papers.sladv.conclusions import CONCLUSIONS, SHORT
from cutlayer.papers.sladv.course import gradients, readings
from cutlayer.papers.sladv.headlines import HEADLINES
from cutlayer.papers.sladv.setup import NARROW, WHOLE
from cutlayer.papers.sladv.tables import TABLE_6, table_1, table_3, table_4, table_5
from cutlayer.papers.sladv.theory import theory
from cutlayer.papers.sladv.transfers import table_2
from cutlayer.reproduction.paper import Exhibit, Paper


def _exhibits(model: str) -> list[Exhibit]:
    tables = [table_1(model), table_2(model), table_3(model), table_4(model), table_5(model)]
    return [*tables, *([TABLE_6] if model == WHOLE else []), gradients(model), theory(model), readings(model)]


PAPER = Paper(
    citation="Fan et al.: On the Robustness of Split Learning against Adversarial Attacks (ECAI 2023)",
    text="""The *accuracy drop* is the accuracy that the deployed network of three parts loses on test images, which
are clipped to the budget and to the range of pixels. *Blind* is the drop that random signs of the same budget cause, in
the same deployment or in the one trained without the attack, whichever is more; *random signs alone* is what they cause
in the attacked one. *Accuracy left* is what remains after the drop: where that is chance (10 %), and random signs leave
no more, the drop cannot tell what the second stage adds. *Drop by another image's change* gives each of the first 2,000
images the perturbation that was made for the image before it, *drop by a fixed pattern* the worst of five patterns that
are the same for all: all values higher, all lower, random signs of each value and of blocks of 4x4 and 8x8. Older
records lack it. *Mean change in budgets* is 1 where every value is moved as far as it may be. A shadow whose last ReLU
has died gives no slope, and inputs hardly change.

The printed numbers are of single runs, and it seems of few images: all 24 accuracies of the paper's table 4 are
multiples of 1/896, rounded or cut off. 896 images are seven whole batches of 128, as many as there are in the first
1,000 test images, which the authors' partial code loads. The standard error of such a share is 1.3 points. Of the 44
drops in tables 1 and 3 only four are such multiples, no more than by chance. So they can hardly be differences of two
of these accuracies; the paper does not say what they are of.

The budget of 0.3 is in normalized units. With CIFAR-10's usual deviations (.2023, .1994, .2010) it is 15.5, 15.3 and
15.4 of 255 in the three channels; with deviations of .5 it is 38 of 255. The paper does not state its normalization.
All attacks are judged at 8 and 16 of 255, too, but for older records, which say *pixel_budgets=[]*.

Nine epochs over ten clients are 2,880 of the paper's 3,000 iterations. At the scale *quick* the whole network is
trained for one epoch, 320 iterations, and is less accurate than the paper's. There SLADV perturbs all test images
(`targets=2000` is faster); VR, SSA, FGSM and PGD perturb the first 512, VR and SSA with 5 places or spectra a step
instead of 20.
Tables named *narrow* are ours: a ResNet18 of an eighth of the channels, which two cores train for all 2,880 iterations.
There SLADV perturbs the first 2,000 test images, the others the first 512 with the published 20 places or spectra.
Printed values beside theirs are those of the whole network. Either network's tables take hours on two cores with one
seed, so that *quick* takes one (`--seeds 3` takes three). On either network proxies take at least 600 steps, attacks
that would train the same proxy share one, and one attack meets both victims with the same inputs.
At alpha = 0 a shadow only watches. Where cells are not isolated (`isolate=false` or `once`), the shadows of all columns
watch the same training, and each ends as if it had watched alone.

The similarity loss L_sim compares unrelated images, so that a shadow with constant output has the least. Under *theory*
we measure how far training goes towards that, and how far the clients' layers go along where alpha > 0. Clients take
turns of one step; the state of their optimizers (momentum .9) is handed on with the weights. Images are not augmented.
A client's 4,000 images are 31 batches of 128 and one of 32: the last ten steps before a victim is attacked are of small
batches. Where the authors' partial code splits ResNet18 at cut 1, the ReLU behind the stem is lost; here it is the
server's first layer.""",
    exhibits=(SHORT, CONCLUSIONS, *_exhibits(WHOLE), *_exhibits(NARROW)),
    headlines=HEADLINES,
)
