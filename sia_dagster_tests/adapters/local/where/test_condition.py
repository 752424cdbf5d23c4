"""`traces.where` over files: what it may say, what each column is to it, and values that nobody reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.adapters.local.where.condition import Condition, named_columns, parse_condition, partition_values
from sia_dagster.adapters.local.where.condition_rules import FUNCTIONS
from sia_dagster.core.errors import TraceError, TraceFileError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster_tests.adapters.local.test_traces import WINDOW, Row, ids, lost, read, span, write_lines, write_parquet
from sia_dagster_tests.places import DOCS

TYPES = {
    "name": "VARCHAR",
    "attributes.llm.model_name": "VARCHAR",
    "attributes.llm.token_count.prompt": "BIGINT",
    "attributes.tag.tags": "VARCHAR[]",
    "attributes.metadata": "STRUCT(tenant VARCHAR, tier BIGINT)",
    "raw": "VARCHAR",
    "start_time": "TIMESTAMP",
    "ok": "BOOLEAN",
}


def parsed(where: str, *tables: Mapping[str, str]) -> Condition:
    return parse_condition(duckdb.connect(), where, tables or [TYPES])


def checked(where: str) -> None:
    connection = duckdb.connect()
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    connection.execute(f"CREATE TABLE spans ({columns})")
    parse_condition(connection, where, [TYPES]).check("spans", TYPES)


PROMPT = "attributes.llm.token_count.prompt"


@pytest.mark.parametrize(
    "where",
    [
        "name = 'x' AND NOT (raw IS NULL OR raw <> '') OR name IS NOT DISTINCT FROM raw",
        "name LIKE 'Chat%' AND name NOT ILIKE '%test!%' ESCAPE '!' AND name SIMILAR TO 'C.*'",
        "name ~ '^C' OR raw GLOB 'a*' OR name IN ('a', 'b')",
        f"{PROMPT} NOT IN (-1, 2) OR {PROMPT} BETWEEN 1 AND 9",
        "regexp_matches(lower(trim(name)), 'chat|completion', 'i') AND length(name) > 3 AND contains(name, 'x')",
        "starts_with(name, 'C') OR split_part(raw, '/', 2) = 'v1' OR substring(name, 1, 2) = 'Ch'",
        "replace(raw, ' ', '') = 'x' OR replace(raw, '-', '_') = 'y'",
        "coalesce(raw, nullif(name, ''), 'x') = 'x' OR ifnull(raw, '') = '' OR CASE WHEN ok THEN 1 ELSE 2 END = 1",
        "TRY_CAST(raw AS DOUBLE) > 1 OR raw::DECIMAL(10, 2) < 2 OR CAST(raw AS DATE) = DATE '2026-11-09'",
        f"({PROMPT} + 1) * 2 - 3 / 4 // 5 % 6 > 0 OR abs(round({PROMPT} / 7, 1)) = 3",
        "date_trunc('day', start_time) = TIMESTAMP '2026-11-09' OR extract(hour FROM start_time) = 9",
        "start_time >= '2026-11-09' AND start_time < TIMESTAMP '2026-11-09' + INTERVAL 7 DAY",
        "strftime(start_time, '%H') = '09' AND epoch(start_time) > 0",
        "json_extract(raw, '$.a') = '1' OR json_extract_string(raw, '$.a[0].b') = 'x'",
        "raw->>'$.a' = 'y' OR (raw->'a') = '1'",
        "list_contains(attributes.tag.tags, 'x') OR len(attributes.tag.tags) > 1 OR 'x' IN attributes.tag.tags",
        "attributes.metadata.tenant = 'acme' OR attributes.metadata['tier'] = 2 OR ATTRIBUTES.METADATA.tier > 1",
        "ok AND ok IS TRUE OR name COLLATE NOCASE = 'chat' -- a remark",
        "name IN (" + ", ".join(f"'tenant-{number:05}'" for number in range(900)) + ")",
        " AND ".join(["name <> 'x'"] * 400),
        "name = 'it''s' OR name = 'a;b' OR name = $$quoted$$ OR name = 'SELECT'",
    ],
)
def test_a_condition_of_allowed_functions_is_evaluated(where: str) -> None:
    checked(where)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        # What reads files, the environment or the settings.
        ("name IN (SELECT content FROM read_text('/etc/hostname'))", "it holds a subquery"),
        ("EXISTS (FROM 'a.parquet')", "it holds a subquery"),
        ("name = ANY(attributes.tag.tags)", "it holds a subquery"),
        ("read_text('/etc/hostname') = name", "`read_text` is not allowed; allowed are comparisons"),
        ("getenv('HOME') = name", "`getenv` is not allowed"),
        ("current_setting('memory_limit') = name", "`current_setting` is not allowed"),
        ("getvariable('x') = name", "`getvariable` is not allowed"),
        # What is not the same twice.
        ("random() < 0.5", "`random` is not allowed"),
        ("start_time > now()", "`now` is not allowed"),
        ("start_time > current_timestamp", 'there is no column "current_timestamp"'),
        ("start_time > today()", "`today` is not allowed"),
        ("uuid()::VARCHAR = name", "`uuid` is not allowed"),
        ("nextval('s') = 1", "`nextval` is not allowed"),
        # What takes all memory or never ends.
        ("repeat('x', 1000000000) = name", "`repeat` is not allowed"),
        ("lpad('x', 1000000000, 'y') = name", "`lpad` is not allowed"),
        ("len(range(1000000000)) > 1", "`range` is not allowed"),
        ("printf('%1000000000d', 1) = name", "`printf` is not allowed"),
        ("name || raw = 'x'", "`||` is not allowed"),
        ("replace(replace(raw, 'a', 'aaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaaa') = 'x'", "`replace` may not lengthen"),
        ("replace(raw, 'a', name) = 'x'", "of `replace` must be a text in quotes"),
        ("to_json(raw) = 'x'", "`to_json` is not allowed"),
        ("raw::INTEGER[1000000000] IS NULL", "it casts to the type 'array'"),
        ("raw::STRUCT(x INTEGER) IS NULL", "it casts to the type 'STRUCT'"),
        ("regexp_matches(raw, '((a{1,100}){1,100})b')", "come to more than 100"),
        ("raw ~ '(x{999}){999}'", "come to more than 100"),
        (f"raw ~ '{'a?' * 600}'", "a pattern of `regexp_matches` has more than 1,000 characters"),
        ("raw LIKE name", "of `~~` must be a text in quotes"),
        (f"raw LIKE '{'ab_b%' * 21}'", "has more than 20 `%` or `*`"),
        (f"raw NOT ILIKE '{'ab_b%' * 21}' ESCAPE '!'", "has more than 20 `%` or `*`"),
        ("regexp_replace(raw, 'a', 'aaaa', 'g') = 'x'", "`regexp_replace` is not allowed"),
        ("json_extract(raw, '$..x') = '1'", "without `..` and `**`"),
        ("len(list_transform(attributes.tag.tags, lambda x: x)) > 1", "`list_transform` is not allowed"),
        ("len([x FOR x IN attributes.tag.tags]) > 1", "is not allowed"),
        ("list_contains([raw, name], 'x')", "holds texts and numbers alone"),
        # What is not a condition on one row.
        ("count(*) > 1", "`count_star` is not allowed"),
        ("row_number() OVER () < 10", "it holds a window function"),
        ("lower(DISTINCT name) = 'x'", "as if it were an aggregate"),
        ("unnest(attributes.tag.tags) = 'x'", "`unnest` is not allowed"),
        ("COLUMNS('.*') = 'x'", "it holds a star"),
        ("name = ?", "it holds a parameter"),
        ("name = $tenant", "it holds a parameter"),
        ("#1 = 'x'", "it holds the number of a column"),
        ("true) ORDER BY (1", "it is not a single condition"),
        ("true) UNION ALL SELECT (1", "it is not a single condition"),
        ("true; DROP TABLE x", "syntax error"),
        ("name =", "syntax error"),
        ("name.upper() = 'X'", "`name.upper` is not allowed"),
        ("main.lower(name) = 'x'", "`main.lower` is not allowed"),
        ("raw->'a' = '1'", "in brackets, since it binds weaker than `=`"),
        ("name", "it is neither true nor false but of the type VARCHAR"),
        ("1", "it is neither true nor false but of the type INTEGER"),
        ("no_such_function(name)", "`no_such_function` is not allowed"),
    ],
)
def test_anything_else_is_refused_by_name(where: str, says: str) -> None:
    with pytest.raises(TraceError) as refused:
        checked(where)
    assert says in str(refused.value)
    assert f"where: {where[:400]}" in str(refused.value)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("name = 'x' OR " * 100_000 + "true", "has 1,400,004 characters; write at most 20,000"),
        ("(" * 9000 + "true" + ")" * 9000, "depth limit"),
        ("NOT " * 4000 + "true", "depth limit"),
        ("NOT " * 150 + "ok", "more than 100 deep"),
        ("NOT " * 900 + "ok", "deep"),
        ("ok" + " IS NULL" * 900, "it nests expressions too deeply"),
        ("lower(" * 300 + "name" + ")" * 300 + " = 'x'", "more than 100 deep"),
        ("CASE WHEN " * 400 + "ok" + " THEN ok END" * 400, "deep"),
        ("[" * 5000 + "]" * 5000 + " = name", "depth limit"),
        ("\ud800 = name", "traces.where cannot be used"),
    ],
)
def test_a_condition_without_end_is_a_sentence(where: str, says: str) -> None:
    with pytest.raises(TraceError) as refused:
        checked(where)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 3000


def test_the_page_names_every_function() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = {subject: ", ".join(f"`{name}`" for name in sorted(names.split())) for subject, names in FUNCTIONS.items()}
    assert [subject for subject, names in rows.items() if f"| {subject} | {names} |" not in page] == []


def test_a_misspelt_column_is_refused_with_the_nearest_of_five_thousand() -> None:
    types = {f"attributes.metadata.key_{number}": "VARCHAR" for number in range(5000)} | TYPES
    with pytest.raises(TraceError) as refused:
        parsed("attributes.llm.model_nam = 'x'", types)
    assert 'no column "attributes.llm.model_nam"; the nearest: "attributes.llm.model_name"' in str(refused.value)
    assert "and 4,978 more" in str(refused.value)
    with pytest.raises(TraceError, match="there is no column") as long:
        parsed("x" * 19_000 + " = 'x'", types)
    assert len(str(long.value)) < 3000


TOKENS = "attributes.llm.token_count.prompt"


@pytest.mark.parametrize("lacking", [{}, {TOKENS: None}, {TOKENS: "12"}, {TOKENS: "unknown"}, {TOKENS: [1]}])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_number_that_some_files_lack_or_hold_as_text_is_compared(tmp_path: Path, lacking: Row, kind: str) -> None:
    write = write_lines if kind == "jsonl" else write_parquet
    write(tmp_path / f"a.{kind}", [span(1, **{TOKENS: 20}), span(2, **{TOKENS: 5})])
    write(tmp_path / f"b.{kind}", [span(3, **lacking)])
    as_number = ["0001", "0003"] if lacking.get(TOKENS) == "12" else ["0001"]
    assert ids(read(tmp_path, f"{TOKENS} > 10")) == as_number
    assert ids(read(tmp_path, f"10 < {TOKENS} + 1 AND {TOKENS} NOT IN (5, 6)")) == as_number
    # A count that is no number is not recorded, where the records are converted.
    unknown = ["0003"] if lacking.get(TOKENS) is None or (kind == "jsonl" and lacking[TOKENS] != "12") else []
    assert ids(read(tmp_path, f"{TOKENS} > 10 OR {TOKENS} IS NULL")) == sorted({*as_number, *unknown})


def test_elsewhere_numbers_are_text_as_json_writes_them(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [span(1, tenant=42), span(2, tenant=7.5)])
    write_lines(tmp_path / "b.jsonl", [span(3, tenant="42"), span(4, tenant="acme")])
    write_parquet(tmp_path / "c.parquet", [span(5, tenant=42), span(6, tenant=None)])
    write_parquet(tmp_path / "d.parquet", [span(7, tenant={"id": 42})])
    assert ids(read(tmp_path, "tenant = '42'")) == ["0001", "0003", "0005"]
    assert ids(read(tmp_path, "tenant IN ('acme', '7.5') OR tenant LIKE '{\"id\"%'")) == ["0002", "0004", "0007"]
    assert ids(read(tmp_path, "tenant = 42")) == ["0001", "0003", "0005"]
    assert ids(read(tmp_path, "tenant IS NULL")) == ["0006"]


def test_truth_times_and_lists_are_compared_where_another_file_has_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [span(1, internal=True, asked="2026-11-09", tags=["x", "y"])])
    write_lines(
        tmp_path / "b.jsonl", [span(2, internal="true", asked="2026-11-08", tags=["x"]), span(3, asked="never")]
    )
    assert ids(read(tmp_path, "internal = true")) == ["0001", "0002"]
    assert ids(read(tmp_path, "TRY_CAST(asked AS DATE) >= DATE '2026-11-09'")) == ["0001"]
    assert ids(read(tmp_path, "list_contains(tags, 'x')")) == ["0001", "0002"]
    assert ids(read(tmp_path, "tags IS NULL")) == ["0003"]


def test_a_field_of_a_column_that_another_file_lacks_is_null(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [span(1, attributes__metadata={"tenant": "acme"})])
    write_parquet(tmp_path / "b.parquet", [span(2)])
    assert ids(read(tmp_path, "attributes.metadata.tenant = 'acme'")) == ["0001"]
    assert ids(read(tmp_path, "attributes.metadata.tenant IS NULL")) == ["0002"]
    write_lines(tmp_path / "c.jsonl", [span(3, attributes__metadata={"tenant": "acme", "tier": 2})])
    assert ids(read(tmp_path, "attributes.metadata.tenant = 'acme'")) == ["0001", "0003"]
    assert ids(read(tmp_path / "c.jsonl", "attributes.metadata.tier > 1")) == ["0003"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a.parquet", {}),
        ("dt=2026-11-09/tenant=acme/a.parquet", {"dt": "2026-11-09", "tenant": "acme"}),
        ("x/tenant=a%20b%2Fc%3D/y=1=2/a.jsonl", {"tenant": "a b/c=", "y": "1=2"}),
        ("tenant=__HIVE_DEFAULT_PARTITION__/=x/a=b.jsonl", {"tenant": None}),
        ("tenant=a/tenant=/a.jsonl", {"tenant": ""}),
        ("attributes.user%2Eid=7/a.jsonl", {"attributes.user.id": "7"}),
    ],
)
def test_folders_name_partition_columns(file: str, expected: dict[str, str | None]) -> None:
    assert partition_values(f"/data/k=v/traces/{file}", "/data/k=v/traces/") == expected
    assert partition_values(f"s3://bucket/traces/{file}", "s3://bucket/traces") == expected
    assert partition_values(f"/data/traces-old/{file}", "/data/traces") == {}


SECRET = 'Acme\'s "R&D" 100% \\ ünit; DROP'
"""With all that could end a text in one of the languages."""


def tenants(tmp_path: Path) -> Path:
    rows = [span(1, tenant=SECRET), span(2, tenant="other"), span(3, tenant=SECRET.upper(), **{TOKENS: 12})]
    return write_lines(tmp_path / "a.jsonl", rows)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("tenant = '${TENANT}'", ["0001"]),
        ("tenant ILIKE '%${TENANT}%'", ["0001", "0003"]),
        ("tenant IN ('x', '${TENANT}') OR tenant = 'other'", ["0001", "0002"]),
        ("lower(tenant) = lower('${TENANT}') AND contains(tenant, '${PART}')", ["0001"]),
        (f"{TOKENS} > ${{LEAST}}", ["0003"]),
        (f"{TOKENS} BETWEEN ${{LEAST}} AND '${{LEAST}}9'", ["0003"]),
        ("tenant <> '$${TENANT}'", ["0001", "0002", "0003"]),
    ],
)
def test_a_variable_is_filled_in_as_text_or_number_whatever_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, expected: list[str]
) -> None:
    monkeypatch.setenv("TENANT", SECRET)
    monkeypatch.setenv("PART", "Acme's")
    monkeypatch.setenv("LEAST", "10")
    assert ids(read(tenants(tmp_path), where)) == expected


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("tenant = ${TENANT}", "${TENANT} stands outside of quotes"),
        ("\"${TENANT}\" = 'x'", "${TENANT} stands outside of quotes"),
        ("x.${TENANT} = 'x'", "${TENANT} may only stand in a text"),
        ("${TENANT}(tenant) = 'x'", "${TENANT} may only stand in a text"),
        ("tenant::${TENANT} IS NULL", "${TENANT} may only stand in a text"),
        ("${TENANT}", "${TENANT} stands outside of quotes"),
        ("tenant = '${TENANT}' AND", "syntax error"),
        ("tenant = '${TENANT}' AND nosuch = 'x'", 'there is no column "nosuch"'),
        ("random() < 1 AND tenant = '${TENANT}'", "`random` is not allowed"),
        ("tenant = CAST('${TENANT}' AS INTEGER)", "it quotes the value of ${TENANT}"),
        ("start_time > '${TENANT}'", "it quotes the value of ${TENANT}"),
        ("CAST(tenant AS INTEGER) = 3 AND name <> '${TENANT}'", "it quotes the value of ${TENANT}"),
        ("regexp_matches(tenant, '${REGEX}')", "missing ]"),
        ("strptime(tenant, '${REGEX}') IS NULL", "it quotes the value of ${REGEX}"),
        ("name = '${NOT_SET_ANYWHERE}'", "the environment variable NOT_SET_ANYWHERE is not set"),
        ("name = '${}'", "`${` begins the name"),
        ("name = '${TENANT", "`${` begins the name"),
        ("name = '${LONG}'", "with the values of LONG the condition is too long"),
        ("name = '${BYTES}'", "the value of BYTES is not UTF-8"),
    ],
)
def test_no_error_holds_a_piece_of_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, says: str
) -> None:
    values = {"TENANT": SECRET, "REGEX": "(sesame[", "LONG": "q-secret" * 5000, "BYTES": "bytes-\udcff"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TraceError) as refused:
        read(tenants(tmp_path), where)
    assert refused.value.__cause__ is None
    shown = str(refused.value)
    assert says in shown
    assert not any(piece in shown for piece in ("Acme", "R&D", "sesame", "q-secret", "bytes-"))


def test_a_damaged_file_is_named_without_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT", SECRET)
    path = write_parquet(tmp_path / "a.parquet", [span(number, tenant=SECRET) for number in range(400)])
    content = bytearray(path.read_bytes())
    content[200:4000] = b"\xff" * 3800
    path.write_bytes(content)
    with pytest.raises((TraceFileError, TraceError)) as refused:
        list(LocalTraces(path).spans(SpanQuery(window=WINDOW, where="tenant = '${TENANT}'")))
    assert "Acme" not in f"{refused.value} {refused.value.__cause__}"


def test_the_names_of_a_condition_are_known_before_any_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAST", "10")
    where = "attributes.llm.x > ${LEAST} AND (dt = '2026-11-09' OR lower(\"odd name\") = 'y' OR s['k'] = 1)"
    assert named_columns(where) == {"attributes.llm.x", "dt", "odd name", "s"}
    assert named_columns(" ") == frozenset()
    with pytest.raises(TraceError, match="`random` is not allowed"):
        named_columns("random() < 1")


def test_the_query_itself_holds_the_name_alone() -> None:
    query: Any = SpanQuery(window=WINDOW, where="tenant = '${TENANT}'")
    assert json.loads(query.model_dump_json())["where"] == "tenant = '${TENANT}'"


@pytest.mark.parametrize("dictionary", [True, False])
def test_null_is_found_beside_equal_values(tmp_path: Path, dictionary: bool) -> None:
    rows = [span(n, tier="gold" if n % 2 else None) for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", use_dictionary=dictionary)
    assert ids(read(tmp_path, "tier IS NULL")) == ["0000", "0002"]
    nobody = [span(1), span(2, context__span_id=None)]
    pq.write_table(pa.Table.from_pylist(nobody), tmp_path / "b.parquet", use_dictionary=dictionary)
    assert sum(lost(tmp_path / "b.parquet", "record").values()) == 1
