"""SLADV, measured anew: Fan, Chen, Wang, Zhou, Huang (ECAI 2023)."""

from __future__ import annotations

from cutlayer.papers.sladv.course import GRADIENTS, READINGS, THEORY
from cutlayer.papers.sladv.narrow import NARROW
from cutlayer.papers.sladv.tables import TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6
from cutlayer.reproduction.paper import Paper

PAPER = Paper(
    citation="Fan et al.: On the Robustness of Split Learning against Adversarial Attacks (ECAI 2023)",
    text="""The *accuracy drop* is that of the deployed network of three parts on test images, after clipping to the
budget and to the range of pixels; *blind* is the drop that random signs of the same budget cause in the same deployment
trained without the attack, and *random signs alone* what they cause in the attacked one. The printed numbers are single
runs.

The budget of 0.3 is in normalized units: with CIFAR-10's usual deviations (.2023, .1994, .2010) it is 15.5, 15.3 and
15.4 of 255 in the three channels, where the paper's normalization, which is not stated, could also mean 38 of 255 (.5).
At 8 and 16 of 255 the same attack is judged beside it.

Nine epochs over ten clients are 2,880 of the paper's 3,000 iterations; at the scale *quick* it is one epoch, 320
iterations, and the accuracy of the victims is below the paper's. There VR, SSA, FGSM and PGD perturb the first 512 test
images, the first two with 5 instead of 20 places or spectra a step, and SLADV all of them (`targets=2000` is faster).
At alpha = 0 the shadow watches the whole training, so that each column has a victim of its own, all equal to the last
bit.

L_sim compares images that have nothing to do with one another. Over such pairs the best shadow is a constant, and that
is where the training takes it, and with alpha the clients' layers: read *theory* before the tables.""",
    exhibits=(TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6, NARROW, GRADIENTS, THEORY, READINGS),
)
