"""From a file to records: containers, compressions, encodings, pages and times. What a record means is `forms`'."""

from sia_dagster.adapters.local.reading.moments import microseconds
from sia_dagster.adapters.local.reading.pages import unwrapped
from sia_dagster.adapters.local.reading.read_file import read_records
from sia_dagster.adapters.local.reading.records import Broken, NoRecords, Record

__all__ = ["Broken", "NoRecords", "Record", "microseconds", "read_records", "unwrapped"]
