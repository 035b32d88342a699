const COLUMNS = [["job", "n", "job"], ["name", "name", "name"], ["status", "", "status"], ["what it says", "words", null],
  ["owner", "", "owner"], ["site", "", "site"], ["changed (UTC)", "", "changed"]];
const PILOT_COLUMNS = [["pilot", "name"], ["status", ""], ["what it says", "words"], ["site", ""], ["last job", "n"],
  ["changed (UTC)", "when"], ["log", ""]];
const EVERY_MS = 2000, SHEET = 50, PILOTS = 20;

/* what is asked for is in the address: a reload, and a friend, see the same */
const NAMES = ["status", "pilot", "text", "by", "down", "sheet", "pilots"];
const asked = Object.fromEntries(NAMES.map(name => [name, new URLSearchParams(location.hash.slice(1)).get(name) || ""]));
const question = () => new URLSearchParams(NAMES.filter(name => asked[name]).map(name => [name, asked[name]])).toString();

function row(cells, columns) {
  return make("tr", {}, ...cells.map((cell, place) => make("td", { className: columns[place][1] }, ...[cell].flat())));
}

function says([, , , status, minor, application, , , why]) {
  if (status === "Waiting") return why || "no pilot has asked for work yet";
  return [minor, application === "Unknown" ? "" : application].filter(Boolean).join(": ");
}

/* a row that is as it was stays the same row */
const rows = new Map();
function jobRow(job) {
  const text = JSON.stringify(job), known = rows.get(job[0]);
  if (known && known.text === text) return known.made;
  const [id, name, owner, status, , , site, changed] = job;
  const bad = status === "Failed" || status === "Killed" ? " ✕" : "";
  const made = row([make("a", { href: `job/${id}` }, String(id)), name, [key(status), ` ${status}${bad}`], says(job), owner,
    site, moment(changed)], COLUMNS);
  rows.set(id, { text, made });
  return made;
}

function pilotRow([reference, status, reason, site, ce, queue, job, changed, stamp]) {
  const jobs = make("a", { href: `#${new URLSearchParams({ pilot: reference })}`, title: "its jobs" }, reference);
  jobs.addEventListener("click", event => { event.preventDefault(); choose({ pilot: reference, status: "" }); scrollTo(0, 0); });
  return row([jobs, status, reason, [site, ce, queue].filter(each => each && !["Unknown", "NotAssigned"].includes(each)).join(" · "),
    job ? make("a", { href: `job/${job}` }, String(job)) : "–", moment(changed),
    stamp ? make("a", { href: `pilot/${stamp}/log` }, "log") : "–"], PILOT_COLUMNS);
}

const body = make("tbody"), range = make("span", { className: "more" }), counts = make("div", { className: "counts" });
const text = make("input", { type: "search", placeholder: "job, name, owner, status", value: asked.text });
text.setAttribute("aria-label", "search");
const before = make("button", { textContent: "‹ before" }), after = make("button", { textContent: "next ›" });
const printAll = make("button", { textContent: "print all" }), part = make("p", { className: "more on-paper" });
const sorted = { get by() { return asked.by; }, get down() { return asked.down === "1"; } };
const headRow = heads(COLUMNS, sorted, (by, down) => choose({ by, down: down ? "1" : "" }));
const none = make("p", { className: "more" });

function choose(changes) {
  Object.assign(asked, { sheet: "" }, changes);
  history.replaceState(null, "", `#${question()}`);
  headRow.mark();
  ask();
}

function showCounts(told) {
  const total = Object.values(told.counts).reduce((sum, count) => sum + count, 0);
  const button = (status, words) => {
    const made = make("button", { onclick: () => choose({ status }) }, ...(status ? [key(status)] : []), words);
    made.setAttribute("aria-pressed", String(asked.status === status));
    return made;
  };
  const ofPilot = asked.pilot ? [make("button", { onclick: () => choose({ pilot: "" }) }, `of pilot ${asked.pilot} ✕`)] : [];
  counts.replaceChildren(...ofPilot, button("", `all ${total}`), ...Object.entries(told.counts).map(([status, count]) => button(status, `${status} ${count}`)));
  const of = (...names) => names.reduce((sum, name) => sum + (told.counts[name] || 0), 0);
  const pilots = Object.values(told.pilot_counts).reduce((sum, count) => sum + count, 0);
  byId("tiles").replaceChildren(
    tile("Jobs", String(total), total ? "" : "none was submitted so far"),
    tile("Waiting", String(of("Waiting")), ""),
    tile("In work", String(of("Matched", "Running", "Completing")), ""),
    tile("Failed", String(of("Failed")), total ? `${of("Done")} Done` : ""),
    tile("Pilots", String(pilots), `${told.pilot_counts.Running || 0} running`));
}

