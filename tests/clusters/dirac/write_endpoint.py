"""Write endpoint.json, which is all that a test or a benchmark needs to know about the running stack."""

import json

import data_services
import setups
import stack


def client_environment() -> dict[str, str]:
    """What DIRAC's own client, and dirac_client.py, needs beside PATH; X509_USER_PROXY says who asks."""
    home = stack.home()
    return {
        "DIRAC_ROOT_PATH": str(home / "client"),
        "DIRACSYSCONFIG": str(home / "client" / "etc" / "dirac.cfg"),
        "X509_CERT_DIR": str(home / "certs" / "certificates"),
        "X509_USER_PROXY": str(home / "certs" / "proxy-user.pem"),
        # requests takes an empty one for none; a set one would override the CA directory
        "REQUESTS_CA_BUNDLE": "",
        "CURL_CA_BUNDLE": "",
        "PYTHONPATH": str(home / "gfal"),
        "XrdSecGSISRVNAMES": "localhost|127.0.0.1",  # GSI would look for this machine's name in the host certificate
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def endpoint() -> dict[str, object]:
    """Where everything is; paths are absolute."""
    home = stack.home()
    certs = home / "certs"
    https_wms = f"https://localhost:{stack.port('HTTPS_WMS')}/WorkloadManagement"
    return {
        "configuration": stack.configuration_url(),
        "ca_dir": str(certs / "certificates"),
        "ca_file": str(certs / "ca.pem"),
        **{f"{name}_proxy": str(certs / f"proxy-{name}.pem") for name in stack.PROXIES},
        "host_cert": str(certs / "pilothostcert.pem"),
        "host_key": str(certs / "pilothostkey.pem"),
        "dn": {name: stack.distinguished_name(name) for name in stack.COMMON_NAMES},
        "vo": stack.VO,
        "user_group": f"{stack.VO}_user",
        "pilot_group": f"{stack.VO}_pilot",
        "site": stack.SITE,
        "ce": stack.CE,
        "queue": stack.QUEUE,
        "dirac_version": stack.dirac_version(),
        "setup": setups.SETUP if stack.IS_DIRAC_8 else "",
        "matcher_dips": stack.dips_url("WorkloadManagement/Matcher", "MATCHER"),
        "matcher_https": f"{https_wms}/TornadoMatcher",
        "pilot_manager_dips": stack.dips_url("WorkloadManagement/PilotManager", "PILOTMANAGER"),
        "pilot_manager_https": f"{https_wms}/TornadoPilotManager",
        "local_elements": ", ".join(data_services.NEAR),
        "catalogue_dips": data_services.catalogue_dips(),
        "catalogue_https": data_services.catalogue_https(),
        "server_capture": str(home / "server_capture.jsonl"),
        "dirac_python": str(home / "venv" / "bin" / "python"),
        "dirac_env": client_environment(),
    }


def main() -> None:
    """Written aside and renamed: whoever sees the file sees all of it."""
    path = stack.home() / "endpoint.json"
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(endpoint(), indent=2) + "\n", encoding="utf-8")
    aside.rename(path)


if __name__ == "__main__":
    main()
