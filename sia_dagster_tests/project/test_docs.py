"""The pages say what is there: every name of the product, links that lead somewhere, configuration that loads."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import click
import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

import sia_dagster
from sia_dagster import runners
from sia_dagster.adapters.config.file import load_config
from sia_dagster.adapters.config.references import check_references
from sia_dagster.cli import cli
from sia_dagster.component import SelfImprovingLoop
from sia_dagster.core.config.trace_source import ArizeTracesConfig
from sia_dagster.core.records.document import Document
from sia_dagster.defs.claims import Claim
from sia_dagster.defs.loop_definitions import build_loop
from sia_dagster.defs.names import STAGES
from sia_dagster.demo.demo_definitions import demo_config
from sia_dagster_tests.places import DOCS, ROOT
from sia_dagster_tests.worlds.demo_run import DemoRun

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
IMAGES = DOCS / "images"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER_LOOP = "<loop>"
KNOWN_HOSTS = {
    "127.0.0.1",
    "NAME.openai.azure.com",
    "api.openai.com",
    "example.com",
    "keepachangelog.com",
    "semver.org",
    "www.w3.org",
}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def all_pages() -> str:
    return "\n".join(map(text_of, PAGES))


def blocks(path: Path, language: str) -> list[str]:
    return [body for named, body in BLOCK.findall(text_of(path)) if named == language]


def prose(path: Path) -> str:
    """The page without its code blocks, where brackets are code."""
    return BLOCK.sub("", text_of(path))


@cache
def definitions() -> dg.Definitions:
    """The demo's loop with all that a loop can have: manual promotion, which has all sensors, and a platform."""
    config = demo_config()
    everything = {
        "promotion": "manual",
        "traces": ArizeTracesConfig(source="arize", project="desk", space_id="space"),
        "write_back": True,
        "publish": ("file", "arize_prompt_hub", "arize_experiments"),
    }
    loop = config.loops[0].model_copy(update=everything)
    return build_loop(loop, llm=config.llm, storage=config.storage)


def asset_specs() -> Iterator[dg.AssetSpec]:
    for assets in definitions().assets or ():
        assert isinstance(assets, dg.AssetsDefinition)
        yield from assets.specs


def asset_names() -> set[str]:
    return {spec.key.path[-1] for spec in asset_specs()}


def claims() -> dict[str, Claim]:
    """The claims by their check's name, of all assets."""
    from sia_dagster.defs import claims as module

    found = {value.name: value for value in vars(module).values() if isinstance(value, Claim)}
    assert set(found) == {key.name for key in definitions().resolve_asset_graph().asset_check_keys}
    return found


def commands(command: click.Command, name: str) -> Iterator[str]:
    """The full names of a command and those below it."""
    yield name
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found
            yield from commands(found, f"{name} {child}")


