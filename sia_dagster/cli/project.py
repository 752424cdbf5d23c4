"""What the commands share: the configured loop they are about."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.config_file import ConfigFile, find_config, load_config
from sia_dagster.adapters.storage import StoragePath
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.errors import ConfigError

if TYPE_CHECKING:
    from sia_dagster.core.ports import PolicyStore
    from sia_dagster.defs.names import LoopNames


@dataclass(frozen=True)
class CommandProject:
    """One loop of the configuration, or the demo's."""

    file: ConfigFile
    loop: LoopConfig

    @cached_property
    def names(self) -> "LoopNames":
        """Keys and partitions of the loop."""
        from sia_dagster.defs.names import LoopNames

        return LoopNames(self.loop, self.file.folder)

    @property
    def job(self) -> Any:
        """The loop's job, as the code location has it."""
        from sia_dagster.definitions import defs

        return defs.resolve_job_def(self.names.job)

    @property
    def policies(self) -> "PolicyStore":
        """The loop's registry."""
        from sia_dagster.adapters.policy_files import PolicyFiles

        return PolicyFiles(self.file.storage, self.loop.name)

    def report_path(self, window: str) -> StoragePath:
        """Where the window's HTML report is."""
        return self.file.storage / "reports" / self.loop.name / f"{window}.html"

    def document_path(self, stage: str, window: str) -> StoragePath:
        """Where a stage's JSON document of the window is."""
        return self.file.storage / "assets" / self.loop.name / stage / f"{window}.json"


def open_project(loop_name: str | None) -> CommandProject:
    """The loop of that name, or the only one; without a configuration file the demo's.

    Raises ConfigError with the names there are.
    """
    file = load_config() if find_config() else _demo_file()
    loops = {loop.name: loop for loop in file.config.loops}
    if loop_name is None and len(loops) == 1:
        return CommandProject(file, next(iter(loops.values())))
    if loop_name not in loops:
        asked = f"there is no loop {loop_name!r}" if loop_name else "name a loop with --loop"
        raise ConfigError(f"{asked}; the configuration has: {', '.join(loops)}")
    return CommandProject(file, loops[loop_name])


def _demo_file() -> ConfigFile:
    from sia_dagster.demo.definitions import demo_config

    return ConfigFile(config=demo_config(), folder=Path.cwd())
