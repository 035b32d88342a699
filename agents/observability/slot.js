const jobs = told.jobs, length = Math.max(told.slot.seconds, 0.1);
const KINDS = { Done: "done", Failed: "failed", Killed: "killed", Rescheduled: "back", "in hand": "hand" };
const PHASES = ["match", "stage in", "run", "stage out", "report"];
const clock = (s, form) => {
  const iso = new Date(1000 * (told.slot.started_s + s)).toISOString();
  return form === "day" ? iso.slice(5, 10) : iso.slice(11, form === "second" ? 19 : 16);
};
const percent = value => value === null ? "–" : `${(100 * value).toFixed(1)} %`;

/* the pictures: what is seen of the time axis, and what the pointer is at */
const pictures = byId("pictures"), bars = pictures.querySelector(".bars"), tip = byId("tip");
const drawings = [...pictures.querySelectorAll("svg")];
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
let seen = [0, length];

function show(from, to) {
  seen = [Math.max(0, from), Math.min(length, to)];
  for (const drawing of drawings) {
    const height = drawing.viewBox.baseVal.height;
    drawing.setAttribute("viewBox", `${seen[0]} 0 ${seen[1] - seen[0]} ${height}`);
  }
  byId("out").disabled = seen[0] === 0 && seen[1] === length;
  const inSight = jobs.filter(job => job.to_s > seen[0] && job.from_s < seen[1]).length;
  const narrow = inSight / Math.max(1, told.slot.processor_ids.length) * 14 > bars.clientWidth;
  pictures.classList.toggle("crowd", narrow);
  ticks();
  names(inSight);
}

/* names of jobs on the bars that have room for them, their numbers where only these fit */
const shown = (job, width) => job.name && job.name.length * 7 + 12 < width ? job.name : String(job.job_id);
const MOST_NAMES = 300;
function names(inSight) {
  const box = bars.getBoundingClientRect(), scale = box.width / (seen[1] - seen[0]), drawn = [];
  for (const bar of inSight > MOST_NAMES ? [] : bars.querySelectorAll("rect:not(.in)")) {
    const left = (bar.x.baseVal.value - seen[0]) * scale, right = left + bar.width.baseVal.value * scale;
    const from = Math.max(0, left), width = Math.min(box.width, right) - from, tall = bar.height.baseVal.value;
    if (width < 12 + 8 * String(jobs[bar.dataset.j].job_id).length || tall < 14) continue;
    const job = jobs[bar.dataset.j], name = make("span", {}, shown(job, width));
    Object.assign(name.style, { left: `${from}px`, width: `${width}px`, top: `${bar.y.baseVal.value}px`, lineHeight: `${tall}px` });
    drawn.push(name);
  }
  byId("names").replaceChildren(...drawn);
}

function ticks() {
  const axis = pictures.querySelector(".ticks"), span = seen[1] - seen[0], most = Math.max(2, axis.clientWidth / 90);
  const step = STEPS.find(each => span / each <= most) || STEPS[STEPS.length - 1];
  const start = told.slot.started_s + seen[0], labels = [];
  for (let at = Math.ceil(start / step) * step; at < start + span; at += step) {
    const form = step < 60 ? "second" : at % 86400 ? "minute" : "day";
    const label = make("span", {}, clock(at - told.slot.started_s, form));
    label.style.left = `${100 * (at - start) / span}%`;
    labels.push(label);
  }
  axis.replaceChildren(...labels);
  const edge = axis.getBoundingClientRect();
  for (const label of labels) {
    const box = label.getBoundingClientRect();
    if (box.left < edge.left || box.right > edge.right) label.remove();
  }
}

const secondAt = x => {
  const box = bars.getBoundingClientRect();
  return seen[0] + (seen[1] - seen[0]) * Math.min(1, Math.max(0, (x - box.left) / box.width));
};

