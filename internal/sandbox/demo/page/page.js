'use strict';
// Everything shown here may be hostile: it becomes text, never markup.

const words = { 1: 'failed', 2: 'running', 3: 'creating', 4: 'shut down', 5: 'returned', 6: 'being returned', 7: 'restarting', 8: 'starting', 9: 'shutting down' };
const emojis = { red_circle: '🔴', large_orange_circle: '🟠', large_yellow_circle: '🟡', large_green_circle: '🟢', large_blue_circle: '🔵', warning: '⚠️', information_source: 'ℹ️', eyes: '👀', wave: '👋', bar_chart: '📊', clipboard: '📋' };

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === 'onclick') e.addEventListener('click', value);
    else if (value !== false) e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

// send does what a person did, and returns what went wrong; '' if nothing did.
async function send(route, what) {
  try {
    const answer = await fetch(route, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(what) });
    return answer.ok ? '' : await answer.text();
  } catch {
    return 'the sandbox has ended, or is not to be reached';
  }
}

async function act(action, about) {
  refused(''); // what the function finds wrong comes with a later event
  const why = await send('do', { action, ...about });
  if (why) refused(why);
}

const form = document.getElementById('box');
const line = document.getElementById('line');
let sending = false;

// typed sends what is in the box. It stays there if it was not taken, as in Slack.
async function typed(event) {
  event.preventDefault();
  line.focus();
  const text = line.value;
  if (!text.trim() || sending) return;
  sending = true;
  say('unsent', '');
  const why = await send('type', { text });
  sending = false;
  say('unsent', why);
  if (!why && line.value === text) line.value = '';
}

// end ends a silence, as if that was typed.
const end = (id) => async () => refused(await send('type', { text: `/clb end ${id}` }));

const pressing = new Set(); // messages of which a button is pressed, by their ts
const failed = new Map(); // why the last press failed

async function press(p, id) {
  if (pressing.has(p.ts)) return;
  pressing.add(p.ts);
  const why = await send('press', { channel: p.channel, ts: p.ts, button: id });
  pressing.delete(p.ts);
  if (why) failed.set(p.ts, why);
  else failed.delete(p.ts);
  keepFocus(now);
}

// say puts a text somewhere. What is there already is not said again to those who listen.
function say(id, text) {
  const e = document.getElementById(id);
  if (e.textContent !== text) e.textContent = text;
}

// refused says why the last order was refused.
const refused = (why) => say('refused', why);

const button = (text, label, live, action, about) => el('button', { 'aria-label': label, disabled: !live, onclick: () => act(action, about) }, text);

const group = (label, ...buttons) => el('div', { class: 'group', role: 'group', 'aria-label': label }, ...buttons);

function balancer(lb, live) {
  const about = { lb: lb.id };
  const notes = lb.silences.map((q) => note(lb, `silence ${q.id}`, el('span', { class: 'silenced' }, 'silenced'), ` until ${minute(q.until)}${by(q)} (silence ${q.id})`,
    ending(`End silence ${q.id} of ${lb.name}`, live, q.id)));
  if (lb.incident) notes.push(incident(lb, live));
  return el('article', { class: 'card', 'data-lb': lb.id },
    el('h3', {}, lb.name, ' ', el('small', {}, lb.id)),
    el('div', { class: 'quiet' }, `${lb.running} of ${lb.backends.length} running`),
    el('div', { class: 'bar' }, bar(lb)),
    ...notes,
    ...lb.backends.map((b) => el('div', { class: 'backend', 'data-spot': b.id },
      el('span', { class: 'name' }, b.name, ' ', el('span', { class: 'quiet' }, b.ip)),
      el('span', { class: 'state ' + (b.status === 2 ? 'running' : 'down') }, `${b.status === 2 ? '●' : '○'} ${words[b.status] ?? 'unknown'} (${b.status})`),
      b.status === 2 ? button('Stop', `Stop ${b.name}`, live, 'stop', { ...about, id: b.id }) : button('Start', `Start ${b.name}`, live, 'start', { ...about, id: b.id }),
      button('Remove', `Remove ${b.name} from ${lb.name}`, live, 'remove', { ...about, id: b.id }))),
    el('div', { class: 'row' },
      group(`Backends of ${lb.name}`,
        button('Add', `Add a backend to ${lb.name}`, live, 'add', about),
        button('Stop half', `Stop half of ${lb.name}`, live && lb.running > 0, 'stopHalf', about),
        button(lb.restarting ? `Restarting, ${lb.restarting} to go` : 'Rolling restart', `Rolling restart of ${lb.name}`, live && lb.running > 0 && !lb.restarting, 'restart', about)),
      group(`The API of ${lb.name}`,
        el('button', { 'aria-pressed': String(lb.fails), 'aria-label': `Fail the API for ${lb.name}`, disabled: !live, onclick: () => act('failAPI', about) }, lb.fails ? 'The API fails' : 'Fail the API'))));
}

