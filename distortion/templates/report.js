"use strict";
// Sorting and filtering of tables, and what each mark of a figure shows. The page says everything
// without this script; every control is made here, so that none is dead where scripts are off.
(() => {
  const LONG = 12;
  const NEAR = 10;
  const HINT = " Point at a mark for its numbers, or reach the first by Tab and go on by arrow keys.";
  const STATES = ["ascending", "descending", null];
  const words = new Intl.Collator("en", { numeric: true });

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // --- Tables ---------------------------------------------------------------------------------

  // The exact number of a cell, or the first one in its text: "1.06 [1.02, 1.10]", "−3", "1,000".
  const numberOf = (cell) => {
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const text = cell.textContent.replaceAll("−", "-").replace(/,(?=\d{3})/g, "");
    return parseFloat(text.match(/-?\d+(\.\d+)?/)?.[0]);
  };
  const textOf = (cell) => (/^[–\s]*$/.test(cell.textContent) ? null : cell.textContent);

  const sorted = (rows, column, numeric, descending) => {
    const keyOf = (row) => (numeric ? numberOf : textOf)(row.cells[column]);
    const missing = (key) => key === null || Number.isNaN(key);
    const compare = numeric ? (a, b) => a - b : words.compare;
    return rows
      .map((row) => ({ row, key: keyOf(row) }))
      .sort((a, b) => {
        if (missing(a.key) || missing(b.key)) return missing(a.key) - missing(b.key);
        return descending ? compare(b.key, a.key) : compare(a.key, b.key);
      })
      .map(({ row }) => row);
  };

  const makeSortable = (table, rows) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const state = STATES[(STATES.indexOf(head.getAttribute("aria-sort")) + 1) % STATES.length];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (state) head.setAttribute("aria-sort", state);
        const numeric = head.classList.contains("n");
        const order = state ? sorted(rows, column, numeric, state === "descending") : rows;
        table.classList.toggle("arranged", state !== null);
        table.tBodies[0].append(...order);
      });
    });
    const hint = " (buttons in the column headers sort the rows)";
    table.caption.append(make("span", { className: "unseen" }, hint));
  };

  // Letters are found anywhere in the words of a row, a number only as a whole: 2 is not 20.
  const matcher = (row) => {
    const cells = [...row.querySelectorAll("th, td:not(.n)")];
    const text = cells.map((cell) => cell.textContent.toLowerCase().replaceAll(",", "")).join("\n");
    const whole = new Set(text.split(/[^\p{L}\p{N}.]+/u));
    return (term) => (Number.isNaN(Number(term)) ? text.includes(term) : whole.has(term));
  };

  const makeFilterable = (region, rows) => {
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    input.placeholder = "method, ratio, class …";
    const count = make("output", {}, `${rows.length} rows`);
    count.setAttribute("aria-live", "polite");
    const matches = rows.map(matcher);
    input.addEventListener("input", () => {
      const terms = input.value.toLowerCase().replaceAll(",", "").split(/\s+/).filter(Boolean);
      rows.forEach((row, i) => { row.hidden = !terms.every(matches[i]); });
      const shown = rows.filter((row) => !row.hidden).length;
      count.value = terms.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    });
    region.before(make("div", { className: "filter" }, make("label", {}, "Filter", input), count));
  };

  // Only what overflows needs to be reached by keyboard to be scrolled.
  const overflow = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
    }
  });

  for (const region of document.querySelectorAll(".table .scroll")) {
    const table = region.querySelector("table");
    const rows = [...table.tBodies[0].rows];
    if (rows.length > 2) makeSortable(table, rows);
    if (rows.length > LONG) makeFilterable(region, rows);
    overflow.observe(region);
  }

  // --- Figures --------------------------------------------------------------------------------

  const tip = make("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  const said = new Map();
  let told = null;

  const place = () => {
    if (!told) return;
    const mark = told.getBoundingClientRect();
    const middle = mark.left + mark.width / 2 - tip.offsetWidth / 2;
    const right = document.documentElement.clientWidth - tip.offsetWidth - 4;
    const above = mark.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(4, Math.min(middle, right))}px`;
    tip.style.top = `${above < 4 ? mark.bottom + 8 : above}px`;
  };
  const tell = (mark) => {
    told = said.has(mark) ? mark : null;
    tip.hidden = !told;
    tip.textContent = said.get(mark) ?? "";
    place();
  };

  // The mark nearest to the pointer, whichever lies on top; centres are measured as it comes in.
  const finder = (region, marks) => {
    let centres = [];
    const origin = () => region.querySelector("svg").getBoundingClientRect();
    region.addEventListener("pointerenter", () => {
      const { left, top } = origin();
      centres = marks.map((mark) => {
        const box = mark.getBoundingClientRect();
        return [box.left + box.width / 2 - left, box.top + box.height / 2 - top];
      });
    });
    return ({ clientX, clientY, target }) => {
      const { left, top } = origin();
      const away = centres.map(([x, y]) => Math.hypot(x - clientX + left, y - clientY + top));
      const least = Math.min(...away);
      if (least <= NEAR) return marks[away.indexOf(least)];
      return said.has(target) ? target : null;
    };
  };

  const reach = (from, to) => {
    from?.removeAttribute("tabindex");
    to.setAttribute("tabindex", "0");
    to.setAttribute("role", "img");
    to.setAttribute("aria-label", said.get(to));
  };

  // The mark that a key leads to: the next one, the next group of marks, the first or the last.
  const led = (marks, at, key) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) return marks[marks.indexOf(at) + step];
    const leap = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (!leap) return { Home: marks[0], End: marks.at(-1) }[key];
    const groups = [...new Set(marks.map((mark) => mark.parentNode))];
    const group = groups[groups.indexOf(at.parentNode) + leap];
    return marks.find((mark) => mark.parentNode === group);
  };

  document.querySelectorAll("figure").forEach((figure, i) => {
    const titles = [...figure.querySelectorAll("svg title")];
    if (!titles.length) return;
    const marks = titles.map((title) => title.parentNode);
    titles.forEach((title) => {
      said.set(title.parentNode, title.textContent);
      title.remove();
    });
    const region = figure.querySelector(".scroll");
    const hint = make("span", { className: "hint", id: `hint-${i}` }, HINT);
    figure.querySelector("figcaption").append(hint);
    region.setAttribute("role", "group");
    region.setAttribute("aria-describedby", hint.id);
    figure.querySelectorAll("text").forEach((text) => text.setAttribute("aria-hidden", "true"));
    overflow.observe(region);

    let current = marks[0];
    reach(null, current);
    region.addEventListener("focusin", (event) => tell(event.target));
    region.addEventListener("focusout", () => tell(null));
    const nearest = finder(region, marks);
    for (const kind of ["pointermove", "pointerdown"]) {
      region.addEventListener(kind, (event) => tell(nearest(event) ?? document.activeElement));
    }
    region.addEventListener("pointerleave", () => tell(document.activeElement));
    region.addEventListener("keydown", (event) => {
      const next = said.has(event.target) && led(marks, event.target, event.key);
      if (!next) return;
      event.preventDefault();
      reach(current, next);
      current = next;
      next.focus();
    });
  });
  addEventListener("scroll", place, { capture: true, passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") tell(null); });
})();
