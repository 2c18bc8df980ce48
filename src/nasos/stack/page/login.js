// The login in front of FreqUI. Rules: what is typed goes to the gateway and nowhere else; the session is in cookies
// that no script can read.

const $ = (id) => document.getElementById(id);
const WORDS = { 401: "Name, password or code is not right.", 429: "Too many attempts. Please try again in a moment." };

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
    $("refusal").textContent = WORDS[answer.status] ?? "Nobody can be let in at the moment.";
  } catch {
    $("refusal").textContent = "The connection is interrupted.";
  }
  $("enter").disabled = false;
});
$("enter").disabled = false;
