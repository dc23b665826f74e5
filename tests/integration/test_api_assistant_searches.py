"""Finding assistants, and looking at their graphs."""

from typing import Any

import httpx
import pytest

from api_setting import AGENT_ID, make_assistant

OTHER_ID = "ed0b9f21-cc43-586f-a6ee-ab6a0a3e9d4b"


async def test_search_and_count_filter(api: httpx.AsyncClient) -> None:
    made = [
        await make_assistant(api, name="Report 100%", metadata={"team": "a", "deep": {"x": 1, "y": 2}}),
        await make_assistant(api, name="report_b", metadata={"team": "b"}, graph_id="other"),
    ]
    filters: list[tuple[dict[str, Any], set[str]]] = [
        ({"name": "REPORT"}, {"Report 100%", "report_b"}), ({"name": "100%"}, {"Report 100%"}),
        ({"name": "t_b"}, {"report_b"}),
        ({"name": "%"}, {"Report 100%"}), ({"name": "nobody"}, set()), ({"graph_id": "other"}, {"report_b", "other"}),
        ({"graph_id": "nope"}, set()), ({"metadata": {"team": "a"}}, {"Report 100%"}),
        ({"metadata": {"deep": {"y": 2}}}, {"Report 100%"}), ({}, {"Report 100%", "report_b", "agent", "other"}),
    ]  # fmt: skip

    for body, expected in filters:
        found = await api.post("/assistants/search", json=body)
        counted = await api.post("/assistants/count", json=body)

        assert {assistant["name"] for assistant in found.json()} == expected, body
        assert counted.json() == len(expected)
        assert found.headers["x-pagination-total"] == str(len(expected))
    assert (await api.post("/assistants/search", json={"limit": 1})).json() == [made[1]]


@pytest.mark.parametrize("field", ["assistant_id", "graph_id", "name", "created_at", "updated_at"])
async def test_search_sorts_and_pages(api: httpx.AsyncClient, field: str) -> None:
    for name in ("b", "a", "c"):
        await make_assistant(api, name=name)

    whole = (await api.post("/assistants/search", json={"sort_by": field, "sort_order": "asc"})).json()
    page = await api.post("/assistants/search", json={"sort_by": field, "sort_order": "desc", "limit": 2, "offset": 1})

    assert [assistant[field] for assistant in whole] == sorted(assistant[field] for assistant in whole)
    assert page.json() == whole[::-1][1:3]
    assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("5", "3")


@pytest.mark.parametrize(
    "body",
    [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"sort_by": "version"}, {"sort_order": "x"}, {"select": ["x"]}],
)
async def test_search_refuses(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.post("/assistants/search", json=body)).status_code == 422


async def test_select_gives_only_the_fields_that_are_named(api: httpx.AsyncClient) -> None:
    found = await api.post("/assistants/search", json={"select": ["name", "metadata"], "graph_id": "agent"})

    assert found.json() == [{"name": "agent", "metadata": {"created_by": "system"}}]


@pytest.mark.parametrize("assistant", ["agent", AGENT_ID])
async def test_a_graph_can_be_drawn(api: httpx.AsyncClient, assistant: str) -> None:
    drawn = (await api.get(f"/assistants/{assistant}/graph", params={"xray": "1"})).json()

    assert drawn["nodes"][0] == {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}}
    assert {node["id"] for node in drawn["nodes"]} == {"__start__", "answer", "__end__"}
    assert {"id": "__end__"} in drawn["nodes"]
    assert {"source": "__start__", "target": "answer"} in drawn["edges"]


@pytest.mark.parametrize("xray", ["deep", "-1", "1.5", "9999"])
async def test_how_deep_to_draw_must_make_sense(api: httpx.AsyncClient, xray: str) -> None:
    assert (await api.get("/assistants/agent/graph", params={"xray": xray})).status_code == 422


async def test_schemas_describe_a_graph(api: httpx.AsyncClient) -> None:
    schemas = (await api.get(f"/assistants/{AGENT_ID}/schemas")).json()
    subgraphs = (await api.get(f"/assistants/{AGENT_ID}/subgraphs", params={"recurse": "true"})).json()

    assert schemas["graph_id"] == "agent"
    assert set(schemas) == {
        "graph_id",
        "input_schema",
        "output_schema",
        "state_schema",
        "config_schema",
        "context_schema",
    }
    assert "messages" in schemas["state_schema"]["properties"]
    assert subgraphs == {}
