"""Policy: promotion, rollback and publication of versions of the registry.

Whether a candidate deserves it is decided in `gate`.
"""

from sia_dagster.core.policy.promotion import PromotionRequest, PromotionStores, not_promoted, promote, rejected_windows
from sia_dagster.core.policy.publication import publish
from sia_dagster.core.policy.rollback import rollback

__all__ = ["PromotionRequest", "PromotionStores", "not_promoted", "promote", "publish", "rejected_windows", "rollback"]
