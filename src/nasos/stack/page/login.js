// The login in front of FreqUI. Rules: what is typed goes to the gateway and nowhere else; the session is in cookies
// that no script can read.

const $ = (id) => document.getElementById(id);
const korean = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag === "ko" || tag === "en") === "ko";
const WORDS = korean ? {
  401: "이름, 비밀번호 또는 코드가 맞지 않습니다.",
  429: "시도가 너무 많습니다. 잠시 뒤에 다시 시도하세요.",
  closed: "지금은 아무도 들어갈 수 없습니다.",
  offline: "연결이 끊겼습니다.",
} : {
  401: "Name, password or code is not right.",
  429: "Too many attempts. Please try again in a moment.",
  closed: "Nobody can be let in at the moment.",
  offline: "The connection is interrupted.",
};
if (korean) {
  document.documentElement.lang = "ko";
  for (const element of document.querySelectorAll("[data-ko]")) element.textContent = element.dataset.ko;
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const typed = { name: form.username.value, password: form.password.value, code: form.code.value };
  form.password.value = "";
  form.code.value = "";
  $("enter").disabled = true;
  $("refusal").textContent = "";
  try {
    const answer = await fetch("/auth/login", {
      method: "POST", body: JSON.stringify(typed), headers: { "Content-Type": "application/json" },
      cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(15000),
    });
    if (answer.ok) return location.replace("/");
    $("refusal").textContent = WORDS[answer.status] ?? WORDS.closed;
  } catch {
    $("refusal").textContent = WORDS.offline;
  }
  $("enter").disabled = false;
});
$("enter").disabled = false;
