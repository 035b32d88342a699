const KINDS = { Done: "done", Completed: "done", Failed: "failed", Killed: "killed", Deleted: "killed", Stalled: "back",
  Rescheduled: "back", Running: "hand", Completing: "hand", Matched: "hand" };
const key = status => make("i", { className: `key ${KINDS[status] || "wait"}` });
const moment = text => text ? text.slice(0, 19) : "–";
const tile = (name, value, more) => make("div", {}, make("dt", {}, name), make("dd", {}, value), make("dd", { className: "more" }, more));
const say = words => { byId("said").textContent = words; };

/* the browser sends what it has, and is told when nothing has changed */
async function fetched(address) {
  const answer = await fetch(address, { cache: "no-cache", credentials: "same-origin" });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

/* put a value into a place only when it is another one: what is selected there stays so */
const shown = new Map();
function put(place, value, ...inner) {
  const text = JSON.stringify(value);
  if (shown.get(place) === text) return;
  shown.set(place, text);
  byId(place).replaceChildren(...inner.flatMap(each => each()));
}