function showJobs(told) {
  const start = told.sheet * SHEET;
  const made = told.jobs.map(jobRow);
  for (const id of [...rows.keys()]) if (!told.jobs.some(job => job[0] === id)) rows.delete(id);
  if (made.length !== body.children.length || made.some((each, place) => each !== body.children[place])) body.replaceChildren(...made);
  range.textContent = made.length ? `${start + 1} to ${start + made.length} of ${told.found}` : "";
  part.textContent = told.found > made.length ? `${range.textContent}; "print all" prints the others, too` : "";
  printAll.hidden = told.found <= made.length;
  none.textContent = made.length ? "" : Object.keys(told.counts).length ? "No job is as you asked." :
    "No job was submitted so far: gridpilot wms submit JOB.jdl";
  body.parentElement.hidden = !made.length;
  before.disabled = told.sheet === 0;
  after.disabled = start + made.length >= told.found;
}

function showPilots(told) {
  const number = Object.values(told.pilot_counts).reduce((sum, count) => sum + count, 0), at = Number(asked.pilots) || 0;
  const turn = (words, to, off) => make("button", { textContent: words, disabled: off, onclick: () => choose({ pilots: String(to), sheet: asked.sheet }) });
  const choice = number > PILOTS ? [make("div", { className: "choose" }, turn("‹ before", at - 1, !at), turn("next ›", at + 1, (at + 1) * PILOTS >= number),
    make("span", { className: "more" }, `${at * PILOTS + 1} to ${at * PILOTS + told.pilots.length} of ${number}`))] : [];
  const table = () => make("div", { className: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...PILOT_COLUMNS.map(([name, kind]) => make("th", { className: kind === "n" ? "n" : "" }, name)))),
    make("tbody", {}, ...told.pilots.map(pilotRow))));
  put("pilots", [told.pilots, told.pilot_counts, at], () => number ? [...choice, table()] :
    [make("p", { className: "more" }, "No pilot has come so far. The first line that gridpilot wms serve prints starts one.")]);
}

let soon = 0;
text.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(() => choose({ text: text.value }), 200); });
before.addEventListener("click", () => choose({ sheet: String(Math.max(0, Number(asked.sheet) - 1)) }));
after.addEventListener("click", () => choose({ sheet: String(Number(asked.sheet) + 1) }));
byId("jobs").append(counts, make("div", { className: "choose" }, text, before, after, range, printAll), part, none,
  make("div", { className: "scroll" }, make("table", {}, make("thead", {}, headRow), body)));

/* paper has no next page to click: every sheet of what is chosen is fetched, printed, and put away again */
const MOST_PRINTED = 10000;
let isPrinting = false;
printAll.addEventListener("click", async () => {
  isPrinting = true;
  try {
    const all = [];
    for (let sheet = 0, found = 1; sheet * SHEET < Math.min(found, MOST_PRINTED); sheet++) {
      const told = await fetched(`jobs.json?${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(question())), sheet })}`);
      all.push(...told.jobs);
      found = told.found;
      say(`${all.length} of ${found} jobs for the paper`);
    }
    part.textContent = `${all.length} jobs`;
    body.replaceChildren(...all.map(jobRow));
    say("");
    print();
  } catch (error) {
    say(`not printed: ${error.message}`);
  } finally {
    isPrinting = false;
    last = "";
    ask();
  }
});

let last = "";
const ask = live(EVERY_MS, async () => {
  if (isPrinting) return;
  const words = question(), told = await fetched(`jobs.json?${words}`);
  if (isPrinting || words !== question()) return;
  const all = JSON.stringify([words, told]);
  if (all === last) return;
  last = all;
  showCounts(told);
  showJobs(told);
  showPilots(told);
}, say);
