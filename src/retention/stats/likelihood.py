"""The log-likelihood of a hazard regression (`hazards`), its score and its curvature.

Throughout: theta (p,) covariates first, then the logs of the band rates; y (n,) 0 or 1; X (n, k)
covariates; E (n, bands) months in each band; w (n,) how often each row counts.
"""

from __future__ import annotations

import numpy as np


def row_parts(
    theta: np.ndarray, y: np.ndarray, X: np.ndarray, E: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Each row's hazard ratio, months by band times their rates, mu, dlikelihood/dmu and Fisher
    weight of mu.
    """
    k = X.shape[1]
    capped = np.clip(theta[k:], -40, 40)
    base = E * np.exp(capped)
    linear = X @ theta[:k]
    ratio = np.exp(np.clip(linear, -40, 40))
    hazard = ratio * base.sum(axis=1)
    mu = np.maximum(hazard, 1e-300)
    chance = -np.expm1(-mu)
    odds = np.exp(-mu) / chance
    pull = np.where(y > 0, odds, -1.0)
    return ratio, base, mu, w * pull, w * odds


def likelihood(
    theta: np.ndarray, y: np.ndarray, X: np.ndarray, E: np.ndarray, w: np.ndarray
) -> float:
    """The log-likelihood."""
    _, _, mu, _, _ = row_parts(theta, y, X, E, w)
    chance = np.maximum(-np.expm1(-mu), 1e-300)
    logs = np.log(chance)
    terms = np.where(y > 0, logs, -mu)
    return float(w @ terms)


def summed(
    theta: np.ndarray, y: np.ndarray, X: np.ndarray, E: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score (p,) and expected information (p, p), without a row's own ever being made."""
    ratio, base, mu, pull, weight = row_parts(theta, y, X, E, w)
    total = base.sum(axis=1, keepdims=True)
    least = np.maximum(total, 1e-300)
    shares = base / least
    slopes = np.concatenate([X, shares], axis=1)  # dmu/dtheta over mu
    moved = pull * mu
    score = slopes.T @ moved
    scale = np.sqrt(weight) * mu
    slopes *= scale[:, None]
    return score, slopes.T @ slopes


def bend(
    theta: np.ndarray, y: np.ndarray, X: np.ndarray, E: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """The observed information; made positive where the log-likelihood does not bend down. Shape
    (p, p).
    """
    k = X.shape[1]
    ratio, base, mu, pull, _ = row_parts(theta, y, X, E, w)
    rates = ratio[:, None] * base
    by_covariate = mu[:, None] * X
    slopes = np.column_stack([by_covariate, rates])
    p = slopes.shape[1]
    second = np.zeros((p, p))
    moved = pull * mu
    weighted = X * moved[:, None]
    second[:k, :k] = weighted.T @ X
    pulled = X * pull[:, None]
    corner = pulled.T @ rates
    second[:k, k:] = corner
    second[k:, :k] = corner.T
    second[k:, k:] = np.diag(pull @ rates)
    leave = -np.expm1(-mu)
    stay = np.exp(-mu)
    weight = w * y * stay / leave**2
    spread = slopes * weight[:, None]
    observed = spread.T @ slopes - second
    values, vectors = np.linalg.eigh(observed)
    curvature = np.maximum(np.abs(values), 1e-8)
    return (vectors * curvature) @ vectors.T
