"""Server-side backdoors, measured anew: Tajalli, Ersoy, Picek (IEEE SPW 2023)."""

from __future__ import annotations

from cutlayer.papers.backdoor.appendix import FIGURE_9, MALICIOUS_CLIENT, SMALL, TABLE_3
from cutlayer.papers.backdoor.figures import FIGURE_6, FIGURE_7, FIGURES
from cutlayer.papers.backdoor.headlines import HEADLINES
from cutlayer.papers.backdoor.residence import RESIDENCE
from cutlayer.reproduction.paper import Paper

PAPER = Paper(
    citation="Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023)",
    text="""*ASR* is the share of triggered test inputs of other classes that are taken for class 0, *CDA* the accuracy
on clean test inputs, *BA* that of the same deployment, from the same seed, trained without the attack. The printed
numbers are single runs, with a fixed seed. The server has a share of the training data as large as a client's. Of the
loss of equation 1 the published code takes half; here it is taken as printed (`surrogate_client.halved=true` halves
it). After an early stop and at the end the last epoch is reported, never the best one.
At the scale *quick* 12 epochs (LeNet) or 6 (StripNet) stand for the paper's 90, with the learning rate lowered at the
same shares of them. *Printed* are the paper's values, and those of its authors' result files where it draws them. The
trigger's noise lies in [0, 1] of normalized images, as published; of CIFAR-10's three ranges the green one stands for
all. Fashion-MNIST of five classes has 30,000 rows, of which 10,000 are kept for validation.""",
    exhibits=(*FIGURES.values(), FIGURE_6, FIGURE_7, FIGURE_9, TABLE_3, SMALL, RESIDENCE, MALICIOUS_CLIENT),
    headlines=HEADLINES,
)
