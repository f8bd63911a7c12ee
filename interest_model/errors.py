"""The errors of the project, one class per kind, one exit code per kind.

    InterestModelError            1
      InputChangedError           1   raw files were written to while they were read
      UsageError                  2   arguments that make no sense together
      ConfigError                 3   a settings or mapping file: names file and key
      DataError                   4   rows or tables: names table, day and key
        ContractError             4   a frame does not fit its table's contract
        MissingTableError         4   a table or a day that should be there is not
        OtherCodeError            4   a stored model that other code wrote
      ClaimError                  5   another run holds the day
      SetupError                  6   Java, jars, disk, keys: names the remedy
      CheckError                  7   a night's own checks failed; nothing was issued

Exit codes 2-4 and 7 are permanent (trying again changes nothing); 1, 5 and 6 may pass on a later try.
"""


class InterestModelError(Exception):
    """Base of all errors the project raises on purpose. `remedy` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = ""):
        super().__init__(f"{message}\n  remedy: {remedy}" if remedy else message)
        self.remedy = remedy


class InputChangedError(InterestModelError):
    """Raw files that were written to while they were read: a later try finds them whole."""


class UsageError(InterestModelError):
    """Command-line arguments that do not fit together."""

    exit_code = 2


class ConfigError(InterestModelError):
    """A settings or mapping file that cannot be used; the message names the file and the key."""

    exit_code = 3


class DataError(InterestModelError):
    """Rows or tables that cannot be used; the message names table, day and key."""

    exit_code = 4


class ContractError(DataError):
    """A frame that does not fit the contract of the table it is written to."""


class MissingTableError(DataError):
    """A table or a day that an earlier step should have written is not there."""


class OtherCodeError(DataError):
    """A stored model whose columns mean something else to this code."""


class ClaimError(InterestModelError):
    """Another run holds the claim on the day; the message names its owner and start."""

    exit_code = 5


class SetupError(InterestModelError):
    """The machine lacks something: Java, the Delta jars, disk space, a key."""

    exit_code = 6


class CheckError(InterestModelError):
    """The night's own checks failed; the day's recommendations were not issued."""

    exit_code = 7


EXIT_CODES_PERMANENT = frozenset(
    {UsageError.exit_code, ConfigError.exit_code, DataError.exit_code, CheckError.exit_code}
)
