"""Strength of interests: decayed evidence, smoothed shares, trends and forecasts. Formulas over arrays, no Spark."""

import numpy as np

from interest_model.recommend.histories import Histories

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
MOST_HALVINGS = 500.0  # a weight never falls below 2^-500: its square is still a normal float64


def decay(age_days: np.ndarray, half_life_days: float) -> np.ndarray:
    """2^(-age / half life), the share of an event's weight that is left after age_days; same shape as age_days."""
    if half_life_days <= 0:
        raise ValueError(f"decay: half_life_days must be above zero, got {half_life_days}")
    return np.exp2(-np.minimum(np.asarray(age_days, dtype=np.float64) / half_life_days, MOST_HALVINGS))


def place_factor(
    histories: Histories, latitudes: np.ndarray, longitudes: np.ndarray, half_distance_km: float, floor: float
) -> np.ndarray:
    """(m,) floor + (1 - floor) * 2^(-km / half_distance_km), km from the place of the user's latest event with one.

    latitudes, longitudes (m,) degrees, NaN where an event has no place: its factor is 1, as is every factor of a user
    without any place. floor in [0, 1]: what is left of an event at the far side of the earth.
    """
    known = np.isfinite(latitudes) & np.isfinite(longitudes)
    latest = np.full(histories.n_users, -1)
    np.maximum.at(latest, histories.rows[known], np.flatnonzero(known))
    here = latest[histories.rows]
    known &= here >= 0
    km = great_circle_km(latitudes[known], longitudes[known], latitudes[here[known]], longitudes[here[known]])
    factor = np.ones(len(latitudes))
    factor[known] = floor + (1.0 - floor) * np.exp2(-km / half_distance_km)
    return factor


def great_circle_km(latitude, longitude, other_latitude, other_longitude) -> np.ndarray:
    """Distance in km between points in degrees, by the haversine formula (Sinnott 1984); arrays of one shape."""
    lat, lon, to_lat, to_lon = (np.radians(one) for one in (latitude, longitude, other_latitude, other_longitude))
    chord = np.sin((to_lat - lat) / 2) ** 2 + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0)))


def hour_factor(hours: np.ndarray, at_hour: np.ndarray | float, half_hours: float, floor: float) -> np.ndarray:
    """(m,) floor + (1 - floor) * von Mises kernel of the hours between the event and at_hour, around the clock.

    hours (m,) local hour of the event in [0, 24), NaN where not known: factor 1. The kernel is 1 at at_hour and 1/2 at
    half_hours before and after it (0 < half_hours <= 12).
    """
    if not 0 < half_hours <= 12:
        raise ValueError(f"hour_factor: half_hours must be in (0, 12], got {half_hours}")
    narrowness = np.log(2.0) / (1.0 - np.cos(2 * np.pi * half_hours / 24))
    kernel = np.exp(narrowness * (np.cos(2 * np.pi * (hours - at_hour) / 24) - 1.0))
    return np.where(np.isfinite(kernel), floor + (1.0 - floor) * kernel, 1.0)


def strengths(evidence: np.ndarray, prior: np.ndarray, prior_events: float) -> np.ndarray:
    """ln(e + prior_events * prior): the strength of an interest; arrays of one shape.

    The softmax of a user's strengths over all topics of a tier is (e_j + alpha_j) / (sum e + prior_events), with
    alpha_j = prior_events * prior_j: the mean of the Dirichlet posterior of the user's shares after counts e under a
    Dirichlet(alpha) prior. -inf where a topic has neither evidence nor prior.
    """
    with np.errstate(divide="ignore"):
        return np.log(evidence + prior_events * prior)


def shares_after(
    evidence: np.ndarray,
    totals: np.ndarray,
    prior: np.ndarray,
    days: np.ndarray | float,
    half_life_days: float,
    prior_events: float,
) -> np.ndarray:
    """Share of each topic `days` days later, if nothing happens until then; no events needed. days = 0: the share now.

    evidence, prior: of the topic; totals: the user's evidence over all topics of the tier; arrays that broadcast. All
    evidence falls by the same 2^(-days / half life), so the share moves towards the prior's.
    """
    left = decay(days, half_life_days)
    return (left * evidence + prior_events * prior) / (left * totals + prior_events)


def confidence(totals: np.ndarray, prior_events: float) -> np.ndarray:
    """sum e / (sum e + prior_events), in [0, 1): how far a share rests on the user's own events.

    It is the credibility weight Z of Buehlmann: share = Z * own share + (1 - Z) * prior share.
    """
    return totals / (totals + prior_events)


def trends(
    sxy: np.ndarray, share: np.ndarray, sxx: np.ndarray, squared_sxx: np.ndarray, prior_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Trend r of a topic per day, in units of strength (logit of the share), and its standard error.

    One Newton step from r = 0 of the logistic regression of "this visit is about the topic" on time, with weights w:
    sxy = sum w (x - xbar) y, sxx = sum w (x - xbar)^2, squared_sxx = sum w^2 (x - xbar)^2, x in days, y in [0, 1];
    share: smoothed mean of y, in (0, 1). Prior: r ~ N(0, prior_sd^2).

        r = sxy / (A + P),  se^2 = (B + P) / (A + P)^2
        A = p (1 - p) sxx,  B = p (1 - p) squared_sxx,  P = 1 / prior_sd^2

    se^2 is the mean squared error of r over the prior: B / (A + P)^2 is the sandwich variance of the step under
    weights that are no counts (a decayed event is not a part of an event), with the binomial variance p (1 - p), which
    no y in [0, 1] exceeds, for the noise of a visit; P / (A + P)^2 is the squared bias of the shrinkage. With all
    weights 1 it is the posterior variance 1 / (A + P); with all visits at one instant r = 0 and se = prior_sd.

    One step falls short of a steep move: 95 % intervals hold the truth in about 95 % of cases while the logit moves by
    some three units or less over the history; of 0.1 a day over 60 days, r says about 0.07.
    """
    noise = share * (1.0 - share)
    precision = noise * sxx + prior_sd**-2.0
    return sxy / precision, np.sqrt(noise * squared_sxx + prior_sd**-2.0) / precision


def forecast_shares(strengths_now: np.ndarray, trends_per_day: np.ndarray, days_ahead: float) -> np.ndarray:
    """softmax(v + r * days_ahead) over the last axis: the shares of all topics of a tier in days_ahead days.

    strengths_now, trends_per_day (..., n_topics).
    """
    moved = strengths_now + trends_per_day * days_ahead
    if not moved.size:
        return moved
    grown = np.exp(moved - moved.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)
