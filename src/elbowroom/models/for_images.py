"""Networks of images and the data that they can read."""

from elbowroom.data import Dataset
from elbowroom.numerics import InputError

from .recipe import Recipe
from .sizes import widths_for

__all__ = ["check_images"]


def check_images(network: str, recipe: Recipe, data: Dataset, classes: bool) -> None:
    """Refuse a network of images for data that are none, and widths beside it.

    Parameters
    ----------
    network : str
        Its kind.
    recipe : Recipe
        In which it stands.
    data : Dataset
        That it is to read.
    classes : bool
        Whether elements of x are classes without an order.

    Raises
    ------
    InputError
        With the way out.
    """
    if len(data.event) != 3 or classes:
        flat = "load the data with flat=False" if data.image_shape is not None else "take network='mlp'"
        support = data.preprocess.support(data.support)
        raise InputError(
            f"The network {network!r} reads images of numbers (C, H, W), and the examples of "
            f"{data.name!r} have event {data.event} on the {support}: {flat}."
        )
    if recipe.hidden != widths_for(data):
        raise InputError(
            f"widths are of an mlp: say the channels of {network!r} as options of the word, "
            f"network={{'kind': 'conv', 'channels': [32, 64]}}."
        )
