"""By what the conclusions are judged, in words: the thresholds as the rules have them."""

from __future__ import annotations

from cutlayer.papers.sladv.telling import by_chance, of_one

CORRELATED = 512
"""Targets that the judge takes the correlation over, at most."""
_TARGETS = (10000, 2000, 512)
"""Of SLADV on the whole network, of SLADV on the narrow one, and of attacks that take longer."""
_TWO = [100 * by_chance(count) for count in _TARGETS]
"""Points from which on two drops differ, by the number of images."""
_ONE = [100 * of_one(by_chance(count)) for count in _TARGETS]
"""Points from which on one is there."""

CRITERIA = f"""What is said of one cell, and what is said of the theory, is judged in every setting that has run. What
compares several cells is judged in the one setting in which most of them tell something. *Criterion*: the paper's where
the paper says so, ours where it does not. A row about several alphas holds where it holds at each of them. *Too few
cells*: not enough of the cells that are compared have run.

The paper gives no thresholds: all are ours. Its drops include what noise alone takes, which it does not print. Here the
rows *the drop grows* and *what random signs take grows* count all of it; every other row about a drop counts what is
beyond random signs. Two drops differ where they are further apart than chance makes two of as many images:
{_TWO[0]:.1f} points of {_TARGETS[0]:,} images, {_TWO[1]:.1f} of {_TARGETS[1]:,}, {_TWO[2]:.1f} of {_TARGETS[2]}. One
drop is beyond random signs from {_ONE[0]:.1f}, {_ONE[1]:.1f} and {_ONE[2]:.1f} points on; where it is nearer to them it
is *within chance*, and cannot be told from them. That is the error of drawing images alone. Another seed of the
training can change a drop by more; by how much is unknown where there is one seed. How far rounding alone takes two
trainings apart stands under *table 4* of the network on which it was seen.

A correlation has a sign where it is further from 0 than chance makes it over {CORRELATED} targets
({by_chance(CORRELATED):.2f}); two correlations differ from 1.4 times that on, and nearer they are *within chance*. Some
images are harder than others whatever is done to them: that is in the correlation, and in that of random signs beside
it. Distance d is compared with that at alpha 0 in the same setting, and any difference counts: layers whose outputs
shrink come nearer without becoming alike, as the row of a constant shows. A cosine of input gradients counts from twice
the standard deviation that unrelated layers have (0.06 with 64 channels, 0.12 with 8), a difference of two cosines from
1.4 times that.

A victim that can say nothing about a conclusion is left out, and the reason is named. Where too little is left, the
conclusion *cannot be told*. *Diverged*: L_sim of its shadow ended above its first value, or was at its highest more
than twice that (under *theory*): such a victim says nothing about alpha. *At chance*: random signs leave it an accuracy
that is above 10 % by no more than chance makes of as many images, so that the drop cannot show the second stage. *Never
accurate*, where what random signs take is judged: the accuracy on natural inputs is above 10 % by no more than chance,
so that nothing could be taken. *Hardly changed*, where depth is judged: inputs were moved by less than half of the
budget in the mean. Where neither of two attacks is beyond random signs, neither is better. The correlation leaves out
the same victims as the drop: it is taken over changes that were made on the shadow, and where accuracy is at chance the
loss says little about an image.

What alpha 1 costs is the loss of mean accuracy over the last third of the epochs, against honest training over the
same epochs. *Swing* is the distance from the worst to the best of these epochs, in whichever of the two trainings it is
more. Where the swing is wider than the distance of that loss from 5 points, the cost cannot be told."""
