"""Names in settings that only the code which reads them knows: looked at before a night begins, not hours into it."""

from interest_model.config import Settings
from interest_model.interest.labels import check_language
from interest_model.interest.rule_files import read_rules
from interest_model.recommend.boosted import columns_of
from interest_model.recommend.fit import prior_weights


def check_names(settings: Settings) -> None:
    """ConfigError where a language, a member of the blend or a feature of the trees is unknown, or the file of rules on
    topics cannot be read."""
    check_language(settings.topics.language)
    if settings.topics.rules:
        read_rules(settings.topics.rules)
    prior_weights(settings.ranker)
    columns_of(settings.ranker.boosting_without)
