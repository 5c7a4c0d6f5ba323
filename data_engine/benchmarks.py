"""The benchmarks there are. Whoever adds one enters it here; how: benchmark.py."""

from .benchmark import Benchmark
from .gelab.benchmark import GELAB
from .login.benchmark import LOGIN

BENCHMARKS: tuple[Benchmark, ...] = (GELAB, LOGIN)

OF_ROWS = {b.rows_kind: b for b in BENCHMARKS}  # kind of a manifest of rows -> benchmark
OF_FOLDERS = {kind: b for b in BENCHMARKS for kind in b.kinds}  # kind of any of its folders -> benchmark
OF_RUNS = {protocol.kind: b for b in BENCHMARKS for protocol in b.protocols}  # kind of a run -> benchmark
PROTOCOLS = {protocol.kind: protocol for b in BENCHMARKS for protocol in b.protocols}  # kind of a run -> protocol
ANSWER_FILES = tuple(dict.fromkeys(protocol.answers_file for protocol in PROTOCOLS.values()))
