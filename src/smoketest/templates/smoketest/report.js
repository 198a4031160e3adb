
"use strict";
(() => {
  const LABELS = [["failed", "Failed"], ["errored", "Errored"], ["warned", "Warnings"], ["skipped", "Skipped"], ["passed", "Passed"]];
  const FIXTURE = /\.(setUpClass|tearDownClass|setUpModule|tearDownModule)$/;
  // As smoketest.escaping: no name can forge a line or change the order of reading.
  const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const COLOUR = /\x1b\[[0-?]*[ -/]*[@-~]/g;
  const PATIENCE = 10; // seconds after the deadline in which a run surely answers

  const find = (selector, inside = document) => inside.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const deadline = Number(document.body.dataset.deadline) || 0;
  const counter = find("#counter"), search = find("#search"), again = find("#again"), time = find("#time");
  let running = false;

  const escaped = (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
  };
  const visible = (text) => String(text || "").replace(UNSAFE, escaped);
  const oneLine = (text) => visible(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const seconds = (number) => `${number.toFixed(3)} s`;
  const percent = (part, whole) => (whole ? `${Math.min(Math.max(100 * part / whole, 1), 100).toFixed(1)}%` : "0%");
  const say = (text) => { if (counter.textContent !== text) counter.textContent = text; };
  const made = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  // -- what is shown: the filter and the search live in the fragment of the address

  const wanted = () => {
    const fragment = new URLSearchParams(location.hash.slice(1));
    return { show: fragment.get("show") || "all", words: fragment.get("search") || "" };
  };
  const want = ({ show, words }) => {
    const parts = [];
    if (show !== "all") parts.push(`show=${encodeURIComponent(show)}`);
    if (words) parts.push(`search=${encodeURIComponent(words)}`);
    history.replaceState(null, "", location.pathname + location.search + (parts.length ? `#${parts.join("&")}` : ""));
    filter();
  };
  const filter = () => {
    const { show, words } = wanted();
    const needle = words.trim().toLowerCase();
    const narrowed = show !== "all" || needle !== "";
    const tests = all(".test", find("#results"));
    let shown = 0;
    for (const test of tests) {
      const fits = (show === "all" || test.classList.contains(show)) && test.textContent.toLowerCase().includes(needle);
      test.classList.toggle("out", !fits);
      shown += fits;
    }
    for (const box of all("#results .group, #results section")) {
      const inside = all(".test", box);
      box.classList.toggle("out", inside.length > 0 && inside.every((test) => test.classList.contains("out")));
      if (box.matches(".group") && !running) {
        if (box.dataset.open === undefined) box.dataset.open = box.open ? "1" : "";
        box.open = narrowed || box.dataset.open === "1";
      }
    }
    for (const link of all("#counters a")) {
      if (link.dataset.show === show) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (document.activeElement !== search) search.value = words;
    if (!running) say(narrowed ? `${shown} of ${counted(tests.length, "test")} shown` : "");
  };
  const toAnchor = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!target || !target.matches(".test")) return;
    for (let box = target.parentElement.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  };

  // -- a result in place of the blank test

  const diffed = (message) => {
    const lines = message.split("\n"), names = { "- ": "del", "+ ": "ins", "? ": "i", "  ": "" };
    const signs = new Set(lines.slice(1).map((line) => line.slice(0, 2)).filter((sign) => sign in names));
    if (signs.size < 2 || !(signs.has("- ") || signs.has("+ "))) return [message];
    return lines.flatMap((line, index) => {
      const name = names[line.slice(0, 2)];
      return [index ? "\n" : "", name ? made(name, {}, line) : line];
    });
  };
  const isForeign = (file) => /\/(site|dist)-packages\/|\/lib\/python\d|^<frozen /.test(file);
  const ownFrames = (traceback) => {
    const frames = /^ {2}File "(.*)", line \d+.*\n(?: {4}.*\n| {2}\[.*\n)*/gm;
    const files = [...traceback.matchAll(frames)].map((match) => match[1]);
    if (files.every(isForeign)) return traceback;
    return traceback
      .replace(frames, (frame, file) => (isForeign(file) ? "  \0\n" : frame))
      .replace(/(?: {2}\0\n)+/g, (hidden) => `  … ${counted(hidden.split("\0").length - 1, "frame")} …\n`);
  };
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
  const labelOf = (result) => (result.optional && ["failed", "errored"].includes(result.outcome) ? "warned" : result.outcome);
  const anchorOf = (id) => oneLine(id).replace(/\s/g, "_") || "_";

  const row = (result, slowest) => {
    const test = find("#test").content.querySelector(".test").cloneNode(true);
    const label = labelOf(result), folds = ["failed", "errored", "warned"].includes(label);
    const id = oneLine(result.id), dot = id.lastIndexOf(".") + 1;
    const whole = visible(result.traceback).replace(/^\n+|\n+$/g, ""), own = ownFrames(`${whole}\n`).replace(/\n+$/, "");
    const fill = (selector, ...content) => {
      const element = find(selector, test);
      if (content.some((part) => part !== "")) element.replaceChildren(...content);
      else element.remove();
    };
    test.className = `test ${label}`;
    test.id = anchorOf(result.id);
    find("rect", test).setAttribute("width", percent(result.duration, slowest));
    find(".anchor", test).href = `#${encodeURIComponent(test.id)}`;
    find(".anchor", test).setAttribute("aria-label", `Link to ${id.slice(dot)}`);
    fill(".label", label);
    fill(".owner", id.slice(0, dot));
    fill(".name", id.slice(dot));
    fill(".duration", seconds(result.duration));
    fill(".notes", [result.timed_out && "timed out", result.cut_off && "cut off with the run", result.retried && "retried"].filter(Boolean).join(", "));
    fill(".description", oneLine(result.description));
    fill(".message", ...diffed(visible(String(result.message || "").replace(COLOUR, "")).replace(/^\n+|\n+$/g, "")));
    fill(".place", result.file ? made("code", {}, `${oneLine(result.file)}:${result.line}`) : "");
    fill(".traceback", own);
    if (whole !== own) fill(".all pre", whole);
    else find(".all", test).remove();
    fill(".runbook", ...runbook(folds ? oneLine(result.runbook) : ""));
    if (folds) fill(".command code", `python manage.py smoketest ${quoted(oneLine(result.id.replace(FIXTURE, "")))}`);
    else find(".command", test).remove();
    const details = find("details", test);
    details.open = label !== "warned";
    if (!folds) details.replaceWith(made("div", { class: "line" }, ...find("summary", details).childNodes), ...details.childNodes);
    for (const summary of all(":scope > summary", test)) summary.remove();
    return test;
  };
  const runbook = (url) => {
    if (!url) return [""];
    return ["Runbook: ", /^https?:\/\//.test(url) ? made("a", { href: url, rel: "noreferrer" }, url) : url];
  };

  // -- the whole page of a run that has ended

  const section = (label, title, results, slowest) => {
    const rows = results.map((result) => row(result, slowest));
    const box = made("section", { id: `show=${label}`, class: label, "aria-labelledby": `title-${label}` },
      made("h2", { id: `title-${label}` }, `${title} `, made("span", { class: "faint" }, rows.length)));
    if (label !== "passed") box.append(made("ul", {}, ...rows));
    else box.append(...groups(rows, results, slowest));
    return box;
  };
  const bar = (part, whole) => {
    const svg = find("#test").content.querySelector(".bar").cloneNode(true);
    find("rect", svg).setAttribute("width", percent(part, whole));
    return svg;
  };
  const groups = (rows, results, slowest) => {
    const found = [];
    for (const [index, test] of rows.entries()) {
      const owner = (find(".owner", test)?.textContent || "").replace(/\.$/, "");
      if (found.at(-1)?.owner !== owner) found.push({ owner, rows: [], longest: 0 });
      const group = found.at(-1);
      group.rows.push(test);
      group.longest = Math.max(group.longest, results[index].duration);
    }
    return found.map((group) => made("details", { class: "group" },
      made("summary", {}, made("code", {}, group.owner), " ", made("small", {}, counted(group.rows.length, "test")), " ",
        bar(group.longest, slowest), " ", made("small", { class: "duration" }, seconds(group.longest))),
      made("ul", {}, ...group.rows)));
  };
  const headline = (end) => {
    const parts = [];
    if (!end.tests_run) parts.push("no test ran");
    else if (!end.tests_failed && !end.tests_errored) parts.push(`${end.tests_passed} of ${counted(end.tests_run, "test")} passed`);
    else {
      const [first, ...rest] = [[end.tests_failed, "failed"], [end.tests_errored, "errored"]].filter(([number]) => number);
      parts.push(`${first[0]} of ${counted(end.tests_run, "test")} ${first[1]}`, ...rest.map(([number, word]) => `${number} ${word}`));
    }
    if (end.tests_warned) parts.push(counted(end.tests_warned, "warning"));
    if (end.tests_skipped) parts.push(`${end.tests_skipped} skipped`);
    return parts.join(", ");
  };
  const showVerdict = (end) => {
    const words = "tests_run" in end ? ` — ${headline(end)}` : "";
    const other = end.status === "PASS" ? "FAIL" : "PASS";
    find("header").className = end.status;
    find("#verdict").replaceChildren(made("strong", {}, end.status), words);
    document.title = end.status + words;
    find(`#icon-${other}`).rel = "alternate";
    find(`#icon-${end.status}`).rel = "icon";
    if (end.tests_run) find("#remarks").replaceChildren();
  };
  const showFacts = (end) => {
    const facts = { Release: end.release, Node: end.node, Process: end.pid, Took: seconds(end.duration || 0) };
    for (const [name, value] of Object.entries(facts)) {
      const fact = find(`[data-fact="${name}"]`);
      if (fact && value) fact.textContent = oneLine(value);
    }
    find("#used")?.setAttribute("width", percent(end.duration, deadline));
    const started = find("header time");
    if (started && end.started_at) {
      started.dateTime = end.started_at;
      started.textContent = new Date(end.started_at).toISOString().slice(0, 19).replace("T", " ") + " UTC";
    }
    if (find("#whose")) {
      find("#whose dd").textContent = end.shared ? "shared: the run was under way when you came" : `cached: the run ended ${Number(end.age).toFixed(1)} s ago`;
      find("#whose").hidden = !end.shared && !end.cached;
    }
    tellTime();
  };
  const showResults = (results, passed) => {
    if (!results.length) {
      for (const section of all("#results section:has(.test)")) section.remove();
      find("#results > p")?.remove();
      const sentence = `The smoke tests of this site ${passed ? "passed" : "did not pass"}.`;
      if (!find("#results > *")) find("#results").append(made("p", {}, sentence));
      return;
    }
    const slowest = Math.max(0, ...results.map((result) => result.duration));
    const main = find("#results");
    const listed = LABELS.map(([label, title]) => [label, title, results.filter((result) => labelOf(result) === label)]).filter(([, , of]) => of.length);
    main.replaceChildren(...listed.map(([label, title, of]) => section(label, title, of, slowest)));
    const chip = (label, href, number, title) => made("li", { class: label },
      made("a", { href, "data-show": label }, made("b", {}, number), ` ${title}`));
    find("#counters").replaceChildren(chip("all", "#results", results.length, "all"),
      ...listed.map(([label, title, of]) => chip(label, `#show=${label}`, of.length, label === "warned" && of.length === 1 ? "warning" : title.toLowerCase())));
    find(".tools").hidden = !results.length;
    revealButtons();
  };

  // -- run again

  const readLines = async (response, onLine) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.trim()) onLine(JSON.parse(line));
    }
  };
  const ask = async (signal) => {
    const query = new URLSearchParams(location.search);
    query.set("format", "ndjson");
    // What shows tests, or the last run, instead of running any.
    for (const name of ["list", "latest", "max-age", "role"]) query.delete(name);
    const response = await fetch(`${location.pathname}?${query}`, {
      signal, cache: "no-store", credentials: "same-origin",
      headers: { "Accept": "application/vnd.django-smoketest.progress+x-ndjson", "Cache-Control": "no-cache" },
    });
    if (!response.headers.get("Content-Type")?.includes("x-ndjson") || !response.ok) {
      const body = (await response.text()).trim();
      let said = body.split("\n").slice(0, 2).join(": ");
      try { said = JSON.parse(body).error || said; } catch { /* not our words */ }
      throw new Error(`The run did not start (status ${response.status}). ${visible(said)}`);
    }
    return response;
  };
  const mark = (test, state) => {
    test.className = `test ${state}`;
    find(".label", test).textContent = state;
    for (const details of all("details", test)) details.open = false;
  };
  const place = (id) => document.getElementById(anchorOf(id));
  const placed = (id) => {
    const main = find("#results");
    if (!main.contains(place(id))) {
      if (!find("section.new", main)) main.append(made("section", { class: "new" }, made("h2", {}, "New"), made("ul")));
      find("section.new ul", main).append(row({ id, outcome: "waiting", duration: 0 }, 0));
    }
    return place(id);
  };
  const take = (run, line) => {
    if ("selected" in line) {
      run.total = line.selected.length;
      run.order = new Map(line.selected.map((id, index) => [anchorOf(id), index]));
      for (const test of all("#results .test")) if (!run.order.has(test.id)) test.remove();
      for (const id of line.selected) mark(placed(id), "waiting");
    } else if ("begun" in line) mark(placed(line.begun), "running");
    else if ("status" in line) run.end = line;
    else {
      run.results.push(line);
      run.failed += ["failed", "errored"].includes(labelOf(line));
      placed(line.id).replaceWith(row(line, 0));
    }
  };
  const tell = (run) => {
    const failed = run.failed ? `, ${run.failed} failed` : "";
    return `${run.results.length} of ${counted(Math.max(run.total, run.results.length), "test")} done${failed}`;
  };
  const clock = (run) => {
    const begun = performance.now();
    let last = 0;
    time.hidden = false;
    if (deadline) time.max = deadline;
    return setInterval(() => {
      const elapsed = (performance.now() - begun) / 1000;
      if (deadline) time.value = Math.min(elapsed, deadline);
      if (elapsed - last >= 1) { last = elapsed; say(tell(run)); } // a screen reader reads every change
    }, 100);
  };
  const runAgain = async () => {
    const main = find("#results"), live = main.cloneNode(true), run = { total: 0, failed: 0, order: new Map(), results: [], end: null };
    const abort = new AbortController();
    const limit = deadline && setTimeout(() => abort.abort(), (deadline + PATIENCE) * 1000);
    running = again.disabled = true;
    main.replaceWith(live);
    for (const test of all(".test", live)) mark(test, "waiting");
    for (const group of all(".group", live)) group.open = true;
    run.total = all(".test", live).length;
    say("The run begins.");
    const ticking = clock(run);
    let lost = "";
    try {
      await readLines(await ask(abort.signal), (line) => take(run, line));
      if (!run.end) throw new TypeError("the answer has no end");
    } catch (error) {
      lost = error.message.startsWith("The run") ? error.message : `The connection was lost: ${tell(run)}.`;
    }
    clearInterval(ticking);
    clearTimeout(limit);
    time.hidden = true;
    running = again.disabled = false;
    if (lost) {
      live.replaceWith(main);
      filter();
      say(`${lost} What stands here is the result of before.`);
      return;
    }
    showVerdict(run.end);
    showFacts(run.end);
    showResults(inOrder(run), run.end.status === "PASS");
    filter();
    say(document.title);
  };
  // Tests end in any order; a fixture that failed is not among the selected, and stands last.
  const inOrder = (run) => {
    const place = (result) => run.order.get(anchorOf(result.id)) ?? run.order.size;
    return run.results.sort((a, b) => place(a) - place(b));
  };

  // -- small things

  const tellTime = () => {
    const started = find("header time");
    if (!started) return;
    const passed = Math.max(0, (Date.now() - new Date(started.dateTime)) / 1000);
    const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([length]) => passed >= length) || [1, "second"];
    find("#ago").textContent = passed < 5 ? "(just now)" : `(${counted(Math.floor(passed / size), unit)} ago)`;
    started.title = new Date(started.dateTime).toLocaleString();
  };
  const copy = async (button) => {
    const code = find("code", button.parentElement);
    getSelection().selectAllChildren(code);
    // The clipboard proper is for https and localhost only.
    const copied = navigator.clipboard
      ? await navigator.clipboard.writeText(code.textContent).then(() => true, () => false)
      : document.execCommand("copy");
    button.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  const revealButtons = () => { for (const button of all(".copy")) button.hidden = false; };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("#counters a"), button = event.target.closest(".copy");
    if (link) { event.preventDefault(); want({ show: link.dataset.show, words: search.value }); }
    if (button) copy(button);
  });
  search.addEventListener("input", () => want({ show: wanted().show, words: search.value }));
  again.addEventListener("click", runAgain);
  addEventListener("hashchange", () => { filter(); toAnchor(); });
  addEventListener("beforeprint", () => { for (const details of all("details:not([open])")) { details.dataset.closed = ""; details.open = true; } });
  addEventListener("afterprint", () => { for (const details of all("details[data-closed]")) { delete details.dataset.closed; details.open = false; } });
  for (const element of all(".scripted")) element.hidden = false;
  // A page that was saved has nobody to ask.
  // It would show a run of this process where a fleet was asked, and none where that is refused.
  again.hidden = !location.protocol.startsWith("http") || "still" in document.body.dataset;
  revealButtons();
  filter();
  toAnchor();
  tellTime();
  setInterval(tellTime, 1000);
})();
