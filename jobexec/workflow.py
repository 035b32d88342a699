"""Reads a workflow of DIRAC's Job API, which anybody may have written. What modules would do is not looked at."""

import collections
import os
import re
from xml.parsers import expat

MOST_BYTES, MOST_ELEMENTS, MOST_DEPTH, MOST_STEPS = 10000000, 50000, 16, 1000
MOST_VALUE = 1000000  # characters of a value when all its references are resolved
MOST_ROUNDS = 12  # references in references
SCRIPT = re.compile(r"from\s+DIRAC\.Workflow\.Modules\.Script\s+import\s+Script\s*\Z")
PLAIN = re.compile(r"<(name|type|origin|version|descr_short|required)>(.*)</\1>\s*\Z")
REFERENCE = re.compile(r"@\{([^{}@]{1,200})\}")
COMMAND = re.compile(r"(?<![\w.-])dirac-[a-z]{1,30}-[a-z-]{1,60}")

Parameter = collections.namedtuple("Parameter", "value linked_module linked_parameter")
Node = collections.namedtuple("Node", "tag attributes texts children")
Step = collections.namedtuple("Step", "name type parameters modules")
Workflow = collections.namedtuple("Workflow", "parameters steps foreign")


class Unreadable(Exception):
    """The workflow cannot be read; the message is one sentence."""


def tree_of(content):
    """Return the root element of an XML text: no document type, no entities, everything counted."""
    root, counts = Node("", {}, [], []), [0]
    stack = [root]

    def start(tag, attributes):
        counts[0] += 1
        if counts[0] > MOST_ELEMENTS or len(stack) > MOST_DEPTH:
            raise Unreadable("it has more than %d elements, or more than %d levels" % (MOST_ELEMENTS, MOST_DEPTH))
        node = Node(tag, attributes, [], [])
        stack[-1].children.append(node)
        stack.append(node)

    def end(_):
        stack.pop()

    def add(text):
        stack[-1].texts.append(text)

    def refuse(*_):
        raise Unreadable("it declares a document type or an entity, which no workflow does")

    parser = expat.ParserCreate(None)
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.Parse(content, True)
    return root.children[0]


def mended(content):
    """Return the text with what DIRAC's client does not escape: names and types, each in a line of its own."""
    lines, is_inside = [], False
    for line in content.decode("utf-8", "replace").split("\n"):
        found = None if is_inside else PLAIN.match(line)
        if "<![CDATA[" in line or is_inside:
            is_inside = "]]>" not in line[line.rfind("<![CDATA[") + 1 :]
        lines.append("<{0}>{1}</{0}>".format(found.group(1), escaped(found.group(2))) if found else line)
    return "\n".join(lines).encode("utf-8")


