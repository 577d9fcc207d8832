/// The script of a page: it sorts, filters and opens, and makes elements only from text.
enum ReportScript {
  static let source: Markup.Constant = #"""
    "use strict";
    (() => {
      const get = id => document.getElementById(id);
      const data = JSON.parse(get("data").textContent);
      const all = data.sockets, runs = {}, values = all.values;
      for (const key in all.runs) {
        const run = all.runs[key], column = runs[key] = [];
        for (let i = 0; i < run.length; i += 2) for (let n = run[i + 1]; n > 0; n--) column.push(run[i]);
      }
      let last = 0;
      const descriptors = values.descriptorSteps.map(step => last += step);
      const signs = { critical: "▲ ", warning: "◆ ", info: "● " };
      const end = (address, port) => {
        const text = all.addresses[address];
        if (!text || !port) return text;
        return (text.includes(":") ? "[" + text + "]" : text) + ":" + port;
      };
      const units = [[86400, "d", 172800], [3600, "h", 3600], [60, "min", 60], [1, "s", 1]];
      const time = tenths => {
        for (const [size, name, from] of units) {
          if (tenths < from * 10) continue;
          const whole = Math.floor(tenths / size / 10), tenth = Math.floor((tenths % (size * 10)) / size);
          return whole + (whole < 10 && tenth ? "." + tenth : "") + name;
        }
        return tenths * 100 + "ms";
      };
      const since = i => {
        const least = values.least[i], spread = values.spread[i];
        if (spread < 0) return least ? ">" + time(least) : "-";
        if (spread * 10 < least || spread === 0) return time(least);
        return (least ? time(least) + "-" : "<") + time(least + spread);
      };
      const owner = i => all.owners[runs.owner[i]] + (descriptors[i] < 0 ? "" : " fd " + descriptors[i]);
      const columns = {
        finding: i => runs.finding[i] < 0 ? "" : data.findings[runs.finding[i]].id,
        kind: i => all.kinds[runs.kind[i]],
        state: i => all.states[runs.state[i]],
        local: i => end(runs.local[i], runs.localPort[i]),
        remote: i => values.remotePort[i] ? end(runs.remote[i], values.remotePort[i]) : "",
        since, receive: i => "" + runs.receiveQueue[i], send: i => "" + runs.sendQueue[i], owner,
      };
      const orders = {
        finding: i => runs.finding[i] < 0 ? 1e9 : runs.finding[i], since: i => values.least[i],
        receive: i => runs.receiveQueue[i], send: i => runs.sendQueue[i],
      };
      const ages = { ms: .01, s: 10, m: 600, min: 600, h: 36000, d: 864000 };
      const tests = {
        state: (i, word) => columns.state(i).toLowerCase() === word, kind: (i, word) => columns.kind(i) === word,
        program: (i, word) => all.owners[runs.owner[i]].toLowerCase().includes(word),
        finding: (i, word) => columns.finding(i).toLowerCase() === word,
        peer: (i, word) => columns.remote(i).includes(word),
        port: (i, word) => runs.localPort[i] === +word || values.remotePort[i] === +word,
      };
      const test = word => {
        const age = /^age>(\d+(?:\.\d+)?)(ms|s|min|m|h|d)$/.exec(word);
        if (age) return i => values.least[i] > age[1] * ages[age[2]];
        const at = word.indexOf(":"), own = at > 0 && tests[word.slice(0, at)], rest = word.slice(at + 1);
        if (own) return rest ? i => own(i, rest) : () => true;
        return i => Object.values(columns).some(text => text(i).toLowerCase().includes(word));
      };
      const rows = get("rows"), shown = get("shown"), more = get("more"), filter = get("filter");
      const step = 200;
      let found = [], limit = step, sorted = "", isDown = false;
      const cell = (line, text) => line.appendChild(document.createElement("td")).textContent = text;
      const row = i => {
        const line = document.createElement("tr"), first = line.appendChild(document.createElement("td"));
        if (runs.finding[i] >= 0) {
          const finding = data.findings[runs.finding[i]], link = first.appendChild(document.createElement("a"));
          link.href = "#finding-" + (runs.finding[i] + 1);
          link.className = finding.severity;
          link.textContent = signs[finding.severity] + finding.id;
        }
        for (const key of Object.keys(columns).slice(1)) cell(line, columns[key](i));
        return line;
      };
      const draw = () => {
        rows.replaceChildren(...found.slice(0, limit).map(row));
        more.hidden = found.length <= limit;
        const count = number => number.toLocaleString("en");
        shown.textContent = count(found.length) + " of " + count(all.count) + " sockets"
          + (found.length > limit ? ", the first " + count(limit) + " shown." : ".");
      };
      const choose = () => {
        const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(test);
        found = [];
        for (let i = 0; i < all.count; i++) if (words.every(word => word(i))) found.push(i);
        if (sorted) {
          const order = orders[sorted], text = columns[sorted], sign = isDown ? -1 : 1;
          const keys = new Map(found.map(i => [i, order ? order(i) : text(i)]));
          const compare = order ? (a, b) => keys.get(a) - keys.get(b)
            : (a, b) => keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0;
          found.sort((a, b) => sign * compare(a, b) || a - b);
        }
        limit = step;
        draw();
      };
      for (const head of document.querySelectorAll("th[data-key]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        head.replaceChildren(button);
        button.addEventListener("click", () => {
          isDown = sorted === head.dataset.key ? !isDown : ["since", "receive", "send"].includes(head.dataset.key);
          sorted = head.dataset.key;
          for (const other of document.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
          head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
          choose();
        });
      }
      for (const link of document.querySelectorAll("a[data-state]")) {
        link.addEventListener("click", () => {
          filter.value = "state:" + link.dataset.state.toLowerCase();
          choose();
        });
      }
      let wait = 0;
      filter.addEventListener("input", () => {
        clearTimeout(wait);
        wait = setTimeout(choose, 120);
      });
      more.addEventListener("click", () => {
        limit += 1000;
        draw();
      });
      const closed = [];
      addEventListener("beforeprint", () => {
        for (const part of document.querySelectorAll("details:not([open])")) closed.push(part), part.open = true;
      });
      addEventListener("afterprint", () => {
        for (const part of closed.splice(0)) part.open = false;
      });
      get("tools").hidden = false;
      choose();
    })();
    """#
}
