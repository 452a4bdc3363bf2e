// SPDX-License-Identifier: Apache-2.0
// The page of a node. Whatever comes from outside is shown by textContent only. The token is kept in a variable only.
"use strict";

const REFRESH_MS = 4000;
const ROWS_MAX = 200;
const MESSAGES_MAX = 100;
const SHOWN_CHARS_MAX = 20000;
const WINDOW = 16;

let token = "";
const at = (id) => document.getElementById(id);

// --- Text ---

function element(name, text, className) {
	const e = document.createElement(name);
	e.textContent = text;
	if (className)
		e.className = className;
	return e;
}

function note(id, text, kind = "") {
	at(id).textContent = text;
	at(id).className = `note grow ${kind}`;
}

function duration(seconds) {
	const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
	const first = units.findIndex(([size]) => seconds >= size);
	if (first < 0)
		return "0 s";
	return units.slice(first, first + 2).map(([size, name], i) =>
		`${Math.floor(i ? (seconds % units[first][0]) / size : seconds / size)} ${name}`).join(" ");
}

function bytes(n) {
	const units = ["B", "kB", "MB", "GB", "TB", "PB"];
	let i = 0;
	for (; n >= 1000 && i < units.length - 1; i++)
		n /= 1000;
	return `${i ? n.toFixed(n < 10 ? 1 : 0) : n} ${units[i]}`;
}