def escaped(text):
    """Return text as XML holds it; what is escaped already stays as it is."""
    text = re.sub(r"&(?!(?:amp|lt|gt|quot|apos);)", "&amp;", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def read(path):
    """Return the workflow in a file. Raises Unreadable."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unreadable(error.strerror) from None
    return parsed(content)


def parsed(content):
    """Return the workflow that a text of XML describes. Raises Unreadable."""
    if len(content) > MOST_BYTES:
        raise Unreadable("it has more than %d bytes" % MOST_BYTES)
    try:
        root = tree_of(content)
    except expat.ExpatError as error:
        try:
            root = tree_of(mended(content))
        except expat.ExpatError:
            raise Unreadable("no XML: %s" % error) from None
    if root.tag != "Workflow":
        raise Unreadable("its root is %.80r, expected Workflow" % root.tag)
    return workflow_of(root)


def text_of(node, tag):
    """Return the text of the child of this name, empty where there is none."""
    return "".join(text for child in node.children if child.tag == tag for text in child.texts)


def parameters_of(node):
    """Return the parameters of an element by name, in order."""
    found = collections.OrderedDict()
    for child in node.children:
        if child.tag == "Parameter":
            links = [child.attributes.get(name, "") for name in ("linked_module", "linked_parameter")]
            found[child.attributes.get("name", "")] = Parameter(text_of(child, "value"), *links)
    return found


def workflow_of(root):
    """Return what an element says; `foreign` are the bodies of modules that are not DIRAC's Script."""
    modules, definitions, steps, used = {}, {}, [], []
    for node in root.children:
        if node.tag == "ModuleDefinition":
            modules.setdefault(text_of(node, "type"), text_of(node, "body").strip())
        elif node.tag == "StepDefinition":
            definitions.setdefault(text_of(node, "type"), node)
            for child in node.children:
                if child.tag == "ModuleDefinition":
                    modules.setdefault(text_of(child, "type"), text_of(child, "body").strip())
    for node in root.children:
        if node.tag == "StepInstance":
            name, kind = text_of(node, "name"), text_of(node, "type")
            if kind not in definitions:
                raise Unreadable("step %.80r is of type %.80r, which is not defined" % (name, kind))
            instances = [child for child in definitions[kind].children if child.tag == "ModuleInstance"]
            used += [text_of(child, "type") for child in instances]
            steps.append(Step(name, kind, parameters_of(node), [parameters_of(child) for child in instances]))
    if len(steps) > MOST_STEPS:
        raise Unreadable("it has %d steps, expected at most %d" % (len(steps), MOST_STEPS))
    foreign = [modules.get(name) or name for name in used if not SCRIPT.match(modules.get(name, ""))]
    return Workflow(parameters_of(root), steps, foreign)


# ---- values ----


def resolved(value, scopes):
    """Return a value whose `@{NAME}` are replaced, each by the first scope that has it; what nobody has stays."""
    for _ in range(MOST_ROUNDS):
        size = [0]

        def found(match, size=size):
            text = next((scope[match.group(1)] for scope in scopes if match.group(1) in scope), match.group(0))
            size[0] += len(text)
            if size[0] > MOST_VALUE:
                raise Unreadable("the references in a value make it longer than %d characters" % MOST_VALUE)
            return text

        before, value = value, REFERENCE.sub(found, value)
        if value == before:
            break
    return value


def plain(parameters, outer, steps):
    """Return parameters by name with their links followed: `self` is what lies around, else a step by its name."""
    found = {}
    for name, one in parameters.items():
        scope = outer if one.linked_module == "self" else steps.get(one.linked_module, {})
        found[name] = scope.get(one.linked_parameter, "") if one.linked_module else one.value
    return found


def values_of(workflow, given):
    """Yield for each step its name and, for each of its modules, what DIRAC's Script would find there."""
    common = {"PRODUCTION_ID": "00000000", "JOB_ID": "00000000"}
    common.update(plain(workflow.parameters, {}, {}))
    common.update(given)
    common = {name: resolved(value, [common]) for name, value in common.items()}
    steps = {}
    for number, step in enumerate(workflow.steps, 1):
        own = {
            "STEP_NUMBER": str(number),
            "STEP_ID": "%s_%s_%d" % (common["PRODUCTION_ID"], common["JOB_ID"], number),
            "STEP_INSTANCE_NAME": step.name,
            "STEP_DEFINITION_NAME": step.type,
            "JOB_ID": common["JOB_ID"],
            "PRODUCTION_ID": common["PRODUCTION_ID"],
        }
        own.update(plain(step.parameters, common, steps))
        own = {name: resolved(value, [own, common]) for name, value in own.items()}
        steps[step.name] = own
        for module in step.modules:
            mine = plain(module, own, steps)
            mine.update((name, value) for name, value in given.items() if name in mine)
            mine = {name: resolved(value, [mine, own, common]) for name, value in mine.items()}
            mine.update(own)
            if not mine.get("arguments", "").strip():
                mine["arguments"] = common.get("arguments", "")
            yield step.name, mine


def listed(value):
    """Return a value of `-p`: `{a, b}` is DIRAC's way to give a list, which modules see as `a;b`."""
    value = value.strip()
    if value.startswith("{"):
        return ";".join(value[1:-1].replace('"', "").replace(" ", "").split(","))
    return value


def needs_of(workflow, given):
    """Return what a workflow takes beyond DIRAC's Script: modules, commands as steps, commands that scripts name."""
    commands, mentions = set(), set()
    for _, values in values_of(workflow, given):
        name = os.path.basename(values.get("executable", ""))
        texts = values.get("arguments", "")
        if os.path.isfile(name):
            with open(name, "rb") as file:
                texts += "\n" + file.read(65536).decode("utf-8", "replace")
        else:
            commands.update(COMMAND.findall(name))
        mentions.update(COMMAND.findall(texts))
    foreign = [" ".join(body.split())[:200] for body in collections.OrderedDict.fromkeys(workflow.foreign)]
    return {"modules": foreign[:20], "commands": sorted(commands)[:20], "mentions": sorted(mentions)[:20]}
