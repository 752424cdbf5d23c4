"""The configured loops, as the commands use them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sia_dagster.adapters.config.file import ConfigFile, find_config, load_config
from sia_dagster.adapters.config.references import check_references
from sia_dagster.adapters.files.registry_files import DecisionFiles, PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath, file_names
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.ports.stores import DecisionStore, PolicyStore
from sia_dagster.core.records.sample import TimeWindow

if TYPE_CHECKING:
    import dagster as dg

    from sia_dagster.defs.names import LoopNames


@dataclass(frozen=True)
class CommandProject:
    """One loop of the configuration, or the demo's."""

    file: ConfigFile
    loop: LoopConfig

    @property
    def is_demo(self) -> bool:
        """Whether there is no configuration file, so that this is the demo's loop over simulated models."""
        return self.file.path is None

    @cached_property
    def names(self) -> "LoopNames":
        """Keys and partitions of the loop."""
        from sia_dagster.defs.names import LoopNames

        return LoopNames(self.loop, self.file.folder)

    @cached_property
    def definitions(self) -> "dg.Definitions":
        """The assets and jobs of all loops, as the code location has them. Raises ConfigError."""
        if self.is_demo:
            from sia_dagster.demo.demo_definitions import demo_definitions

            return demo_definitions(self.file.folder)
        from sia_dagster.defs.project_definitions import build_project

        check_references(self.file)
        return build_project(self.file.config, self.file.folder)

    @property
    def policies(self) -> PolicyStore:
        """The loop's registry."""
        return PolicyFiles(self.file.storage, self.loop.name)

    @property
    def decisions(self) -> DecisionStore:
        """What people decided about the loop's candidates."""
        return DecisionFiles(self.file.storage, self.loop.name)

    def window(self, key: str | None = None) -> TimeWindow:
        """The closed window of that key, by default the latest. Raises ConfigError with the latest keys."""
        keys = self.names.partitions.get_partition_keys()
        if not keys:
            raise ConfigError(f"no window of {self.loop.name} has closed yet: its first begins on {self.loop.start}")
        if key is not None and key not in keys:
            near = ", ".join(keys[-3:])
            raise ConfigError(f"{key!r} is not a closed window of {self.loop.name}; the latest are: {near}")
        return self.names.window(key or keys[-1])

    def check_decidable(self, window: TimeWindow) -> None:
        """Raise ConfigError for a window that ran, but is not one of the windows of the configuration as it is now."""
        keys = self.names.partitions.get_partition_keys()
        if window.key not in keys or self.names.window(window.key) != window:
            raise ConfigError(
                f"window {window.key!r} of {self.loop.name} ran, but is not one of its windows now: `start`, `window` "
                "or `timezone` has changed since; set them back to decide on it, or decide on a later window"
            )

    def report_path(self, window: str) -> StoragePath:
        """Where the window's HTML report is."""
        return self.file.storage / "reports" / self.loop.name / f"{window}.html"

    def reported_windows(self) -> tuple[str, ...]:
        """The keys of the windows that have a report, in order."""
        names = file_names(self.file.storage / "reports" / self.loop.name)
        return tuple(name.removesuffix(".html") for name in names if name.endswith(".html"))

    def document_path(self, stage: str, window: str) -> StoragePath:
        """Where a stage's JSON document of the window is."""
        return self.file.storage / "assets" / self.loop.name / stage / f"{window}.json"

    def not_run(self, window: str) -> ConfigError:
        """The error for a window that has no results yet."""
        latest = ", ".join(self.reported_windows()[-3:])
        known = f"the latest that have: {latest}" if latest else "none has yet"
        return ConfigError(
            f"window {window!r} of {self.loop.name} has not run ({known}); "
            f"run it with `sia run --loop {self.loop.name} --window {window}`"
        )


def open_projects(loop_name: str | None = None) -> tuple[CommandProject, ...]:
    """Every loop of the configuration, or the one of that name; without a configuration file the demo's.

    Raises ConfigError for a configuration that cannot be used, and with the existing names for an unknown one.
    """
    file = load_config() if find_config() else _demo_file()
    loops = file.config.loops
    chosen = [loop for loop in loops if loop_name in (None, loop.name)]
    if not chosen:
        names = ", ".join(loop.name for loop in loops)
        raise ConfigError(f"there is no loop {loop_name!r}; the configuration has: {names}")
    return tuple(CommandProject(file, loop) for loop in chosen)


def open_project(loop_name: str | None) -> CommandProject:
    """The loop of that name, or the only one. Raises ConfigError as `open_projects`, and where several need a name."""
    projects = open_projects(loop_name)
    if len(projects) > 1:
        names = ", ".join(project.loop.name for project in projects)
        raise ConfigError(f"name a loop with --loop; the configuration has: {names}")
    return projects[0]


def _demo_file() -> ConfigFile:
    from sia_dagster.demo.demo_definitions import demo_config

    return ConfigFile(config=demo_config(), folder=Path.cwd())
