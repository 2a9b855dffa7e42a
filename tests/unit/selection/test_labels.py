"""Kubernetes label selectors: text -> a test of labels."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from capture.selection.labels import LabelSelector, Operator, Requirement, parse_selector, requirement

WEB = {"app": "web", "tier": "", "example.com/team": "shop"}

FITS: list[tuple[str, bool]] = [
    # a selector, whether WEB fits it
    ("app=web", True),
    ("app==web", True),
    ("app = web", True),
    ("app=api", False),
    ("app!=api", True),
    ("app!=web", False),
    ("missing!=x", True),
    ("missing=x", False),
    ("tier=", True),
    ("tier", True),
    ("!tier", False),
    ("missing", False),
    ("!missing", True),
    ("! missing", True),
    ("app in (api,web)", True),
    ("app in (api)", False),
    ("app in(web)", True),
    ("tier in ()", True),
    ("missing in (x)", False),
    ("app notin (api, db)", True),
    ("app notin (api,web)", False),
    ("missing notin (x)", True),
    ("example.com/team=shop", True),
    ("app=web,!missing,example.com/team in (shop,bank)", True),
    ("app=web,missing", False),
]


@pytest.mark.parametrize(("text", "fits"), FITS, ids=[case[0] for case in FITS])
def test_a_selector_fits_labels(text: str, fits: bool) -> None:
    assert parse_selector(text).holds(WEB) is fits


REFUSED: list[tuple[str, str]] = [
    ("", "is empty; write app=web"),
    (" ", "is empty"),
    ("app=web,", "'' is not understood; write key=value"),
    (",app", "'' is not understood"),
    ("app=web=api", "'app=web=api' is not understood"),
    ("app in", "'app in' is not understood"),
    ("app in (web", "'app in (web' is not understood"),
    ("app in web)", "'app in web)' is not understood"),
    ("replicas>3", "'replicas>3' is not understood"),
    ("-app=web", "'-app=web' is not understood"),
    ("app=-web", "'app=-web' is not understood"),
    ("App/app/x=web", "'App/app/x=web' is not understood"),
    ("Example.com/app=web", "'Example.com/app=web' is not understood"),
    (".com/app=web", "'.com/app=web' is not understood"),
    ("a" * 64, "is not understood"),
    ("app=" + "a" * 64, "is not understood"),
    ("app in (-a)", "'-a' is not a label value"),
    ("é=web", "'é=web' is not understood"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[case[0] or "empty" for case in REFUSED])
def test_what_kubectl_refuses_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"^selector.*{re.escape(message)}"):
        parse_selector(text)


MATCH_EXPRESSIONS: list[tuple[str, Operator, list[str], str]] = [
    # key, operator, values, the selector's text or the error
    ("app", Operator.IN, ["web"], "app=web"),
    ("app", Operator.IN, ["web", "api", "web"], "app in (api,web)"),
    ("app", Operator.NOT_IN, ["web"], "app!=web"),
    ("app", Operator.NOT_IN, ["web", "api"], "app notin (api,web)"),
    ("app", Operator.EXISTS, [], "app"),
    ("app", Operator.DOES_NOT_EXIST, [], "!app"),
]


@pytest.mark.parametrize(("key", "operator", "values", "text"), MATCH_EXPRESSIONS)
def test_match_expressions_equal_their_text(key: str, operator: Operator, values: list[str], text: str) -> None:
    found = requirement(key, operator, values, "here")
    assert str(found) == text
    assert parse_selector(text).requirements == (found,)


@pytest.mark.parametrize(
    ("key", "operator", "values", "message"),
    [
        ("app", Operator.IN, [], "here: app In needs values"),
        ("app", Operator.NOT_IN, [], "here: app NotIn needs values"),
        ("app", Operator.EXISTS, ["x"], "here: app Exists needs no values"),
        ("a b", Operator.EXISTS, [], "here: 'a b' is not a label key"),
        ("app", Operator.IN, ["a b"], "here: 'a b' is not a label value"),
    ],
)
def test_impossible_match_expressions_are_refused(
    key: str, operator: Operator, values: list[str], message: str
) -> None:
    with pytest.raises(SpecError, match=f"^{message}$"):
        requirement(key, operator, values, "here")


PART = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?", fullmatch=True)
KEYS = st.one_of(PART, st.builds("{}/{}".format, st.from_regex(r"[a-z]{1,5}\.[a-z]{2,3}", fullmatch=True), PART))
VALUES = st.one_of(st.just(""), PART)
REQUIREMENTS = st.one_of(
    st.builds(
        lambda key, operator, values: requirement(key, operator, values, "here"),
        KEYS,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(VALUES, min_size=1, max_size=4),
    ),
    st.builds(Requirement, KEYS, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
)
SELECTORS = st.builds(LabelSelector, st.lists(REQUIREMENTS, min_size=1, max_size=4).map(tuple))


@given(SELECTORS)
def test_the_text_of_a_selector_is_that_selector(selector: LabelSelector) -> None:
    assert parse_selector(str(selector)) == selector


@given(SELECTORS, st.dictionaries(KEYS, VALUES, max_size=4))
def test_either_a_requirement_or_its_opposite_holds(selector: LabelSelector, labels: dict[str, str]) -> None:
    opposites = {
        Operator.IN: Operator.NOT_IN,
        Operator.NOT_IN: Operator.IN,
        Operator.EXISTS: Operator.DOES_NOT_EXIST,
        Operator.DOES_NOT_EXIST: Operator.EXISTS,
    }
    for one in selector.requirements:
        opposite = Requirement(one.key, opposites[one.operator], one.values)
        assert one.holds(labels) is not opposite.holds(labels)
    assert selector.holds(labels) is all(one.holds(labels) for one in selector.requirements)
