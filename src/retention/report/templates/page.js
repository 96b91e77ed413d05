// Tables that can be sorted by any column and, where long, searched. Without script they are whole tables all the same.
const dated = /^(\d{4}-\d\d-\d\d|\d{1,2} [A-Z][a-z]+ \d{4})$/, counted = /^[$€£+-]?\s*\d/;
const number = text => dated.test(text) ? Date.parse(text)
  : counted.test(text) ? +text.replace(/[,\u00a0]/g, "").match(/-?\d+(\.\d+)?/)[0] : NaN;
for (const box of document.querySelectorAll(".scroll")) {
  const table = box.querySelector("table"), body = table && table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells], all = [...body.rows], said = document.createElement("p");
  said.className = "said";
  said.setAttribute("role", "status");
  heads.forEach((head, place) => {
    const button = document.createElement("button"), name = head.textContent;
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = row => row.cells[place].textContent.trim(), numbers = all.filter(row => !isNaN(number(key(row))));
      const known = numbers.length * 2 >= all.length ? numbers : [...all], rest = all.filter(row => !known.includes(row));
      const by = (a, b) => number(a) - number(b) || a.localeCompare(b, "en", {numeric: true});
      known.sort((a, b) => (up ? 1 : -1) * by(key(a), key(b)));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...known, ...rest);
      said.textContent = `Sorted by ${name}, ${up ? "lowest" : "highest"} first`;
    };
  });
  if (all.length >= 8) {
    const label = document.createElement("label"), field = document.createElement("input");
    field.type = "search";
    label.className = "search";
    label.append("Search this table ", field);
    field.oninput = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      all.forEach(row => { const text = row.textContent.toLowerCase(); row.hidden = !words.every(word => text.includes(word)) });
      said.textContent = `${all.filter(row => !row.hidden).length} of ${all.length} rows`;
    };
    box.before(label);
  }
  box.after(said);
}
// A link to a part opens the fold that holds it.
const unfold = () => {
  const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = part && part.closest("details");
  if (fold) { fold.open = true; part.scrollIntoView(); }
};
addEventListener("hashchange", unfold);
unfold();
