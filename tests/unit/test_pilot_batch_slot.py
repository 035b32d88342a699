import pytest

from pilot.node import batch_slot

STAMP = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("environ", "flavour", "kind", "reference"),
    [
        ({}, "DIRAC", "", STAMP),
        ({"PBS_JOBID": "12.server"}, "SSHPBS", "PBS", "sshpbs://ce/12"),
        ({"OAR_JOBID": "7"}, "SSHOAR", "OAR", "sshoar://ce/7"),
        ({"SGE_TASK_ID": "undefined", "JOB_ID": "42"}, "SSHSGE", "SGE", "sshge://ce/42"),
        ({"LSB_BATCH_JID": "5"}, "SSHLSF", "LSF", "sshlsf://ce/5"),
        ({"SLURM_JOBID": "99"}, "SSHSLURM", "SLURM", "sshslurm://ce/99"),
        ({"_CONDOR_JOB_AD": "/x/.job.ad", "CONDOR_JOBID": "3.0"}, "SSHHTCondor", "HTCondor", "sshcondor://ce/3.0"),
        ({"_CONDOR_JOB_AD": "/x/.job.ad", "DIRAC_PILOT_STAMP": "s"}, "SSHHTCondor", "HTCondor", "s"),
        ({"LOCAL_JOBID": "1"}, "Local", "", "local://ce/1"),
        ({"SSHCE_JOBID": "1"}, "SSH", "", "ssh://ce/1"),
        ({"SSHBATCH_JOBID": "1", "SSH_NODE_HOST": "h"}, "SSHBATCH", "", "sshbatchhost://ce/h/1"),
        ({"SSHBATCH_JOBID": "1"}, "DIRAC", "", STAMP),
        ({"HTCONDOR_JOBID": "8.1"}, "HTCondorCE", "", "htcondorce://ce/8.1"),
        ({"GRID_GLOBAL_JOBURL": "https://ce:443/arex/x"}, "ARC", "", "https://ce:443/arex/x"),
        ({"PILOT_UUID": "cloud://i-1", "DIRAC_PILOT_STAMP": "s"}, "CLOUD", "", "cloud://i-1"),
        ({"SLURM_JOBID": "99", "HTCONDOR_JOBID": "8.1"}, "HTCondorCE", "SLURM", "htcondorce://ce/8.1"),
    ],
)
def test_the_reference_is_what_the_submitter_stored(environ, flavour, kind, reference):
    slot = batch_slot.look(environ, ce="ce", stamp=STAMP)

    assert (slot.flavour, slot.kind, slot.reference) == (flavour, kind, reference)


def test_the_stamp_comes_from_the_environment_whatever_the_reference():
    slot = batch_slot.look({"DIRAC_PILOT_STAMP": "s", "SLURM_JOBID": "99"}, ce="ce", stamp=STAMP)

    assert (slot.stamp, slot.reference, slot.job_id) == ("s", "sshslurm://ce/99", "99")


def test_parameters_of_the_batch_system_are_kept():
    slot = batch_slot.look({"PBS_JOBID": "1", "PBS_O_QUEUE": "long", "PBS_O_PATH": "/bin"}, ce="ce", stamp=STAMP)

    assert slot.parameters == {"Queue": "long", "BinaryPath": "/bin"}


def test_the_earliest_announced_end_counts(tmp_path):
    (tmp_path / "shutdowntime").write_text("2000\n")
    (tmp_path / "jobstart_secs").write_text("100\n")
    (tmp_path / "wall_limit_secs").write_text("1500\n")
    features = {"MACHINEFEATURES": str(tmp_path), "JOBFEATURES": str(tmp_path)}

    both = batch_slot.end_of_slot({**features, "SLURM_JOB_END_TIME": "1900"})

    assert both == batch_slot.Fact(1600, "JOBFEATURES/wall_limit_secs")


def test_no_announced_end_is_none_not_zero():
    assert batch_slot.end_of_slot({"SLURM_JOB_END_TIME": "UNLIMITED"}) is None