function toBase64(binary) {
	let text = "";
	for (const b of binary)
		text += String.fromCharCode(b);
	return btoa(text);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const utf8ToBase64 = (text) => toBase64(new TextEncoder().encode(text));

// {text, isText}: as it is if it is UTF-8 without control characters, else as base64.
function readable(base64) {
	try {
		const text = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(fromBase64(base64));
		if (!/[\u0000-\u0008\u000e-\u001f\u007f]/.test(text))
			return {text, isText: true};
	} catch {
		// not UTF-8
	}
	return {text: base64, isText: false};
}

// --- The API ---

class NeedsToken extends Error {}

async function ask(path, options = {}) {
	const headers = {...options.headers};
	if (token)
		headers.Authorization = `Bearer ${token}`;
	const answer = await fetch(path, {...options, headers, cache: "no-store"});
	if (answer.status === 401) {
		askForToken(token ? "The node does not accept this token." : "");
		throw new NeedsToken("the token is needed");
	}
	return answer;
}

async function askJson(path) {
	const answer = await ask(path);
	if (!answer.ok)
		throw new Error(await answer.text() || `${path} answers ${answer.status}`);
	return answer.json();
}

function askForToken(why) {
	at("token-form").hidden = false;
	at("token-note").textContent = why;
	setReady("token needed", "wait");
}

at("token-form").addEventListener("submit", (event) => {
	event.preventDefault();
	token = at("token").value.trim();
	at("token").value = "";
	at("token-form").hidden = true;
	refresh();
});

// --- Status, peers, sessions, routes ---

function setReady(text, kind) {
	at("ready").textContent = text;
	at("ready").className = `pill ${kind}`;
}

// Only what changed is written, so that a selection survives.
function setText(e, text, className) {
	if (e.textContent !== text)
		e.textContent = text;
	if (className !== undefined && e.className !== className)
		e.className = className;
}

// rows: arrays of text, or of [text, class].
function fillTable(id, rows) {
	const body = at(id).tBodies[0];
	const heads = at(id).tHead.rows[0].cells;
	while (body.rows.length > rows.length)
		body.deleteRow(-1);
	rows.forEach((cells, i) => {
		const row = body.rows[i] || body.insertRow();
		cells.forEach((cell, k) => {
			const [text, kind] = Array.isArray(cell) ? cell : [cell, ""];
			const td = row.cells[k] || row.insertCell();
			td.dataset.head = heads[k].textContent;
			setText(td, String(text), kind);
		});
	});
}

function sessionLine(sessions) {
	if (!sessions)
		return ["Sessions", "none: this machine cannot make them", "wait"];
	const counts = `${sessions.session} in a session, ${sessions.static} static, ${sessions.waiting} waiting, ${sessions.idle} idle; ${sessions.pinned} pinned`;
	return sessions.stateLasting ? ["Sessions", counts, ""]
		: ["Sessions", `${counts}; pins are lost at a reboot: the state folder is on a tmpfs`, "wait"];
}

function fillStatus(admin) {
	const fastpaths = admin.fastpaths.map((f) =>
		`process ${f.pid}, ${f.mode}${f.aead ? `, ${f.aead}` : ""}, for ${duration(f.sinceSeconds)}`);
	const lines = [
		["Address", admin.address, "mono"],
		["Subnet", admin.nodeSubnet, "mono"],
		["Public key", admin.nodePubkey, "mono"],
		["Version", `${admin.version} (${admin.build}), network ${admin.network}`, ""],
		["Up for", duration(admin.uptimeSeconds), ""],
		["Interface", admin.tunName || "none", ""],
		["Forwarder", fastpaths.join("; ") || "none", ""],
		["Store", `${admin.store.ok ? "in order" : admin.store.trouble}, ${bytes(admin.store.bytes)}`,
			admin.store.ok ? "" : "bad"],
		sessionLine(admin.sessions),
	];
	const list = at("status");
	while (list.children.length < 2 * lines.length)
		list.append(document.createElement("dt"), document.createElement("dd"));
	lines.forEach(([name, value, kind], i) => {
		setText(list.children[2 * i], name);
		setText(list.children[2 * i + 1], value, kind);
	});
	document.title = `Overlay node ${admin.address}`;
	setText(at("message-count"), `${admin.counts.messages} in the inbox`);
	const shown = Math.min(admin.counts.routesSelected, ROWS_MAX);
	setText(at("route-count"), shown < admin.counts.routesSelected
		? `the first ${shown} of ${admin.counts.routesSelected}` : `${shown}`);
}

function fillReady(ok, text) {
	const failed = text.split("\n").filter((line) => line.startsWith("[-]")).map((line) => line.slice(3));
	setReady(ok ? "ready" : "not ready", ok ? "good" : "bad");
	at("checks").replaceChildren(...failed.map((line) => element("li", line, "bad")));
}

function peerRow(p) {
	const kinds = {alive: "good", connecting: "wait", dead: "bad"};
	const types = {static: "configuration", inbound: "it dialled", linkLocalDiscovery: "discovery"};
	const since = p.upSeconds !== null ? `up ${duration(p.upSeconds)}`
		: p.nextTrySeconds !== null ? `next try in ${duration(p.nextTrySeconds)}` : "";
	return [
		p.endpoint.socketAddr,
		[p.connectionState, kinds[p.connectionState] || ""],
		types[p.type] || p.type,
		p.rttMicroseconds === null ? "" : `${(p.rttMicroseconds / 1000).toFixed(1)} ms`,
		p.cost === null ? "" : p.cost,
		bytes(p.txBytes),
		bytes(p.rxBytes),
		since,
		p.lastError ? `${p.lastError.text} (${duration(p.lastError.ageSeconds)} ago)` : "",
	];
}

// In UTC; to the minute, if it is less than two days away.
function pinEnd(seconds) {
	const soon = 1000 * seconds - Date.now() < 2 * 86400 * 1000;
	return new Date(1000 * seconds).toISOString().slice(0, soon ? 16 : 10).replace("T", " ");
}

// Those that need attention stand first.
function sessionRank(s) {
	if (s.state === "waiting")
		return 0;
	return s.refusedStatic || s.refusedSecondKeys ? 1 : 2 + ["session", "static", "idle"].indexOf(s.state);
}

function sessionRow(s) {
	const kinds = {session: "good", waiting: "wait"};
	const refused = [[s.refusedStatic, "static"], [s.refusedSecondKeys, "other keys"]].filter(([count]) => count);
	return [
		s.address,
		[s.releasing ? "being released" : s.state, kinds[s.state] || ""],
		s.mode,
		s.pinnedUntil === null ? "" : pinEnd(s.pinnedUntil),
		s.ageSeconds === null ? "" : duration(s.ageSeconds),
		`${s.sealedPackets + s.staticSealed} packets`,
		`${s.openedPackets + s.staticOpened} packets`,
		[refused.map(([count, what]) => `${count} ${what}`).join(", "), "bad"],
	];
}

function fillSessions(totals, sessions) {
	const count = totals ? totals.session + totals.static + totals.waiting + totals.idle : 0;
	at("session-card").hidden = !totals;
	setText(at("session-count"), sessions.length < count ? `the first ${sessions.length} of ${count}` : `${sessions.length}`);
	sessions.sort((a, b) => sessionRank(a) - sessionRank(b) || (a.address < b.address ? -1 : 1));
	fillTable("sessions", sessions.map(sessionRow));
}

function routeRow(r) {
	return [r.subnet, r.nextHop, r.metric, r.cost, r.seqno, r.originAddress];
}

async function refreshOnce() {
	const [admin, peers, sessions, routes, ready] = await Promise.all([
		askJson("/api/v1/admin"),
		askJson("/api/v1/admin/peers"),
		askJson(`/api/v1/admin/sessions?limit=${ROWS_MAX}`),
		askJson(`/api/v1/admin/routes/selected?limit=${ROWS_MAX}`),
		ask("/readyz?verbose").then(async (answer) => [answer.ok, await answer.text()]),
	]);
	fillStatus(admin);
	setText(at("peer-count"), peers.length > ROWS_MAX
		? `the first ${ROWS_MAX} of ${peers.length}` : `${peers.length}`);
	fillTable("peers", peers.slice(0, ROWS_MAX).map(peerRow));
	fillSessions(admin.sessions, sessions);
	fillTable("routes", routes.slice(0, ROWS_MAX).map(routeRow));
	fillReady(...ready);
}

let refreshing = false;
let refreshTimer = 0;

async function refresh() {
	if (refreshing)
		return;
	refreshing = true;
	clearTimeout(refreshTimer);
	try {
		if (!document.hidden)
			await refreshOnce();
		refreshTimer = setTimeout(refresh, REFRESH_MS);
	} catch (error) {
		if (!(error instanceof NeedsToken)) {
			setReady("no answer from the node", "bad");
			refreshTimer = setTimeout(refresh, REFRESH_MS);
		}
	} finally {
		refreshing = false;
	}
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());

// --- Sending ---

let following = 0;

function stateInWords(state) {
	const words = {
		pending: ["Waiting for the receiver.", ""],
		received: ["It has arrived.", "good"],
		read: ["It has been read.", "good"],
		aborted: ["It did not arrive in time and was given up.", "bad"],
	};
	if (typeof state === "object") {
		const s = state.sending;
		return [`On its way: ${s.acked} of ${s.pending + s.sent + s.acked} parts have arrived.`, ""];
	}
	return words[state] || [String(state), ""];
}

// Until its state cannot change any more, or another message is sent.
async function follow(id) {
	const turn = ++following;
	for (let tries = 0; turn === following; tries++) {
		const answer = await ask(`/api/v1/messages/status/${id}`);
		if (turn !== following || answer.status === 404)
			return;
		const {state} = await answer.json();
		const [words, kind] = stateInWords(state);
		note("send-note", `${words} (${id})`, kind);
		if (state === "read" || state === "aborted")
			return;
		await new Promise((done) => setTimeout(done, tries < 10 ? 300 : 2000));
	}
}

at("send-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	const to = at("send-to").value.trim();
	const topic = at("send-topic").value;
	const body = {
		dst: /^[0-9a-fA-F]{64}$/.test(to) ? {pk: to} : {ip: to},
		payload: utf8ToBase64(at("send-text").value),
	};
	if (topic)
		body.topic = utf8ToBase64(topic);
	following++;
	note("send-note", "Handing it to the node.");
	let id = "";
	try {
		const answer = await ask("/api/v1/messages", {
			method: "POST",
			headers: {"Content-Type": "application/json"},
			body: JSON.stringify(body),
		});
		if (!answer.ok) {
			note("send-note", await answer.text() || "The topic is longer than 255 bytes.", "bad");
			return;
		}
		({id} = await answer.json());
		await follow(id);
	} catch (error) {
		note("send-note", id ? `Sent, but what became of it is not known: ${error.message} (${id})`
			: `Not sent: ${error.message}`, "bad");
	}
});