function words(job) {
  const lines = [`job ${job.job_id}${job.name ? ` ${job.name}` : ""}${job.attempt > 1 ? `, attempt ${job.attempt}` : ""}: ${job.outcome}`];
  if (job.outcome !== "Done") lines.push(job.cause || job.minor_status);
  if (job.blame) lines.push(`${job.blame} has to act`);
  lines.push(`${job.owner} · ${many(job.processor_ids.length, "processor")} · ${clock(job.from_s, "second")} UTC`);
  lines.push(PHASES.filter(name => name in job.phases_s).map(name => `${name} ${time(job.phases_s[name])}`).join(", "));
  if (job.energy_wh !== null) lines.push(`${job.energy_wh} Wh`);
  if (job.cpu_efficiency !== null) lines.push(`CPU efficiency ${percent(job.cpu_efficiency)}`);
  return lines.filter(Boolean).join("\n");
}

let pointed = null, dragged = null;
function point(event) {
  if (dragged !== null) return;
  const number = event.target.dataset ? event.target.dataset.j : undefined;
  if (number !== pointed) {
    bars.querySelectorAll(".seen").forEach(each => each.classList.remove("seen"));
    if (number !== undefined) bars.querySelectorAll(`[data-j="${number}"]`).forEach(each => each.classList.add("seen"));
    pointed = number;
  }
  tip.hidden = number === undefined;
  if (tip.hidden) return;
  tip.textContent = words(jobs[number]);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
}
bars.addEventListener("pointermove", point);
bars.addEventListener("pointerleave", () => { tip.hidden = true; });
bars.addEventListener("pointerdown", event => { dragged = event.clientX; tip.hidden = true; bars.setPointerCapture(event.pointerId); });
bars.addEventListener("pointerup", event => {
  const from = dragged, to = event.clientX;
  dragged = null;
  if (Math.abs(to - from) > 4) show(secondAt(Math.min(from, to)), secondAt(Math.max(from, to)));
  else if (pointed !== undefined && pointed !== null) find(String(jobs[pointed].job_id));
});
byId("out").addEventListener("click", () => show(0, length));
addEventListener("resize", () => show(...seen));

/* the table of jobs */
const some = which => jobs.some(which);
const COLUMNS = [
  ["job", job => job.job_id, "n"],
  ...(some(job => job.name) ? [["name", job => job.name, "name"]] : []),
  ...(some(job => job.attempt > 1) ? [["attempt", job => job.attempt, "n"]] : []),
  ...(new Set(jobs.map(job => job.owner)).size > 1 ? [["owner", job => job.owner, ""]] : []),
  ["outcome", job => job.outcome, ""],
  ["cores", job => job.processor_ids.length, "n"],
  ...PHASES.map(name => [name, job => job.phases_s[name] ?? null, "n", time]),
  ["phases", job => job.to_s - job.from_s, ""],
  ["CPU", job => job.cpu_efficiency, "n", percent],
  ...(some(job => job.energy_wh !== null) ? [["Wh", job => job.energy_wh, "n"]] : []),
  ["exit", job => job.exit_code, "n"],
  ["cause", job => job.outcome === "Done" ? "" : [job.cause || job.minor_status, job.blame && `(${job.blame})`].filter(Boolean).join(" "), "words"],
];
const PAGE = 50;
/* what is chosen is in the address: a reload, and a friend, see the same */
const given = new URLSearchParams(location.hash.slice(1));
const chosen = { text: given.get("text") || "", outcome: given.get("outcome") || "", down: given.get("down") === "1",
  by: COLUMNS.findIndex(([name]) => name === given.get("by")), page: Math.max(0, Math.trunc(Number(given.get("page"))) || 0) };
function remember() {
  const { text, outcome, by, down, page } = chosen;
  const said = Object.entries({ text, outcome, by: by < 0 ? "" : COLUMNS[by][0], down: down ? "1" : "", page: page || "" });
  history.replaceState(null, "", `#${new URLSearchParams(said.filter(([, value]) => value))}`);
}
/* failed ones first, until somebody sorts */
const ORDER = ["Failed", "Killed", "Rescheduled", "in hand"];
const rank = job => (ORDER.indexOf(job.outcome) + ORDER.length + 1) % (ORDER.length + 1);

function matching() {
  const text = chosen.text.toLowerCase();
  const found = jobs.filter(job => (!chosen.outcome || job.outcome === chosen.outcome) &&
    (!text || `${job.job_id} ${job.name} ${job.owner} ${job.group} ${job.cause} ${job.minor_status}`.toLowerCase().includes(text)));
  const value = chosen.by < 0 ? rank : COLUMNS[chosen.by][1], order = chosen.down ? -1 : 1;
  return found.map(job => [value(job), job]).sort(([a], [b]) =>
    a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -order : order)).map(([, job]) => job);
}

