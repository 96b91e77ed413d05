// Tables that can be sorted by any column and, where long, searched. Without script they are whole tables all the same.
// A cell sorts by the value it carries (data-sort), as the number or text that its column's heading says; blanks are last.
const orders = {number: (a, b) => (+a > +b) - (+a < +b), text: (a, b) => a.localeCompare(b, "en", {numeric: true})};
for (const box of document.querySelectorAll(".scroll")) {
  const table = box.querySelector("table"), body = table && table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells], all = [...body.rows], said = document.createElement("p");
  said.className = "said";
  said.setAttribute("role", "status");
  // Of a long table the first rows are shown, until it is asked for, sorted or searched.
  const whole = () => { box.classList.remove("cut"); box.nextElementSibling?.matches(".whole") && box.nextElementSibling.remove() };
  if (box.dataset.all) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "whole";
    button.textContent = box.dataset.all;
    button.onclick = () => { whole(); box.focus() };
    box.classList.add("cut");
    box.after(button);
  }
  heads.forEach((head, place) => {
    const button = document.createElement("button"), name = head.textContent;
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      whole();
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = row => row.cells[place].dataset.sort, order = orders[head.dataset.sort];
      const known = all.filter(row => key(row)), blank = all.filter(row => !key(row));
      known.sort((a, b) => (up ? 1 : -1) * order(key(a), key(b)));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...known, ...blank);
      said.textContent = `Sorted by ${name}, ${up ? "lowest" : "highest"} first`;
    };
  });
  if (all.length >= 8 && !box.closest(".acts")) {
    const label = document.createElement("label"), field = document.createElement("input");
    field.type = "search";
    label.className = "search";
    label.append("Search this table ", field);
    field.oninput = () => {
      whole();
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      all.forEach(row => { const text = row.textContent.toLowerCase(); row.hidden = !words.every(word => text.includes(word)) });
      said.textContent = `${all.filter(row => !row.hidden).length} of ${all.length} rows`;
    };
    box.before(label);
  }
  (box.dataset.all ? box.nextElementSibling : box).after(said);
}
// A link to a part opens the fold that holds it.
const unfold = () => {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name) } catch {}
  const part = name && document.getElementById(name);
  const fold = part && part.closest("details");
  if (fold) { fold.open = true; part.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
// The list to act on: by owner (also in the address: #owner=Nora A.), by action, by week; the rows shown can be copied.
for (const list of document.querySelectorAll(".acts")) {
  const tools = list.querySelector(".tools"), body = list.querySelector("tbody");
  if (!tools || !body) continue;
  const [owner, order] = tools.querySelectorAll("select"), soon = tools.querySelector("input"), copy = tools.querySelector(".copy");
  const chips = [...tools.querySelectorAll(".chips button")], count = tools.querySelector(".count");
  const all = [...body.rows], shown = () => [...body.rows].filter(row => !row.hidden);
  const filled = (words, fields) => words.replace(/\{(\w+)\}/g, (_, name) => fields[name]);
  const heads = [...list.querySelectorAll("thead th")];
  // A row is shown if it is the owner's, of the action and, if asked, due; each filter counts by the two others.
  const mine = row => !owner.value || row.dataset.owner === owner.value;
  const due = row => !soon.checked || "soon" in row.dataset;
  const of = (row, action) => !action || row.dataset.do === action;
  const filter = () => {
    const action = chips.find(chip => chip.ariaPressed === "true").dataset.do;
    all.forEach(row => row.hidden = !(mine(row) && due(row) && of(row, action)));
    chips.forEach(chip => chip.querySelector("span").textContent = all.filter(row => mine(row) && due(row) && of(row, chip.dataset.do)).length);
    tools.querySelector(".soon").textContent = all.filter(row => mine(row) && of(row, action) && "soon" in row.dataset).length;
    count.textContent = filled(count.dataset.words, {n: shown().length, of: all.length});
  };
  const asked = () => {
    let name = location.hash.match(/^#owner=(.*)/)?.[1] ?? "";
    try { name = decodeURIComponent(name) } catch {}
    const same = text => text.toLowerCase().replace(/[+\s]+/g, " ").trim();
    const option = [...owner.options].find(each => each.value === name) ?? [...owner.options].find(each => same(each.value) === same(name));
    owner.value = option ? option.value : "";
    filter();
  };
  // What begins like a formula is marked as text, as in the files; what a cell carries is copied, not how it is shown.
  const plain = text => (/^\s*'*[=+\-@＋－＝＠]/.test(text) && isNaN(text) ? "'" : "") + text.replace(/\s+/g, " ");
  const line = cells => [...cells].map(cell => plain(cell.dataset.sort)).join("\t");
  const written = async text => {
    try { return await navigator.clipboard.writeText(text), true } catch {}
    const field = document.createElement("textarea");
    field.value = text;
    copy.after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };
  copy.onclick = async () => {
    const heads = [...list.querySelector("thead tr").cells].map(head => head.textContent).join("\t"), rows = shown();
    const done = await written([heads, ...rows.map(row => line(row.cells))].join("\n"));
    count.textContent = filled(done ? copy.dataset.done : copy.dataset.failed, {n: rows.length});
  };
  owner.onchange = () => {
    history.replaceState(null, "", owner.value ? "#owner=" + encodeURIComponent(owner.value) : location.pathname + location.search);
    filter();
  };
  soon.onchange = filter;
  // On a phone the headings are not seen: what to sort by is chosen here, numbers from the highest on.
  order.onchange = () => {
    const head = heads[order.value], way = head.dataset.sort === "number" ? "descending" : "ascending";
    do head.querySelector("button").click(); while (head.getAttribute("aria-sort") !== way);
  };
  chips.forEach(chip => chip.onclick = () => { chips.forEach(other => other.ariaPressed = other === chip); filter() });
  addEventListener("hashchange", asked);
  tools.hidden = false;
  asked();
}
