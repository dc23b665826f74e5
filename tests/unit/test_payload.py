import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ostinato_shared.payload import RunOptions, configurable_of, has_both

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(RunOptions.model_fields)), JSON))
def test_options_are_taken_or_refused_by_name(body: dict[str, object]) -> None:
    try:
        options = RunOptions.model_validate(body)
    except ValidationError as error:
        refused = {fault["loc"][0] for fault in error.errors()}
        assert refused <= set(body)
    else:
        assert options.model_dump(exclude_unset=True, exclude={"config"}) == {
            name: value for name, value in body.items() if name != "config"
        }


@pytest.mark.parametrize(
    "url", ["http://a.example", "https://a.example:8443/x?y=1", "HTTPS://a.example", "http://[::1]/"]
)
def test_absolute_web_addresses_are_webhooks(url: str) -> None:
    assert RunOptions(webhook=url).webhook == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "//a.example",
        "/x",
        "http://",
        "http:///x",
        "mailto:a@b.example",
        "http://a.example:99999",
        "http://a.example:0",
    ],
)
def test_other_texts_are_no_webhooks(url: str) -> None:
    with pytest.raises(ValidationError, match="webhook"):
        RunOptions(webhook=url)


def test_the_servers_own_cron_id_is_not_the_clients_configurable() -> None:
    config = {"configurable": {"cron_id": "x"}}

    assert configurable_of(config) == {}
    assert not has_both(config, {"a": 1})
    assert has_both({"configurable": {"cron_id": "x", "b": 1}}, {"a": 1})
    assert not has_both({"configurable": {"b": 1}}, {})
