"""The contract of every table: grain, key, partition, columns. Standard library only.

A table is of one kind:
  history  corrected when late events come; rewritten day by day
  issued   written once per run_date, never changed by later events
  cache    rows that never change once written, keyed by content
  record   what ran and what it did
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """One column: Spark DDL type, meaning, and whether null is allowed (and then what it means)."""

    name: str
    type: str
    comment: str
    nullable: bool = False
    provenance: bool = False  # says how a row came about, not what it is: left out when two histories are compared
    random: bool = False  # differs from run to run by design: never compared


@dataclass(frozen=True)
class Table:
    """One table: its grain in a sentence, key, partition columns, columns, CHECK constraints by name."""

    name: str
    kind: str
    grain: str
    key: tuple[str, ...]
    partition: tuple[str, ...]
    columns: tuple[Column, ...]
    checks: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _column(name: str, type: str, comment: str) -> Column:
    return Column(name, type, comment)


def _optional(name: str, type: str, comment: str) -> Column:
    return Column(name, type, comment, nullable=True)


def _provenance(name: str, type: str, comment: str) -> Column:
    return Column(name, type, comment, provenance=True)


_USER = _column("user_id", "string", "pseudonym: keyed HMAC-SHA256 of the log's user id, first 32 hex digits")
_ITEM = _column("item_id", "string", "the log's item id, as the mapping states it")
_RUN_DATE = _column("run_date", "date", "the night's day in the log's zone; what had arrived by its end is known")
_MODEL_VERSION = _column("model_version", "string", "version of the model that made the row")
_ENCODER = _column("encoder", "string", "encoder version: name, pooling and weights hash")
_EMBEDDING = _optional("embedding", "array<float>", "unit-length vector; null where the text could not be encoded")

_ARRAYS = (
    _RUN_DATE,
    _MODEL_VERSION,
    _column("name", "string", "name of the array"),
    _column("chunk", "int", "piece of the array, from 0"),
    _column("dtype", "string", "numpy dtype, little endian"),
    _column("shape", "array<long>", "shape of the whole array"),
    _column("data", "binary", "raw bytes of the piece, C order"),
)

EVENTS = Table(
    name="events",
    kind="history",
    grain="one accepted user action",
    key=("event_id",),
    partition=("event_date",),
    columns=(
        _column("event_id", "string", "md5 of the mapped columns, or of the log's own event id"),
        _USER,
        _ITEM,
        _column("event_type", "string", "what the user did, by the mapping's names"),
        _column("event_ts", "timestamp", "when it happened, UTC"),
        _column("event_date", "date", "day of event_ts in the log's zone"),
        _provenance("arrival_date", "date", "day the line reached us, log's zone; known from the end of that day on"),
        _column("weight", "double", "strength of this kind of event, >= 0, from the mapping"),
        _column("consumption", "boolean", "true where the event consumes the item"),
        _column("positive", "boolean", "true where evaluation may count it as a hit"),
        _optional("value", "double", "rating, quantity or dwell, unit as in the log; null: the log gives none"),
        _optional("latitude", "double", "degrees, -90 to 90; null: no place"),
        _optional("longitude", "double", "degrees, -180 to 180; null: no place"),
        _optional("place_id", "string", "the log's place (store, venue, country); null: none"),
        _optional("utc_offset_minutes", "int", "local time minus UTC where it happened; null: unknown"),
        _optional("session_key", "string", "the log's own session id; null: none given"),
        _optional("text", "string", "the user's own words; null: none"),
        _provenance("file", "string", "raw file of the line, below the raw folder; of repeats the first to arrive"),
        _provenance("line", "long", "line of that file, from 1, header included"),
    ),
    checks={"weight_not_negative": "weight >= 0", "latitude_range": "latitude is null or latitude between -90 and 90"},
)

EVENTS_REJECTED = Table(
    name="events_rejected",
    kind="history",
    grain="one refused raw line with rule and reason",
    key=("run_date", "file", "line"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _column("file", "string", "file name below the raw folder"),
        _column("line", "long", "line of the file (record for Parquet and Delta), from 1, header included"),
        _column("rule", "string", "short name of the rule that refused it"),
        _column("reason", "string", "what was wrong, without the user's id"),
        _optional("arrival_date", "date", "day the line reached us; null: cannot be told"),
        Column("raw_encrypted", "string", "Fernet token of the raw line, which holds the plain user id", random=True),
    ),
)

ITEMS = Table(
    name="items",
    kind="history",
    grain="one item as known from a day on (until its next row)",
    key=("item_id", "known_date"),
    partition=("known_date",),
    columns=(
        _ITEM,
        _column("known_date", "date", "night from which this row holds"),
        _provenance("file", "string", "raw file of the night's latest line about the item"),
        _optional("title", "string", "name to show; null: the log gives none"),
        _optional("text", "string", "what the encoder reads: the log's text, else title and categories; null: none"),
        _optional("text_hash", "string", "sha2-256 of text; null where text is"),
        _optional("price", "double", "price in the log's currency; null: none"),
        _optional("published_ts", "timestamp", "when the item came out, UTC; null: unknown"),
        _optional("latitude", "double", "degrees; null: no place"),
        _optional("longitude", "double", "degrees; null: no place"),
        _optional("categories", "array<string>", "from the widest to the narrowest where they form a path; null: none"),
        _optional("attributes", "map<string,string>", "further columns of the item file; null: none"),
    ),
)

SESSIONS = Table(
    name="sessions",
    kind="history",
    grain="one session: a user's events of a session_key, no gap above max_hours; without a key, gap_minutes",
    key=("session_id",),
    partition=("session_date",),
    columns=(
        _column("session_id", "string", "md5 of user and first event id"),
        _USER,
        _column("session_date", "date", "day the session started, log's zone"),
        _column("start_ts", "timestamp", "time of its first event, UTC"),
        _column("end_ts", "timestamp", "time of its last event, UTC"),
        _column("duration_seconds", "double", "end minus start, >= 0"),
        _column("n_events", "int", "events in the session, >= 1"),
        _column("n_items", "int", "distinct items, >= 1"),
        _provenance("last_arrival_date", "date", "latest arrival among its events"),
        _column("event_types", "array<string>", "in order of (event_ts, event_id)"),
        _column("item_ids", "array<string>", "in order of (event_ts, event_id)"),
    ),
    checks={"ends_after_start": "end_ts >= start_ts", "has_events": "n_events >= 1"},
)

_ALIGNED = "aligned with item_ids; null beyond the mask"
WINDOWS = Table(
    name="windows",
    kind="history",
    grain="one user and one day, week or month in which the user acted",
    key=("window_kind", "window_start", "user_id"),
    partition=("window_kind", "window_start"),
    columns=(
        _USER,
        _column("window_kind", "string", "day | week (from Monday) | month"),
        _column("window_start", "date", "first day of the window, log's zone"),
        _column("window_end", "date", "first day after the window"),
        _column("n_events", "int", "events in the window, those cut off included"),
        _provenance("last_arrival_date", "date", "latest arrival among all its events"),
        _column("mask", "array<boolean>", "true where a position holds an event; length context_length"),
        _column(
            "item_ids", "array<string>", "the latest context_length events, oldest first, padded at the end with null"
        ),
        _column("event_types", "array<string>", _ALIGNED),
        _column("event_ts", "array<timestamp>", _ALIGNED),
        _column("weights", "array<double>", _ALIGNED),
        _column("latitudes", "array<double>", _ALIGNED + "; null also where the event has no place"),
        _column("longitudes", "array<double>", _ALIGNED + "; null also where the event has no place"),
        _column("place_ids", "array<string>", _ALIGNED + "; null also where the event has no place"),
    ),
    checks={"known_kind": "window_kind in ('day', 'week', 'month')"},
)

TEXT_EMBEDDINGS = Table(
    name="text_embeddings",
    kind="cache",
    grain="one distinct text by content hash, per encoder version",
    key=("text_hash", "encoder"),
    partition=("encoder",),
    columns=(
        _column("text_hash", "string", "sha2-256 of the text"),
        _ENCODER,
        _optional("error", "string", "why the text could not be encoded; null: it was"),
        _EMBEDDING,
    ),
)

ITEM_EMBEDDINGS = Table(
    name="item_embeddings",
    kind="history",
    grain="one item as known from a day on, per encoder version",
    key=("item_id", "known_date", "encoder"),
    partition=("known_date",),
    columns=(
        _ITEM,
        _column("known_date", "date", "night from which this row holds"),
        _ENCODER,
        _column("text_hash", "string", "sha2-256 of the encoded text"),
        _EMBEDDING,
    ),
)

BEHAVIOUR_EMBEDDINGS = Table(
    name="behaviour_embeddings",
    kind="issued",
    grain="one current user-window that the night changed, as known on the night, per encoder version",
    key=("run_date", "window_kind", "window_start", "user_id", "encoder"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("window_kind", "string", "day | week | month"),
        _column("window_start", "date", "first day of the window"),
        _ENCODER,
        _column("n_events", "int", "events in the window as known on run_date"),
        _column("text_hash", "string", "sha2-256 of the text the window was put into"),
        _EMBEDDING,
    ),
)

TOPICS = Table(
    name="topics",
    kind="issued",
    grain="one topic of a version of the hierarchy; a version holds from its run_date until the next one's",
    key=("run_date", "stage", "topic_id"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _column("topic_version", "string", "hash of what places items and what topics are called"),
        _column("stage", "string", "shown: what every other table uses | base: before the rules, for the next version"),
        _column("topic_id", "string", "stable over versions: c-... from a category path, t-... learned"),
        _column("tier", "int", "depth in the tree, from 1, the widest"),
        _optional("parent_id", "string", "topic_id one tier up; null in tier 1"),
        _column("label", "string", "what people call it; distinct among the children of one parent"),
        _column("keywords", "array<string>", "words that set its items apart from its siblings', best first"),
        _column("n_items", "long", "items with any weight there; base, learned: on learned_date"),
        _column("position", "int", "order in the tree, from 0"),
        _column("centre", "array<float>", "mean of its items' standardised vectors; empty for categories"),
        _column("vector_mean", "array<float>", "what standardises a vector; the same in each row of a version"),
        _column("vector_scale", "array<float>", "what standardises a vector; the same in each row of a version"),
        _optional("encoder", "string", "encoder version whose vectors centre is among; null for categories"),
        _column("learned_date", "date", "night on which the topics were learned; categories: run_date"),
    ),
    checks={"known_stage": "stage in ('shown', 'base')"},
)

ITEM_TOPICS = Table(
    name="item_topics",
    kind="history",
    grain="one item's topics as known from a day on (until its next row)",
    key=("item_id", "known_date"),
    partition=("known_date",),
    columns=(
        _ITEM,
        _column("known_date", "date", "night from which this row holds"),
        _column("topic_ids", "array<string>", "topics of the deepest tier; their parents follow; empty: no topic"),
        _column("weights", "array<float>", "aligned with topic_ids; sum to one"),
    ),
)

INTEREST_STATES = Table(
    name="interest_states",
    kind="issued",
    grain="one user and topic on a night after which the user's events had arrived; holds until the user's next row",
    key=("run_date", "user_id", "topic_id"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("topic_version", "string", "version of the topic hierarchy"),
        _column("tier", "int", "tier of the topic, from 1"),
        _column("topic_id", "string", "topic that any of the user's events touched"),
        _column("strength", "double", "v = ln(evidence + prior_events * share of the population)"),
        _column("share", "double", "p, softmax of strength over all topics of the tier; untouched ones hold the rest"),
        _column("short_share", "double", "the same over interest.short_half_life_days"),
        _column("long_share", "double", "the same over interest.long_half_life_days"),
        _column("trend_per_day", "double", "r, signed change of strength a day"),
        _column("trend_se", "double", "standard error of trend_per_day"),
        _column("status", "string", "new | rising | stable | fading | gone | returning"),
        _column("sudden", "boolean", "true where the share moved in one step, lately"),
        _column("confidence", "double", "0 to 1: how far the share rests on the user's own events"),
        _column("evidence", "double", "sum of decayed event weights in the topic"),
        _column("last_ts", "timestamp", "latest visit about the topic, UTC"),
    ),
    checks={"share_range": "share between 0 and 1", "confidence_range": "confidence between 0 and 1"},
)

FORECAST_MODELS = Table(
    name="forecast_models",
    kind="issued",
    grain="one chunk of one named array of the forecast models made on a night; they hold until the next are made",
    key=("run_date", "name", "chunk"),
    partition=("run_date",),
    columns=_ARRAYS,
)

INTEREST_FORECASTS = Table(
    name="interest_forecasts",
    kind="issued",
    grain="one active user, topic and number of days ahead, as forecast on a night; by rule: today's smoothed share",
    key=("run_date", "user_id", "days_ahead", "tier", "topic_id"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("days_ahead", "int", "length of the window that begins after run_date"),
        _column("tier", "int", "tier of the topic, from 1"),
        _column("topic_id", "string", "touched topic; 'rest', 'rest of TOPIC': the untouched ones (of that parent)"),
        _column(
            "share",
            "double",
            "of the window's weight, expected; a tier sums to one, children to a parent; q10 null: by rule",
        ),
        _optional(
            "q10",
            "double",
            "quantile of the share realised by 5 events or more; null: horizon not learned, or a row rest",
        ),
        _optional("q50", "double", "median; the point forecast for absolute error; null: as q10"),
        _optional("q90", "double", "quantile; null: as q10"),
        _optional(
            "interval_low",
            "double",
            "80 % interval, lower end: q10; where q90 is one and q10 above zero, the 20 % quantile; null: as q10",
        ),
        _optional(
            "interval_high",
            "double",
            "its upper end: q90; where q10 is zero, the 80 % quantile, zero where zero is likelier; null: as q10",
        ),
        _MODEL_VERSION,
    ),
    checks={"share_range": "share between 0 and 1"},
)

USER_RETURNS = Table(
    name="user_returns",
    kind="issued",
    grain="one active user and number of days ahead, as forecast on a night",
    key=("run_date", "user_id", "days_ahead"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("days_ahead", "int", "length of the window that begins after run_date"),
        _optional("return_probability", "double", "chance of any event in the window; null: horizon not learned"),
        _optional("expected_events", "double", "expected number of events in the window; null: horizon not learned"),
        _MODEL_VERSION,
    ),
    checks={"probability_range": "return_probability is null or return_probability between 0 and 1"},
)

USER_PROFILES = Table(
    name="user_profiles",
    kind="issued",
    grain="one active user and touched topic on a night: what an analyst or an editor reads of a person",
    key=("run_date", "user_id", "topic_id"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("tier", "int", "tier of the topic, from 1"),
        _column("topic_id", "string", "see topics"),
        _column("topic", "string", "labels from tier 1 down, joined by ' > '"),
        _column("strength", "double", "as in interest_states, as of run_date for every active user"),
        _column("share", "double", "as in interest_states"),
        _column("trend_per_day", "double", "as in interest_states"),
        _column("status", "string", "new | rising | stable | fading | gone | returning"),
        _column("sudden", "boolean", "true where the share moved in one step, lately"),
        _column("confidence", "double", "0 to 1: how far the share rests on the user's own events"),
        _column("last_ts", "timestamp", "latest visit about the topic, UTC"),
        _column("expected_shares", "map<int,double>", "days ahead to share in interest_forecasts: learned or by rule"),
        _column("return_probabilities", "map<int,double>", "days ahead to the chance of any event; empty: no model"),
        _column("topic_version", "string", "version of the topic hierarchy"),
        _MODEL_VERSION,
    ),
)

INTEREST_TRENDS = Table(
    name="interest_trends",
    kind="issued",
    grain="one topic on a night: what everybody's events say of it, and its share expected next",
    key=("run_date", "topic_id"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _column("tier", "int", "tier of the topic, from 1"),
        _column("topic_id", "string", "see topics"),
        _column("topic", "string", "labels from tier 1 down, joined by ' > '"),
        _column("weight", "double", "sum of event weights in the latest trends.change_days"),
        _optional("share", "double", "of the tier's weight in those days; null: no event in them"),
        _optional(
            "share_before",
            "double",
            "the same of as many days before them; null: no event in them, or the log is younger",
        ),
        _optional("change", "double", "share over share_before; null: one is unknown, or share_before is 0"),
        _column("trend_per_day", "double", "slope of the log-odds of the share over both spans, logit per day"),
        _column("trend_se", "double", "standard error of trend_per_day, that events of a day hang together counted in"),
        _column("move", "string", "rising | stable | falling: whether the trend is beyond chance (trends.level)"),
        _column("expected_shares", "map<int,double>", "days ahead to expected share; a tier sums to one"),
        _column("q10_shares", "map<int,double>", "lower end of the 80 % interval; empty: the log is too young"),
        _column("q90_shares", "map<int,double>", "upper end of the 80 % interval; empty: the log is too young"),
        _column(
            "arima_shares",
            "map<int,double>",
            "AutoARIMA of the topic's own weeks, which need not sum to one or add up; empty: none",
        ),
        _column("arima_q10_shares", "map<int,double>", "lower end of its 80 % interval; empty: none fitted"),
        _column("arima_q90_shares", "map<int,double>", "upper end of its 80 % interval; empty: none fitted"),
        _column("topic_version", "string", "version of the topic hierarchy"),
    ),
    checks={"known_move": "move in ('rising', 'stable', 'falling')"},
)

USER_VECTORS = Table(
    name="user_vectors",
    kind="issued",
    grain="one active user and number of days ahead: the champion's state of the user; no rows where there is none",
    key=("run_date", "user_id", "days_ahead"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("days_ahead", "int", "0: at the end of run_date; else so many days later, with nothing new in between"),
        _optional(
            "vector",
            "array<float>",
            "unit length where scores are cosines; an ensemble's: its members' side by side; null: nothing consumed",
        ),
        _column("model_version", "string", "name/version in the model registry: the champion as of run_date"),
    ),
    checks={"not_before_now": "days_ahead >= 0"},
)

RANKER_MODELS = Table(
    name="ranker_models",
    kind="issued",
    grain="one chunk of one named array of the night's ranker",
    key=("run_date", "name", "chunk"),
    partition=("run_date",),
    columns=_ARRAYS,
)

DAILY_RECOMMENDATIONS = Table(
    name="daily_recommendations",
    kind="issued",
    grain="one user and rank per day; serves from the day after run_date",
    key=("run_date", "user_id", "rank"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _USER,
        _column("rank", "int", "from 1, best first, after diversity"),
        _ITEM,
        _column("score", "double", "blend and trees, less what diversity costs; comparable within a user and day only"),
        _column("origin", "string", "member of the blend that gave the most"),
        _column("reason", "string", "for people: where it comes from, the interest it speaks to and where that goes"),
        _column("because_item_ids", "array<string>", "own items that speak most for it, best first; empty: none does"),
        _MODEL_VERSION,
    ),
    checks={"rank_from_one": "rank >= 1"},
)

FALLBACK_RECOMMENDATIONS = Table(
    name="fallback_recommendations",
    kind="issued",
    grain="one segment and rank per day, for people not known yet",
    key=("run_date", "segment", "rank"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _column("segment", "string", "all, or place:<place_id> where the log has enough events there"),
        _column("rank", "int", "from 1, best first"),
        _ITEM,
        _column("score", "double", "decayed popularity, share of the segment's total over all items"),
        _column("reason", "string", "one sentence a person can read"),
        _MODEL_VERSION,
    ),
    checks={"rank_from_one": "rank >= 1"},
)

EVALUATION = Table(
    name="evaluation",
    kind="issued",
    grain="one metric of one model over one segment, judged on a day",
    key=("run_date", "protocol", "seed", "variant", "model", "metric", "horizon_days", "k", "segment"),
    partition=("run_date",),
    columns=(
        _RUN_DATE,
        _column("protocol", "string", "replay (issued) | refit | temporal | temporal-last | loo-shuffled | loo-file"),
        _column("variant", "string", "novel: seen items out of lists and truth | repeat: nothing removed"),
        _column("source", "string", "name of the log's mapping"),
        _column("model", "string", "ranker, its parts blend and boosted, a member, a floor, or a peer"),
        _column("metric", "string", "ndcg, recall, ...: see evaluation/metrics.py"),
        _column("horizon_days", "int", "days after the list that judge it; 0: one event left out, whenever it was"),
        _column("k", "int", "length at which lists are cut"),
        _column(
            "segment",
            "string",
            "all | new_users | light_users | heavy_users | moved_users (with an interest that rises, "
            "fades, is gone, is back or moved in one step) | new_items | no_history",
        ),
        _column("list_date", "date", "run_date of the judged lists, refit: the night; or the day before the cut"),
        _optional("value", "double", "mean over users (coverage: share of the catalogue); null: no user to judge"),
        _column("n_users", "long", "users judged"),
        _column("seed", "int", "seed of the split where it is drawn (loo-shuffled), else 0"),
        _optional("boot_sums", "array<double>", "sum of value per Poisson-bootstrap replicate; null: no interval"),
        _optional("boot_weights", "array<double>", "users per replicate; nights merge by adding both"),
    ),
)

RUNS = Table(
    name="runs",
    kind="record",
    grain="one step of one run",
    key=("run_id", "job"),
    partition=("run_date",),
    columns=(
        _column("run_id", "string", "one per owner and day: the steps of a night, also as processes of their own"),
        _RUN_DATE,
        _column("job", "string", "step of the flow, 'night' for the whole, or backtest, train"),
        _column("state", "string", "running | done | failed"),
        _column("owner", "string", "who holds the claim: --owner (under Airflow the run), else host, process, start"),
        _column("source", "string", "name of the log's mapping"),
        _column("started_ts", "timestamp", "UTC"),
        _optional("finished_ts", "timestamp", "UTC; null while running"),
        _optional("seconds", "double", "wall time; null while running"),
        _column("settings_hash", "string", "32 digits of sha2-256 of what settings change tables, 32 of the mapping"),
        _column("raw_hash", "string", "sha2-256 of name, size and change time of the raw files that the night reads"),
        _column("code_revision", "string", "git revision, or the package version"),
        _optional(
            "model_version", "string", "the night's own ranker; null: none made, or the step ran apart before it"
        ),
        _optional("message", "string", "the error of a failed run; null otherwise"),
        _column("inputs", "map<string,long>", "table versions read"),
        _column("outputs", "map<string,long>", "table versions written"),
        _column("rows", "map<string,long>", "counts by name, read and written"),
    ),
)

PROMOTIONS = Table(
    name="promotions",
    kind="record",
    grain="one decision on a version of a model; what is in force on a night is read from them",
    key=("model", "version", "decided_ts"),
    partition=("model",),
    columns=(
        _column("model", "string", "name in the model registry"),
        _column("version", "string", "number in the registry: judged, or taken out"),
        _optional("digest", "string", "sha2-256 of the judged version's files: nights load no others; null: taken out"),
        _column("state", "string", "promoted | refused | rolled_back"),
        _optional("champion", "string", "version in force after the decision; null: none"),
        _optional("former", "string", "version in force before it; null: none"),
        _column("from_run_date", "date", "first night that it holds for; never one that was issued before it"),
        _column("decided_ts", "timestamp", "UTC"),
        _column("reason", "string", "what was measured and what it was held against"),
        _column("figures", "map<string,double>", "NDCG@10 by ranker, lead with interval, judged users; its gate"),
    ),
    checks={"known_state": "state in ('promoted', 'refused', 'rolled_back')"},
)

ALL = (
    EVENTS, EVENTS_REJECTED, ITEMS, SESSIONS, WINDOWS, TEXT_EMBEDDINGS, ITEM_EMBEDDINGS, BEHAVIOUR_EMBEDDINGS,
    TOPICS, ITEM_TOPICS, INTEREST_STATES, FORECAST_MODELS, INTEREST_FORECASTS, USER_RETURNS, USER_PROFILES,
    INTEREST_TRENDS, USER_VECTORS, RANKER_MODELS, DAILY_RECOMMENDATIONS, FALLBACK_RECOMMENDATIONS, EVALUATION, RUNS,
    PROMOTIONS,
)  # fmt: skip
BY_NAME = {table.name: table for table in ALL}