// --- Receiving ---

let socket = null;
let wanted = false;
let place = null; // where the stream stands: epoch, stream, offset acknowledged last

function receiveNote(text, kind) {
	note("receive-note", text, kind);
	at("receive").textContent = wanted ? "Stop" : "Receive";
}

function save(message) {
	const link = document.createElement("a");
	link.href = URL.createObjectURL(new Blob([fromBase64(message.payload)]));
	link.download = `message-${message.id}`;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function showMessage(message) {
	const item = document.createElement("li");
	const from = element("div", "", "from");
	const {text, isText} = readable(message.payload);
	const size = fromBase64(message.payload).length;
	const button = element("button", "Save", "plain");

	from.append(element("span", `from ${message.srcIp}`, "mono"));
	if (message.topic)
		from.append(element("span", `topic ${readable(message.topic).text}`));
	from.append(element("span", `${bytes(size)}${isText ? "" : ", not text: shown as base64"}`),
		element("span", new Date().toLocaleTimeString()));
	item.append(from, element("pre", text.length > SHOWN_CHARS_MAX
		? `${text.slice(0, SHOWN_CHARS_MAX)}\n… cut here; Save keeps all of it` : text));
	button.type = "button";
	button.addEventListener("click", () => save(message));
	item.append(button);
	at("messages").prepend(item);
	while (at("messages").children.length > MESSAGES_MAX)
		at("messages").lastChild.remove();
}

// The frame after the next is drawn when the message stands on the screen; a hidden page draws none.
function acknowledgeWhenShown(from, offset) {
	requestAnimationFrame(() => requestAnimationFrame(() => {
		if (socket !== from || socket.readyState !== WebSocket.OPEN)
			return;
		socket.send(JSON.stringify({type: "ack", offset}));
		place.offset = offset;
	}));
}

function onFrame(from, frame) {
	if (frame.type === "ack") {
		const lost = place && !frame.recovered;
		place = {epoch: frame.epoch, stream: frame.stream, offset: frame.offset};
		receiveNote(lost ? "Receiving. What was on its way when the connection broke may have gone to another program."
			: "Receiving.", "good");
	} else if (frame.type === "msg") {
		showMessage(frame);
		acknowledgeWhenShown(from, frame.offset);
	}
}

function connect() {
	const protocols = ["mycelium.msg.v1+json"];
	if (token)
		protocols.push(`bearer.${utf8ToBase64(token).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`);
	const s = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/messages/stream`,
		protocols);
	socket = s;
	receiveNote("Connecting.");
	s.onopen = () => s.send(JSON.stringify({type: "init", window: WINDOW, ...(place ? {resume: place} : {})}));
	s.onmessage = (event) => socket === s && onFrame(s, JSON.parse(event.data));
	s.onclose = (event) => {
		if (socket !== s)
			return;
		socket = null;
		// Refused, or resumed elsewhere: to try again changes nothing.
		if (event.code >= 4400)
			wanted = false;
		const why = event.reason || `code ${event.code}`;
		receiveNote(wanted ? `The connection broke (${why}); trying again.` : `Not receiving: ${why}.`, "bad");
		if (wanted)
			setTimeout(() => wanted && !socket && connect(), 2000);
	};
}

at("receive").addEventListener("click", () => {
	wanted = !wanted;
	if (wanted) {
		connect();
		return;
	}
	if (socket)
		socket.close(1000);
	socket = null;
	place = null;
	receiveNote("Not receiving.");
});

refresh();
