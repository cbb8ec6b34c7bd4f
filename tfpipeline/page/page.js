// Files go to the server one by one, and its answers become a list of results.

import { clock, make, player } from "./player.js";

const MOST_PICTURES = 20; // of so many files spectrograms are kept
const at = (id) => document.getElementById(id);
const waiting = [];
const judged = []; // the answers, in order
let about = null;
let current = null; // the request that runs
let total = 0;

async function start() {
  about = await (await fetch("about")).json();
  if (!about.local) at("where").textContent = "Recordings are judged on the machine that serves this page, and deleted right after.";
  for (const [number, run] of about.runs.entries()) {
    const title = about.runs.length > 1 ? `How often ${run.name} errs` : "How often it errs";
    at("runs").append(make("h2", {}, title));
    if (run.errs.length) at("runs").append(make("p", {}, "In its own test:"), make("ul", {}, ...run.errs.map((text) => make("li", {}, text))));
    else at("runs").append(make("p", {}, "Nothing is known of it."));
    if (run.card) at("runs").append(make("p", {}, make("a", { href: `card/${number}`, target: "_blank" }, `Model card of ${run.name}`)));
  }
  at("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = "";
  });
  const drop = at("drop");
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", over);
      if (name === "drop") add([...event.dataTransfer.files]);
    });
  }
  at("stop").addEventListener("click", () => {
    waiting.length = 0;
    current?.abort();
  });
  if (navigator.mediaDevices && window.MediaRecorder) offerRecording();
  document.body.dataset.ready = "";
}

function offerRecording() {
  const button = at("record");
  let recorder = null;
  button.hidden = false;
  button.addEventListener("click", async () => {
    if (recorder) return recorder.stop();
    let stream;
    try {
      // The browser's own filters would change what is judged.
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch {
      at("status").textContent = "The microphone cannot be used: is it connected, and allowed for this page?";
      return;
    }
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const own of stream.getTracks()) own.stop();
      const kind = recorder.mimeType.includes("mp4") ? "m4a" : "webm";
      const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
      recorder = null;
      button.textContent = "Record";
      at("status").textContent = "";
      add([new File(parts, `recording ${time}.${kind}`, { type: parts[0]?.type })]);
    });
    recorder.start();
    button.textContent = "Stop and judge";
    at("status").textContent = "Recording. Speak for four seconds or more.";
  });
}

function add(files) {
  waiting.push(...files);
  total += files.length;
  if (!current) next();
}

async function next() {
  const file = waiting.shift();
  const busy = file !== undefined;
  at("bar").hidden = at("stop").hidden = !busy;
  if (!busy) {
    total = judged.length;
    return;
  }
  const count = total > 1 ? ` (${total - waiting.length} of ${total})` : "";
  const tell = (text) => (at("status").textContent = text);
  let answer;
  if (file.size > about.megabytes * 1e6) answer = { error: `A file may have ${about.megabytes} MB. This one is larger: cut it up.` };
  else {
    tell(`Judging ${file.name}${count}`);
    const query = new URLSearchParams({ name: file.name, picture: judged.length < MOST_PICTURES ? 1 : 0 });
    answer = await send(`judge?${query}`, file, (event) => progress(event, `${file.name}${count}`, tell));
  }
  current = null;
  if (answer.stopped) tell(`Stopped at ${file.name}.`);
  else {
    const result = answer.done ?? { name: file.name, results: [], error: answer.error };
    judged.push(result);
    show(file, result);
    if (!waiting.length) tell(total > 1 ? `${judged.length} files are judged.` : spoken(result));
  }
  next();
}

function progress(event, name, tell) {
  const bar = at("bar");
  if (event.waiting) tell(`${name} waits for its turn`);
  else if ("sent" in event) bar.value = event.sent;
  else {
    tell(event.seconds ? `Judging ${name}` : `Reading ${name}`);
    if (event.progress === null) bar.removeAttribute("value");
    else bar.value = event.progress;
  }
}

/** Sends a file; gives the last event, `done` or `error`, or `stopped`. */
function send(url, file, onevent) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    let read = 0;
    let last = null;
    const lines = () => {
      const end = request.responseText.lastIndexOf("\n") + 1;
      for (const line of request.responseText.slice(read, end).split("\n").filter(Boolean)) {
        last = JSON.parse(line);
        if (!last.done && !last.error) onevent(last);
      }
      read = end;
    };
    request.upload.addEventListener("progress", (event) => onevent({ sent: event.loaded / event.total }));
    request.addEventListener("progress", () => request.status === 200 && lines());
    request.addEventListener("load", () => {
      try {
        if (request.status === 200) lines();
        else last = JSON.parse(request.responseText);
      } catch {
        last = null;
      }
      resolve(last?.done || last?.error ? last : { error: "The server gave no answer." });
    });
    request.addEventListener("error", () => resolve({ error: "The file could not be read or sent. Does the server still run?" }));
    request.addEventListener("abort", () => resolve({ stopped: true }));
    request.open("POST", url);
    request.send(file);
    current = request;
  });
}