function mini(job) {
  const all = PHASES.reduce((sum, name) => sum + (job.phases_s[name] || 0), 0) || 1;
  const made = make("div", { className: "mini" });
  PHASES.forEach((name, number) => {
    const piece = make("i", { className: `p-${number}` });
    piece.style.width = `${100 * (job.phases_s[name] || 0) / all}%`;
    made.append(piece);
  });
  return made;
}

function row(job) {
  const made = make("tr");
  for (const [name, value, kind, told] of COLUMNS) {
    const cell = make("td", { className: kind }), it = value(job);
    if (name === "job") cell.append(opener(job, made));
    else if (name === "phases") cell.append(mini(job));
    else if (name === "outcome") cell.append(make("i", { className: `key ${KINDS[it] || "hand"}` }), ` ${it}${BAD.has(it) ? " ✕" : ""}`);
    else cell.append(told ? told(it) : it === null ? "–" : String(it));
    made.append(cell);
  }
  return made;
}
/* a click on a job's number shows below it what `gridpilot explain` says, and takes it away again */
function opener(job, line) {
  const button = make("button", { textContent: String(job.job_id), className: "opener" });
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    const open = button.ariaExpanded !== "true";
    button.setAttribute("aria-expanded", String(open));
    if (!open) { line.nextSibling.remove(); return; }
    const cell = make("td", { colSpan: COLUMNS.length, className: "words" }, make("pre", {}, explained(job)));
    line.after(make("tr", { className: "explained" }, cell));
  });
  return button;
}
const explained = job => told.explains[`${job.job_id}/${job.attempt}`] || `${words(job)}\ngridpilot explain ${job.job_id} tells more`;
const BAD = new Set(["Failed", "Killed"]);

const count = make("span", { className: "more" }), body = make("tbody");
const before = make("button", { textContent: "‹ before" }), after = make("button", { textContent: "next ›" });
const text = make("input", { type: "search", placeholder: "job, name, owner, cause", value: chosen.text });
text.setAttribute("aria-label", "search");
const headRow = heads(COLUMNS.map(([name, , kind], place) => [name, kind, place]), chosen, (by, down) => choose({ by, down }));

function list() {
  const found = matching(), last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  chosen.page = Math.min(chosen.page, last);
  const start = chosen.page * PAGE, part = found.slice(start, start + PAGE);
  body.replaceChildren(...part.map(row));
  count.textContent = found.length ? `${start + 1} to ${start + part.length} of ${found.length}` : "none";
  before.disabled = chosen.page === 0;
  after.disabled = chosen.page === last;
  headRow.mark();
}
function choose(changes) { Object.assign(chosen, { page: 0 }, changes); list(); remember(); }
function find(words) { text.value = words; choose({ text: words, outcome: "" }); outcome.value = ""; }

const outcome = make("select", {}, make("option", { value: "" }, "every outcome"));
outcome.setAttribute("aria-label", "outcome");
for (const name of Object.keys(KINDS)) if (told.outcomes[name]) outcome.append(make("option", { value: name }, name));
outcome.value = chosen.outcome;
outcome.addEventListener("change", () => choose({ outcome: outcome.value }));
text.addEventListener("input", () => choose({ text: text.value }));
before.addEventListener("click", () => choose({ page: chosen.page - 1 }));
after.addEventListener("click", () => choose({ page: chosen.page + 1 }));
if (jobs.length) {
  byId("jobs").append(
    make("div", { className: "choose" }, text, outcome, before, after, count),
    make("div", { className: "scroll" }, make("table", {}, make("thead", {}, headRow), body)));
  pictures.parentElement.querySelector(".tools").hidden = false;
  list();
  show(0, length);
  /* paper has no next page to click: there all that was chosen is printed */
  addEventListener("beforeprint", () => { body.replaceChildren(...matching().map(row)); show(...seen); });
  addEventListener("afterprint", () => { list(); show(...seen); });
}