// note is a line about a load balancer, with a button at its end, or with null.
const note = (lb, spot, ...children) => el('div', { class: 'note', 'data-spot': `${lb.id} ${spot}` }, el('span', { class: 'name' }, ...children.slice(0, -1)), ...children.slice(-1));

const ending = (label, live, id) => el('button', { 'aria-label': label, disabled: !live, onclick: end(id) }, 'End');

function incident(lb, live) {
  const { id, ack } = lb.incident;
  if (ack) return note(lb, 'incident', `incident ${id}, acknowledged${by(ack)} since ${minute(ack.made)}`, ending(`End the acknowledgement of incident ${id}`, live, ack.id));
  return note(lb, 'incident', `incident ${id} is open`, null);
}

const by = (q) => (q.by ? ` by ${names.has(q.by) ? person(q.by) : q.by}` : '') + (q.why ? `: ${q.why}` : '');

let names = new Map(); // of users, by ID

const person = (id) => '@' + (names.get(id) ?? id);

function bar(lb) {
  const b = el('div', {});
  b.style.width = lb.backends.length ? `${100 * lb.running / lb.backends.length}%` : '0';
  return b;
}

const clock = (t) => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const minute = (t) => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

function styled(node, style) {
  for (const [name, tag] of [['code', 'code'], ['strike', 's'], ['italic', 'em'], ['bold', 'strong']]) {
    if (style?.[name]) node = el(tag, {}, node);
  }
  return node;
}

function inline(e) {
  switch (e.type) {
    case 'link': return styled(el('a', { href: /^https:/.test(e.url) ? e.url : '#', rel: 'noreferrer', target: '_blank' }, e.text ?? e.url), e.style);
    case 'emoji': return emojis[e.name] ?? `:${e.name}:`;
    case 'date': return el('time', { title: e.fallback ?? '' }, when(e.timestamp, e.format));
    case 'user': return el('span', { class: 'mention' }, person(e.user_id));
    case 'usergroup': return el('span', { class: 'mention' }, '@' + e.usergroup_id);
    case 'broadcast': return el('span', { class: 'mention' }, '@' + e.range);
    default: return styled(lines(e.text ?? ''), e.style);
  }
}

// lines keeps line breaks.
function lines(text) {
  const span = document.createElement('span');
  text.split('\n').forEach((l, i) => span.append(...(i ? [el('br')] : []), l));
  return span;
}

function when(unix, format) {
  const t = new Date(unix * 1000);
  const time = t.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (format === '{time}') return time;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(t).setHours(0, 0, 0, 0)) / 864e5);
  return `${['today', 'yesterday'][days] ?? t.toLocaleDateString()} ${time}`;
}

