"use strict";
(() => {
  const tip = document.getElementById("tip");
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
  const seconds = (ms) => number.format(ms / 1000) + " s";
  const show = (lines, x, y) => {
    tip.textContent = "";
    for (const line of lines) {
      const div = document.createElement("div");
      div.textContent = line;
      tip.append(div);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
    const top = y + 14 + box.height > innerHeight ? y - 14 - box.height : y + 14;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, top) + "px";
  };
  for (const plot of document.querySelectorAll(".plot")) {
    const data = JSON.parse(plot.querySelector("script").textContent);
    const look = (event) => {
      if (event.target.dataset.tip) {
        show(event.target.dataset.tip.split("\n"), event.clientX, event.clientY);
        return;
      }
      const box = plot.getBoundingClientRect();
      const across = (event.clientX - box.left) / box.width;
      const up = 1 - (event.clientY - box.top) / box.height;
      const column = Math.min(data.cells.length - 1, Math.max(0, Math.floor(across * data.cells.length)));
      const row = Math.min(data.begins.length - 1, Math.max(0, Math.floor(up * data.begins.length)));
      const at = data.first + column * data.column;
      const end = row + 1 < data.begins.length ? data.begins[row + 1] : "the end";
      show([
        seconds(at) + " to " + seconds(at + data.column),
        data.begins[row] + " up to " + end,
        number.format(data.cells[column][row] || 0) + " operations/s",
      ], event.clientX, event.clientY);
    };
    plot.addEventListener("pointermove", look);
    plot.addEventListener("pointerdown", look);
    plot.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
})();
