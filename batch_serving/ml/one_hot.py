"""One column per text for the estimators, in memory that stays in proportion to the file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from batch_serving.shared.wording import SHOWN, counted

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Up to so many columns of 8 bytes a row are dense, as all estimators take them: 1.6 kB a row. Above, the
# matrix is sparse (12 bytes for each text of a row, however many texts there are), or the rarer texts share a
# column.
MOST_DENSE_COLUMNS = 200
FEWEST_PER_FEATURE = 10  # columns that each text feature may have, however many such features there are


def one_hot_encoder(estimator: Any, texts: pd.DataFrame) -> Any:
    """Return an unfitted OneHotEncoder for the text columns of the training rows and this estimator.

    Few texts: dense. Many, and an estimator that takes sparse matrices (by its tags): sparse. Many, and one
    that does not: the most frequent texts have a column each, all others of a feature share one; a warning
    names the features. A text that is new in prediction has no column of its own, and counts as one of the
    rare ones where those share a column.
    """
    from sklearn.preprocessing import OneHotEncoder

    counts = {str(name): int(column.nunique()) for name, column in texts.items()}
    if sum(counts.values()) <= MOST_DENSE_COLUMNS:
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    if takes_sparse(estimator):
        return OneHotEncoder(handle_unknown="ignore", sparse_output=True)
    most = most_per_feature(list(counts.values()))
    cut = {name: count for name, count in counts.items() if count > most}
    shown = ", ".join(f"{name!r} ({count:,} texts)" for name, count in list(cut.items())[:SHOWN])
    log.warning(
        "%s takes no sparse matrix, and %s would be more than %d columns: the %d most frequent texts of a "
        "column are told apart, the others count as one: %s%s. An estimator that takes sparse matrices uses "
        "all of them, such as a linear model or a forest",
        type(estimator).__name__,
        counted(sum(counts.values()), "text"),
        MOST_DENSE_COLUMNS,
        most - 1,
        shown,
        "" if len(cut) <= SHOWN else ", …",
    )
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=most, sparse_output=False)


def takes_sparse(estimator: Any) -> bool:
    """Return whether an estimator says that it learns from sparse matrices."""
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(estimator).input_tags.sparse)
    except (AttributeError, TypeError):  # a class of the project's own without scikit-learn's tags
        return False


def most_per_feature(counts: list[int]) -> int:
    """Return how many columns each text feature may have so that all together have MOST_DENSE_COLUMNS at
    most.

    What features with few texts leave is for the others. Never fewer than FEWEST_PER_FEATURE.
    """
    left, most = MOST_DENSE_COLUMNS, 0
    for place, count in enumerate(sorted(counts)):
        most = left // (len(counts) - place)
        if count > most:
            break
        left -= count
    return max(most, FEWEST_PER_FEATURE)
