// Tables that can be sorted by any column and, where long, searched. Without script they are whole tables all the same.
// A cell sorts by the value it carries (data-sort), as the number or text that its column's heading says; blanks are last.
const orders = {number: (a, b) => (+a > +b) - (+a < +b), text: (a, b) => a.localeCompare(b, "en", {numeric: true})};
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
      const key = row => row.cells[place].dataset.sort, order = orders[head.dataset.sort];
      const known = all.filter(row => key(row)), blank = all.filter(row => !key(row));
      known.sort((a, b) => (up ? 1 : -1) * order(key(a), key(b)));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...known, ...blank);
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
