"""Users at a moment, as everything that scores them sees them. No Spark."""

from typing import NamedTuple

import scipy.sparse as sp

from interest_model.interest.states_of_users import States
from interest_model.recommend.blend import Model
from interest_model.recommend.histories import Histories
from interest_model.recommend.interests import interest_states
from interest_model.recommend.member_scores import member_scores


class Context(NamedTuple):
    """histories: what n_users had consumed before at_day (days since epoch); members: scores of the PERSONAL_MEMBERS,
    see member_scores; interests: states of the topics that users touched, at at_day."""

    histories: Histories
    at_day: float
    members: dict[str, sp.csr_matrix]
    interests: States


def context_at(histories: Histories, model: Model, at_day: float) -> Context:
    """The context of users whose histories end before at_day, by the members and topics of the model."""
    interests = interest_states(histories, model, at_day)
    return Context(histories, at_day, member_scores(histories, model, at_day, interests), interests)
