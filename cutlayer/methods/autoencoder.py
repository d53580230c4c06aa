"""The autoencoder that injects triggers, of Tajalli, Ersoy, Picek (2023): from activations to others of their shape."""

from __future__ import annotations

from torch import nn

LATENT = 1024


def autoencoder(shape: tuple[int, ...], bounded: bool) -> nn.Sequential:
    """From activations of ``shape`` [channels, height, width] to others of the same shape.

    The printed encoder jumps from its layer 7 to 10: the published code has a fifth convolution there, 64 to 64
    channels with stride 1, before the last stride of 2. Here there are the four that are printed.
    """
    channels, *size = shape
    sides = [size]
    for _ in range(3):
        sides.append([(side + 1) // 2 for side in sides[-1]])
    narrow = 64 * sides[3][0] * sides[3][1]

    def up(into: int, out: int, level: int) -> nn.Module:
        # What a stride of 2 rounded away is put back.
        high, wide = (big - (2 * small - 1) for big, small in zip(sides[level], sides[level + 1], strict=True))
        return nn.ConvTranspose2d(into, out, 3, 2, padding=1, output_padding=(high, wide))

    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3, 2, 1), nn.GELU(), nn.Conv2d(32, 32, 3, 1, 1), nn.GELU()),
        *(nn.Conv2d(32, 64, 3, 2, 1), nn.GELU(), nn.Conv2d(64, 64, 3, 2, 1), nn.GELU()),
        *(nn.Flatten(), nn.Linear(narrow, LATENT), nn.Linear(LATENT, narrow), nn.GELU()),
        *(nn.Unflatten(1, (64, *sides[3])), up(64, 64, 2), nn.GELU(), nn.Conv2d(64, 64, 3, 1, 1), nn.GELU()),
        *(up(64, 32, 1), nn.GELU(), nn.Conv2d(32, 32, 3, 1, 1), nn.GELU(), up(32, channels, 0)),
        nn.Tanh() if bounded else nn.Identity(),
    )
