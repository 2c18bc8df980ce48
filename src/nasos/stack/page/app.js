// The status page. Rules: the session is in cookies that no script can read; whatever the bot says is shown as
// text, never as markup; every failure is said in words that tell what to do.

const REFRESH_MS = 5000;
const REQUEST_MS = 8000;
const CLOSED_SHOWN = 8;

const WORDS = {
  en: {
    welcome: "Your bot, behind one door",
    username: "User name", password: "Password", code: "Code from your telephone", login: "Log in", logout: "Log out",
    hint: "Nobody yet? ./nasos gateway user add NAME lets somebody in.",
    balance: "Balance", profit: "Profit", open: "Open trades", won: "Trades won",
    openTrades: "Open trades", closedTrades: "Recently closed",
    pair: "Pair", opened: "Opened", closed: "Closed", entry: "Entry", exit: "Exit", now: "Now", result: "Result",
    noOpen: "No trade is open. The bot is waiting for its signal.",
    noClosed: "No trade has been closed yet.",
    start: "started with {0}", closedProfit: "{0} closed", atWork: "{0} at work", ofClosed: "{0} of {1} closed",
    limit: "{0} of {1}", justNow: "just now", updated: "Updated {0}",
    dryRun: "Dry run", real: "Real money",
    running: "running", stopped: "stopped", paused: "paused", reload_config: "reloading",
    wrong: "Name, password or code is not right.",
    tooMany: "Too many attempts. Try again in {0} s.",
    ended: "Your session has ended. Please log in again.",
    down: "The bot does not answer; it may be restarting.",
    offline: "The connection is interrupted.",
    busy: "Too many requests at the moment; updates come more slowly.",
    part: "The bot is not trading at the moment; some figures may be missing.",
    odd: "Something unexpected came back ({0}).",
    trying: "This page keeps trying.", again: "Please try again in a moment.",
  },
  ko: {
    welcome: "하나의 문 뒤에 있는 내 봇",
    username: "사용자 이름", password: "비밀번호", code: "휴대전화의 일회용 코드", login: "로그인", logout: "로그아웃",
    hint: "아직 아무도 없나요? ./nasos gateway user add NAME 으로 사용자를 추가하세요.",
    balance: "잔고", profit: "수익", open: "진행 중인 거래", won: "수익 거래",
    openTrades: "진행 중인 거래", closedTrades: "최근 종료된 거래",
    pair: "종목", opened: "진입", closed: "종료", entry: "진입가", exit: "청산가", now: "현재가", result: "손익",
    noOpen: "진행 중인 거래가 없습니다. 봇이 신호를 기다리고 있습니다.",
    noClosed: "아직 종료된 거래가 없습니다.",
    start: "시작 금액 {0}", closedProfit: "종료된 거래 {0}", atWork: "투입 {0}", ofClosed: "종료 {1}건 중 {0}건",
    justNow: "방금", limit: "{1}건 중 {0}건", updated: "{0} 갱신",
    dryRun: "모의 거래", real: "실제 자금",
    running: "실행 중", stopped: "정지됨", paused: "일시 정지", reload_config: "다시 읽는 중",
    wrong: "이름, 비밀번호 또는 코드가 맞지 않습니다.",
    tooMany: "시도가 너무 많습니다. {0}초 뒤에 다시 시도하세요.",
    ended: "세션이 끝났습니다. 다시 로그인하세요.",
    down: "봇이 응답하지 않습니다. 다시 시작하는 중일 수 있습니다.",
    offline: "연결이 끊겼습니다.",
    busy: "요청이 너무 많아 잠시 천천히 갱신합니다.",
    part: "봇이 지금 거래하고 있지 않아 일부 값이 없을 수 있습니다.",
    odd: "예상하지 못한 응답입니다 ({0}).",
    trying: "계속 시도합니다.", again: "잠시 뒤에 다시 시도하세요.",
  },
};

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in WORDS) ?? "en";
const say = (key, ...values) => (WORDS[language][key] ?? key).replace(/\{(\d)\}/g, (_, n) => values[n]);
const $ = (id) => document.getElementById(id);

// --- the bot's API ----------------------------------------------------------------------------------------------

let session = null; // who is logged in on this page; another object after each login
let renewal = null;

class Refused extends Error {
  constructor(status, retryAfter) {
    super(`HTTP ${status}`);
    this.status = status;
    this.retryAfter = Number(retryAfter) || 0;
  }
}

