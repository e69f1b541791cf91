"""What the features share that are fitted on an artifact of templates."""

from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateInputs,
    TemplateParams,
)

__all__ = ["Arrays", "TemplateFitted", "TemplateInputs", "TemplateParams"]