// mrkdwn shows what our messages use of it: dates, people, `code` and *bold*.
function mrkdwn(text) {
  const span = document.createElement('span');
  for (const part of text.split(/(<!date\^\d+\^[^|>]*\|[^>]*>|<@\w+>|`[^`\n]+`|\*[^*\n]+\*)/)) {
    const date = part.match(/^<!date\^(\d+)\^([^|>]*)\|/);
    if (date) span.append(when(Number(date[1]), date[2]));
    else if (/^<@\w+>$/.test(part)) span.append(el('span', { class: 'mention' }, person(part.slice(2, -1))));
    else if (/^`.+`$/.test(part)) span.append(el('code', {}, part.slice(1, -1)));
    else if (/^\*.+\*$/.test(part)) span.append(el('strong', {}, part.slice(1, -1)));
    else span.append(part.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'));
  }
  return span;
}

function rich(e) {
  switch (e.type) {
    case 'rich_text_preformatted': return el('pre', {}, ...e.elements.map((x) => x.text ?? ''));
    case 'rich_text_list': return el('ul', {}, ...e.elements.map((x) => el('li', {}, rich(x))));
    default: return el('p', {}, ...e.elements.map(inline));
  }
}

function block(b, p, live) {
  switch (b.type) {
    case 'rich_text': return el('div', {}, ...b.elements.map(rich));
    case 'section': return el('p', {}, b.text ? mrkdwn(b.text.text) : '');
    case 'context': return el('p', { class: 'context' }, ...b.elements.map((x) => mrkdwn(x.text ?? '')));
    case 'header': return el('h3', {}, b.text.text);
    case 'divider': return el('hr');
    case 'actions': return el('div', { class: 'buttons group' }, ...b.elements.map((x) =>
      el('button', { 'aria-label': x.accessibility_label ?? x.text.text, disabled: !live, onclick: () => press(p, x.action_id) }, x.text.text)));
    default: return el('p', {}, `(${b.type})`);
  }
}

function post(p, replies, live) {
  const m = p.raw;
  const body = (m.blocks ?? []).map((b) => block(b, p, live));
  if (!body.length) body.push(el('p', {}, p.user ? lines(m.text ?? '') : mrkdwn(m.text ?? '')));
  for (const a of m.attachments ?? []) {
    const box = el('div', { class: 'attachment' }, ...(a.blocks ?? []).map((b) => block(b, p, live)));
    if (/^#[0-9a-f]{6}$/i.test(a.color ?? '')) box.style.borderColor = a.color;
    body.push(box);
  }
  const wrong = failed.get(p.ts);
  if (wrong) body.push(el('p', { class: 'wrong', role: 'alert' }, '⚠️ ' + wrong));
  return el('li', { class: p.private ? 'post private' : 'post', 'data-ts': p.ts },
    el('div', { class: 'who' }, (p.user ? person(p.user) : 'clbwatch') + ' ',
      el('span', { class: 'when' }, `#${p.channel} · `, clock(p.at), p.edited ? ' (edited)' : '', p.broadcast ? ' · also shown in the channel' : '')),
    ...body,
    p.private ? el('div', { class: 'only' }, 'only visible to you', button('Dismiss', `Dismiss what clbwatch answered at ${clock(p.at)}`, live, 'dismiss', { id: p.ts })) : null,
    replies.length ? el('ol', { class: 'thread', 'aria-label': `${replies.length} replies` },
      el('li', { class: 'quiet' }, replies.length === 1 ? '1 reply' : `${replies.length} replies`), ...replies.map((r) => post(r, [], live))) : null);
}

const drawn = new WeakMap(); // what elements show, as JSON

// redraw has a list show all items. What is as it was stays, so that nobody's press misses a button, and only
// what is new is read out.
function redraw(list, items, draw) {
  const old = new Map([...list.children].map((e) => [drawn.get(e), e]));
  const all = items.map((item) => {
    const doc = JSON.stringify(item);
    const e = old.get(doc) ?? draw(...item);
    drawn.set(e, doc);
    return e;
  });
  [...list.children].filter((e) => !all.includes(e)).forEach((e) => e.remove());
  all.forEach((e, i) => { if (list.children[i] !== e) list.insertBefore(e, list.children[i] ?? null); });
}

let now; // what is shown

function show(s) {
  now = s;
  names = new Map(Object.entries(s.people));
  say('status', s.live ? 'live: press a button, or type /clb help, and see what Slack is told' : 'the story plays in the terminal; the buttons work when it is told');
  redraw(document.getElementById('cloud'), s.balancers.map((lb) => [lb, s.live, s.people]), balancer);
  const channel = s.posts.filter((p) => !p.thread || p.broadcast).reverse();
  redraw(document.getElementById('channel'), channel.map((p) => {
    const replies = p.thread ? [] : s.posts.filter((r) => r.thread === p.ts);
    return [p, replies, s.live, s.people, [p, ...replies].map((x) => failed.get(x.ts))];
  }), post);
  document.getElementById('runs').replaceChildren(...s.runs.map((r) => el('li', { class: r.wrong ? 'wrong' : '' }, `${clock(r.at)}  ${r.what}  ${r.ms} ms  ${r.answer}`)).reverse());
  const time = document.getElementById('clock');
  time.textContent = `it is ${minute(s.now)}`;
  time.dateTime = s.now;
  refused(s.refused);
  const slack = document.getElementById('slack');
  slack.setAttribute('aria-pressed', String(s.slackFails));
  slack.textContent = s.slackFails ? 'Slack fails' : 'Fail Slack';
  for (const id of ['slack', 'report', 'line', 'send']) document.getElementById(id).disabled = !s.live;
  const later = document.getElementById('later');
  later.disabled = !s.live || s.minutes > 0;
  later.textContent = s.minutes > 0 ? `${s.minutes} minutes to go` : 'Ten minutes later';
}

// keepFocus shows without taking the focus off the button that was pressed, or off the one in its place. If a
// message has no button any more, that is the box.
function keepFocus(s) {
  const was = document.activeElement;
  const label = was?.getAttribute('aria-label');
  const places = ['spot', 'ts', 'lb'].map((name) => `[data-${name}="${CSS.escape(was?.closest(`[data-${name}]`)?.dataset[name] ?? '')}"] button`);
  const inChannel = was?.closest('#channel');
  show(s);
  if (!label || document.activeElement === was) return;
  const same = [...document.querySelectorAll('button')].find((b) => b.getAttribute('aria-label') === label);
  const near = places.map((place) => document.querySelector(place)).find((b) => b);
  (same ?? near ?? (inChannel ? line : null))?.focus();
}

form.addEventListener('submit', typed);
document.getElementById('report').addEventListener('click', () => act('report'));
document.getElementById('later').addEventListener('click', () => act('later'));
document.getElementById('slack').addEventListener('click', () => act('failSlack'));
const events = new EventSource('events');
events.onmessage = (e) => keepFocus(JSON.parse(e.data));
events.onerror = () => say('status', 'the sandbox has ended, or is not to be reached');