function show(file, result) {
  const number = judged.length;
  const title = make("h2", {}, result.name);
  const body = make("div", { class: "body" });
  const details = make("details", { class: "result", id: `result-${number}`, open: total === 1 }, make("summary", {}, title), body);
  // A long list draws what is opened.
  details.addEventListener("toggle", () => details.open && !body.childElementCount && fill(body, file, result));
  if (details.open) fill(body, file, result);
  at("results").append(details);
  table(result, number);
}

function fill(body, file, result) {
  if (result.error) return body.append(make("p", { class: "headline" }, "Not judged"), make("p", {}, result.error));
  const many = result.results.length > 1;
  const verdicts = result.results.map((run) =>
    make(
      "div",
      { class: "verdict" },
      many ? make("h3", {}, run.run) : null,
      make("p", { class: `headline ${run.verdict ?? ""}` }, run.headline),
      run.verdict && !withheld(run) ? make("p", {}, `Probability of a synthetic voice: ${run.percent}`) : null,
      run.verdict && !withheld(run) ? scale(run.probability) : null,
      make("p", {}, run.meaning),
      run.detail ? make("p", { class: "quiet" }, run.detail) : null,
      withheld(run) ? make("p", { class: "quiet" }, `On the whole, the probability of a synthetic voice would be: ${run.percent}`) : null,
    ),
  );
  body.append(make("div", { class: "verdicts" }, ...verdicts));
  const remarks = [...new Set(result.results.flatMap((run) => run.remarks))];
  if (remarks.length) body.append(make("p", {}, "About this recording:"), make("ul", {}, ...remarks.map((text) => make("li", {}, text))));
  if (!result.results.some((run) => run.windows.length)) return;
  body.append(player(file, result));
  for (const [number, run] of result.results.entries()) if (run.windows.length) body.append(why(file, number, many ? ` to ${run.run}` : ""));
}

/** Whether there is a score, but no verdict. */
const withheld = (run) => run.verdict === "abstained";

function scale(probability) {
  const filled = make("i");
  filled.style.width = `${100 * probability}%`;
  return make("div", { class: "scale", "aria-hidden": "true" }, filled);
}

function why(file, number, whom) {
  const place = make("div", { class: "why", role: "status" });
  const button = make("button", { type: "button" }, `Show what matters${whom}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    place.replaceChildren("One moment …");
    const before = current;
    const answer = await send(`explain?run=${number}`, file, () => {});
    current = before;
    const found = answer.done ?? { note: answer.error ?? "Stopped." };
    const features = found.features?.map(([name, value]) =>
      make("li", {}, `${name}: ${value > 0 ? "more synthetic" : "more human"} (${value.toFixed(2)})`),
    );
    place.replaceChildren(
      found.picture
        ? make("img", { src: found.picture, alt: "Two spectrograms; on the lower one red marks what sounds synthetic, and blue what sounds human" })
        : features
          ? make("ul", {}, ...features)
          : make("p", {}, found.note),
    );
    button.disabled = false;
  });
  return make("div", { class: "why" }, button, place);
}

function spoken(result) {
  const told = result.results.map((run) => (result.results.length > 1 ? `${run.run}: ` : "") + run.headline);
  return `${result.name}: ${result.error ?? told.join("; ")}`;
}

/** A row in the table of all files, which is shown from the second file on. */
function table(result, number) {
  const [head, rows] = [at("batch").querySelector("thead"), at("batch").querySelector("tbody")];
  at("batch").hidden = judged.length < 2 && total < 2;
  const names = about.runs.map((run) => (about.runs.length > 1 ? run.name : "Verdict"));
  if (!head.childElementCount) head.append(make("tr", {}, ...["File", "Length", ...names].map((text) => make("th", { scope: "col" }, text))));
  const open = () => {
    at(`result-${number}`).open = true;
  };
  const seconds = result.results.find((run) => run.seconds !== null)?.seconds;
  const cells = about.runs.map((_, run) => {
    const own = result.results[run];
    if (!own) return make("td", {}, "Not judged");
    return make("td", {}, make("b", { class: own.verdict ?? "" }, own.headline), own.verdict && !withheld(own) ? ` (synthetic: ${own.percent})` : "");
  });
  const link = make("a", { href: `#result-${number}`, onclick: open }, result.name);
  rows.append(make("tr", {}, make("td", {}, link), make("td", {}, seconds === undefined ? "–" : clock(seconds)), ...cells));
  at("tables").replaceChildren(...about.runs.map((run, index) => make("button", { type: "button", onclick: () => save(run.name, index) }, `Save the table as CSV${about.runs.length > 1 ? ` (${run.name})` : ""}`)));
}

function save(name, index) {
  // Spreadsheets know UTF-8 by its mark.
  const rows = judged.filter((result) => result.results.length).map((result) => result.results[index].csv);
  const text = `\ufeff${[about.columns, ...rows].join("\n")}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: url, download: `verdicts-${name}.csv` }).click();
  URL.revokeObjectURL(url);
}

start();
