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
    text="""The *accuracy drop* is that of the deployed network of three parts on test images, after clipping to the
budget and to the range of pixels; *blind* is the drop that random signs of the same budget cause in the same deployment
or in the one trained without the attack, whichever is more, and *random signs alone* what they cause in the attacked
one. *Accuracy left* is what the drop leaves: where that is chance (10 %), and random signs leave no more, the drop
cannot tell what the second stage adds. *Drop by another image's change* gives each of the first 2,000 images the
perturbation made for the one before. *Mean change in budgets* is 1 where every value is moved as far as it may be;
where a shadow's last ReLU has died there is no slope, and hardly any change.

The printed numbers are single runs, it seems on few images: all 24 accuracies of the paper's table 4 are multiples of
1/896, rounded or cut off, and seven whole batches of 128 are what is in the first 1,000 test images, which its authors'
partial code loads. The standard error of such a share is 1.3 points. Of the 44 drops in tables 1 and 3 only four are
such multiples, no more than by chance: they can hardly be differences of two of these accuracies, and what they are of
is not said.

The budget of 0.3 is in normalized units: with CIFAR-10's usual deviations (.2023, .1994, .2010) it is 15.5, 15.3 and
15.4 of 255 in the three channels, where the paper's normalization, which is not stated, could also mean 38 of 255 (.5).
At 8 and 16 of 255 all attacks are judged beside it, but for older records that say *pixel_budgets=[]*.

Nine epochs over ten clients are 2,880 of the paper's 3,000 iterations; at the scale *quick* it is one epoch, 320
iterations, and the accuracy of the victims is below the paper's. There VR, SSA, FGSM and PGD perturb the first 512 test
images, the first two with 5 instead of 20 places or spectra a step, and SLADV all of them (`targets=2000` is faster).
One seed is what fits.
Tables named *narrow* are ours: a ResNet18 of an eighth of the channels, which two cores train for all 2,880 iterations.
There SLADV perturbs the first 2,000 test images, the others the first 512 with the published 20 places or spectra. On
either network proxies take at least 600 steps, and attacks that would train the same one share it. Values printed
beside it are those of the whole network.
At alpha = 0 a shadow only watches: where they are not isolated (`isolate=false` or `once`), all columns' shadows attend
one training, each as if it were there alone.

The similarity loss L_sim compares unrelated images, so that it is least for a shadow with constant output. How far the
training goes there, and takes the clients' layers along for alpha > 0, is measured under *theory*. Clients take turns
of one step, their optimizers' state is handed on with the weights (momentum .9), and images are not augmented. A
client's 4,000 images are 31 batches of 128 and one of 32: the ten steps before a victim is met are of small batches.
Where the authors' partial code splits ResNet18 at cut 1, the ReLU behind the stem is lost; here it is the server's
first layer.""",
    exhibits=(SHORT, CONCLUSIONS, *_exhibits(WHOLE), *_exhibits(NARROW)),
    headlines=HEADLINES,
)
