"""Workflows in the form in which DIRAC's Job API writes them (tests/captures/job_api has whole ones)."""

from collections.abc import Mapping, Sequence

SCRIPT = "\nfrom DIRAC.Workflow.Modules.Script import Script\n"
_ATTRIBUTES = 'type="string" linked_module="{}" linked_parameter="{}" in="True" out="False" description="(text)"'


def parameter(name: str, value: str, link: tuple[str, str] = ("", "")) -> str:
    return f'<Parameter name="{name}" {_ATTRIBUTES.format(*link)}><value><![CDATA[{value}]]></value></Parameter>'


def workflow(
    *steps: Mapping[str, str],
    parameters: Mapping[str, str] | None = None,
    modules: Mapping[str, str] | None = None,
    of_module: Sequence[str] = (),
    name: str = "notgiven",
) -> str:
    """Return the XML of a workflow; each step gives `executable`, `arguments`, `applicationLog` and more.

    Args:
        steps: parameters of each; `_module` names its module, `Script` where it does not.
        parameters: of the workflow.
        modules: bodies of further modules by their types.
        of_module: further elements in each module instance.
        name: of the job, as DIRAC's client writes it: not escaped.
    """
    bodies = {"Script": SCRIPT, **(modules or {})}
    lines = ["<Workflow>", f"<name>{name}</name>"]
    lines += [parameter(key, value) for key, value in {"arguments": "", **(parameters or {})}.items()]
    for kind, body in bodies.items():
        lines += [
            "<ModuleDefinition>",
            f"<body><![CDATA[{body}]]></body>",
            f"<type>{kind}</type>",
            "</ModuleDefinition>",
        ]
    for number, step in enumerate(steps, 1):
        module = step.get("_module", "Script")
        instance = ["<ModuleInstance>", f"<name>{module}</name>", f"<type>{module}</type>", *of_module]
        lines += ["<StepDefinition>", f"<type>ScriptStep{number}</type>", *instance, "</ModuleInstance>"]
        lines += ["</StepDefinition>"]
    for number, step in enumerate(steps, 1):
        lines += ["<StepInstance>", f"<name>RunScriptStep{number}</name>", f"<type>ScriptStep{number}</type>"]
        own = {"applicationLog": f"Script{number}.log", **step}
        lines += [parameter(key, value) for key, value in own.items() if not key.startswith("_")]
        lines += ["</StepInstance>"]
    return "\n".join([*lines, "</Workflow>", ""])
