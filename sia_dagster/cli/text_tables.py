"""Tables of the commands in one style, and how they are printed."""

from collections.abc import Collection

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table


def new_table(*columns: str, title: str = "", numbers: int = 0, whole: Collection[int] = (0,)) -> Table:
    """A table without lines between its rows; the last `numbers` columns are numbers.

    Neither these nor the columns at the places `whole` are ever broken; the others share what the terminal leaves.
    """
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE, pad_edge=False)
    for place, column in enumerate(columns):
        right = place >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right or place in whole)
    return table


def show(renderable: RenderableType, *, soft_wrap: bool = False) -> None:
    """Print a table or text to the terminal, without colouring what looks like a number or a path."""
    Console(highlight=False).print(renderable, soft_wrap=soft_wrap)
