// The page of one world. The server owns every state (data_engine/gelab/play/server.py); here it is drawn, and clicks
// are sent as the environment takes them: whole numbers 0..1000. With `?bare` the screen stands alone, pixel for pixel
// as the renderer draws it, for a program that looks and clicks (browser.py): it calls show(key) and awaits `settled`.
"use strict";

const THOUSAND = 1000;
const bare = new URLSearchParams(location.search).has("bare");
const at = (id) => document.getElementById(id);
const stage = at("stage"), sheet = at("screen");

let key = null;        // of the episode
let view = null;       // what the server last said of it
let agentsView = bare; // the screenshot's shape; else the canvas', a phone's
let released = null;   // [x, y] where the pointer went up: in fractions of a pixel, which a click event has not
let won = 0, played = 0;
let settled = Promise.resolve(); // done once the last click is answered and drawn
let busy = false;

async function ask(path, said) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) };
  const reply = await fetch(`api/${path}`, said ? post : {});
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

const game = (what = "") => `games/${encodeURIComponent(key)}${what}`;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function picture(how, page, name) {
  const image = make("img");
  image.src = `pictures/${how}/${encodeURIComponent(page)}/${encodeURIComponent(name)}`;
  image.alt = "";
  return image;
}

// ---- the screen

const rgb = (colour) => `rgb(${colour})`;
const inkOn = ([r, g, b]) => (0.3 * r + 0.59 * g + 0.11 * b > 128 ? "#000" : "#fff");

function label(text, ground) { // in canvas pixels (play.css); squeezed as the renderer squeezes it, see fit()
  const span = make("span", "", text);
  span.style.color = inkOn(ground);
  return span;
}

function drawTitle({ title, ground }) {
  const node = make("div", "title");
  node.append(label(title.text, ground));
  return Object.assign(node, { box: title.box });
}

function drawElement(element, page) {
  const button = Object.assign(make("button"), { box: element.box });
  button.setAttribute("aria-label", element.name);
  button.dataset.name = element.name;
  if (element.tile) {
    button.style.background = rgb(element.tile);
    button.append(label(element.name, element.tile));
  } else {
    button.append(picture(bare ? "exact" : "large", page, element.name));
  }
  return button;
}

async function drawScreen() {
  const { screen, page } = view;
  const elements = screen.elements.map((element) => drawElement(element, page));
  await Promise.all(elements.flatMap((node) => [...node.querySelectorAll("img")]).map((image) => image.decode()));
  sheet.replaceChildren(drawTitle(screen), ...elements);
  sheet.style.background = rgb(screen.ground);
  fit();
}

function fit() { // the screen as large as the stage allows; boxes are pixels of the screenshot
  if (!view) return;
  const { size, canvas } = view.screen;
  const shape = agentsView ? size : canvas;
  const scale = bare ? 1 : Math.min(stage.clientWidth / shape[0], stage.clientHeight / shape[1]);
  const [width, height] = shape.map((side) => side * scale);
  const [sx, sy] = [width / size[0], height / size[1]];
  Object.assign(sheet.style, { width: `${width}px`, height: `${height}px` });
  sheet.style.setProperty("--text", `${width / canvas[0]}, ${height / canvas[1]}`);
  for (const { style, box: [x1, y1, x2, y2] } of sheet.children) {
    Object.assign(style, { left: `${sx * x1}px`, top: `${sy * y1}px` });
    Object.assign(style, { width: `${sx * (x2 - x1)}px`, height: `${sy * (y2 - y1)}px` });
  }
}

// ---- beside it

const SIGNS = { back: "\u2190", home: "\u2302" };

