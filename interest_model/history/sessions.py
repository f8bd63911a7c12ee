"""Sessions: a user's events cut by gaps, by the log's own session id, and, where a chain is very long, by midnight.

The rule. Within one user and one session_key (events without one form a group of their own), ordered by
(event_ts, event_id), a *chain* is a maximal run of events in which no gap is longer than the permitted one:
gap_minutes for events without a session_key, max_hours for events with one, because the log's own session id is
trusted over the clock. A gap of exactly the permitted length does not end a chain. A chain no longer than max_hours
is one session; a longer one is cut wherever event_date changes, so each of its sessions lies in one day.

What a late event can change. Let g be the longest gap inside a chain, H = max_hours, and m (`reach_days`) the
smallest number of days of 22 hours (the shortest a change of clocks makes) that together are longer than H + g.
An event of day E changes only the chains it lies in or within g of. Take a session that starts on a day before
E - m, in the old or the new world, and in such a chain: from its start to the chain's events next to the late one
more than m whole days less g go by, which is more than H, so its chain is longer than H in both worlds, and is cut at
midnight in both: the session holds the events of one day, which are the same. The same holds after E + m. So only
sessions that start on E - m to E + m change. For the same reason whether a chain that touches day d is longer than H,
and where it starts if it is not, is decided by the events of d - m to d + m.
"""


from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import Sessions

SHORTEST_DAY_HOURS = 22  # clocks go forward by two hours at most (Antarctica/Troll)


def build_sessions(events: DataFrame, settings: Sessions) -> DataFrame:
    """One row per session of `events` (table events), columns of table sessions; see the module for the rule.

    The session that starts on day d is right where all events of d - m to d + m are given, m = `reach_days`.
    """
    chains = _numbered_chains(events, settings).groupBy("user_id", "session_key", "chain").agg(
        F.sort_array(F.collect_list(F.struct(*_KEPT))).alias("chain_events")
    )
    pieces = _when_longer(settings, F.col("chain_events"), _one_day_pieces("chain_events"))
    parts = chains.select("user_id", "chain_events", F.explode_outer(pieces).alias("piece"))
    return _summarised(parts.select("user_id", F.coalesce("piece", "chain_events").alias("rows")))
