"""Where assets are kept: `<storage>/assets/<loop>/<asset>/<partition>.parquet|json`, on any fsspec URL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import dagster as dg
from pydantic import BaseModel, Field

from sia_dagster.adapters.files.span_table import SampledSpans, SpanFile, place, read_sampled
from sia_dagster.adapters.files.storage import write_atomically
from sia_dagster.defs.table_types import eval_results_schema

if TYPE_CHECKING:
    from upath import UPath


class DocumentIOManager(dg.UPathIOManager):
    """Frozen models as JSON; read back as the type that the asset's parameter is annotated with."""

    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: BaseModel, path: "UPath") -> None:
        """Write atomically: two runs of one window leave one whole file."""
        write_atomically(path, (obj.model_dump_json(indent=1) + "\n").encode())

    def load_from_path(self, context: dg.InputContext, path: "UPath") -> Any:
        """Read and validate; plain JSON for a parameter that is annotated with no model."""
        model = _model_of(context.dagster_type.typing_type)
        with _named(path):
            if model:
                return model.model_validate_json(path.read_bytes())
            return json.loads(path.read_bytes())


class TableIOManager(dg.UPathIOManager):
    """Spans and evaluation results as Parquet."""

    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: "UPath") -> None:
        """Write a DataFrame, or move staged spans to their place."""
        if isinstance(obj, SpanFile):
            place(obj, path)
        else:
            write_atomically(path, obj.to_parquet(index=False, schema=eval_results_schema()))

    def load_from_path(self, context: dg.InputContext, path: "UPath") -> Any:
        """The sampled calls of `traces`; any other table as a DataFrame."""
        if context.dagster_type.typing_type is SampledSpans:
            with _named(path), path.open("rb") as file:
                return read_sampled(file)
        import pandas as pd

        with _named(path), path.open("rb") as file:
            return pd.read_parquet(file)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a parameter is annotated with, alone or in a union; None for any other annotation."""
    named = (annotation, *get_args(annotation))
    return next((each for each in named if isinstance(each, type) and issubclass(each, BaseModel)), None)


@contextmanager
def _named(path: "UPath") -> Iterator[None]:
    """Name the file that cannot be read; pydantic and Arrow both raise ValueErrors."""
    try:
        yield
    except ValueError as error:
        reason = str(error).splitlines()[0]
        sentence = f"{path}: this version cannot read it ({reason}); materialise its asset again"
        raise dg.Failure(description=sentence, allow_retries=False) from error


class Documents(dg.ConfigurableIOManagerFactory[DocumentIOManager]):
    """JSON documents under one root."""

    root: str = Field(description="Folder or fsspec URL.")

    def create_io_manager(self, context: dg.InitResourceContext) -> DocumentIOManager:
        """The I/O manager for `root`."""
        from upath import UPath

        return DocumentIOManager(base_path=UPath(self.root))


class Tables(dg.ConfigurableIOManagerFactory[TableIOManager]):
    """Parquet tables under one root."""

    root: str = Field(description="Folder or fsspec URL.")

    def create_io_manager(self, context: dg.InitResourceContext) -> TableIOManager:
        """The I/O manager for `root`."""
        from upath import UPath

        return TableIOManager(base_path=UPath(self.root))
