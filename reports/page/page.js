// Browses the examples of the page. The data are a line an example, see
// Examples.JSON; only the rows that can be seen are in the document.
(function () {
  "use strict";
  const source = document.getElementById("examples-data");
  if (!source) return;
  const byId = (id) => document.getElementById(id);
  const ID = 0, TEXT = 1, CHOICES = 2, RIGHT = 3, PREDICTED = 4, SCORES = 5, REFERENCES = 6;
  const ROW = 52, MOST = 300000; // pixels of a row; rows that a browser can scroll over

  const tasks = JSON.parse(source.textContent);
  const models = [...new Set(tasks.flatMap((t) => t.runs.map((r) => r.model)))];
  // Every example is a number; which task it is of, and where it stands there.
  const total = tasks.reduce((n, t) => n + t.examples.length, 0);
  const taskOf = new Uint16Array(total), rowOf = new Uint32Array(total);
  // share[m][i] is the part of model m's runs that have example i right; NaN
  // where it did not answer.
  const share = models.map(() => new Float32Array(total).fill(NaN));
  let next = 0;
  tasks.forEach((t, k) => {
    const runs = models.map((m) => t.runs.flatMap((r, i) => (r.model === m ? [i] : [])));
    t.examples.forEach((e, row) => {
      taskOf[next] = k;
      rowOf[next] = row;
      runs.forEach((of, m) => {
        let right = 0;
        for (const i of of) if (e[RIGHT].includes(e[PREDICTED][i])) right++;
        if (of.length) share[m][next] = right / of.length;
      });
      next++;
    });
  });
  const example = (i) => tasks[taskOf[i]].examples[rowOf[i]];
  const title = (t) => t.task + (t.of ? " (answered by " + t.of + ")" : "");

  const task = byId("task"), show = byId("show"), first = byId("first"), second = byId("second"), order = byId("order"), words = byId("words");
  const list = byId("list"), space = byId("space"), detail = byId("detail"), found = byId("found");
  const option = (select, value, text) => select.add(new Option(text, value));
  option(task, "-1", "all tasks");
  tasks.forEach((t, k) => option(task, k, title(t)));
  models.forEach((m, k) => { option(first, k, m); option(second, k, m); });
  if (models.length > 1) second.value = "1";
  else byId("second-label").hidden = true;

  const known = (v) => v === v;
  const kinds = {
    all: ["all examples", () => true, 1],
    wrong: ["A wrong", (a) => a <= 0.5, 1],
    right: ["A right", (a) => a > 0.5, 1],
    unsteady: ["runs of A disagree", (a) => a > 0 && a < 1, 1],
    differ: ["A and B disagree", (a, b) => known(a) && known(b) && a > 0.5 !== b > 0.5, 2],
    ahead: ["A right, B wrong", (a, b) => a > 0.5 && b <= 0.5, 2],
    behind: ["A wrong, B right", (a, b) => a <= 0.5 && b > 0.5, 2],
    neither: ["both wrong", (a, b) => a <= 0.5 && b <= 0.5, 2],
    both: ["both right", (a, b) => a > 0.5 && b > 0.5, 2],
  };
  for (const [key, [text, , needs]] of Object.entries(kinds)) if (needs <= models.length) option(show, key, text);
  option(order, "file", "as in the data");
  if (models.length > 1) option(order, "gap", "largest disagreement first");

  let rows = [], chosen = 0;

  function filter() {
    const began = performance.now();
    const a = share[+first.value], b = share[+second.value];
    const test = kinds[show.value][1], of = +task.value, wanted = words.value.trim().toLowerCase();
    rows = [];
    for (let i = 0; i < total; i++) {
      if (of >= 0 && taskOf[i] !== of) continue;
      if (!test(a[i], b[i])) continue;
      if (wanted) {
        const e = example(i);
        if (!(e[ID] + "\n" + e[TEXT]).toLowerCase().includes(wanted)) continue;
      }
      rows.push(i);
    }
    if (order.value === "gap") {
      const gap = (i) => (known(a[i]) && known(b[i]) ? Math.abs(a[i] - b[i]) : -1);
      rows.sort((i, j) => gap(j) - gap(i) || i - j);
    }
    const all = rows.length;
    rows = rows.slice(0, MOST);
    found.textContent = all.toLocaleString("en") + " of " + total.toLocaleString("en") + " examples" + (all > MOST ? ", the first " + MOST.toLocaleString("en") + " in the list" : "");
    space.style.height = rows.length * ROW + "px";
    list.scrollTop = 0;
    choose(0);
    list.dataset.ms = (performance.now() - began).toFixed(1);
  }

  function element(tag, className, text) {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // verdict says how many runs of a model have an example right.
  function verdict(m, i) {
    const t = tasks[taskOf[i]], n = t.runs.filter((r) => r.model === models[m]).length, part = share[m][i];
    if (!known(part)) return element("span", "quiet", models[m] + ": not asked");
    const good = part > 0.5, runs = n > 1 ? " " + Math.round(part * n) + "/" + n : "";
    return element("span", good ? "right" : "wrong", (good ? "✓ " : "✗ ") + models[m] + runs);
  }

  function render() {
    const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const to = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const fresh = document.createDocumentFragment();
    for (let k = from; k < to; k++) {
      const i = rows[k], e = example(i), row = element("div");
      row.id = "example-" + k;
      row.setAttribute("role", "option");
      row.setAttribute("aria-posinset", k + 1);
      row.setAttribute("aria-setsize", rows.length);
      row.setAttribute("aria-selected", k === chosen);
      row.style.top = k * ROW + "px";
      row.dataset.k = k;
      const head = element("div", "head");
      head.append(element("b", "", title(tasks[taskOf[i]]) + " " + e[ID]), verdict(+first.value, i));
      if (models.length > 1 && first.value !== second.value) head.append(verdict(+second.value, i));
      row.append(head, element("div", "text", e[TEXT] || "(no text was kept)"));
      fresh.append(row);
    }
    space.replaceChildren(fresh);
    if (rows.length) list.setAttribute("aria-activedescendant", "example-" + chosen);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(k) {
    chosen = Math.max(0, Math.min(rows.length - 1, k));
    const top = chosen * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    render();
    describe();
  }

  // describe fills the panel beside the list.
  function describe() {
    detail.replaceChildren();
    if (!rows.length) {
      detail.append(element("p", "quiet", "No example is like that."));
      return;
    }
    const i = rows[chosen], t = tasks[taskOf[i]], e = example(i), choices = e[CHOICES] || t.choices;
    detail.append(element("h3", "", title(t) + " " + e[ID] + " (" + t.split + ")"), element("div", "passage", e[TEXT] || "(no text was kept)"));
    for (const reference of e[REFERENCES] || []) detail.append(element("p", "right", "reference: " + reference));
    const answered = models.filter((m) => t.runs.some((r) => r.model === m));
    const table = element("table"), head = element("tr");
    head.append(element("th", "", "answer"), ...answered.map((m) => element("th", "", m)));
    table.append(head);
    choices.forEach((choice, c) => {
      const right = e[RIGHT].includes(c), row = element("tr", right ? "gold" : "");
      row.append(element("th", "", (right ? "✓ " : "") + choice));
      for (const m of answered) {
        const runs = t.runs.flatMap((r, k) => (r.model === m ? [k] : []));
        const votes = runs.filter((k) => e[PREDICTED][k] === c).length;
        const scores = runs.map((k) => e[SCORES][k] && e[SCORES][k][c]).filter((s) => s !== undefined && s !== null);
        let text = votes ? (runs.length > 1 ? "chosen by " + votes + " of " + runs.length : "chosen") : "";
        if (scores.length) text += (text ? ", " : "") + "score " + (scores.reduce((x, y) => x + y, 0) / scores.length).toPrecision(3);
        row.append(element("td", votes ? (right ? "right" : "wrong") : "quiet", text));
      }
      table.append(row);
    });
    detail.append(table);
    detail.scrollTop = 0;
  }

  let waiting = false;
  list.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) choose(+row.dataset.k);
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const to = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, PageDown: chosen + page, PageUp: chosen - page, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
  for (const select of [task, show, first, second, order]) select.addEventListener("change", filter);
  let typed;
  words.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(filter, 150); });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("browser").hidden = false;
  filter();
})();
