"""Write the configuration of the servers and of the clients, as CFG files."""

from collections.abc import Mapping
from typing import Any

import data_services
import setups
import stack

ANYBODY_KNOWN = {"Authorization": {"Default": "authenticated"}}


def cfg(section: Mapping[str, Any], indent: str = "") -> str:
    """Nested mappings as DIRAC's CFG text."""
    text = ""
    for name, value in section.items():
        if isinstance(value, Mapping):
            text += f"{indent}{name}\n{indent}{{\n{cfg(value, indent + '  ')}{indent}}}\n"
        else:
            text += f"{indent}{name} = {value}\n"
    return text


def merged(*sections: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over one another."""
    result: dict[str, Any] = {}
    for name, value in [item for section in sections for item in section.items()]:
        before = result.get(name)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[name] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def registry() -> dict[str, Any]:
    """Users, groups and hosts; the pilot group and the pilot host may match and report for everybody in the VO."""
    users = {"labuser": "user", "labuser2": "user2", "labadmin": "admin", "labpilot": "pilot"}
    delegation = "FullDelegation, ProxyManagement"
    service_host = (
        f"TrustedHost, CSAdministrator, JobAdministrator, Operator, SiteManager, ServiceAdministrator, {delegation}"
    )
    return {
        "DefaultGroup": f"{stack.VO}_user",
        "DefaultProxyLifeTime": 86400,
        "VO": {stack.VO: {"DefaultGroup": f"{stack.VO}_user"}},
        "Users": {
            name: {"DN": stack.distinguished_name(certificate), "Email": f"{name}@example.invalid"}
            for name, certificate in users.items()
        },
        "Groups": {
            f"{stack.VO}_user": {
                "Users": "labuser, labuser2, labadmin",
                "Properties": "NormalUser",
                "VO": stack.VO,
                "AutoUploadProxy": True,
            },
            f"{stack.VO}_admin": {
                "Users": "labadmin",
                "Properties": "Operator, JobAdministrator, CSAdministrator, ServiceAdministrator, SiteManager, "
                f"NormalUser, {delegation}",
                "VO": stack.VO,
            },
            f"{stack.VO}_pilot": {
                "Users": "labpilot",
                "Properties": "GenericPilot, LimitedDelegation",
                "VO": stack.VO,
            },
        },
        "Hosts": {
            "localhost": {"DN": stack.distinguished_name("host"), "Properties": service_host},
            "pilothost.localhost": {
                "DN": stack.distinguished_name("pilothost"),
                "Properties": "TrustedHost, GenericPilot, LimitedDelegation",
            },
        },
    }


def operations() -> dict[str, Any]:
    """Jobs are scheduled at once and pilots of any version are served."""
    status_types = {"default": "all", "StorageElement": "ReadAccess, WriteAccess, CheckAccess, RemoveAccess"}
    return {
        "Defaults": {
            "Pilot": {
                "CheckVersion": False,
                "Version": stack.dirac_version(),
                "GenericPilotGroup": f"{stack.VO}_pilot",
                "GenericPilotDN": stack.distinguished_name("pilot"),
            },
            "JobScheduling": {"CheckJobLimits": False, "CheckMatchingDelay": False},
            "JobDescription": {"AllowedJobTypes": "User"},
            "ResourceStatus": {
                "Config": {
                    "Cache": 600,
                    "State": "Active",
                    "FromAddress": "nobody@example.invalid",
                    "StatusTypes": status_types,
                }
            },
        }
    }


def resources() -> dict[str, Any]:
    """One site with one queue, and the element that sandboxes are kept on."""
    queue = {"maxCPUTime": 2880, "SI00": 2500, "NumberOfProcessors": 2}
    ce = {"CEType": "Local", "Queues": {stack.QUEUE: queue}}
    way: dict[str, Any] = {
        "Protocol": "https",
        "Port": stack.port("TORNADO"),
        "Path": "/WorkloadManagement/TornadoSandboxStore",
        # the plugin claims dip and dips only; without these two DIRAC's client refuses to download over https
        "InputProtocols": "file, https",
        "OutputProtocols": "https",
    }
    if stack.IS_DIRAC_8:
        way = {"Protocol": "dips", "Port": stack.port("SANDBOXSTORE"), "Path": "/WorkloadManagement/SandboxStore"}
    store = {"Host": "localhost", "PluginName": "DIP", "ProtocolName": "DIP", "Access": "remote", **way}
    protocols = dict.fromkeys(("AccessProtocols", "WriteProtocols"), way["Protocol"])
    element = {"BackendType": "DISET", **protocols, "DIP": store}
    oldest = "Linux_x86_64_glibc-2.17"  # what the platforms of nodes today can run
    return {
        "Computing": {
            "OSCompatibility": {oldest: oldest, **{f"Linux_x86_64_glibc-2.{n}": oldest for n in range(28, 50)}}
        },
        "Sites": {"LAB": {stack.SITE: {"Name": "Local", "CE": stack.CE, "CEs": {stack.CE: ce}}}},
        "StorageElements": {stack.SANDBOX_SE: element},
    }


def served(system: str, services: Mapping[str, Mapping[str, Any]], databases: list[str]) -> dict[str, Any]:
    """A system whose services dirac-service serves (DIRAC 8), or tornado-start-all, which takes all that say https."""
    known = {"Databases": {name: {"DBName": name} for name in databases}}
    if stack.IS_DIRAC_8:
        return known | {
            "URLs": {service: stack.dips_url(f"{system}/{service}", service.upper()) for service in services},
            "Services": {name: {"Port": stack.port(name.upper()), **options} for name, options in services.items()},
        }
    base = f"https://localhost:{stack.port('TORNADO')}/{system}"
    return known | {
        "URLs": {service: f"{base}/Tornado{service}" for service in services},
        "Services": {f"Tornado{service}": {"Protocol": "https", **options} for service, options in services.items()},
    }


def workload_management() -> dict[str, Any]:
    """Jobs: the services, among them four that every DIRAC serves by dips only, and the optimizers."""
    pilots = "Operator, Pilot, GenericPilot"
    # getPilotInfo is not theirs by default; docs/push.md says what it is good for
    pilots_report = {"Authorization": {"Default": "Operator", "setPilotStatus": pilots, "getPilotInfo": pilots}}
    matching = {"Authorization": {"Default": "authenticated", "getActiveTaskQueues": "JobAdministrator"}}
    logging = {
        "LoggingPlugin": "FileCacheLoggingPlugin",  # the default one is abstract: no call is answered
        "Authorization": {
            "Default": "authenticated",
            "sendMessage": "Operator, GenericPilot",
            "getMetadata": "Operator, TrustedHost",
            "finaliseLogs": "Operator, Pilot, GenericPilot",
        },
    }
    system = served(
        "WorkloadManagement",
        {
            "JobManager": {"MaxParametricJobs": 1000, **ANYBODY_KNOWN},
            "JobMonitoring": ANYBODY_KNOWN,
            "JobStateUpdate": ANYBODY_KNOWN,
            "WMSAdministrator": {"Authorization": {"Default": "Operator", "getJobPilotOutput": "authenticated"}},
            "SandboxStore": {
                "LocalSE": stack.SANDBOX_SE,
                "BasePath": stack.home() / "server" / "sandboxes",
                "MaxSandboxSizeMiB": 10,
                "Authorization": {"Default": "authenticated", "FileTransfer": {"Default": "authenticated"}},
            },
            **({} if stack.IS_DIRAC_8 else {"PilotLogging": logging}),
        },
        ["JobDB", "JobLoggingDB", "TaskQueueDB", "PilotAgentsDB", "SandboxMetadataDB"],
    )
    system["URLs"] |= {
        "Matcher": stack.dips_url("WorkloadManagement/Matcher", "MATCHER"),
        "PilotManager": stack.dips_url("WorkloadManagement/PilotManager", "PILOTMANAGER"),
        "OptimizationMind": stack.dips_url("WorkloadManagement/OptimizationMind", "MIND"),
    }
    system["Services"] |= {
        "Matcher": {"Port": stack.port("MATCHER"), "MaxThreads": 20, **matching},
        "PilotManager": {"Port": stack.port("PILOTMANAGER"), **pilots_report},
        "OptimizationMind": {"Port": stack.port("MIND"), "LoadJobPeriod": 5},
        # without Protocol, so that tornado-start-all leaves them to serve_https_wms.py
        "TornadoMatcher": {"HandlerPath": "https_wms/TornadoMatcherHandler.py", **matching},
        "TornadoPilotManager": {"HandlerPath": "https_wms/TornadoPilotManagerHandler.py", **pilots_report},
    }
    system["Databases"]["JobParametersDB"] = {"index_name": "job_parameters"}
    system["Executors"] = {
        "Optimizers": {"Load": "JobPath, JobSanity, InputData, JobScheduling"},
        "JobPath": {},
        "JobSanity": {},
        "InputData": {},
        # no RescheduleDelays: 9.1.22 compares its text with a number and fails, for this job and every later one
        "JobScheduling": {},
    }
    # read by DIRAC's own JobWrapper, when it is measured beside ours
    system["JobWrapper"] = {"BufferLimit": 10485760, "DefaultCPUTime": 600, "MinOutputDataBufferGB": 0}
    return system


def systems() -> dict[str, Any]:
    """Every system, its services' URLs and where the databases are."""
    delegated = "FullDelegation, LimitedDelegation, PrivateLimitedDelegation"
    proxies = {"Default": "authenticated", "getProxy": delegated, "getVOMSProxy": delegated}
    data_store = {"Port": stack.port("DATASTORE"), "RunBucketing": False, **ANYBODY_KNOWN}
    site_status = {"ResourceStatus": {"Authorization": {"Default": "SiteManager", "select": "all"}}}
    return {
        "Databases": {"User": "Dirac", "Password": "Dirac", "Host": "127.0.0.1", "Port": stack.port("DATABASE")},
        "NoSQLDatabases": {
            "User": "none",
            "Password": "none",
            "Host": "127.0.0.1",
            "Port": stack.port("OPENSEARCH"),
            "SSL": "No",
        },
        "Tornado": {"Port": stack.port("TORNADO")},
        "Configuration": {"URLs": {"Server": stack.configuration_url()}},
        "Accounting": {
            "URLs": {"DataStore": stack.dips_url("Accounting/DataStore", "DATASTORE")},
            "Services": {"DataStore": data_store},
            "Databases": {"AccountingDB": {"DBName": "AccountingDB"}},
        },
        "WorkloadManagement": workload_management(),
        "Framework": served("Framework", {"ProxyManager": {"Authorization": proxies}}, ["ProxyDB"]),
        "ResourceStatus": served("ResourceStatus", site_status, ["ResourceStatusDB"]),
        "RequestManagement": {
            **served("RequestManagement", {"ReqManager": ANYBODY_KNOWN}, ["ReqDB"]),
            "Agents": data_services.request_agent(),
        },
        "DataManagement": data_services.data_management(),
    }


def published() -> dict[str, Any]:
    """What the Configuration server serves."""
    server = stack.configuration_url()
    flat = {
        "DIRAC": {
            "Extensions": "",
            "VirtualOrganization": stack.VO,
            "Configuration": {"Name": "LabCS", "MasterServer": server, "Servers": server},
        },
        # no DiracX server here: every VO stays on the DIRAC services
        "DiracX": {"DisabledVOs": stack.VO},
        "Registry": registry(),
        "Operations": merged(operations(), data_services.operations()),
        "Resources": merged(resources(), data_services.resources()),
        "Systems": systems(),
    }
    return setups.levelled(flat) if stack.IS_DIRAC_8 else flat


def master_server() -> dict[str, Any]:
    """The Configuration server's own file."""
    kind = "ConfigurationHandler" if stack.IS_DIRAC_8 else "TornadoConfigurationHandler"
    server = {
        "HandlerPath": f"DIRAC/ConfigurationSystem/Service/{kind}.py",
        **({} if stack.IS_DIRAC_8 else {"Protocol": "https"}),
        "Port": stack.port("CONFIGURATION"),
        "UpdatePilotCStoJSONFile": False,
        "Authorization": {
            "Default": "authenticated",
            "commitNewData": "CSAdministrator",
            "getVersionContents": "ServiceAdministrator, CSAdministrator",
        },
    }
    flat = {
        "DIRAC": {"Configuration": {"Master": "yes", "Name": "LabCS"}},
        "Systems": {"Configuration": {"Services": {"Server": server}}},
    }
    return setups.levelled(flat) if stack.IS_DIRAC_8 else flat


def local(security: Mapping[str, Any]) -> dict[str, Any]:
    """A dirac.cfg: where the Configuration is, and what to show it."""
    server = stack.configuration_url()
    return {
        "DIRAC": {
            "VirtualOrganization": stack.VO,
            **({"Setup": setups.SETUP} if stack.IS_DIRAC_8 else {}),
            "Hostname": "localhost",
            "Configuration": {"Name": "LabCS", "Servers": server, "MasterServer": server, "RefreshTime": 600},
            "Security": {"CALocation": stack.home() / "certs" / "certificates", **security},
        }
    }


def main() -> None:
    """Overwrite every file; changes made through the Configuration server end here."""
    server, client, certs = (stack.home() / name for name in ("server/etc", "client/etc", "certs"))
    host = {"UseServerCertificate": "yes", "CertFile": certs / "hostcert.pem", "KeyFile": certs / "hostkey.pem"}
    files = {
        server / "dirac.cfg": local(host),
        server / "LabCS.cfg": published(),
        server / "Configuration_Server.cfg": master_server(),
        client / "dirac.cfg": local({"UseServerCertificate": "no"}),
    }
    for path, content in files.items():
        path.write_text(cfg(content), encoding="utf-8")


if __name__ == "__main__":
    main()
