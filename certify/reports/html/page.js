"use strict";
(() => {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const tiles = [...document.querySelectorAll(".tile")];
  const rows = [...body.rows];
  const found = rows.map((row) => {
    const card = document.getElementById(row.dataset.card);
    return { row, card, text: (row.textContent + " " + card.querySelector(".message").textContent).toLowerCase() };
  });

  // Numbers by value, text by the reader's alphabet; what has no value stays last either way.
  function compare(one, other, numeric, sign) {
    if (one === "" || other === "") return (one === "") - (other === "");
    return sign * (numeric ? Number(one) - Number(other) : one.localeCompare(other, undefined, { numeric: true }));
  }

  function sort(header) {
    const descending = header.getAttribute("aria-sort") === "ascending";
    const numeric = header.classList.contains("number");
    const value = (row) => row.cells[header.cellIndex].dataset.sort;
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    rows.sort((one, other) => compare(value(one), value(other), numeric, descending ? -1 : 1));
    body.append(...rows);
  }

  function select() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = tiles.filter((tile) => tile.getAttribute("aria-pressed") === "true").map((tile) => tile.dataset.state);
    let count = 0;
    for (const { row, card, text } of found) {
      const kept = words.every((word) => text.includes(word)) && (!states.length || states.includes(row.dataset.state));
      row.hidden = card.hidden = !kept;
      count += kept;
    }
    shown.value = `${count} of ${rows.length} shown`;
  }

  function reveal() {
    const card = location.hash && document.getElementById(location.hash.slice(1));
    if (card && card.tagName === "DETAILS") card.open = true;
  }

  for (const header of table.tHead.rows[0].cells) header.firstElementChild.addEventListener("click", () => sort(header));
  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      tile.setAttribute("aria-pressed", String(tile.getAttribute("aria-pressed") !== "true"));
      select();
    });
  }
  filter.addEventListener("input", select);
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((card) => (card.open = true)));
  reveal();
})();
