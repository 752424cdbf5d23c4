"""Where the tests find the project and the texts that they read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CORPORA = Path(__file__).parent / "corpora"
EXPORT = CORPORA / "arize" / "arize_export_sample.json"
EVALUATIONS = CORPORA / "arize" / "arize_evals_sample.json"
RECORDED_SPANS = CORPORA / "spans"
RECORDED_FORMS = CORPORA / "forms"
TRACE_CASES = CORPORA / "trace_cases"
