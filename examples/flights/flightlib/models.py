"""Train three kinds of classifier of "arrives more than 15 minutes late", judge them, and choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from weft import step

from .features import CATEGORIES, FEATURES, NUMBERS, WEATHER

SEED = 2013


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline from a frame with ``FEATURES`` to the chance of being late."""

    kind: str
    pipeline: Pipeline
    train_rows: int


@dataclass(frozen=True)
class Scored:
    """A model and how it did on flights that came after those it learned from.

    Attributes:
        auc: area under the ROC curve; 0.5 is guessing. ``average_precision``: ``late_share`` is guessing.
        brier: mean squared error of the chance. ``late_share``: share of late flights among the judged.
    """

    model: Trained
    auc: float
    average_precision: float
    brier: float
    late_share: float
    test_rows: int


def linear() -> Pipeline:
    """Return a logistic regression on scaled numbers and one column a category."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=50)
    columns = make_column_transformer((numbers, [*NUMBERS, *WEATHER]), (categories, CATEGORIES))
    return make_pipeline(columns, LogisticRegression(C=0.1, max_iter=300))


def forest() -> Pipeline:
    """Return a random forest, each tree on a sample so that a whole year stays small and quick."""
    numbers = SimpleImputer(strategy="median")
    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((numbers, [*NUMBERS, *WEATHER]), (categories, CATEGORIES))
    trees = RandomForestClassifier(
        n_estimators=60, max_depth=14, min_samples_leaf=10, max_samples=0.3, n_jobs=1, random_state=SEED
    )
    return make_pipeline(columns, trees)


def boosting() -> Pipeline:
    """Return gradient boosting on histograms; missing values and categories need no preparation."""
    trees = HistGradientBoostingClassifier(
        learning_rate=0.08,
        max_iter=150,
        max_leaf_nodes=31,
        l2_regularization=1.0,
        categorical_features="from_dtype",
        early_stopping=False,
        random_state=SEED,
    )
    return make_pipeline(trees)


KINDS: dict[str, Callable[[], Pipeline]] = {"linear": linear, "forest": forest, "boosting": boosting}


@step(cpu=1, memory="4GiB")
def train(table: pd.DataFrame, kind: str) -> Trained:
    """Fit one kind of model.

    Args:
        table: ``FEATURES`` and the label ``late`` (bool), one row a flight that arrived.
        kind: a key of ``KINDS``.

    Raises:
        KeyError: no such kind.
    """
    pipeline = KINDS[kind]()
    # One thread: three of these run side by side, and sums in one order give the same model every time.
    with threadpool_limits(1):
        pipeline.fit(table[FEATURES], table["late"])
    return Trained(kind=kind, pipeline=pipeline, train_rows=len(table))


@step
def evaluate(model: Trained, table: pd.DataFrame) -> Scored:
    """Judge a model on the later flights in ``table`` (``FEATURES`` and ``late``)."""
    with threadpool_limits(1):
        chance = model.pipeline.predict_proba(table[FEATURES])[:, 1]
    late = table["late"].to_numpy()
    return Scored(
        model=model,
        auc=float(roc_auc_score(late, chance)),
        average_precision=float(average_precision_score(late, chance)),
        brier=float(brier_score_loss(late, chance)),
        late_share=float(np.mean(late)),
        test_rows=len(table),
    )


@step
def best_of(scored: list[Scored]) -> Scored:
    """Print the models in a table and return the one with the largest AUC; the first of equals."""
    print(f"{'model':<10}{'auc':>8}{'avg prec':>10}{'brier':>8}")
    for one in scored:
        print(f"{one.model.kind:<10}{one.auc:>8.3f}{one.average_precision:>10.3f}{one.brier:>8.3f}")
    return max(scored, key=lambda one: one.auc)


def metrics_of(scored: Scored) -> dict[str, Any]:
    """Return the numbers of a judged model as plain data."""
    return {
        "kind": scored.model.kind,
        "auc": scored.auc,
        "average_precision": scored.average_precision,
        "brier": scored.brier,
        "late_share": scored.late_share,
        "train_rows": scored.model.train_rows,
        "test_rows": scored.test_rows,
    }
