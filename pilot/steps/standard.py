"""The pilot's steps, in DIRAC's order. Each takes what is known so far and returns it with more.

Which of them run, and under which names, is in `pilot.steps.order`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pilot import cfg
from pilot.agent import launch, supervision
from pilot.errors import NodeUnfit, UsageError
from pilot.log import utc_now
from pilot.node import isolation, work_folder
from pilot.node.worker_node import Fact
from pilot.readers import comma_list
from pilot.settings import BARE_WORDS, HOST_CERTIFICATES, Settings
from pilot.steps import offer
from pilot.steps.state import AGENT, CE_DEFAULTS, LOCAL, WRAPPER, Pilot, user_options
from pilot.wms import client as services
from pilot.wms import configuration, credential, remote_log


def check_worker_node(pilot: Pilot) -> Pilot:
    """Log what this node is, and leave it when the disk is too full, or no program can be started from there."""
    node = pilot.node
    machine = os.uname()
    pilot.log.info("node.is", host=machine.nodename, kernel=machine.release, architecture=node.architecture)
    for name in ("processors", "memory_mb", "disk_mb"):
        fact = getattr(node, name)
        pilot.log.info(f"node.{name}", value=fact.value, origin=fact.origin)
    pilot.log.info("slot.is", reference=pilot.slot.reference, origin=pilot.slot.origin, batch=pilot.slot.kind)
    if node.disk_mb.value < pilot.settings.min_disk_mb:
        raise NodeUnfit(
            f"{pilot.work_dir}: {node.disk_mb.value} MB of disk are free; "
            f"expected {pilot.settings.min_disk_mb} MB or more (--disk)"
        )
    is_there = pilot.work_dir.is_dir()  # a dry run makes none
    if is_there and (trouble := work_folder.cannot_start_from(pilot.work_dir)):
        raise NodeUnfit(trouble)
    return pilot


def configure_basics(pilot: Pilot) -> Pilot:
    """Check credential and CAs, and get the configuration with them."""
    settings = pilot.settings
    if not settings.servers and not any(path.startswith("/Systems/") for path, _ in user_options(settings)):
        raise UsageError("no Configuration server: give -C, or ConfigurationServers in pilot.json")
    ours = credential.load(settings, pilot.environ, now=utc_now())
    cas, cas_origin = credential.trusted_cas(settings, pilot.environ)
    pilot.log.info("credential.is", file=ours.certificate, origin=ours.origin, expires=ours.not_after.isoformat())
    pilot.log.info("cas.are", place=cas, origin=cas_origin)
    caller = services.Services(services.tls(ours, cas), vo=pilot.vo, setup=settings.setup, is_host=ours.is_host)
    pilot = replace(
        pilot,
        services=caller,
        agent_environment={
            **credential_variables(ours, cas),
            **credential.voms_variables(settings, pilot.environ),
        },
        downloaded=configuration.download(caller, settings.servers) if settings.servers else pilot.downloaded,
    )
    _start_remote_log(pilot, caller)
    pilot = pilot.having(
        "/DIRAC",
        Setup=settings.setup,
        VirtualOrganization=pilot.vo,
        PreferredURLPatterns=settings.url_patterns,
    ).having("/DIRAC/Configuration", Servers=settings.servers)
    return pilot.having_all(security_options(ours, cas))


def security_options(ours: credential.Credential, cas: Path) -> dict[str, str]:
    """Return the options by which the agent finds credential and CAs."""
    files = {"CertFile": str(ours.certificate), "KeyFile": str(ours.key)} if ours.is_host else {}
    told = {"UseServerCertificate": "yes" if ours.is_host else "no", **files, "CALocation": str(cas)}
    return {f"/DIRAC/Security/{name}": value for name, value in told.items()}


def credential_variables(ours: credential.Credential, cas: Path) -> dict[str, str]:
    """Return the variables by which the agent and its payloads find them."""
    variables = {} if ours.is_host else {"X509_USER_PROXY": str(ours.certificate)}
    return {**variables, "X509_CERT_DIR": str(cas)} if cas.is_dir() else variables


def logging_url(pilot: Pilot) -> str:
    """Return where the log goes, "" when it stays here."""
    settings = pilot.settings
    excluded = settings.logger_ces and settings.ce not in settings.logger_ces
    if not settings.remote_logging or excluded:
        return ""
    return settings.logger_url or next(iter(pilot.urls("PilotLogging") or pilot.urls("TornadoPilotLogging")), "")


def _start_remote_log(pilot: Pilot, caller: services.Services) -> None:
    url = logging_url(pilot)
    if url:
        pilot.remote_log.start(remote_log.sender(caller, url, vo=pilot.vo))
    elif pilot.settings.remote_logging:
        pilot.log.warning("remote_log.off", why="no logger URL, or this CE is not in the white list")


def check_ce_capabilities(pilot: Pilot) -> Pilot:
    """Copy what the configuration says of our CE and queue to /LocalSite."""
    settings = pilot.settings
    parameters = configuration.ce_parameters(
        pilot.configuration, site=settings.site, ce=settings.ce, queue=settings.queue
    )
    if not parameters:
        pilot.log.warning("ce.unknown", site=settings.site, ce=settings.ce, queue=settings.queue)
    if settings.queue:
        parameters["Queue"] = settings.queue
    # pilot.cfg is for every payload to read
    return pilot.having(LOCAL, **{name: value for name, value in parameters.items() if not _is_secret(name)})


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("password", "secret", "token"))


def check_wn_capabilities(pilot: Pilot) -> Pilot:
    """Settle what the slot offers: the least of node, configuration and options, the same number everywhere."""
    cores = offer.processors(pilot)
    memory_mb = offer.least(pilot, pilot.node.memory_mb, "MaxRAM")
    gpus = offer.least(pilot, Fact(len(pilot.node.gpus), pilot.node.gpus_origin), "NumberOfGPUs")
    pilot.log.info("slot.processors", value=cores.value, origin=cores.origin)
    pilot.log.info("slot.memory_mb", value=memory_mb.value, origin=memory_mb.origin)
    required = offer.tags(pilot, "RequiredTag", pilot.settings.required_tags)
    whole = ("WholeNode",) if offer.is_whole_node(pilot) else ()
    found = {
        "NumberOfProcessors": cores.value,
        "MaxRAM": memory_mb.value or "",
        "NumberOfGPUs": gpus.value,
        # the Matcher refuses a required tag that is not offered too
        "Tag": offer.tags(pilot, "Tag", (*pilot.settings.tags, *whole, *required)),
        "RequiredTag": required,
    }
    repeated = {name: value for name, value in found.items() if f"{LOCAL}/{name}" in pilot.options}
    vo = pilot.vo if pilot.vo != "unknown" else ""
    return pilot.having(LOCAL, **repeated).having(CE_DEFAULTS, **found, VirtualOrganization=vo)


def configure_site(pilot: Pilot) -> Pilot:
    """Write down who and where we are."""
    settings, slot = pilot.settings, pilot.slot
    if not settings.site:
        raise UsageError("the site is not known: give -n, or -N with a CE that pilot.json lists")
    pilot = pilot.having(
        LOCAL,
        Site=settings.site,
        GridCE=settings.ce,
        CEQueue=settings.queue,
        LocalCE=offer.inner_ce(pilot),
        GridMiddleware=slot.flavour,
        PilotReference=slot.reference,
        ReleaseVersion=_release(pilot, "Version", settings.release),
        ReleaseProject=_release(pilot, "Project", settings.project),
        CVMFS_locations=settings.cvmfs_folders,
        InstancePath=str(pilot.work_dir),
    )
    pilot = pilot.having(
        WRAPPER, PreinstalledEnv=settings.python_environment, PreinstalledEnvPrefix=settings.client_prefix
    )
    pilot = pilot.having(f"{LOCAL}/BatchSystemInfo", Type=slot.kind, JobID=slot.job_id)
    return pilot.having(f"{LOCAL}/BatchSystemInfo/Parameters", **slot.parameters)


def _release(pilot: Pilot, name: str, told: str) -> str:
    listed = configuration.operations(pilot.configuration, f"Pilot/{name}", setup=pilot.settings.setup, vo=pilot.vo)
    return told or next(iter(comma_list(listed)), "")


def configure_architecture(pilot: Pilot) -> Pilot:
    """Write down the platform in the words that DIRAC compares."""
    return pilot.having(LOCAL, Architecture=pilot.node.architecture, Platform=os.uname().machine)


def configure_cpu_requirements(pilot: Pilot) -> Pilot:
    """Work out the CPU work that a processor of this slot can still do, in HS06 seconds."""
    power_hs06 = offer.power_hs06(pilot)
    left = offer.time_left(pilot)
    if left is None and not pilot.settings.cpu_work_hs06s:
        pilot.log.warning("slot.end_unknown", remedy="-T, or maxCPUTime of the queue; the agent assumes a day")
    elif left is not None:
        pilot.log.info("slot.time_left_s", value=left.value, origin=left.origin, power_hs06=power_hs06)
    work = pilot.settings.cpu_work_hs06s or (int(left.value * power_hs06) if left else "")
    told = (
        f"{power_hs06:.1f}" if offer.is_power_told(pilot) else ""
    )  # else the agent measures it, beside the first jobs
    return pilot.having(LOCAL, CPUNormalizationFactor=told, CPUTimeLeft=work, CPUTime=work)


def launch_agent(pilot: Pilot) -> Pilot:
    """Write pilot.cfg, start the agent, and stay with it to the end."""
    settings = pilot.settings
    pilot = pilot.having(AGENT, **offer.agent_options(pilot)).having(
        "/AgentJobRequirements", OwnerGroup=settings.owner_group, OwnerDN=settings.owner_dn, ExtraOptions="pilot.cfg"
    )
    cfg_file = pilot.work_dir / "pilot.cfg"
    write_cfg(cfg_file, {**pilot.options, **dict(user_options(settings))})
    command = launch.agent_command(settings, cfg_file, pilot.work_dir)
    _keep_configuration(pilot)
    more = {**pilot.agent_environment, "DIRACSYSCONFIG": str(cfg_file)}
    launch.forget_report(pilot.work_dir)
    pilot.log.info("payloads.apart", says=isolation.sentence(offer.inner_ce(pilot), is_root=os.geteuid() == 0))
    if not launch.become_subreaper():
        pilot.log.warning("subreaper.missing", why="ctypes or prctl is not there: processes may outlive the pilot")
    environment = launch.agent_environment(pilot.environ, settings, more, pilot.brought)
    # another program's exit codes are its own: none of them asks for a restart
    patience = supervision.Patience(restart_delays_s=()) if settings.program else supervision.Patience()
    program = supervision.Program(command, environment, pilot.work_dir)
    with supervision.Signals() as signals:
        end = supervision.Supervisor(program, pilot.log, patience).run(signals)
        if offer.is_node_a_queue(pilot):
            pilot.log.info("tasks.stay", why="this node itself is their queue; the next pilot follows them")
        else:
            supervision.end_leftovers(pilot.log)
    return replace(pilot, agent_end=end)


def _keep_configuration(pilot: Pilot) -> None:
    """Leave the configuration for the agent; without it, the agent downloads its own."""
    if pilot.downloaded.packed:
        try:
            pilot.downloaded.keep(pilot.work_dir)
        except OSError as error:
            pilot.log.warning("configuration.not_kept", why=error)


def launch_pool_agent(pilot: Pilot) -> Pilot:
    """Do what DIRAC's old MultiLaunchAgent was for, use all processors of the slot: one agent with a Pool."""
    return launch_agent(pilot.having(LOCAL, LocalCE="Pool"))


def without_effect(settings: Settings) -> list[str]:
    """Return what was asked for and changes nothing in this combination."""
    bare = [f"-o {name}" for name, value in settings.options if not value and name in BARE_WORDS]
    alone = settings.host_certificate_folder != HOST_CERTIFICATES and not settings.use_host_certificate
    return [*bare, *(["--certLocation without --cert"] if alone else [])]


def write_cfg(path: Path, options: Mapping[str, str]) -> None:
    """Write pilot.cfg whole or not at all: payload tools may read it at any time."""
    aside = path.with_suffix(".new")
    try:
        aside.write_text(cfg.render(cfg.nest(options)), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise NodeUnfit(f"{path}: cannot be written: {error.strerror}") from error
