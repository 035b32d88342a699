"use strict";
const told = JSON.parse(document.getElementById("told").textContent);
const byId = id => document.getElementById(id);

/* what is put into the document is always text: nothing here takes HTML */
function make(name, attributes = {}, ...inner) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== "style") made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...inner);
  return made;
}

function time(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${Math.round(1000 * s)} ms`;
  if (s < 100) return `${s.toFixed(1)} s`;
  const minutes = Math.round(s / 60);
  return s < 6000 ? `${(s / 60).toFixed(1)} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
const many = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

/* the heads of a table that can be sorted: a click sorts, another one turns it round */
function heads(columns, sorted, choose) {
  const row = make("tr");
  columns.forEach(([name, kind, by], place) => {
    const head = make("th", { className: kind === "n" ? "n" : "" });
    const mark = () => {
      if (sorted.by !== by) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    };
    if (by === null) head.append(name);
    else head.append(make("button", { textContent: name, onclick: () => choose(by, sorted.by === by && !sorted.down) }));
    row.append(head);
    row.marks = [...(row.marks || []), mark];
  });
  row.mark = () => row.marks.forEach(mark => mark());
  row.mark();
  return row;
}

/* ask again and again while somebody looks; says when the server has not answered */
function live(everyMs, ask, say) {
  let soon = 0;
  async function turn() {
    clearTimeout(soon);
    if (!document.hidden) {
      try { await ask(); say(""); } catch (error) { say(`no answer: ${error.message}; asked again every ${everyMs / 1000} s`); }
    }
    clearTimeout(soon);
    soon = setTimeout(turn, everyMs);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  turn();
  return turn;
}
