"""The same sessions and windows as SQL that an engineer would write, for Spark and for DuckDB."""

from interest_model.config import Sessions, Windows


def spark_sessions(settings: Sessions) -> str:
    limit = settings.max_hours * 3_600_000_000
    return f"""
    with marked as (
      select *, case when unix_micros(event_ts) - lag(unix_micros(event_ts)) over ordered
        <= if(session_key is null, {settings.gap_minutes * 60_000_000}, {limit}) then 0 else 1 end as starts
      from events window ordered as (partition by user_id, session_key order by event_ts, event_id)),
    numbered as (
      select *, sum(starts) over (partition by user_id, session_key order by event_ts, event_id
                                  rows unbounded preceding) as chain from marked),
    cut as (
      select *, if(unix_micros(max(event_ts) over whole) - unix_micros(min(event_ts) over whole) > {limit},
                   event_date, null) as piece
      from numbered window whole as (partition by user_id, session_key, chain)),
    grouped as (
      select user_id, count(*) as n_events, max(arrival_date) as last_arrival_date,
        sort_array(collect_list(struct(event_ts, event_id, event_date, event_type, item_id))) as c
      from cut group by user_id, session_key, chain, piece)
    select md5(concat_ws('/', user_id, c[0].event_id)) as session_id, user_id, c[0].event_date as session_date,
      c[0].event_ts as start_ts, element_at(c, -1).event_ts as end_ts,
      (unix_micros(element_at(c, -1).event_ts) - unix_micros(c[0].event_ts)) / 1e6 as duration_seconds,
      cast(n_events as int) as n_events, size(array_distinct(c.item_id)) as n_items, last_arrival_date,
      c.event_type as event_types, c.item_id as item_ids
    from grouped"""


def duckdb_sessions(settings: Sessions) -> str:
    limit = settings.max_hours * 3_600_000_000
    return f"""
    with marked as (
      select *, case when epoch_us(event_ts) - lag(epoch_us(event_ts)) over ordered
        <= if(session_key is null, {settings.gap_minutes * 60_000_000}, {limit}) then 0 else 1 end as starts
      from events window ordered as (partition by user_id, session_key order by event_ts, event_id)),
    numbered as (
      select *, sum(starts) over (partition by user_id, session_key order by event_ts, event_id
                                  rows unbounded preceding) as chain from marked),
    cut as (
      select *, if(epoch_us(max(event_ts) over whole) - epoch_us(min(event_ts) over whole) > {limit},
                   event_date, null) as piece
      from numbered window whole as (partition by user_id, session_key, chain)),
    grouped as (
      select user_id, count(*) as n_events, max(arrival_date) as last_arrival_date, min(event_ts) as start_ts,
        max(event_ts) as end_ts, count(distinct item_id) as n_items,
        list(event_id order by event_ts, event_id)[1] as first_id,
        list(event_date order by event_ts, event_id)[1] as session_date,
        list(event_type order by event_ts, event_id) as event_types,
        list(item_id order by event_ts, event_id) as item_ids
      from cut group by user_id, session_key, chain, piece)
    select md5(user_id || '/' || first_id) as session_id, user_id, session_date, start_ts, end_ts,
      (epoch_us(end_ts) - epoch_us(start_ts)) / 1e6 as duration_seconds, n_events, n_items, last_arrival_date,
      event_types, item_ids
    from grouped"""


_STARTS = {"day": "event_date", "week": "date_trunc('week', event_date)", "month": "date_trunc('month', event_date)"}
_ARRAYS = {
    "item_ids": "item_id",
    "event_types": "event_type",
    "event_ts": "event_ts",
    "weights": "weight",
    "latitudes": "latitude",
    "longitudes": "longitude",
    "place_ids": "place_id",
}


def spark_windows(settings: Windows) -> str:
    length = settings.context_length
    parts = " union all ".join(
        f"""select user_id, '{kind}' as window_kind, cast({_STARTS[kind]} as date) as window_start,
          count(*) as n, max(arrival_date) as last_arrival_date, sort_array(collect_list(struct(
            event_ts, event_id, {", ".join(name for name in _ARRAYS.values() if name != "event_ts")}))) as c
        from events group by user_id, cast({_STARTS[kind]} as date)"""
        for kind in settings.kinds
    )
    cut = f"if(n > {length}, slice(c, -{length}, {length}), c)"
    arrays = ", ".join(
        f"concat(k.{field}, array_repeat(null, {length} - size(k))) as {name}" for name, field in _ARRAYS.items()
    )
    return f"""
    with grouped as ({parts}), latest as (select *, {cut} as k from grouped)
    select user_id, window_kind, window_start,
      cast(case window_kind when 'day' then date_add(window_start, 1) when 'week' then date_add(window_start, 7)
        else add_months(window_start, 1) end as date) as window_end, cast(n as int) as n_events, last_arrival_date,
      concat(array_repeat(true, size(k)), array_repeat(false, {length} - size(k))) as mask, {arrays}
    from latest"""


def duckdb_windows(settings: Windows) -> str:
    length = settings.context_length
    parts = " union all ".join(
        f"""select user_id, '{kind}' as window_kind, cast({_STARTS[kind]} as date) as window_start,
          cast({_STARTS[kind]} + interval 1 {kind} as date) as window_end, count(*) as n_events,
          max(arrival_date) as last_arrival_date,
          list_resize(list_resize(list(true), least(count(*), {length})), {length}, false) as mask,
          {", ".join(f"list({field} order by event_ts, event_id) as {name}" for name, field in _ARRAYS.items())}
        from events group by user_id, {_STARTS[kind]}"""
        for kind in settings.kinds
    )
    arrays = ", ".join(f"list_resize({name}[-{length}:], {length}) as {name}" for name in _ARRAYS)
    return f"select * replace ({arrays}) from ({parts})"
