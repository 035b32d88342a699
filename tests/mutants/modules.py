"""Which modules are tried, with which tests; and the mutants that change nothing."""

from collections.abc import Mapping, Sequence

_BATCH = (
    "tests/unit/test_batch_arguments.py",
    "tests/unit/test_batch_questions.py",
    "tests/unit/test_batch_words.py",
    "tests/unit/test_batch_own.py",
    "tests/unit/test_field_batch_answers.py",
)
_CE = (
    "tests/unit/test_batch_ce_tasks.py",
    "tests/unit/test_batch_ce_submissions.py",
    "tests/unit/test_batch_ce.py",
    "tests/unit/test_batch_submission.py",
)
TESTS: Mapping[str, Sequence[str]] = {
    "ce_backends/batch/systems/slurm.py": ("tests/unit/test_slurm_words.py", "tests/unit/test_slurm.py", *_BATCH),
    "ce_backends/batch/systems/pbs.py": (
        "tests/unit/test_pbs_words.py",
        "tests/unit/test_pbs_as_documented.py",
        *_BATCH,
    ),
    "ce_backends/batch/systems/pbs_answers.py": (
        "tests/unit/test_pbs_words.py",
        "tests/unit/test_pbs_as_documented.py",
        *_BATCH,
    ),
    "ce_backends/batch/systems/grid_engine.py": ("tests/unit/test_grid_engine.py", *_BATCH),
    "ce_backends/batch/systems/grid_engine_answers.py": ("tests/unit/test_grid_engine.py", *_BATCH),
    "ce_backends/batch/systems/htcondor.py": ("tests/unit/test_htcondor.py", *_BATCH),
    "ce_backends/batch/systems/oar.py": ("tests/unit/test_oar.py", *_BATCH),
    "ce_backends/batch/systems/lsf.py": ("tests/unit/test_lsf_as_documented.py", *_BATCH),
    "ce_backends/batch/systems/host.py": ("tests/unit/test_batch_host.py", *_BATCH),
    "ce_backends/batch/commands.py": (
        "tests/unit/test_batch_mechanism.py",
        "tests/unit/test_batch_command.py",
        "tests/unit/test_batch_cut_answers.py",
        *_BATCH,
    ),
    "ce_backends/batch/ce.py": _CE,
    "ce_backends/batch/submission.py": _CE,
    "agents/jobs/ledger.py": (
        "tests/unit/test_agent_ledger_questions.py",
        "tests/unit/test_agent_ledger.py",
        "tests/unit/test_agent_ledger_past.py",
    ),
    "agents/slot/allocation.py": ("tests/unit/test_slot_allocation.py", "tests/unit/test_agent_allocation.py"),
    "agents/wms/service.py": ("tests/unit/test_agent_service.py", "tests/unit/test_agent_calls.py"),
    "agents/reporting/reporter.py": (
        "tests/unit/test_agent_reporter_steps.py",
        "tests/unit/test_agent_reporter.py",
        "tests/unit/test_agent_heartbeats.py",
        "tests/unit/test_agent_read_back.py",
    ),
}

# name of the mutant: why nobody can tell it from the module
EQUIVALENT: Mapping[str, str] = {
    "ce_backends/batch/commands.py settled: code < 0 -> code <= 0": "0 is answered before",
    "ce_backends/batch/systems/pbs_answers.py _signal: code < 0 -> code <= 0": "for a code of 0 it is not asked",
}
