"""An explicit-state model of one job's life: agent, ledger, pool, reports, WMS; every interleaving with every fault.

It follows the code step by step, as it stands: `agent` has what agents/runner/job_runner.py and endings.py do, and
agents/reporting/{reporter,ownership,read_back}.py and agents/wms/lost_matches.py; `world` has everything around them.
What the code does against a fault is named in `state.Protection`; a model without one of these is the code with that
bug planted, and must fail.

`python -m tests.model --help` explores it; `tests/unit/test_model.py` does so with small numbers of faults.
"""
