const EVERY_MS = 2000;
const HISTORY = ["time (UTC)", "status", "minor status", "application status", "from"];
const at = text => Date.parse(`${text.slice(0, 23).replace(" ", "T")}Z`);
const nothing = words => [make("p", { className: "more" }, words)];

function took(facts) {
  if (!facts.StartExecTime) return "–";
  return time((at(facts.EndExecTime || facts.HeartBeatTime || facts.StartExecTime) - at(facts.StartExecTime)) / 1000);
}

function showTiles(told) {
  byId("name").textContent = `Job ${told.job} ${told.name}`;
  document.title = `Job ${told.job}: ${told.status}`;
  const more = told.status === "Waiting" ? told.why : [told.minor, told.application].filter(Boolean).join(": ");
  const { facts } = told;
  byId("tiles").replaceChildren(
    tile("Status", told.status, more),
    tile("Owner", facts.Owner, facts.OwnerGroup),
    tile("Site", facts.Site === "ANY" ? "–" : facts.Site, facts.Site === "ANY" ? "none yet" : ""),
    tile("Submitted", moment(facts.SubmissionTime).slice(11), `${moment(facts.SubmissionTime).slice(0, 10)} (UTC)`),
    tile("Ran for", took(facts), facts.EndExecTime ? `until ${moment(facts.EndExecTime).slice(11)}` : ""));
}

/* how long the job was in each status */
function bar(history) {
  const steps = history.filter(([, status]) => status), made = make("div", { className: "bar" });
  steps.slice(0, -1).forEach(([from, status], place) => {
    const piece = make("i", { className: KINDS[status] || "wait", title: status });
    piece.style.flexGrow = String(Math.max(0, at(steps[place + 1][0]) - at(from)) / 1000);
    made.append(piece);
  });
  return steps.length > 1 ? [made] : [];
}

function historyTable(history) {
  const line = ([from, status, ...rest]) => make("tr", {}, make("td", { className: "when" }, moment(from)), make("td", {}, ...(status ? [key(status), ` ${status}`] : [])),
    ...rest.map((each, place) => make("td", { className: place === 1 ? "words" : "" }, each)));
  return make("div", { className: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...HISTORY.map(name => make("th", {}, name)))), make("tbody", {}, ...history.map(line))));
}

function files(told) {
  const sandboxes = told.sandboxes.map(([kind, place, size]) => make("li", {},
    make("a", { href: `${told.job}/sandbox/${place}` }, `${kind.toLowerCase()} sandbox`), ` ${(size / 1000).toFixed(1)} kB`));
  const pilots = told.pilots.map(([reference, status, reason, stamp]) => make("li", {},
    make("a", { href: `../#${new URLSearchParams({ pilot: reference })}`, title: "all its jobs" }, reference), `: ${[status, reason].filter(Boolean).join(", ")} `,
    ...(stamp ? [make("a", { href: `../pilot/${stamp}/log` }, "log")] : [])));
  return [make("h3", {}, "Sandboxes"), ...(sandboxes.length ? [make("ul", {}, ...sandboxes)] : nothing("None that you may read.")),
    make("h3", {}, "Pilots"), ...(pilots.length ? [make("ul", {}, ...pilots)] : nothing("No pilot has had this job so far."))];
}

const facts = rows => make("table", { className: "facts" }, make("tbody", {}, ...rows.map(([name, value]) =>
  make("tr", {}, make("th", {}, name), make("td", {}, value.includes("\n") ? make("pre", {}, value) : value)))));

live(EVERY_MS, async () => {
  const it = await fetched(`${told.job}.json`);
  put("tiles", [it.status, it.minor, it.application, it.why, it.facts], () => { showTiles(it); return [...byId("tiles").children]; });
  put("history", it.history, () => it.history.length ? [...bar(it.history), historyTable(it.history)] : nothing("Nothing was noted so far."));
  put("files", [it.sandboxes, it.pilots], () => files(it));
  put("parameters", it.parameters, () => it.parameters.length ? [facts(it.parameters)] : nothing("It has reported nothing so far."));
  put("jdl", it.jdl, () => [make("pre", {}, it.jdl)]);
}, say);
