"""What the UI says about an asset, from docstrings and declared parameters."""

from __future__ import annotations

import inspect
import json
import re

from mosaic_dagster.hashing import canonical
from mosaic_dagster.pipeline import CallbackStep, FeatureStep

_SECTION = re.compile(r"^(?:Parameters|Returns|Yields|Raises|Notes|Examples)\n-{3,}$", re.M)


def step_description(step: FeatureStep) -> str:
    """The feature's docstring, and the parameters that the step sets."""
    return "\n\n".join([_about(step), _parameters(step)])


def model_description(step: FeatureStep) -> str:
    """The same for the fitted state of a step."""
    first = f"What `{step.name}` learned; fitted on "
    fitted = "the entries of its scope" if step.feature_cls.fits == "stream" else "templates"
    return "\n\n".join([f"{first}{fitted}.", _about(step), _parameters(step)])


def callback_description(step: CallbackStep) -> str:
    """What the function's docstring says before its sections, and the parameters of the step."""
    text = _SECTION.split(inspect.getdoc(step.fn) or "")[0].strip()
    told = [step.description or text or f"Callback `{step.name}`."]
    return "\n\n".join([*told, _as_json(canonical(step.params))] if step.params else told)


def _about(step: FeatureStep) -> str:
    text = inspect.getdoc(step.feature_cls) or ""
    head = f"**{step.feature_cls.name}** {step.feature_cls.version}"
    return f"{head}: {step.description or text}"


def _parameters(step: FeatureStep) -> str:
    return _as_json(canonical(step.checked_params.model_dump(exclude_defaults=True)))


def _as_json(params: object) -> str:
    return f"```json\n{json.dumps(params, indent=1, sort_keys=True)}\n```"
