"""Every error this package raises on purpose.

Each says what was wrong, where (file, entry, step, column) and what to do about it.
The tree::

    MosaicError
      KeyFormatError
      HashingError
      MissingExtraError
      DatasetError
        ManifestError
        TracksError
        LabelsError
        ReaderError
          UnknownFormatError
        EntryExistsError
        EntryNotFoundError
        ScopeError
      FeatureError
        UnknownFeatureError
        ParamsError
        MissingColumnError
        AlignmentError
        FitError
      StoreError
        StoreLockedError
        StoreFullError
        SchemaVersionError
        UnknownRunError
        ObjectMissingError
        ObjectDamagedError
          ArtifactCorruptError
        StoreClosedError
        UnknownIdError
        StateError
        StoreValueError
        StoreTypeError
        UntrustedArtifactError
        BundleError
        ReplayError
        LibraryNameTakenError
        LibraryNameUnknownError
      PipelineError
        PipelineDefinitionError
          UnknownStepError
          CycleError
        RunFailedError
      ProjectError
"""

from __future__ import annotations

from typing import Any


class MosaicError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what
        What is wrong, with the place where it is wrong.
    remedy
        What the user can do about it; empty when the message says it all.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what} {remedy}" if remedy else what)

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers send errors to their parent process; the default would pass one argument.
        return (_restore, (type(self), self.what, self.remedy, self.__dict__))


def _restore(cls: type[MosaicError], what: str, remedy: str, state: dict[str, Any]) -> MosaicError:
    error = cls.__new__(cls)
    MosaicError.__init__(error, what, remedy)
    error.__dict__.update(state)
    return error


class KeyFormatError(MosaicError, ValueError):
    """A text is not an entry key."""


class HashingError(MosaicError, TypeError):
    """A value has no canonical form, so it cannot be part of an identity."""


class MissingExtraError(MosaicError, ImportError):
    """A package that an extra installs is needed and is not there."""

    __str__ = Exception.__str__


class DatasetError(MosaicError):
    """Something is wrong with a dataset or with the recordings it names."""


class ManifestError(DatasetError, ValueError):
    """The dataset's manifest is missing, malformed or contradicts itself."""


class TracksError(DatasetError, ValueError):
    """A table is not a valid tracks table."""


class LabelsError(DatasetError, ValueError):
    """Labels cannot be used as they are, or do not fit the recording."""


class ReaderError(DatasetError, ValueError):
    """A file could not be read as the format that was asked for."""


class UnknownFormatError(ReaderError):
    """No reader has this name, or none recognises the file."""


class EntryExistsError(DatasetError, FileExistsError):
    """The entry is there already and overwriting was not asked for."""


class EntryNotFoundError(DatasetError, KeyError):
    """No such entry, or nothing of the kind asked for is stored for it."""

    __str__ = Exception.__str__


class ScopeError(DatasetError, ValueError):
    """A scope or selection names what does not exist, or nothing at all."""


class FeatureError(MosaicError):
    """Something is wrong with a feature or with what it was given."""


class UnknownFeatureError(FeatureError, KeyError):
    """No feature has this name."""

    __str__ = Exception.__str__


class ParamsError(FeatureError, ValueError):
    """A parameter is unknown, has a wrong value or is missing."""


class MissingColumnError(FeatureError, ValueError):
    """The input of a feature lacks a column that it needs."""


class AlignmentError(FeatureError, ValueError):
    """Several inputs of a step cannot be joined row by row."""


class FitError(FeatureError, ValueError):
    """There is not enough usable data to fit."""


class StoreError(MosaicError):
    """Something is wrong with the store of a workspace."""


class StoreLockedError(StoreError, TimeoutError):
    """Another process held the database longer than the lock timeout."""


class StoreFullError(StoreError, OSError):
    """The disk that holds the workspace is full."""

    __str__ = Exception.__str__


class SchemaVersionError(StoreError):
    """The database was written by a newer version of this package."""


class UnknownRunError(StoreError, ValueError):
    """The registry has no such run."""


class ObjectMissingError(StoreError, FileNotFoundError):
    """No object with this digest is in the store."""

    __str__ = Exception.__str__


class ObjectDamagedError(StoreError, ValueError):
    """The bytes of an object do not have the digest that names it."""


class StoreClosedError(StoreError, RuntimeError):
    """The store was closed before this call."""


class UnknownIdError(StoreError, KeyError):
    """No run, pipeline, chain, prediction or artifact has this identifier."""

    __str__ = Exception.__str__


class StateError(StoreError, ValueError):
    """A row is in a state that does not allow the change, such as a run that has ended."""


class StoreValueError(StoreError, ValueError):
    """A value given to the store is not one that it takes."""


class StoreTypeError(StoreError, TypeError):
    """A value given to the store has a type that cannot be stored there."""


class ArtifactCorruptError(ObjectDamagedError):
    """The bytes of an artifact do not have the hash that was recorded for them."""


class UntrustedArtifactError(StoreError, PermissionError):
    """Loading would run code from a file that nobody said to trust."""

    __str__ = Exception.__str__


class BundleError(StoreError, ValueError):
    """A bundle is malformed, unsafe or contradicts itself."""


class ReplayError(StoreError, RuntimeError):
    """A chain lacks what is needed to predict with it."""


class LibraryNameTakenError(StoreError, FileExistsError):
    """The library has something of this name already and overwriting was not asked for."""

    __str__ = Exception.__str__


class LibraryNameUnknownError(StoreError, FileNotFoundError):
    """The library has nothing of this name."""

    __str__ = Exception.__str__


class PipelineError(MosaicError):
    """Something is wrong with a pipeline or with a run of it."""


class PipelineDefinitionError(PipelineError, ValueError):
    """A pipeline is declared in a way that cannot work."""


class UnknownStepError(PipelineDefinitionError):
    """A step names another step that the pipeline does not have."""


class CycleError(PipelineDefinitionError):
    """Steps need each other in a circle."""


class RunFailedError(PipelineError):
    """A run ended, everything good is stored, and something failed.

    Attributes
    ----------
    report
        The :class:`~mosaic_dagster.pipeline.RunReport` of the run.
    """

    report: Any = None


class ProjectError(MosaicError):
    """No project, dataset or pipeline was found where one was looked for."""
