"""One exception tree; the class carries the exit code, the message says what failed, on what, what to try.

    BicapError                  1
    |-- SpecError               2   the request is wrong (names the option or field)
    |   `-- FilterError             a filter text is wrong (text and position)
    |-- TargetError             3   an interface, namespace or pod does not exist, or was deleted
    |-- KernelError             4   the kernel or its tools refuse
    |   |-- PrivilegeError         a privilege is missing
    |   |-- MissingBccError         bcc is not installed, or an unrelated package has its name
    |   |-- CompileError            clang rejects the program
    |   |-- VerifierError           the verifier rejects the program (.log has its whole output)
    |   `-- AttachError             an interface refuses the program
    |-- FormatError             5   a capture file is damaged (file, byte offset, block)
    |-- SinkError               6   the output cannot be written (disk full, no permission, pipe closed)
    |-- ApiError                7   the API server of the cluster does not answer, or refuses
    |-- PartialError            8   a part of a capture in a cluster could not be fetched; the rest is here
    `-- StoreError              9   the store does not have all files of a capture; they are kept here

Any other exception that escapes is a bug. Only `cli.main` turns these errors into a line and an exit code.
"""


class BicapError(Exception):
    """Base of every error a user can meet."""

    exit_code = 1


class SpecError(BicapError):
    """The request itself is wrong; nothing on the machine was changed."""

    exit_code = 2


class FilterError(SpecError):
    """A filter text is wrong; the message holds the text and the position."""


class TargetError(BicapError):
    """The target of a capture does not exist, or was deleted before the capture began."""

    exit_code = 3


class KernelError(BicapError):
    """The kernel, or the compiler for it, refuses."""

    exit_code = 4


class PrivilegeError(KernelError):
    """A privilege is missing; the message names it."""


class MissingBccError(KernelError):
    """bcc cannot be imported, or the installed package of that name is another project."""


class CompileError(KernelError):
    """clang rejects the generated program; `log` is its whole output."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class VerifierError(CompileError):
    """The kernel's verifier rejects the program; `log` is its whole output."""


class AttachError(KernelError):
    """An interface refuses the program."""


class FormatError(BicapError):
    """A capture file is damaged; the message names the file, the byte and the block."""

    exit_code = 5


class SinkError(BicapError):
    """The output cannot be written."""

    exit_code = 6


class ApiError(BicapError):
    """The API server of the cluster does not answer, or refuses; `code` is its HTTP status, 0 for no answer."""

    exit_code = 7

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class PartialError(BicapError):
    """A part of a capture could not be fetched; what could be is here, and the rest was named."""

    exit_code = 8


class StoreError(BicapError):
    """A store has not confirmed all files of a capture; those that it has not are kept here."""

    exit_code = 9