async function call(path, method = "GET", body = undefined) {
  const answer = await fetch(path, {
    method, cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(REQUEST_MS),
    ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  if (!answer.ok) throw new Refused(answer.status, answer.headers.get("Retry-After"));
  return answer.json();
}

// The access token lives minutes; one of the requests renews it, the others wait for that.
function renewed() {
  renewal ??= call("/auth/refresh", "POST").finally(() => { renewal = null; });
  return renewal;
}

async function ask(path) {
  const mine = session;
  try {
    return await call(`/api/v1/${path}`);
  } catch (error) {
    if (error.status !== 401 || session !== mine) throw error;
  }
  await renewed();
  return call(`/api/v1/${path}`);
}

// --- figures ----------------------------------------------------------------------------------------------------

const number = (value, digits) => value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const price = (value) => value.toLocaleString(language, { maximumSignificantDigits: 6 });
const percent = (ratio) => (ratio ?? 0).toLocaleString(language, { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
const signed = (value, digits) => (value ?? 0).toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "exceptZero" });
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

function ago(timestamp) {
  const minutes = Math.round((timestamp - Date.now()) / 60000);
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  if (minutes > -1) return say("justNow");
  if (minutes > -60) return words.format(minutes, "minute");
  if (minutes > -2880) return words.format(Math.round(minutes / 60), "hour");
  return words.format(Math.round(minutes / 1440), "day");
}

function show(id, text, { unit = "", note, mood = "" } = {}) {
  const place = $(id);
  place.replaceChildren(text);
  place.className = mood;
  if (unit) place.append(Object.assign(document.createElement("span"), { textContent: unit }));
  if (note !== undefined) $(`${id}-note`).textContent = note;
}

function cell(text, { under, mood = "" } = {}) {
  const element = document.createElement("td");
  element.textContent = text;
  element.className = mood;
  if (under) element.append(Object.assign(document.createElement("small"), { textContent: under }));
  return element;
}

function fillTable(id, trades, cells) {
  const table = $(id);
  const rows = trades.map((trade) => {
    const row = document.createElement("tr");
    row.append(...cells(trade));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  table.hidden = !rows.length;
  table.nextElementSibling.hidden = rows.length > 0;
}

// --- the board --------------------------------------------------------------------------------------------------

function showConfig(config) {
  $("name").textContent = config.bot_name || "nasos";
  const good = config.state === "running";
  Object.assign($("state"), { textContent: say(config.state), className: good ? "pill good" : "pill warn", hidden: false });
  Object.assign($("money"), {
    textContent: say(config.dry_run ? "dryRun" : "real"), className: config.dry_run ? "pill" : "pill real", hidden: false,
  });
  $("about").textContent = [config.strategy, config.exchange, config.timeframe, `freqtrade ${config.version}`].filter(Boolean).join(" · ");
}

function showBoard({ show_config: config, balance, profit, status, trades }) {
  if (config) showConfig(config);
  const digits = config?.stake_currency_decimals > 4 ? 5 : 2; // coins like BTC have 8, USDT has 3
  const unit = config?.stake_currency ?? "";
  if (balance) show("balance", number(balance.total_bot ?? balance.total, digits), {
    unit: balance.stake, note: say("start", number(balance.starting_capital ?? 0, 0)),
  });
  if (profit) {
    show("profit", percent(profit.profit_all_ratio), {
      mood: tone(profit.profit_all_ratio), note: say("closedProfit", `${signed(profit.profit_closed_coin, digits)} ${unit}`),
    });
    const closed = profit.winning_trades + profit.losing_trades;
    show("won", closed ? (profit.winning_trades / closed).toLocaleString(language, { style: "percent" }) : "–", {
      note: say("ofClosed", profit.winning_trades, profit.closed_trade_count),
    });
  }
  if (status) {
    const stake = status.reduce((sum, trade) => sum + trade.stake_amount, 0);
    const most = config?.max_open_trades > 0 ? config.max_open_trades : "∞";
    show("open", say("limit", status.length, most), { note: say("atWork", `${number(stake, 0)} ${unit}`) });
    fillTable("open-trades", status, (trade) => [
      cell(trade.pair), cell(ago(trade.open_timestamp)), cell(price(trade.open_rate)), cell(price(trade.current_rate)),
      cell(percent(trade.profit_ratio), { mood: tone(trade.profit_ratio), under: signed(trade.profit_abs, digits) }),
    ]);
  }
  if (trades) {
    const newest = [...trades.trades].sort((a, b) => b.close_timestamp - a.close_timestamp);
    fillTable("closed-trades", newest, (trade) => [
      cell(trade.pair, { under: trade.exit_reason?.replaceAll("_", " ") }), cell(ago(trade.close_timestamp)),
      cell(price(trade.open_rate)), cell(price(trade.close_rate)),
      cell(percent(trade.profit_ratio), { mood: tone(trade.profit_ratio), under: signed(trade.profit_abs, digits) }),
    ]);
  }
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function trouble(error) {
  if (!(error instanceof Refused)) return say("offline");
  return { 429: say("busy"), 503: say("down"), 502: say("part") }[error.status] ?? say("odd", error.status);
}

let timer = 0;

async function refresh() {
  clearTimeout(timer);
  const mine = session;
  if (!mine) return;
  const names = ["show_config", "balance", "profit", "status", "trades"];
  const paths = names.map((name) => (name === "trades" ? `trades?limit=${CLOSED_SHOWN}&order_by_id=false` : name));
  const answers = await Promise.allSettled(paths.map(ask));
  if (session !== mine) return; // logged out meanwhile
  const failed = answers.find((answer) => answer.status === "rejected")?.reason;
  if (failed?.status === 401) return leave(say("ended"));
  showBoard(Object.fromEntries(names.map((name, n) => [name, answers[n].value])));
  notice(failed ? `${trouble(failed)} ${say("trying")}` : "");
  const nothing = answers.every((answer) => answer.status === "rejected");
  $("board").classList.toggle("stale", nothing);
  if (!nothing) $("updated").textContent = say("updated", new Date().toLocaleTimeString(language));
  timer = setTimeout(refresh, failed?.status === 429 ? 4 * REFRESH_MS : REFRESH_MS);
}

// --- coming and going -------------------------------------------------------------------------------------------

function enter(who) {
  session = who;
  $("entrance").hidden = true;
  $("board").hidden = false;
  $("logout").hidden = false;
  refresh();
}

function leave(reason = "") {
  session = null;
  clearTimeout(timer);
  for (const id of ["board", "logout", "state", "money"]) $(id).hidden = true;
  for (const id of ["open-trades", "closed-trades"]) $(id).tBodies[0].replaceChildren();
  for (const id of ["balance", "profit", "open", "won"]) show(id, "–", { note: "" });
  $("name").textContent = "nasos";
  $("entrance").hidden = false;
  $("login").username.focus();
  notice(reason);
}

function waitAndSay(seconds) {
  const button = $("enter");
  button.disabled = seconds > 0;
  $("refusal").textContent = seconds > 0 ? say("tooMany", seconds) : "";
  if (seconds > 0) setTimeout(waitAndSay, 1000, seconds - 1);
}

async function submitted(event) {
  event.preventDefault();
  const form = event.target;
  const typed = { name: form.username.value, password: form.password.value, code: form.code.value };
  form.password.value = "";
  form.code.value = "";
  $("enter").disabled = true;
  $("refusal").textContent = "";
  notice("");
  let who;
  try {
    who = await call("/auth/login", "POST", typed);
  } catch (error) {
    $("enter").disabled = false;
    $("refusal").textContent = error.status === 401 ? say("wrong") : `${trouble(error)} ${say("again")}`;
    form.password.focus();
    if (error.status === 429) waitAndSay(error.retryAfter || 10);
    return;
  }
  $("enter").disabled = false;
  enter(who);
}

async function logOut() {
  leave();
  try {
    await renewed(); // an access token that has ended could not say whose session is to end
    await call("/auth/logout", "POST");
  } catch (error) {
    if (error.status !== 401) notice(trouble(error));
  }
}

// A reload, or another tab: who is still logged in goes on.
async function goOn() {
  try {
    enter(await call("/auth/me").catch((error) => {
      if (error.status !== 401) throw error;
      return renewed();
    }));
  } catch {
    $("enter").disabled = false;
  }
}

document.documentElement.lang = language;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
$("login").addEventListener("submit", submitted);
$("logout").addEventListener("click", logOut);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
$("enter").disabled = false;
goOn();
