// What FreqUI does, in few lines: its login with a name and a password, tokens in localStorage, its renewal on 401, its
// stream with the token in the address, and what it shows when something is refused.

const $ = (id) => document.getElementById(id);
const kept = (name) => localStorage.getItem(name);

async function call(path, method = "GET", again = true) {
  const answer = await fetch(`/api/v1/${path}`, { method, headers: { Authorization: `Bearer ${kept("access")}` } });
  if (answer.status === 401 && again) {
    const renewed = await fetch("/api/v1/token/refresh", {
      method: "POST", headers: { Authorization: `Bearer ${kept("refresh")}` },
    });
    if (!renewed.ok) throw new Error("logged out");
    localStorage.setItem("access", (await renewed.json()).access_token);
    return call(path, method, false);
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? body.detail);
  return body;
}

function listen() {
  const stream = new WebSocket(`wss://${location.host}/api/v1/message/ws?token=${kept("access")}`);
  stream.onopen = () => stream.send(JSON.stringify({ type: "subscribe", data: ["whitelist"] }));
  stream.onmessage = (message) => { $("stream").textContent = JSON.parse(message.data).type; };
  stream.onclose = (how) => { $("stream").textContent = `closed (${how.code})`; };
}

async function show() {
  try {
    $("state").textContent = (await call("show_config")).state;
    const rows = (await call("status")).map((trade) => Object.assign(document.createElement("li"), { textContent: trade.pair }));
    $("trades").replaceChildren(...rows);
  } catch (error) {
    $("alert").textContent = error.message;
    if (error.message === "logged out") $("trades").replaceChildren();
  }
}

$("bot").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch("/api/v1/token/login", {
    method: "POST", headers: { Authorization: `Basic ${btoa(`${form.username.value}:${form.password.value}`)}` },
  });
  const tokens = await answer.json();
  localStorage.setItem("access", tokens.access_token);
  localStorage.setItem("refresh", tokens.refresh_token);
  await show();
  listen();
  setInterval(show, 1000);
});
$("exit").addEventListener("click", () => call("forceexit", "POST").catch((error) => { $("alert").textContent = error.message; }));
