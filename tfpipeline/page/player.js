// The score over time above the spectrogram, and a player that follows it.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100; // of a drawing, in percent of probability

/** An element: attributes by name, children as nodes or text. Text never becomes markup. */
export function make(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") found.addEventListener("click", value);
    else if (value === true) found.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) found.setAttribute(name, value);
  }
  found.append(...children.filter((child) => child !== null && child !== undefined));
  return found;
}

/** Seconds as m:ss, or h:mm:ss. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`;
}

/** A place in a recording; of a short one with tenths. */
function place(seconds, length) {
  return length < 60 ? `${seconds.toFixed(1)} s` : clock(seconds);
}

/** What shows and plays a file that has a score. */
export function player(file, result) {
  const scored = result.results.filter((run) => run.windows.length);
  const seconds = scored[0].seconds;
  const audio = make("audio", { controls: true, preload: "metadata", "aria-label": `Player: ${result.name}` });
  const cursor = make("div", { class: "cursor" });
  const track = make("div", { class: "track" });
  for (const run of scored) {
    if (scored.length > 1) track.append(make("div", { class: "run" }, run.run));
    track.append(strip(run, seconds));
  }
  if (result.picture) track.append(make("img", { src: result.picture, alt: "Spectrogram: which tones sound when" }));
  track.append(cursor);

  const trouble = make("p", { class: "quiet", role: "status" });
  let end = null; // of the part that is listened to
  const listen = (start, stop) => {
    end = stop;
    audio.currentTime = start;
    audio.play().catch(() => {});
  };
  track.addEventListener("click", (event) => {
    const box = track.getBoundingClientRect();
    listen((seconds * (event.clientX - box.left)) / box.width, null);
  });
  const follow = () => {
    cursor.style.left = `${Math.min(100, (100 * audio.currentTime) / seconds)}%`;
    if (end !== null && audio.currentTime >= end) {
      audio.pause();
      end = null;
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const event of ["play", "seeked", "timeupdate"]) audio.addEventListener(event, follow);
  audio.addEventListener("error", () => {
    trouble.textContent = "This browser cannot play this format. The verdict does not depend on that.";
  });
  // What a browser records has no length until its end is looked for.
  audio.addEventListener("loadedmetadata", () => {
    if (audio.duration === Infinity) {
      audio.addEventListener("durationchange", () => (audio.currentTime = 0), { once: true });
      audio.currentTime = 1e9;
    }
  });
  audio.src = URL.createObjectURL(file);

  const figure = make(
    "figure",
    {},
    make(
      "figcaption",
      {},
      "Above: how synthetic each part sounds, from 0 to 100 %; beyond the dashed line it counts as synthetic.",
      result.picture ? " Below: the sound itself." : "",
    ),
    track,
    make("div", { class: "times quiet", "aria-hidden": "true" }, make("span", {}, "0:00"), make("span", {}, clock(seconds))),
    audio,
    trouble,
  );
  for (const run of scored.filter((own) => own.evidence.length)) {
    const title = scored.length > 1 ? `${run.run}: listen to what matters most:` : "Listen to what matters most:";
    const buttons = run.evidence.map(([start, stop, percent]) =>
      make(
        "button",
        { type: "button", onclick: () => listen(start, stop) },
        `▶ ${place(start, seconds)} – ${place(stop, seconds)} (${percent})`,
      ),
    );
    figure.append(make("div", { class: "listen" }, make("span", {}, title), ...buttons));
  }
  return figure;
}

/** The probability of each window, as steps away from the threshold. */
function strip(run, seconds) {
  const line = HEIGHT * (1 - run.threshold);
  const paths = { above: "", below: "" };
  let after = 0; // the last window begins before the one before it ends
  for (const [start, stop, probability] of run.windows) {
    const side = probability >= run.threshold ? "above" : "below";
    // A window on the line itself stays visible.
    const top = HEIGHT * (1 - probability) + (side === "above" ? -1 : 1);
    paths[side] += `M${Math.max(start, after)} ${line}V${top}H${stop}V${line}Z`;
    after = stop;
  }
  const highest = Math.round(100 * Math.max(...run.windows.map((own) => own[2])));
  const lowest = Math.round(100 * Math.min(...run.windows.map((own) => own[2])));
  const svg = document.createElementNS(SVG, "svg");
  const set = (element, attributes) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  set(svg, {
    viewBox: `0 0 ${seconds} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `Probability over time by ${run.run}: between ${lowest} % and ${highest} %`,
  });
  for (const [side, path] of Object.entries(paths)) {
    svg.append(set(document.createElementNS(SVG, "path"), { d: path, class: side }));
  }
  svg.append(set(document.createElementNS(SVG, "line"), { x1: 0, x2: seconds, y1: line, y2: line, class: "middle" }));
  return svg;
}