def anchors(path: Path) -> set[str]:
    """The ids that headings get."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_asset_and_every_check_is_named() -> None:
    assert {name for name in {*asset_names(), *claims()} if f"`{name}`" not in all_pages()} == set()


def test_the_page_of_the_checks_has_each_with_its_asset_and_whether_it_blocks() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (yes)? ?\|$", text_of(DOCS / "architecture.md"), re.MULTILINE)
    keys = definitions().resolve_asset_graph().asset_check_keys
    assert {(asset, check, bool(blocks)) for asset, check, blocks in rows} == {
        (key.asset_key.path[-1], key.name, claims()[key.name].blocking) for key in keys
    }


def test_the_page_of_a_weekly_run_says_what_each_failed_check_means() -> None:
    page = text_of(DOCS / "run_every_week.md")
    rows = dict(re.findall(r"^\| `(\w+)`( \(stops\))? \| `\w+` \| .+ \|$", page, re.MULTILINE))
    assert {name: bool(stops) for name, stops in rows.items()} == {name: c.blocking for name, c in claims().items()}


def test_every_job_schedule_and_sensor_is_named() -> None:
    defs = definitions()
    repository = defs.get_repository_def()
    loop = demo_config().loops[0].name
    names = [*repository.schedule_defs, *repository.sensor_defs, *(defs.jobs or ())]
    assert len(names) == 6
    for each in names:
        assert f"`{each.name.replace(loop, PLACEHOLDER_LOOP)}`" in all_pages()


def test_every_resource_is_named_by_its_role() -> None:
    page = text_of(DOCS / "architecture.md")
    for key in definitions().resources or {}:
        assert f"`{key.split('__')[1]}`" in page


def test_every_command_is_named() -> None:
    written = re.sub(r"\s+", " ", all_pages())
    assert [name for name in commands(cli, "sia") if not re.search(rf"\b{name}\b", written)] == []


def test_every_target_of_the_makefile_is_named() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", text_of(ROOT / "Makefile"), re.MULTILINE)
    assert len(targets) > 5
    assert [t for t in targets if t != "help" and f"`make {t}`" not in text_of(ROOT / "CONTRIBUTING.md")] == []


def test_every_exported_name_stands_on_a_page() -> None:
    exported = {*sia_dagster.__all__, *runners.__all__} - {"__version__"}
    assert {name for name in exported if not re.search(rf"\b{name}\b", all_pages())} == set()


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    readme = text_of(ROOT / "README.md")
    assert [p.name for p in DOCS.glob("*.md") if f"(docs/{p.name})" not in readme] == []


def test_paths_of_modules_on_the_pages_are_there() -> None:
    layers = "core|adapters|reports|wiring|runners|defs|component|demo|cli|bench|simulation|sia_dagster_tests"
    named = set(re.findall(rf"`((?:sia_dagster/)?(?:{layers})/[\w./]+)`", all_pages()))
    assert len(named) > 20
    folders = (ROOT, ROOT / "sia_dagster")
    missing = {path for path in named if not any((folder / path).exists() for folder in folders)}
    assert {name for name in missing if not name.startswith("bench/results/")} == set(), "those `make bench` makes"


def test_what_a_change_begins_with_stands_in_the_file_that_is_named() -> None:
    rows = re.findall(r"^\| [^|]+ \| `([\w./]+\.py)`: `(\w+)`", text_of(DOCS / "architecture.md"), re.MULTILINE)
    assert len(rows) >= 7
    defined = r"^(?:def|class|async def) {0}\b|^{0}\b.* = "
    files = {(name, path): text_of(ROOT / "sia_dagster" / path) for path, name in rows}
    assert [key for key, text in files.items() if not re.search(defined.format(key[0]), text, re.MULTILINE)] == []


def test_modules_with_dots_on_the_pages_can_be_imported() -> None:
    named = set(
        re.findall(r"\bsia_dagster(?:\.[a-z_]+)+", "\n".join(text_of(p) for p in PAGES if p.name != "CHANGELOG.md"))
    )
    assert "sia_dagster.core.errors" in named
    assert [name for name in named if find_spec(name) is None] == []


def test_the_page_of_the_architecture_has_every_key_that_was_renamed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", text_of(DOCS / "architecture.md"), re.MULTILINE)
    renamed = [(c.__name__, old, new) for c in Document.__subclasses__() for old, new in c.renamed_in_2.items()]
    assert sorted(rows) == sorted(renamed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_image_is_used_and_says_what_it_shows() -> None:
    shown = {Path(target).name: words for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", all_pages())}
    assert set(shown) == {path.name for path in IMAGES.iterdir()}
    assert all(len(words) > 20 for words in shown.values())


def test_images_are_small_and_whole() -> None:
    for path in IMAGES.glob("*.png"):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert content.rstrip(b"\n").endswith(b"IEND\xaeB`\x82")
        assert len(content) <= 200_000, path.name


def test_pictures_are_drawn_for_light_and_dark() -> None:
    assert [p.name for p in IMAGES.glob("*.svg") if "prefers-color-scheme: dark" not in text_of(p)] == []


def test_the_picture_of_the_graph_has_every_asset_and_check() -> None:
    text = text_of(IMAGES / "asset_graph.svg")
    drawn = {(element.text or "").removeprefix("\u2713 ") for element in ElementTree.fromstring(text).iter()}
    assert {*asset_names(), *claims()} <= drawn


def test_the_picture_says_which_asset_feeds_which() -> None:
    text = text_of(IMAGES / "asset_graph.svg")
    edges = {(dep.asset_key.path[-1], spec.key.path[-1]) for spec in asset_specs() for dep in spec.deps}
    assert text.count('class="line" d=') == len(edges) == 16


def test_the_picture_of_the_rooms_has_every_room_on_the_floor_of_the_import_contract() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    contracts = [c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    core = next(c["layers"] for c in contracts if c.get("containers") == ["sia_dagster.core"])
    floors: dict[float, set[str]] = {}
    for text in ElementTree.fromstring(text_of(IMAGES / "rooms.svg")).iter("{http://www.w3.org/2000/svg}text"):
        if text.get("class") == "room":
            floors.setdefault(float(text.get("y", "")), set()).update((text.text or "").split(", "))
    drawn = [rooms for _, rooms in sorted(floors.items())]
    assert drawn[-len(core) :] == [set(layer.split(" | ")) for layer in core]
    assert {
        layer.removeprefix("sia_dagster.") for layer in " | ".join(contracts[0]["layers"]).split(" | ")
    } <= set().union(*drawn)


def sia_yaml_blocks() -> list[tuple[str, str]]:
    found = [(page.name, body) for page in PAGES for body in blocks(page, "yaml")]
    return [(name, body) for name, body in found if body.startswith("# sia.yaml\n")]


def test_the_readme_has_a_complete_configuration() -> None:
    assert "README.md" in {name for name, _ in sia_yaml_blocks()}


@pytest.mark.parametrize(("name", "body"), sia_yaml_blocks())
def test_configuration_on_the_pages_loads(
    name: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in re.findall(r"\$\{(\w+)\}", body):
        monkeypatch.setenv(variable, "set")
    path = tmp_path / "sia.yaml"
    path.write_text(body, encoding="utf-8")
    check_references(load_config(path))


def test_the_component_on_the_pages_builds_a_loop() -> None:
    bodies = [body for page in PAGES for body in blocks(page, "yaml") if body.startswith("# defs.yaml\n")]
    assert bodies
    for body in bodies:
        with create_defs_folder_sandbox() as sandbox:
            path = sandbox.scaffold_component(SelfImprovingLoop, defs_yaml_contents=yaml.safe_load(body))
            with sandbox.load_component_and_build_defs(path) as (component, built):
                assert isinstance(component, SelfImprovingLoop)
                assert len(built.resolve_asset_graph().get_all_asset_keys()) == len(STAGES)


def test_python_on_the_pages_is_python() -> None:
    for page in PAGES:
        for body in blocks(page, "python"):
            ast.parse(body)


def test_the_changelog_has_the_version_of_the_package() -> None:
    latest = re.search(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert latest
    assert latest[1] == sia_dagster.__version__


def test_the_readme_shows_what_the_demo_prints(demo_run: DemoRun) -> None:
    printed = [line.rstrip() for line in demo_run.printed.splitlines()]
    (block,) = (body for body in blocks(ROOT / "README.md", "") if "live: mean" in body)
    *shown, timed = block.splitlines()
    assert printed[: len(shown)] == shown
    assert printed[len(shown)].partition(" s; ")[2] == timed.partition(" s; ")[2]


def written_files() -> Iterator[Path]:
    """What people read and what installs the project."""
    yield from PAGES
    yield from (ROOT / name for name in ("Makefile", "pyproject.toml", "requirements.lock", "workspace.yaml"))
    yield from (ROOT / ".ci").iterdir()
    for folder in ("sia_dagster", "sia_dagster_tests", "simulation", "examples", "bench"):
        files = (ROOT / folder).rglob("*.*")
        yield from (f for f in files if f.suffix in {".py", ".md", ".yaml", ".template", ".j2", ".css"})


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    home = re.compile(r"/(?:root|home|Users)/\w")
    assert [str(f) for f in written_files() if str(ROOT) in text_of(f) or home.search(text_of(f))] == []


def test_addresses_on_the_pages_and_in_the_lock_are_known_ones() -> None:
    files = [f for f in written_files() if f.suffix in {".md", ".lock", ".toml", ""}]
    hosts = {host for f in files for host in re.findall(r"https?://([^/:\s`'\")]+)", text_of(f))}
    assert hosts <= KNOWN_HOSTS
