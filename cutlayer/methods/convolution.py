"""Convolutions of several small networks at once, as products of weights and patches of inputs."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from cutlayer.methods.layer import Extent, UnsupportedError, Weighted

LARGEST_KERNEL = 1 << 13
"""With more weights than this a convolution's arithmetic outweighs its overhead: torch's own kernels are better."""


@final
class Patches:
    """Patches of images, a column for each ``tile`` of 1x1 or 2x2 outputs, and the way back from products with them.

    Images are cut into squares of the size of a tile; a patch reaches over ``reach`` of them in both directions. One
    plane for each position in a square makes that long runs of memory. ``phased`` sorts the columns of 1x1 tiles by
    (row, column) modulo 2; there is no way back from these.
    """

    def __init__(
        self, shape: tuple[int, ...], sides: tuple[int, int], kernel: tuple[int, ...], padding: int, biased: bool,
        extent: Extent, tile: int = 1, phased: bool = False,
    ) -> None:  # fmt: skip
        channels, height, width = shape
        n, batch = extent.networks, extent.batch
        reach = -(-(tile - 1 + kernel[-1]) // tile)
        self.side = reach * tile
        tiles = (sides[0] // tile, sides[1] // tile)
        grid = (tiles[0] - 1 + reach, tiles[1] - 1 + reach)
        self._tile = tile
        self._make_frame((channels, height, width), padding, grid, extent)
        row, plane = grid[1] * batch, grid[0] * grid[1] * batch
        positions = (2, 2, tiles[0] // 2, tiles[1] // 2) if phased else tiles
        self._window = (
            (n, channels, reach, tile, reach, tile, *positions, batch),
            (
                channels * tile**2 * plane, tile**2 * plane, row, tile * plane, batch, plane,
                *((row, batch, 2 * row, 2 * batch) if phased else (row, batch)), 1,
            ),
        )  # fmt: skip
        patch = channels * self.side**2
        self.columns = extent.zeros(patch + biased, tiles[0] * tiles[1] * batch).fill_(1)
        self._cells = self.columns[:, :patch].view(self._window[0])

        # Products, with zeros around them so that shifted slices add up to the gradient at the planes.
        rows = kernel[0] * tile**2
        guarded = extent.zeros(rows, tiles[0], grid[1], batch)
        self._guarded = guarded.view(n, rows, -1)
        self._slots = guarded[..., : tiles[1], :]
        margin = (reach - 1) * batch
        guard = (reach - 1) * row + margin
        product = extent.zeros(patch, guard + plane)
        self._product = product[..., guard : guard + tiles[0] * row]
        squares = product.view(n, channels, reach, tile, reach, tile, -1)
        starts = [guard - margin - shift * row for shift in range(reach)]
        self._row_terms = [squares[:, :, a, ..., start : start + margin + plane] for a, start in enumerate(starts)]
        self._row_sum = extent.zeros(channels, tile, reach, tile, margin + plane)
        starts = [margin - shift * batch for shift in range(reach)]
        self._column_terms = [self._row_sum[..., b, :, start : start + plane] for b, start in enumerate(starts)]

    def _make_frame(self, shape: tuple[int, int, int], padding: int, grid: tuple[int, int], extent: Extent) -> None:
        """Images padded to whole squares, their planes, and the gradients at both."""
        channels, height, width = shape
        tile = self._tile
        self._frame, self._frame_grad = (
            extent.zeros(channels, grid[0] * tile, grid[1] * tile, extent.batch) for _ in range(2)
        )
        self._whole = self._frame.shape[2:4] == (height, width)
        inside = (..., slice(padding, padding + height), slice(padding, padding + width), slice(None))
        self._inside, self._inside_grad = self._frame[inside], self._frame_grad[inside]
        self._grad = self._frame_grad if self._whole else extent.zeros(*shape, extent.batch)
        self._squares = (extent.networks, channels, grid[0], tile, grid[1], tile, extent.batch)
        self._planes, self._planes_grad = self._frame, self._frame_grad
        if tile > 1:
            self._planes, self._planes_grad = (
                extent.zeros(channels, tile, tile, *grid, extent.batch) for _ in range(2)
            )
            self._frame_squares = self._frame_grad.view(self._squares)
            self._square_planes = self._planes_grad.permute(0, 1, 4, 2, 5, 3, 6)
        self._planes_sum = self._planes_grad.view(extent.networks, channels, tile, tile, -1)

    def gather(self, images: Tensor) -> Tensor:
        """The patches of ``images`` [networks, channels, height, width, batch]; for the bias, a row of ones below."""
        if not self._whole:
            self._inside.copy_(images)
            images = self._frame
        if self._tile > 1:
            self._planes.copy_(images.view(self._squares).permute(0, 1, 3, 5, 2, 4, 6))
            images = self._planes
        self._cells.copy_(images.as_strided(*self._window))
        return self.columns

    def scatter(self, across: Tensor, grad: Tensor) -> Tensor:
        """From the gradient at the outputs to that at the images; ``across``: [networks, patch, outputs of a tile]."""
        self._slots.copy_(grad.view(self._slots.shape))
        torch.bmm(across, self._guarded, out=self._product)
        _add_up(self._row_terms, self._row_sum)
        _add_up(self._column_terms, self._planes_sum)
        if self._tile > 1:
            self._frame_squares.copy_(self._square_planes)
        if not self._whole:
            self._grad.copy_(self._inside_grad)
        return self._grad


@final
class Convolution(Weighted):
    """A convolution of stride 1 with a square kernel; outputs are [networks, channels, height, width, batch].

    Where weights stay as they are for many steps they can be ``spread``: a patch then serves a tile of 2x2 outputs,
    since adjacent outputs share most of their inputs. Outputs come in phases then, [networks, channels, 4, positions *
    batch], (row, column) modulo 2, as 2x2 poolings want them. The weights' gradient needs ``spread`` unset.
    """

    def __init__(self, name: str, module: nn.Conv2d, shape: tuple[int, ...], extent: Extent, spreads: bool) -> None:
        super().__init__(name, module.weight, module.bias)
        size, padding = module.kernel_size[0], module.padding[0]
        plain = (module.groups, module.dilation, module.stride, module.padding_mode) == (1, (1, 1), (1, 1), "zeros")
        if not plain or module.kernel_size != (size, size) or module.padding != (padding, padding):
            raise UnsupportedError(f"{name}: {module}")
        if module.weight.numel() > LARGEST_KERNEL:
            raise UnsupportedError(f"{name}: too large to gain from it")
        sides = (shape[1] + 2 * int(padding) - size + 1, shape[2] + 2 * int(padding) - size + 1)
        self.output_shape = (self.kernel[0], *sides)
        self.phased = spreads and not (sides[0] % 2 or sides[1] % 2)
        made_for = (shape, sides, self.kernel, int(padding), self.biased, extent)
        self._single = Patches(*made_for, phased=self.phased)
        self._flat = extent.zeros(self.kernel[0], sides[0] * sides[1] * extent.batch)
        self._outputs = self._flat.view(
            extent.networks, self.kernel[0], *((4, -1) if self.phased else (*sides, extent.batch))
        )
        self._held: Tensor | None = None
        self.spread = self.phased
        if self.phased:
            self._tiles = Patches(*made_for, tile=2)
            self._make_spread_weights(self._tiles.columns.shape[1], self._tiles.side, extent)

    def _make_spread_weights(self, width: int, side: int, extent: Extent) -> None:
        """A row for each output and phase: the kernel at shifted places of a patch that is zero elsewhere."""
        self._wide = extent.zeros(self.kernel[0] * 4, width)
        self._shifted = self._wide.as_strided(
            (extent.networks, self.kernel[0], 2, 2, *self.kernel[1:]),
            (self._wide.stride(0), 4 * width, 2 * width + side, width + 1, side * side, side, 1),
        )
        self._wide_bias = self._wide.view(extent.networks, self.kernel[0], 4, width)[..., -1]
        self._wide_across = self._wide[..., : width - self.biased].transpose(1, 2)
        self._wide_outputs = self._flat.view(extent.networks, self.kernel[0] * 4, -1)

    def hold(self, images: Tensor) -> None:
        """Until ``refresh``, be about these images whatever is given."""
        # The product for the gradient takes two thirds of the time when its second factor need not be transposed.
        self._held = self._single.gather(images).transpose(1, 2).contiguous()

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs, in phases or not."""
        if self.spread:
            torch.bmm(self._wide, self._tiles.gather(inputs), out=self._wide_outputs)
        else:
            columns = self._single.gather(inputs) if self._held is None else self._single.columns
            torch.bmm(self.weights, columns, out=self._flat)
        return self._outputs

    def backward(self, grad: Tensor) -> Tensor:
        """[networks, channels, height, width, batch]."""
        return self._tiles.scatter(self._wide_across, grad) if self.phased else self._single.scatter(self.across, grad)

    def weigh(self, grad: Tensor) -> None:
        """One product, the bias included."""
        across = self._single.columns.transpose(1, 2) if self._held is None else self._held
        torch.bmm(grad.view(self._flat.shape), across, out=self.gradients)

    def refresh(self) -> None:
        """Spread the weights and hold nothing."""
        self._held = None
        if self.phased:
            self._shifted.copy_(self.kernels[:, :, None, None])
            if self.biased:
                self._wide_bias.copy_(self.weights[..., -1:])


def _add_up(terms: list[Tensor], out: Tensor) -> None:
    """Put the sum of ``terms``, which may overlap one another, into ``out``."""
    if len(terms) == 1:
        out.copy_(terms[0])
        return
    torch.add(terms[0], terms[1], out=out)
    for term in terms[2:]:
        out.add_(term)
