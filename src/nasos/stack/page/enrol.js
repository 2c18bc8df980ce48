// Enrolling a second factor by a one-time link. Rules: the link's secret stands behind the "#", which no browser sends
// and no log has; it leaves the address bar at once. The picture is drawn here, from what the gateway says it is.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const korean = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag === "ko" || tag === "en") === "ko";
const WORDS = korean ? {
  401: "이름, 비밀번호, 링크 또는 코드가 맞지 않거나 이미 쓴 링크입니다. 새 링크를 요청하세요.",
  429: "시도가 너무 많습니다. 잠시 뒤에 다시 시도하세요.",
  closed: "지금은 아무도 들어갈 수 없습니다.",
  offline: "연결이 끊겼습니다.",
} : {
  401: "Name, password, link or code is not right, or the link was used. Ask for a new one.",
  429: "Too many attempts. Please try again in a moment.",
  closed: "Nobody can be let in at the moment.",
  offline: "The connection is interrupted.",
};
if (korean) {
  document.documentElement.lang = "ko";
  for (const element of document.querySelectorAll("[data-ko]")) element.textContent = element.dataset.ko;
}
const link = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

const ask = (address, typed) => fetch(address, {
  method: "POST", body: JSON.stringify(typed), headers: { "Content-Type": "application/json" },
  cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(15000),
});

function draw({ address, size, path }) {
  const picture = document.createElementNS(SVG, "svg");
  const quiet = 4; // modules around it (ISO/IEC 18004)
  const whole = size + 2 * quiet;
  const parts = [["rect", { width: whole, height: whole, fill: "#fff" }],
    ["path", { d: path, fill: "#000", transform: `translate(${quiet} ${quiet})` }]];
  const attributes = { viewBox: `0 0 ${whole} ${whole}`, width: 240, height: 240, role: "img", "aria-label": "QR code",
    "shape-rendering": "crispEdges" };
  const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));
  set(picture, attributes);
  for (const [name, values] of parts) set(picture.appendChild(document.createElementNS(SVG, name)), values);
  $("picture").replaceChildren(picture);
  $("address").textContent = address;
  $("shown").hidden = false;
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const typed = { name: form.username.value, password: form.password.value, link };
  const confirming = !$("shown").hidden;
  $("enter").disabled = true;
  $("refusal").textContent = "";
  try {
    const answer = confirming
      ? await ask("/auth/enrolment/confirm", { ...typed, code: form.code.value })
      : await ask("/auth/enrolment", typed);
    if (answer.ok && confirming) return location.replace("/");
    if (answer.ok) {
      draw(await answer.json());
      form.code.required = true;
      form.code.focus();
    } else {
      form.code.value = "";
      $("refusal").textContent = WORDS[answer.status] ?? WORDS.closed;
    }
  } catch {
    $("refusal").textContent = WORDS.offline;
  }
  $("enter").disabled = false;
});
$("enter").disabled = false;
