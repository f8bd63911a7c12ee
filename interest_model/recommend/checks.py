"""The checks that a night's lists must pass before they are issued."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.errors import CheckError


def check_lists(lists: DataFrame, active: DataFrame, length: int) -> None:
    """CheckError unless every active user has one list of 1 to `length` different items with finite, falling scores.

    lists: from daily.daily_lists; active: one row (user_id) per user who must have one.
    """
    scores = F.col("scores")
    odd = F.exists(scores, lambda score: F.isnan(score) | (F.abs(score) == float("inf")))
    judged = lists.select(
        "user_id",
        F.size("item_ids").alias("listed"),
        (F.size(F.array_distinct("item_ids")) != F.size("item_ids")).alias("twice"),
        odd.alias("odd"),
        (F.reverse(F.array_sort(scores)) != scores).alias("unsorted"),
    )
    faults = {
        "users_without_list": F.col("listed").isNull() | (F.col("listed") == 0),
        "lists_too_long": F.col("listed") > length,
        "items_twice": F.col("twice"),
        "odd_scores": F.col("odd"),
        "scores_out_of_order": F.col("unsorted"),
    }
    totals = [F.count_if(bad).alias(name) for name, bad in faults.items()]
    users = F.countDistinct("user_id").alias("users")
    found = active.join(judged, "user_id", "left").agg(F.count("*").alias("rows"), users, *totals).head()
    broken = {name: found[name] for name in faults if found[name]}
    if found["rows"] != found["users"]:
        broken["users_with_two_lists"] = found["rows"] - found["users"]
    if broken:
        raise CheckError(
            f"lists of {found['users']} active users: {broken}; nothing was issued",
            "yesterday's lists stay in force; look at ranker_models and events of this day, then run the night again",
        )