function step({ page, element, to }) {
  const row = make("li", element ? "" : "missed");
  const sign = element ? SIGNS[element] : "\u00d7";
  row.append(sign ? make("span", "sign", sign) : picture("icon", page, element));
  row.append(make("span", "name", element ?? "missed"), make("span", to === view.goal ? "to at-goal" : "to", to));
  return row;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const clicks = (n) => `${n} click${n === 1 ? "" : "s"}`;

function message() {
  if (view.arrived) {
    const how = view.steps === view.length ? "the shortest way" : `${view.length} would do`;
    return ["good", `Arrived in ${clicks(view.steps)}, ${how}: ${percent(view.score)}.`];
  }
  if (view.done) return ["bad", `Out of steps. ${view.goal} was ${clicks(view.length)} away.`];
  if (view.hint) return ["", `Click ${view.hint.element}: ${clicks(view.hint.left)} to go.`];
  const last = view.trace.at(-1);
  if (last && !last.element) return ["bad", "Nothing there."];
  return ["", `You are on ${view.page}.`];
}

function drawPanel() {
  at("start").textContent = view.start;
  at("goal").textContent = view.goal;
  at("score").textContent = (view.done ? "" : "\u2264 ") + percent(view.score);
  at("steps").replaceChildren(String(view.steps), make("small", "", ` of ${view.max_steps}`));
  at("length").textContent = view.length;
  at("won").replaceChildren(String(won), make("small", "", ` of ${played}`));
  [at("message").className, at("message").textContent] = message();
  at("hint").disabled = view.done;
  at("trace").replaceChildren(...view.trace.map(step));
  at("better").hidden = !view.done || (view.arrived && view.steps === view.length);
  at("way").replaceChildren(...(view.way ?? []).map(step));
  if (!view.done) at("path").scrollTop = at("path").scrollHeight;
  for (const node of sheet.querySelectorAll("button")) {
    node.classList.toggle("hint", node.dataset.name === view.hint?.element);
  }
}

async function draw(next) {
  const before = view;
  view = next;
  if (before && view.done && !before.done) {
    played += 1;
    won += view.arrived;
  }
  await drawScreen();
  if (!bare) drawPanel();
}

// ---- what a person, or a program, does

async function show(wanted) {
  view = null;
  key = wanted;
  await draw(await ask(game()));
}

async function start(wish) {
  const begun = await ask("games", wish);
  key = begun.key;
  view = null;
  history.replaceState(null, "", `#${key}`);
  await draw(begun);
}

const thousandth = (offset, side) => Math.round((THOUSAND * offset) / side);

function clickAt(clientX, clientY) {
  const box = sheet.getBoundingClientRect();
  const x = thousandth(clientX - box.left, box.width), y = thousandth(clientY - box.top, box.height);
  if (!view || view.done || busy || Math.min(x, y) < 0 || Math.max(x, y) > THOUSAND) return;
  act(async () => {
    await draw(await ask(game("/click"), { x, y }));
    if (!bare && view.trace.at(-1)?.element === null) ripple(clientX, clientY);
  });
}

function clickMiddle(node) { // by keyboard; the next page is focused too
  const box = node.getBoundingClientRect();
  clickAt(box.left + box.width / 2, box.top + box.height / 2);
  settled.then(() => sheet.querySelector("button")?.focus());
}

function ripple(clientX, clientY) {
  const ring = make("span", "miss"), box = stage.getBoundingClientRect();
  Object.assign(ring.style, { left: `${clientX - box.left}px`, top: `${clientY - box.top}px` });
  ring.addEventListener("animationend", () => ring.remove());
  stage.append(ring);
}

function act(work) { // one thing at a time; a fault is told where a person looks
  if (busy) return;
  busy = true;
  settled = work().catch((fault) => {
    [at("message").className, at("message").textContent] = ["bad", fault.message];
    if (bare) throw fault;
  }).finally(() => (busy = false));
}

const wish = () => ({ length: Number(at("wanted").value) || null });
const again = () => act(() => start({ start: view.start, goal: view.goal }));
const another = () => act(() => start(wish()));
const hint = () => act(async () => draw(await ask(game("/hint"), {})));

function reshape() {
  agentsView = !agentsView;
  at("shape").setAttribute("aria-pressed", agentsView);
  fit();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT" || !view) return;
  const named = (name) => () => {
    const node = sheet.querySelector(`[data-name="${name}"]`);
    if (node) clickMiddle(node);
  };
  const does = { b: named("back"), h: named("home"), "?": hint, r: again, n: another, v: reshape }[event.key.toLowerCase()];
  if (does) {
    event.preventDefault();
    does();
  }
}

async function open() {
  const world = await ask("world");
  document.title = `${world.name} - GE-Lab`;
  at("world").textContent = `${world.name}, ${world.pages} pages`;
  for (let n = 1; n <= world.longest; n++) at("wanted").append(make("option", "", n));
  const old = decodeURIComponent(location.hash.slice(1));
  await (old ? show(old).catch(() => start({})) : start({}));
}

const ground = bare ? document : stage;
ground.addEventListener("pointerup", (event) => (released = [event.clientX, event.clientY]));
ground.addEventListener("click", (event) => {
  if (event.detail) clickAt(...released);
  else if (event.target.closest("#screen > button")) clickMiddle(event.target.closest("button"));
});
addEventListener("resize", fit);
if (bare) {
  document.body.className = "bare";
  document.body.replaceChildren(sheet);
} else {
  at("hint").addEventListener("click", hint);
  at("again").addEventListener("click", again);
  at("new").addEventListener("click", another);
  at("shape").addEventListener("click", reshape);
  at("wanted").addEventListener("change", another);
  addEventListener("keydown", onKey);
  act(open);
}
