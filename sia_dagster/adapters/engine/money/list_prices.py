"""List prices of models that the configuration's own table does not name, from the data of genai-prices."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from sia_dagster.core.config.llm import LLMConfig, Price


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of `model`: of the given table, else its provider's list price; None where neither is known.

    A dated snapshot (`gpt-4o-mini-2024-07-18`) that is not listed has the price of its model without the date.
    """
    names = (model, re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))
    configured = next((prices[name] for name in names if name in prices), None)
    return configured or next((price for name in names if (price := _listed(name))), None)


def called_price(model: str, *, llm: LLMConfig) -> Price | None:
    """The price of a model under the name by which it is called, see `LLMConfig.model_names`."""
    return price_of(llm.called(model), llm.prices)


def prices_source() -> str:
    """Where list prices come from, with the version of the data."""
    return f"genai-prices {version('genai-prices')}"


@cache
def _listed(model: str) -> Price | None:
    """Today's price of the standard tier, without surcharges for long prompts; asks no network."""
    from genai_prices import Usage, calc_price
    from genai_prices.types import TieredPrices

    # Some prices depend on the hour: at a fixed one, equal calls of one day have equal prices.
    noon = datetime.now(UTC).replace(hour=12)
    try:
        listed = calc_price(Usage(), model, genai_request_timestamp=noon).model_price
    except LookupError:
        return None
    given = (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok)
    usd_in, usd_out, cached = (usd.base if isinstance(usd, TieredPrices) else usd for usd in given)
    if usd_in is None or usd_out is None:
        return None
    return Price(input=float(usd_in), output=float(usd_out), cached_input=None if cached is None else float(cached))
