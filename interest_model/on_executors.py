"""Python over Arrow batches on executors: the only file with mapInArrow plumbing and with a task's devices."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from interest_model.errors import ContractError, SetupError

Batches = Iterable[pa.RecordBatch]


def map_batches(
    frame: DataFrame, function: Callable[[Batches], Iterator[pa.RecordBatch]], schema: str, gpu_per_task: float = 0.0
) -> DataFrame:
    """`function` over the Arrow batches of each task; its columns are matched to `schema` (Spark DDL) by name.

    gpu_per_task > 0 asks for that share of a GPU for each task of this stage only; SetupError where there is none.
    ContractError (in the task) names a column that is missing or has a type that cannot be cast.
    """
    arrow = to_arrow_schema(StructType.fromDDL(schema))
    profile = gpu_profile(frame.sparkSession, gpu_per_task) if gpu_per_task > 0 else None

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in function(batches):
            yield fit_batch(batch, arrow)

    return frame.mapInArrow(run, schema, profile=profile)


def map_users(
    frame: DataFrame, function: Callable[[Batches], Iterator[pa.RecordBatch]], schema: str, gpu_per_task: float = 0.0
) -> DataFrame:
    """`map_batches` of one row per user, each task's in order of user_id.

    A shuffle hands rows over in any order, and the last bits of what is computed together depend on who shares a batch:
    sorted, the same users make the same batches and so the same bits.
    """
    return map_batches(frame.sortWithinPartitions("user_id"), function, schema, gpu_per_task)


def fit_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch's columns in the schema's order and types: Spark takes them by position and would swap them."""
    names = batch.schema.names
    if sorted(names) != sorted(schema.names):
        raise ContractError(f"a batch has columns {sorted(names)}, declared are {sorted(schema.names)}")
    columns = []
    for column in schema:
        try:
            columns.append(batch.column(names.index(column.name)).cast(column.type))
        except pa.ArrowException as error:
            raise ContractError(f"column {column.name}: cannot become {column.type}: {error}") from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def list_column(matrix: np.ndarray, valid: np.ndarray) -> pa.ListArray:
    """A list column over the rows of `matrix` (n, d) in one flat buffer; null where `valid` (n,) is false.

    benchmarks/arrow_edge.py: 3.7 times the rows per second of a pandas UDF that returns Python lists.
    """
    lengths = np.where(valid, matrix.shape[1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = np.ascontiguousarray(matrix[valid]).reshape(-1)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), mask=pa.array(~valid))


def nullable(values: np.ndarray) -> pa.Array:
    """A column of doubles, null where NaN."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def gather_rows(batches: Batches, rows: int) -> Iterator[pa.Table]:
    """Batches put together until at least `rows` rows are there; no table without rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
        if sum(one.num_rows for one in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def gpu_profile(spark: SparkSession, gpu_per_task: float) -> ResourceProfile:
    """Task-only profile for a share of a GPU. Asking for more than exists waits for ever, so it is refused here."""
    per_executor = float(spark.sparkContext.getConf().get("spark.executor.resource.gpu.amount", "0"))
    if spark.sparkContext.master.startswith("local["):
        raise SetupError("encoder.gpu_per_task > 0: local mode hands out no GPUs", "use a cluster, or gpu_per_task=0")
    if per_executor < gpu_per_task:
        raise SetupError(
            f"each encoding task asks for {gpu_per_task} GPUs, executors have {per_executor:g}",
            "set spark.executor.resource.gpu.amount and its discovery script, or encoder.gpu_per_task=0",
        )
    requests = TaskResourceRequests().cpus(1).resource("gpu", gpu_per_task)
    return ResourceProfileBuilder().require(requests).build


def task_device(gpu_per_task: float) -> str:
    """The torch device of the running task: cuda:<address handed out by Spark> where a GPU was asked for, else cpu.

    Touches no CUDA. SetupError on the driver (a GPU belongs to a task) and where the task was given none.
    """
    if gpu_per_task <= 0:
        return "cpu"
    context = TaskContext.get()
    if context is None:
        raise SetupError("a GPU was asked for outside a Spark task", "encode in a stage, or pass a device yourself")
    gpus = context.resources().get("gpu")
    if gpus is None or not gpus.addresses:
        raise SetupError("this task was given no GPU", "check the executors' GPU discovery script")
    return f"cuda:{gpus.addresses[0]}"


def task_cpus() -> int:
    """Cores of the running task; 1 outside one."""
    context = TaskContext.get()
    return context.cpus() if context is not None else 1
